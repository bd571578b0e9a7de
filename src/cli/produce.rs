//! `jackfield produce`: what is read becomes records, and every one of them is accounted for.

mod input;

use std::{
    fs::File,
    io::{BufReader, IsTerminal as _, Read},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};

use self::input::Format;
use crate::{
    arguments::{Acks, Compression, ProduceArguments},
    client::{Connection, LibraryLog, key_value},
    configuration::Environment,
    envelope::Envelope,
    exit::CannotRead,
    kafka::{Kafka, Partitions},
    progress::{self, Progress},
};

/// How long the last records may take once the input has ended.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);
const BACK_OFF: Duration = Duration::from_millis(50);
/// A rate says nothing about less.
const WORTH_A_RATE: Duration = Duration::from_secs(1);

/// Produces until the input ends.
pub(crate) fn run(arguments: &ProduceArguments, environment: &Environment) -> anyhow::Result<()> {
    let connection = Connection::new(&arguments.client, environment)?;
    let format = Format::new(&arguments.input)?;
    let mut kafka = Kafka::connect(&connection)?;
    kafka.create_if_missing(&arguments.topic)?;
    if let Some(partition) = arguments.partition {
        Partitions::of(
            &kafka.topics(std::slice::from_ref(&arguments.topic))?,
            &[partition],
        )?;
    }
    drop(kafka);
    let mut sender = Sender::new(arguments, &connection)?;
    let read = sender.send_all(&format, &arguments.files);
    // What was sent before a bad line is delivered, too.
    let flushed = sender.producer.flush(FLUSH_TIMEOUT);
    sender.progress.end();
    if !arguments.quiet {
        eprintln!("{}", sender.report(connection.bootstrap_server()));
    }
    let delivered = sender.producer.context().check(sender.sent, flushed);
    read.and(delivered)
}

fn compression(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

/// Hands records to the client library.
struct Sender<'a> {
    arguments: &'a ProduceArguments,
    producer: BaseProducer<Deliveries>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    progress: Progress,
    started: Instant,
    sent: u64,
    bytes: u64,
}

impl<'a> Sender<'a> {
    fn new(arguments: &'a ProduceArguments, connection: &Connection) -> anyhow::Result<Self> {
        let (acks, idempotent) = match arguments.acks {
            Acks::All => ("all", "true"),
            Acks::Leader => ("1", "false"),
            Acks::Nobody => ("0", "false"),
        };
        let config = connection.config(&[
            ("acks", acks),
            ("enable.idempotence", idempotent),
            ("compression.type", compression(arguments.compression)),
            ("linger.ms", "5"),
            // The broker decides what is too large.
            ("message.max.bytes", "1000000000"),
        ]);
        let header = |pair: &String| {
            let (key, value) = key_value("--header", pair)?;
            Ok((key, Some(value.into_bytes())))
        };
        let headers: anyhow::Result<_> = arguments.header.iter().map(header).collect();
        // Somebody who types sees what he types.
        let types = arguments.files.is_empty() && std::io::stdin().is_terminal();
        Ok(Self {
            arguments,
            producer: config.create_with_context(Deliveries::default())?,
            headers: headers?,
            progress: Progress::new(!arguments.quiet && !types),
            started: Instant::now(),
            sent: 0,
            bytes: 0,
        })
    }

    fn send_all(&mut self, format: &Format, files: &[impl AsRef<Path>]) -> anyhow::Result<()> {
        if files.is_empty() {
            self.send_input(format, std::io::stdin().lock())
                .context("standard input")?;
        }
        for file in files.iter().map(AsRef::as_ref) {
            if file == Path::new("-") {
                self.send_input(format, std::io::stdin().lock())
                    .context("standard input")?;
            } else {
                let name = file.display();
                let input =
                    File::open(file).map_err(|error| CannotRead(format!("cannot read {name}: {error}")))?;
                self.send_input(format, input).with_context(|| name.to_string())?;
            }
        }
        match format.of_nothing().filter(|_| self.sent == 0) {
            Some(record) => self.send(&record),
            None => Ok(()),
        }
    }

    fn send_input(&mut self, format: &Format, input: impl Read) -> anyhow::Result<()> {
        let input = BufReader::with_capacity(1 << 16, input);
        format.read(input, &mut |record| {
            self.send(&record)?;
            Ok(self.producer.context().is_fine())
        })
    }

    /// Waits while the client's queue is full.
    fn send(&mut self, envelope: &Envelope) -> anyhow::Result<()> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.arguments.topic);
        record.key = envelope.key.as_deref();
        record.payload = envelope.value.as_deref();
        record.partition = envelope.partition.or(self.arguments.partition);
        record.timestamp = self.arguments.timestamp.or(envelope.timestamp);
        record.headers = headers(self.headers.iter().chain(&envelope.headers));
        let bytes = record.key.map_or(0, <[u8]>::len) + record.payload.map_or(0, <[u8]>::len);
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(BACK_OFF);
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        self.sent += 1;
        self.bytes += u64::try_from(bytes).unwrap_or(0);
        self.producer.poll(Duration::ZERO);
        let (sent, delivered) = (self.sent, self.producer.context().delivered());
        self.progress
            .show(|| format!("{sent} records read, {delivered} acknowledged"));
        Ok(())
    }

    fn report(&self, server: &str) -> String {
        let delivered = self.producer.context().delivered();
        let how = match self.arguments.acks {
            Acks::Nobody => "sent to",
            Acks::All | Acks::Leader => "acknowledged by",
        };
        let records = if delivered == 1 { "record" } else { "records" };
        let mut text = format!("{delivered} {records} {how} {server}");
        let took = self.started.elapsed();
        if took >= WORTH_A_RATE {
            let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let size = progress::bytes(self.bytes);
            let rate = delivered.saturating_mul(1000) / milliseconds;
            text += &format!(
                ", {size} in {}.{} s, {rate} records/s",
                took.as_secs(),
                took.subsec_millis() / 100
            );
        }
        text
    }
}

fn headers<'a>(all: impl Iterator<Item = &'a (String, Option<Vec<u8>>)>) -> Option<OwnedHeaders> {
    all.fold(None, |headers: Option<OwnedHeaders>, (key, value)| {
        Some(headers.unwrap_or_default().insert(Header {
            key,
            value: value.as_ref(),
        }))
    })
}

/// Counts what became of the records.
#[derive(Debug, Clone, Default)]
struct Deliveries {
    delivered: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    first_failure: Arc<Mutex<Option<String>>>,
}

impl Deliveries {
    fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    fn is_fine(&self) -> bool {
        self.failed.load(Ordering::Relaxed) == 0
    }

    fn note_failure(&self, error: &KafkaError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let reason = error
            .rdkafka_error_code()
            .map_or_else(|| error.to_string(), |code| code.to_string());
        self.first_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(reason);
    }

    /// Every record that was sent must have been acknowledged.
    fn check(&self, sent: u64, flushed: Result<(), KafkaError>) -> anyhow::Result<()> {
        let missing = sent - self.delivered();
        if missing == 0 {
            return Ok(());
        }
        let first = self
            .first_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let reason = first.or_else(|| flushed.err().map(|error| error.to_string()));
        bail!(
            "{missing} of {sent} records were not acknowledged: {}",
            reason.unwrap_or_else(|| "no answer".to_owned())
        )
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        LibraryLog.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        LibraryLog.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        match result {
            Ok(message) => {
                self.delivered.fetch_add(1, Ordering::Relaxed);
                tracing::trace!(
                    partition = message.partition(),
                    offset = message.offset(),
                    "acknowledged"
                );
            }
            Err((error, _)) => self.note_failure(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_accounted_for() {
        let deliveries = Deliveries::default();
        deliveries.delivered.store(2, Ordering::Relaxed);
        assert!(deliveries.check(2, Ok(())).is_ok());
        deliveries.note_failure(&KafkaError::MessageProduction(
            RDKafkaErrorCode::MessageSizeTooLarge,
        ));
        let error = deliveries.check(3, Ok(())).unwrap_err().to_string();
        assert!(
            error.starts_with("1 of 3 records were not acknowledged: "),
            "{error}"
        );
    }
}

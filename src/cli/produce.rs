//! `jackfield produce`: lines of standard input become records, and every one of them is accounted for.

use std::{
    io::{BufRead as _, IsTerminal as _, Read},
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

use crate::{
    arguments::{Compression, ProduceArguments},
    client::{Connection, LibraryLog, key_value},
    configuration::Environment,
};

/// How long the last records may take once the input has ended.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(60);
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
const BACK_OFF: Duration = Duration::from_millis(50);

/// Produces until the input ends.
pub(crate) fn run(arguments: ProduceArguments, environment: &Environment) -> anyhow::Result<()> {
    let connection = Connection::new(&arguments.client, environment)?;
    let lines = Lines::start(&arguments)?;
    let deliveries = Deliveries::default();
    let config = connection.config(&[
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("compression.type", compression(arguments.compression)),
        ("linger.ms", "5"),
        // The broker decides what is too large.
        ("message.max.bytes", "1000000000"),
    ]);
    let producer: BaseProducer<Deliveries> = config.create_with_context(deliveries.clone())?;
    connection.metadata(producer.client(), Some(&arguments.topic))?;
    let mut sent = 0;
    let read = lines.send(&producer, std::io::stdin().lock(), arguments.quiet, &mut sent);
    // What was sent before a bad line is delivered, too.
    let flushed = producer.flush(FLUSH_TIMEOUT);
    if !arguments.quiet {
        eprintln!(
            "{} records acknowledged by {}",
            deliveries.delivered(),
            connection.bootstrap_server()
        );
    }
    read.and(deliveries.check(sent, flushed))
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

/// How a line becomes a record.
#[derive(Debug)]
struct Lines {
    topic: String,
    key_separator: Option<Vec<u8>>,
    partition: Option<i32>,
    headers: Option<OwnedHeaders>,
}

impl Lines {
    fn start(arguments: &ProduceArguments) -> anyhow::Result<Self> {
        let mut headers = None;
        for pair in &arguments.header {
            let (key, value) = key_value("--header", pair)?;
            let all: OwnedHeaders = headers.unwrap_or_default();
            headers = Some(all.insert(Header {
                key: &key,
                value: Some(value.as_bytes()),
            }));
        }
        let key_separator = arguments
            .key_separator
            .as_ref()
            .map(|separator| separator.as_bytes().to_vec());
        if key_separator.as_ref().is_some_and(Vec::is_empty) {
            bail!("--key-separator: must not be empty");
        }
        Ok(Self {
            topic: arguments.topic.clone(),
            key_separator,
            partition: arguments.partition,
            headers,
        })
    }

    /// Sends every line of `input` and counts them in `sent`.
    fn send(
        &self,
        producer: &BaseProducer<Deliveries>,
        input: impl Read,
        quiet: bool,
        sent: &mut u64,
    ) -> anyhow::Result<()> {
        let mut input = std::io::BufReader::with_capacity(1 << 16, input);
        let mut line = Vec::new();
        let mut progress = Progress::new(quiet);
        while producer.context().is_fine() {
            line.clear();
            if input
                .read_until(b'\n', &mut line)
                .context("standard input cannot be read")?
                == 0
            {
                break;
            }
            let content = without_line_end(&line);
            let number = *sent + 1;
            let (key, value) = self.split(content).with_context(|| format!("line {number}"))?;
            self.send_one(producer, key, value)
                .with_context(|| format!("line {number}"))?;
            *sent = number;
            producer.poll(Duration::ZERO);
            progress.show(*sent, producer.context().delivered());
        }
        Ok(())
    }

    fn split<'a>(&self, line: &'a [u8]) -> anyhow::Result<(Option<&'a [u8]>, &'a [u8])> {
        let Some(separator) = &self.key_separator else {
            return Ok((None, line));
        };
        match line
            .windows(separator.len())
            .position(|window| window == separator)
        {
            Some(at) => Ok((Some(&line[..at]), &line[at + separator.len()..])),
            None => bail!("has no key separator '{}'", String::from_utf8_lossy(separator)),
        }
    }

    /// Waits while the client's queue is full.
    fn send_one(
        &self,
        producer: &BaseProducer<Deliveries>,
        key: Option<&[u8]>,
        value: &[u8],
    ) -> anyhow::Result<()> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic).payload(value);
        record.key = key;
        record.partition = self.partition;
        record.headers.clone_from(&self.headers);
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    producer.poll(BACK_OFF);
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
}

/// The line as Java's `readLine` returns it.
fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A running count on a terminal that nobody types into.
#[derive(Debug)]
struct Progress {
    shown: Option<Instant>,
}

impl Progress {
    fn new(quiet: bool) -> Self {
        let wanted = !quiet && std::io::stderr().is_terminal() && !std::io::stdin().is_terminal();
        Self {
            shown: wanted.then(Instant::now),
        }
    }

    fn show(&mut self, sent: u64, delivered: u64) {
        if self
            .shown
            .is_some_and(|shown| shown.elapsed() >= PROGRESS_INTERVAL)
        {
            eprintln!("{sent} records read, {delivered} acknowledged");
            self.shown = Some(Instant::now());
        }
    }
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

    fn lines(separator: Option<&str>) -> Lines {
        let key_separator = separator.map(|separator| separator.as_bytes().to_vec());
        Lines {
            topic: "t".to_owned(),
            key_separator,
            partition: None,
            headers: None,
        }
    }

    #[test]
    fn line_ends() {
        for (line, content) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a", "a"),
            ("\n", ""),
            ("a\r\r\n", "a\r"),
        ] {
            assert_eq!(without_line_end(line.as_bytes()), content.as_bytes(), "{line:?}");
        }
    }

    #[test]
    fn keys() {
        assert_eq!(lines(None).split(b"k:v").unwrap(), (None, b"k:v".as_slice()));
        assert_eq!(
            lines(Some(":")).split(b"k:v:w").unwrap(),
            (Some(b"k".as_slice()), b"v:w".as_slice())
        );
        assert_eq!(
            lines(Some("->")).split(b"->v").unwrap(),
            (Some(b"".as_slice()), b"v".as_slice())
        );
        let error = lines(Some(":")).split(b"v").unwrap_err();
        assert_eq!(error.to_string(), "has no key separator ':'");
    }

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

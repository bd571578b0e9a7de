//! `jackfield produce`: what is read becomes records, and every one of them is accounted for.

mod deliveries;
mod input;
mod refused;

use std::{
    fs::File,
    io::{BufReader, IsTerminal as _, Read},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use jackfield_tasks::TaskGroup;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ThreadedProducer},
};

use self::{
    deliveries::{Deliveries, Patience},
    input::Format,
};
use crate::{
    arguments::{Acks, Compression, ProduceArguments},
    client::{Connection, key_value},
    configuration::Environment,
    envelope::Envelope,
    exit::CannotRead,
    kafka::{Kafka, Partitions},
    progress::{self, Progress},
    signals::Signals,
};

/// How often is looked whether the queue has room again.
const BACK_OFF: Duration = Duration::from_millis(20);
/// How often is looked how far things are while the input is read, and at its end.
const LOOK: Duration = Duration::from_millis(200);
const LAST_LOOKS: Duration = Duration::from_millis(2);
/// Silence of the broker that is worth a word; until the client has its id for idempotence, up to a second is usual.
const SILENCE: Duration = Duration::from_secs(3);
/// A rate says nothing about less.
const WORTH_A_RATE: Duration = Duration::from_secs(1);

/// Produces until the input ends, or a signal comes.
pub(crate) async fn run(arguments: ProduceArguments, environment: &Environment) -> anyhow::Result<()> {
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
    let sender = Arc::new(Sender::new(arguments, connection)?);
    // Only from here on is there something to end in order.
    let mut signals = Signals::install()?;
    let read = sender.send_until(format, &mut signals).await;
    // What was sent before a bad line or a signal is delivered, too.
    let delivered = sender.settle(&mut signals).await;
    if !sender.arguments.quiet {
        eprintln!("{}", sender.report());
    }
    // Everything is answered, and the process ends: nothing is gained by waiting for the client's threads.
    std::mem::forget(sender);
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
struct Sender {
    arguments: ProduceArguments,
    connection: Connection,
    producer: ThreadedProducer<Deliveries>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    started: Instant,
}

impl Sender {
    fn new(arguments: ProduceArguments, connection: Connection) -> anyhow::Result<Self> {
        let header = |pair: &String| {
            let (key, value) = key_value("--header", pair)?;
            Ok((key, Some(value.into_bytes())))
        };
        let headers: anyhow::Result<_> = arguments.header.iter().map(header).collect();
        Ok(Self {
            headers: headers?,
            producer: producer(&arguments, &connection)?,
            arguments,
            connection,
            started: Instant::now(),
        })
    }

    fn deliveries(&self) -> &Deliveries {
        self.producer.context()
    }

    /// Reading waits for whoever writes, so that it has a thread of its own.
    async fn send_until(self: &Arc<Self>, format: Format, signals: &mut Signals) -> anyhow::Result<()> {
        let sender = Arc::clone(self);
        let mut reading = TaskGroup::new("produce").spawn_blocking("input", move || sender.send_all(&format));
        // Somebody who types sees what he types.
        let types = self.arguments.files.is_empty() && std::io::stdin().is_terminal();
        let mut progress = Progress::new(!self.arguments.quiet && !types);
        let mut waiting = Waiting::new(self);
        let read = loop {
            tokio::select! {
                read = reading.join() => break read?,
                _ = signals.next() => {
                    self.deliveries().close();
                    // The end of standard input is often Ctrl-C; files have an end of their own.
                    break match self.arguments.files.len() {
                        0 => Ok(()),
                        _ => Err(anyhow::anyhow!("interrupted before everything was read")),
                    };
                }
                () = tokio::time::sleep(LOOK) => {
                    waiting.look();
                    let (sent, delivered) = (self.deliveries().sent(), self.deliveries().delivered());
                    progress.show(|| format!("{sent} records read, {delivered} acknowledged"));
                }
            }
        };
        progress.end();
        read
    }

    /// Waits for the last acknowledgements, as long as some come.
    async fn settle(&self, signals: &mut Signals) -> anyhow::Result<()> {
        let deliveries = self.deliveries();
        let mut waiting = Waiting::new(self);
        while deliveries.answered() < deliveries.sent() && !waiting.look() {
            tokio::select! {
                () = tokio::time::sleep(LAST_LOOKS) => {}
                _ = signals.next() => break,
            }
        }
        let missing = deliveries.sent() - deliveries.delivered();
        if missing == 0 {
            return Ok(());
        }
        let why = match deliveries.first_failure() {
            Some(failure) => refused::in_words(&failure, &self.arguments.topic, &self.connection),
            None => self.no_answer(),
        };
        bail!(
            "{missing} of {} records were not acknowledged: {why}",
            deliveries.sent()
        );
    }

    fn no_answer(&self) -> String {
        let reason = format!("nothing came within {:?}", self.connection.timeout());
        self.connection.silent(&reason)
    }

    fn send_all(&self, format: &Format) -> anyhow::Result<()> {
        let files = &self.arguments.files;
        if files.is_empty() {
            self.send_input(format, std::io::stdin().lock())
                .context("standard input")?;
        }
        for file in files {
            if file == Path::new("-") {
                self.send_input(format, std::io::stdin().lock())
                    .context("standard input")?;
            } else {
                let name = file.display();
                let input = File::open(file).map_err(|error| CannotRead::named(&name, &error))?;
                self.send_input(format, input).with_context(|| name.to_string())?;
            }
        }
        match format.of_nothing().filter(|_| self.deliveries().sent() == 0) {
            Some(record) => self.send(&record).map(|_| ()),
            None => Ok(()),
        }
    }

    fn send_input(&self, format: &Format, input: impl Read) -> anyhow::Result<()> {
        let input = BufReader::with_capacity(1 << 16, input);
        format.read(input, &mut |record| {
            let is_open = self.send(&record)?;
            Ok(is_open && self.deliveries().is_fine())
        })
    }

    /// Waits while the client's queue is full. The answer is whether more may be sent.
    #[allow(clippy::result_large_err, reason = "the library gives the record back")]
    fn send(&self, envelope: &Envelope) -> anyhow::Result<bool> {
        let deliveries = self.deliveries();
        let number = usize::try_from(deliveries.sent() + 1).unwrap_or(0);
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(&self.arguments.topic, number);
        record.key = envelope.key.as_deref();
        record.payload = envelope.value.as_deref();
        record.partition = envelope.partition.or(self.arguments.partition);
        record.timestamp = self.arguments.timestamp.or(envelope.timestamp);
        record.headers = headers(self.headers.iter().chain(&envelope.headers));
        let partition = record.partition;
        let bytes = record.key.map_or(0, <[u8]>::len) + record.payload.map_or(0, <[u8]>::len);
        let bytes = u64::try_from(bytes).unwrap_or(0);
        let mut patience = Patience::new(self.connection.timeout());
        loop {
            match deliveries.send(bytes, || self.producer.send(record)) {
                None => return Ok(false),
                Some(Ok(())) => return Ok(true),
                Some(Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))) => {
                    if patience.is_over(deliveries) {
                        bail!("{}", self.no_answer());
                    }
                    record = back;
                    thread::sleep(BACK_OFF);
                }
                Some(Err((KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition), _))) => {
                    let (topic, partition) = (&self.arguments.topic, partition.unwrap_or(-1));
                    bail!("{}", refused::no_partition(topic, partition, &self.connection));
                }
                Some(Err((error, _))) => return Err(error.into()),
            }
        }
    }

    fn report(&self) -> String {
        let delivered = self.deliveries().delivered();
        let asks_nobody = match self.connection.property("acks") {
            Some(acks) => acks == "0",
            None => self.arguments.acks == Acks::Nobody,
        };
        let how = if asks_nobody { "sent to" } else { "acknowledged by" };
        let records = if delivered == 1 { "record" } else { "records" };
        let mut text = format!(
            "{delivered} {records} {how} {}",
            self.connection.bootstrap_server()
        );
        let took = self.started.elapsed();
        if took >= WORTH_A_RATE {
            let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let size = progress::bytes(self.deliveries().bytes());
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

fn producer(
    arguments: &ProduceArguments,
    connection: &Connection,
) -> anyhow::Result<ThreadedProducer<Deliveries>> {
    let (acks, idempotent) = match arguments.acks {
        Acks::All => ("all", true),
        Acks::Leader => ("1", false),
        Acks::Nobody => ("0", false),
    };
    let create = |idempotent| {
        let config = connection.config(&[
            ("acks", acks),
            ("enable.idempotence", if idempotent { "true" } else { "false" }),
            ("compression.type", compression(arguments.compression)),
            ("linger.ms", "5"),
            // The broker decides what is too large.
            ("message.max.bytes", "1000000000"),
        ]);
        config.create_with_context(Deliveries::default())
    };
    match create(idempotent) {
        // A property of the user's (acks=1, more requests in flight) rules out what he did not ask for.
        Err(error) if idempotent && error.to_string().contains("enable.idempotence") => Ok(create(false)?),
        created => Ok(created?),
    }
}

/// Tells once that the broker is waited for, and when that took too long.
struct Waiting<'a> {
    sender: &'a Sender,
    patience: Patience,
    is_told: bool,
}

impl<'a> Waiting<'a> {
    fn new(sender: &'a Sender) -> Self {
        Self {
            sender,
            patience: Patience::new(sender.connection.timeout()),
            is_told: false,
        }
    }

    fn look(&mut self) -> bool {
        let deliveries = self.sender.deliveries();
        let is_silent = self.patience.waited(deliveries) >= SILENCE;
        if is_silent && !self.is_told {
            let server = self.sender.connection.bootstrap_server();
            tracing::warn!(server, "waiting for the broker");
        }
        self.is_told = is_silent;
        self.patience.is_over(deliveries)
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

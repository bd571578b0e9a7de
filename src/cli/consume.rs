//! `jackfield consume`: prints the records of topics, alone or as a member of a group.

mod print;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{BufWriter, IsTerminal as _, StdoutLock, Write as _},
};

use anyhow::bail;
use futures::FutureExt as _;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::BorrowedMessage,
};

pub(crate) use self::print::Printer;
use crate::{
    arguments::ConsumeArguments,
    client::{Connection, LibraryLog},
    configuration::Environment,
    kafka::{Kafka, Partition, Partitions},
    position::Position,
    progress::{self, Progress},
    signals::Signals,
};

/// Bytes of the output that leave together while there is always more.
const OUTPUT_BUFFER: usize = 1 << 16;

/// Consumes until the count, the end or a signal.
pub(crate) async fn run(arguments: ConsumeArguments, environment: &Environment) -> anyhow::Result<()> {
    let printer = Printer::new(&arguments.print)?;
    let connection = Connection::new(&arguments.client, environment)?;
    let mut kafka = Kafka::connect(&connection)?;
    let partitions = Partitions::of(&kafka.topics(&arguments.topics)?, &arguments.partition)?;
    let consumer = consumer(&connection, &arguments)?;
    let mut reading = Reading {
        connection: &connection,
        arguments: &arguments,
        consumer: &consumer,
        printer,
        bounds: BTreeMap::new(),
        waiting: VecDeque::new(),
        unread: BTreeSet::new(),
        at_end: BTreeSet::new(),
        unflushed: BTreeMap::new(),
        printed: 0,
        bytes: 0,
    };
    if arguments.group.is_some() {
        let topics: Vec<_> = arguments.topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics)?;
    } else {
        reading.assign(&mut kafka, &partitions)?;
    }
    drop(kafka);
    // Only from here on is there something to end in order.
    let mut signals = Signals::install()?;
    let mut out = BufWriter::with_capacity(OUTPUT_BUFFER, std::io::stdout().lock());
    let result = reading.print_all(&mut out, &mut signals).await;
    // What was printed is committed, also when the command ends with an error; what could not be printed is not.
    let flushed = reading.flush(&mut out);
    let committed = match arguments.group {
        Some(_) => commit(&consumer),
        None => Ok(()),
    };
    result.and(flushed).and(committed)
}

fn consumer(
    connection: &Connection,
    arguments: &ConsumeArguments,
) -> anyhow::Result<StreamConsumer<LibraryLog>> {
    // The library wants a group name even where partitions are assigned by hand; nothing is committed under it.
    let group = arguments.group.as_deref().unwrap_or("jackfield-consume");
    let either = |condition: bool, yes, no| if condition { yes } else { no };
    let config = connection.config(&[
        ("group.id", group),
        (
            "auto.offset.reset",
            either(arguments.from_beginning, "earliest", "latest"),
        ),
        (
            "enable.auto.commit",
            either(arguments.group.is_some(), "true", "false"),
        ),
        (
            "isolation.level",
            either(arguments.read_uncommitted, "read_uncommitted", "read_committed"),
        ),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("allow.auto.create.topics", "false"),
        ("fetch.message.max.bytes", "10000000"),
    ]);
    Ok(config.create_with_context(LibraryLog)?)
}

/// A group that never committed anything has nothing to commit.
fn commit(consumer: &StreamConsumer<LibraryLog>) -> anyhow::Result<()> {
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
        Err(error) => bail!("what was printed could not be committed: {error}"),
    }
}

/// Where a partition is to end.
#[derive(Debug, Clone, Copy)]
struct Bound {
    /// The first offset that is not printed.
    offset: i64,
    /// Whether it was there already at the start: then the end of the log is as good, since transactions leave offsets
    /// that are no records.
    is_there: bool,
}

struct Reading<'a> {
    connection: &'a Connection,
    arguments: &'a ConsumeArguments,
    consumer: &'a StreamConsumer<LibraryLog>,
    printer: Printer,
    bounds: BTreeMap<Partition, Bound>,
    /// Topics with an end are read one after the other: the library tells the end of a partition without its topic.
    waiting: VecDeque<BTreeMap<Partition, i64>>,
    /// Bounded partitions that are not at their bound yet.
    unread: BTreeSet<Partition>,
    /// Partitions of a group's member that have nothing more right now.
    at_end: BTreeSet<Partition>,
    /// The last record of a group's partition, as long as the output's buffer holds it.
    unflushed: BTreeMap<Partition, i64>,
    printed: u64,
    bytes: u64,
}

impl Reading<'_> {
    /// The ends are looked up before anything else happens, so that nothing produced after the start is missed.
    fn assign(&mut self, kafka: &mut Kafka, partitions: &Partitions) -> anyhow::Result<()> {
        let default = if self.arguments.from_beginning {
            Position::Earliest
        } else {
            Position::Latest
        };
        let starts = kafka.resolve(partitions, self.arguments.from.unwrap_or(default))?;
        if self.arguments.exit_at_end || self.arguments.to.is_some() {
            self.bound(kafka, partitions)?;
        }
        if self.bounds.is_empty() {
            return self.read(&starts);
        }
        let mut topics: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (partition, start) in starts {
            if start < self.bounds[&partition].offset {
                let topic = topics.entry(partition.0.clone()).or_default();
                topic.insert(partition, start);
            }
        }
        self.waiting = topics.into_values().collect();
        Ok(())
    }

    fn read(&self, starts: &BTreeMap<Partition, i64>) -> anyhow::Result<()> {
        let mut assignment = TopicPartitionList::new();
        for (partition, start) in starts {
            assignment.add_partition_offset(&partition.0, partition.1, Offset::Offset(*start))?;
        }
        Ok(self.consumer.assign(&assignment)?)
    }

    fn bound(&mut self, kafka: &mut Kafka, partitions: &Partitions) -> anyhow::Result<()> {
        let ends = kafka.resolve(partitions, Position::Latest)?;
        let wanted = match self.arguments.to {
            // Behind the end there will be records some day.
            Some(Position::Offset(offset)) => partitions.keys().map(|key| (key.clone(), offset)).collect(),
            Some(position) => kafka.resolve(partitions, position)?,
            None => ends.clone(),
        };
        for (partition, offset) in wanted {
            let end = ends.get(&partition).copied().unwrap_or(offset);
            let offset = if self.arguments.exit_at_end {
                offset.min(end)
            } else {
                offset
            };
            let is_there = offset <= end;
            self.bounds.insert(partition, Bound { offset, is_there });
        }
        Ok(())
    }

    async fn print_all(
        &mut self,
        out: &mut BufWriter<StdoutLock<'_>>,
        signals: &mut Signals,
    ) -> anyhow::Result<()> {
        let mut progress = Progress::new(!self.arguments.quiet && !std::io::stdout().is_terminal());
        while !self.is_done()? && signals.next().now_or_never().is_none() {
            // Output leaves as soon as there is nothing more to add to it.
            let next = match self.consumer.recv().now_or_never() {
                Some(next) => next,
                None => {
                    self.flush(out)?;
                    tokio::select! {
                        next = self.consumer.recv() => next,
                        _ = signals.next() => break,
                    }
                }
            };
            match next {
                Ok(message) => self.take(&message, out)?,
                Err(KafkaError::PartitionEOF(partition)) => self.reached_end(partition),
                Err(error) => self.tolerate(&error)?,
            }
            // In front of the buffer's own writes, which nobody hears of.
            if out.buffer().len() >= OUTPUT_BUFFER / 2 {
                self.flush(out)?;
            }
            progress.show(|| format!("{} records, {}", self.printed, progress::bytes(self.bytes)));
        }
        progress.end();
        Ok(())
    }

    fn is_done(&mut self) -> anyhow::Result<bool> {
        if self.arguments.count.is_some_and(|count| self.printed >= count) {
            return Ok(true);
        }
        if self.arguments.group.is_none() {
            if self.bounds.is_empty() || !self.unread.is_empty() {
                return Ok(false);
            }
            let Some(next) = self.waiting.pop_front() else {
                return Ok(true);
            };
            self.read(&next)?;
            self.unread = next.into_keys().collect();
            return Ok(false);
        }
        if !self.arguments.exit_at_end || self.at_end.is_empty() {
            return Ok(false);
        }
        // Other members have the other partitions.
        let mine = self.consumer.assignment()?;
        Ok(mine.count() > 0
            && mine.elements().iter().all(|element| {
                self.at_end
                    .contains(&(element.topic().to_owned(), element.partition()))
            }))
    }

    fn take(
        &mut self,
        message: &BorrowedMessage<'_>,
        out: &mut BufWriter<StdoutLock<'_>>,
    ) -> anyhow::Result<()> {
        // Without bounds and groups there is nothing to look up for each record.
        if !self.bounds.is_empty() || !self.at_end.is_empty() {
            let partition = (message.topic().to_owned(), message.partition());
            self.at_end.remove(&partition);
            if let Some(bound) = self.bounds.get(&partition) {
                if message.offset() + 1 >= bound.offset {
                    self.unread.remove(&partition);
                }
                if message.offset() >= bound.offset {
                    return Ok(());
                }
            }
        }
        let printed = self.printer.print(message, out);
        if let Err(error) = printed {
            let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
            return match error.downcast::<std::io::Error>() {
                Ok(error) => Err(error.into()),
                Err(error) => Err(error.context(format!(
                    "the record at offset {offset} of partition {partition} of {topic}"
                ))),
            };
        }
        self.printed += 1;
        self.bytes += u64::try_from(message.payload_len()).unwrap_or(0);
        if self.arguments.group.is_some() {
            let partition = (message.topic().to_owned(), message.partition());
            self.unflushed.insert(partition, message.offset());
        }
        Ok(())
    }

    /// Writes what is printed, and only then lets the library commit it.
    fn flush(&mut self, out: &mut BufWriter<StdoutLock<'_>>) -> anyhow::Result<()> {
        out.flush()?;
        for ((topic, partition), offset) in std::mem::take(&mut self.unflushed) {
            match self.consumer.store_offset(&topic, partition, offset) {
                // The group gave the partition to another member, which prints these records again.
                Ok(()) | Err(KafkaError::StoreOffset(RDKafkaErrorCode::State)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The library tells the number alone, without the topic.
    fn reached_end(&mut self, number: i32) {
        let bounds = &self.bounds;
        self.unread
            .retain(|partition| partition.1 != number || !bounds[partition].is_there);
        if self.arguments.group.is_some() {
            let topics = self.arguments.topics.iter();
            let partitions: Vec<_> = topics.map(|topic| (topic.clone(), number)).collect();
            let reached: Vec<_> = partitions
                .into_iter()
                .filter(|partition| self.has_reached(partition))
                .collect();
            self.at_end.extend(reached);
        }
    }

    /// Whether the library has handed out everything of a group member's partition.
    fn has_reached(&self, partition: &Partition) -> bool {
        if self.arguments.topics.len() == 1 {
            return true;
        }
        let positions = self.consumer.position();
        let position = positions.as_ref().ok().and_then(|list| {
            let found = list.find_partition(&partition.0, partition.1)?;
            found.offset().to_raw()
        });
        let end = self
            .consumer
            .fetch_watermarks(&partition.0, partition.1, self.connection.timeout());
        match (position, end) {
            (Some(position), Ok((start, end))) => position >= end || (position < 0 && start == end),
            _ => false,
        }
    }

    /// A broker that restarts is waited for; anything the broker refuses ends the command.
    fn tolerate(&self, error: &KafkaError) -> anyhow::Result<()> {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut,
            ) => {
                tracing::warn!(%error, "waiting for the broker");
                Ok(())
            }
            _ => Err(self.connection.explain(error)),
        }
    }
}

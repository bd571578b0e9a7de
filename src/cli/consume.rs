//! `jackfield consume`: prints the records of a topic, alone or as a member of a group.

use std::{
    collections::BTreeSet,
    io::{BufWriter, StdoutLock, Write},
};

use anyhow::bail;
use futures::FutureExt as _;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers as _},
};

use crate::{
    arguments::ConsumeArguments,
    client::{ANSWER_TIMEOUT, Connection, LibraryLog, partitions},
    configuration::Environment,
    signals::Signals,
};

/// Consumes until the count, the end or a signal.
pub(crate) async fn run(arguments: ConsumeArguments, environment: &Environment) -> anyhow::Result<()> {
    let connection = Connection::new(&arguments.client, environment)?;
    let consumer = consumer(&connection, &arguments)?;
    let metadata = connection.metadata(consumer.client(), Some(&arguments.topic))?;
    let all = partitions(&metadata, &arguments.topic)?;
    let mut reading = Reading {
        connection: &connection,
        arguments: &arguments,
        consumer: &consumer,
        unread: BTreeSet::new(),
        printed: 0,
    };
    reading.start(&all)?;
    // Only from here on is there something to end in order.
    let mut signals = Signals::install()?;
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let result = reading.print_all(&mut out, &mut signals).await;
    // What was printed is committed, also when the command ends with an error.
    out.flush()?;
    if arguments.group.is_some() {
        commit(&consumer)?;
    }
    result
}

fn consumer(
    connection: &Connection,
    arguments: &ConsumeArguments,
) -> anyhow::Result<StreamConsumer<LibraryLog>> {
    // The library wants a group name even where partitions are assigned by hand; nothing is committed under it.
    let group = arguments.group.as_deref().unwrap_or("jackfield-consume");
    let reset = if arguments.from_beginning {
        "earliest"
    } else {
        "latest"
    };
    let config = connection.config(&[
        ("group.id", group),
        ("auto.offset.reset", reset),
        (
            "enable.auto.commit",
            if arguments.group.is_some() {
                "true"
            } else {
                "false"
            },
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

struct Reading<'a> {
    connection: &'a Connection,
    arguments: &'a ConsumeArguments,
    consumer: &'a StreamConsumer<LibraryLog>,
    /// Partitions whose end was not reached yet.
    unread: BTreeSet<i32>,
    printed: u64,
}

impl Reading<'_> {
    fn start(&mut self, all: &[i32]) -> anyhow::Result<()> {
        let arguments = self.arguments;
        if arguments.group.is_some() {
            self.unread = all.iter().copied().collect();
            self.consumer.subscribe(&[arguments.topic.as_str()])?;
            return Ok(());
        }
        let chosen: Vec<_> = all
            .iter()
            .copied()
            .filter(|id| arguments.partition.is_none_or(|only| only == *id))
            .collect();
        if chosen.is_empty() {
            bail!(
                "topic '{}' has no partition {}",
                arguments.topic,
                arguments.partition.unwrap_or_default()
            );
        }
        let mut assignment = TopicPartitionList::new();
        for partition in &chosen {
            assignment.add_partition_offset(&arguments.topic, *partition, self.first_offset(*partition)?)?;
        }
        self.unread = chosen.into_iter().collect();
        self.consumer.assign(&assignment)?;
        Ok(())
    }

    /// The end is looked up before anything else happens, so that nothing produced after the start is missed.
    fn first_offset(&self, partition: i32) -> anyhow::Result<Offset> {
        if let Some(offset) = self.arguments.offset {
            return Ok(Offset::Offset(offset));
        }
        if self.arguments.from_beginning {
            return Ok(Offset::Beginning);
        }
        let watermarks = self
            .consumer
            .fetch_watermarks(&self.arguments.topic, partition, ANSWER_TIMEOUT);
        let (_, next) = watermarks.map_err(|error| self.connection.explain(&error))?;
        Ok(Offset::Offset(next))
    }

    async fn print_all(
        &mut self,
        out: &mut BufWriter<StdoutLock<'_>>,
        signals: &mut Signals,
    ) -> anyhow::Result<()> {
        while !self.is_done() && signals.next().now_or_never().is_none() {
            // Output leaves as soon as there is nothing more to add to it.
            let next = match self.consumer.recv().now_or_never() {
                Some(next) => next,
                None => {
                    out.flush()?;
                    tokio::select! {
                        next = self.consumer.recv() => next,
                        _ = signals.next() => return Ok(()),
                    }
                }
            };
            match next {
                Ok(message) => self.print(&message, out)?,
                Err(KafkaError::PartitionEOF(partition)) => {
                    self.unread.remove(&partition);
                }
                Err(error) => self.tolerate(&error)?,
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        let counted = self.arguments.count.is_some_and(|count| self.printed >= count);
        counted || (self.arguments.exit_at_end && self.unread.is_empty())
    }

    fn print(&mut self, message: &BorrowedMessage<'_>, out: &mut impl Write) -> anyhow::Result<()> {
        write_record(self.arguments, message, out)?;
        self.printed += 1;
        if self.arguments.group.is_some() {
            self.consumer.store_offset_from_message(message)?;
        }
        Ok(())
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

/// One record as one line: the parts asked for, then the value.
fn write_record(
    options: &ConsumeArguments,
    message: &impl Message,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let separator = options.separator.as_bytes();
    if options.timestamp {
        write!(out, "{}", message.timestamp().to_millis().unwrap_or(-1))?;
        out.write_all(separator)?;
    }
    if options.position {
        write!(out, "{}@{}", message.partition(), message.offset())?;
        out.write_all(separator)?;
    }
    if options.headers {
        write_headers(message, out)?;
        out.write_all(separator)?;
    }
    if options.key {
        out.write_all(message.key().unwrap_or(b"null"))?;
        out.write_all(separator)?;
    }
    out.write_all(message.payload().unwrap_or(b"null"))?;
    out.write_all(b"\n")
}

fn write_headers(message: &impl Message, out: &mut impl Write) -> std::io::Result<()> {
    let Some(headers) = message.headers() else {
        return Ok(());
    };
    for (index, header) in headers.iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(header.key.as_bytes())?;
        out.write_all(b"=")?;
        out.write_all(header.value.unwrap_or(b"null"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use rdkafka::{
        Timestamp,
        message::{Header, OwnedHeaders, OwnedMessage},
    };

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn check(flags: &str, key: Option<&[u8]>, value: Option<&[u8]>, expected: &str) {
        let line = format!("jackfield consume t {flags}");
        let arguments = Arguments::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Consume(options) = arguments.command else {
            panic!("not consume")
        };
        let headers = OwnedHeaders::new()
            .insert(Header {
                key: "a",
                value: Some("1"),
            })
            .insert(Header::<&str> {
                key: "b",
                value: None,
            });
        let message = OwnedMessage::new(
            value.map(<[u8]>::to_vec),
            key.map(<[u8]>::to_vec),
            "t".to_owned(),
            Timestamp::CreateTime(17),
            2,
            40,
            Some(headers),
        );
        let mut out = Vec::new();
        write_record(&options, &message, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{flags}");
    }

    #[test]
    fn records_as_lines() {
        check("", Some(b"k"), Some(b"v"), "v\n");
        check("--key --timestamp", Some(b"k"), Some(b"v"), "17\tk\tv\n");
        check(
            "--key --position --headers --separator |",
            None,
            None,
            "2@40|a=1,b=null|null|null\n",
        );
    }
}

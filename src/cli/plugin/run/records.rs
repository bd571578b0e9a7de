//! The records of the topics that a connector writes to, in the order they come.

use std::collections::BTreeMap;

use anyhow::Context as _;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    error::KafkaError,
    message::BorrowedMessage,
};

use super::session::Session;
use crate::{
    arguments::ClientOptions,
    client::{Connection, LibraryLog},
    configuration::Environment,
};

/// A consumer of topics that are found out on the way.
pub(super) struct Records {
    connection: Connection,
    consumer: StreamConsumer<LibraryLog>,
    /// Topics with their number of partitions.
    topics: BTreeMap<String, i32>,
}

impl Records {
    /// Of the session's broker.
    ///
    /// # Errors
    /// The client cannot be made.
    pub(super) fn new(session: &Session) -> anyhow::Result<Self> {
        let options = ClientOptions {
            bootstrap_server: Some(session.broker()?.to_string()),
            ..ClientOptions::default()
        };
        // What the environment says is about other brokers.
        let connection = Connection::new(&options, &Environment::default())?;
        let config = connection.config(&[
            ("group.id", "jackfield-plugin-run"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", "read_committed"),
            ("allow.auto.create.topics", "false"),
            ("fetch.wait.max.ms", "100"),
        ]);
        Ok(Self {
            consumer: config.create_with_context(LibraryLog)?,
            connection,
            topics: BTreeMap::new(),
        })
    }

    /// Also reads these topics from their beginning.
    ///
    /// # Errors
    /// The broker does not answer.
    pub(super) fn follow(&mut self, topics: &[String]) -> anyhow::Result<()> {
        for topic in topics {
            if self.topics.contains_key(topic) {
                continue;
            }
            let timeout = self.connection.timeout();
            let metadata = self.consumer.fetch_metadata(Some(topic), timeout);
            let metadata = metadata.map_err(|error| self.connection.explain(&error))?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            let partitions = found.map_or(0, |found| found.partitions().len());
            let partitions = i32::try_from(partitions).context("number of partitions")?;
            let mut added = TopicPartitionList::new();
            for partition in 0..partitions {
                added.add_partition_offset(topic, partition, Offset::Beginning)?;
            }
            self.consumer.incremental_assign(&added)?;
            self.topics.insert(topic.clone(), partitions);
        }
        Ok(())
    }

    /// How many records there are in all topics that are followed.
    ///
    /// # Errors
    /// The broker does not answer.
    pub(super) fn end(&self) -> anyhow::Result<u64> {
        let mut all = 0;
        for (topic, partitions) in &self.topics {
            for partition in 0..*partitions {
                let timeout = self.connection.timeout();
                let marks = self.consumer.fetch_watermarks(topic, partition, timeout);
                let (_, end) = marks.map_err(|error| self.connection.explain(&error))?;
                all += u64::try_from(end).unwrap_or(0);
            }
        }
        Ok(all)
    }

    /// The next record.
    pub(super) async fn next(&self) -> anyhow::Result<BorrowedMessage<'_>> {
        loop {
            match self.consumer.recv().await {
                Ok(record) => return Ok(record),
                Err(KafkaError::PartitionEOF(_)) => {}
                Err(error) => return Err(self.connection.explain(&error)),
            }
        }
    }
}

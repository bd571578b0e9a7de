//! Positions of a member in its partitions, and reading from them in turn.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jackfield_broker::{PartitionLog, ReadError, Topics};
use jackfield_protocol::records::{BATCH_HEADER_BYTES, BatchHeader};
use tokio::sync::Notify;

use crate::{ClusterError, CommittedOffset, FetchedRecords, TopicPartition};

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Fetcher {
    positions: BTreeMap<TopicPartition, Position>,
    /// The partition that was served last: the next one comes first.
    served_last: Option<TopicPartition>,
    /// Registered with every log that is read, until one of them has something.
    news: Option<Arc<Notify>>,
}

#[derive(Debug)]
struct Position {
    log: Arc<PartitionLog>,
    offset: i64,
    is_paused: bool,
}

impl Fetcher {
    /// Replaces all partitions. Without a committed offset a partition is read from its log start
    /// (`auto.offset.reset=earliest`).
    pub(crate) fn assign(&mut self, topics: &Topics, committed: &[CommittedOffset]) {
        self.clear();
        for CommittedOffset {
            partition, offset, ..
        } in committed
        {
            // A partition deleted meanwhile is taken away by the next rebalance.
            if let Some(log) = topics.partition(&partition.topic, partition.partition) {
                let offset = offset.unwrap_or_else(|| log.log_start_offset());
                self.positions.insert(
                    partition.clone(),
                    Position {
                        log,
                        offset,
                        is_paused: false,
                    },
                );
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.positions.clear();
        self.news = None;
    }

    /// Takes the current logs: a topic that was deleted and created again has new ones.
    pub(crate) fn refresh_logs(&mut self, topics: &Topics) {
        for (partition, position) in &mut self.positions {
            if let Some(log) = topics.partition(&partition.topic, partition.partition) {
                position.log = log;
            }
        }
        self.news = None;
    }

    pub(crate) fn set_paused(&mut self, partitions: &[TopicPartition], is_paused: bool) {
        for partition in partitions {
            if let Some(position) = self.positions.get_mut(partition) {
                position.is_paused = is_paused;
            }
        }
        self.news = None;
    }

    pub(crate) fn seek(&mut self, partition: &TopicPartition, offset: i64) {
        if let Some(position) = self.positions.get_mut(partition) {
            position.offset = offset;
        }
    }

    /// Reads whole batches, at most `max_bytes` unless the first is larger. The partitions take turns.
    pub(crate) fn fetch(
        &mut self,
        topics: &Topics,
        max_bytes: usize,
    ) -> Result<Vec<FetchedRecords>, ClusterError> {
        let mut out = Vec::new();
        let mut left = max_bytes;
        for partition in self.turn() {
            if left == 0 {
                break;
            }
            if let Some(fetched) = self.fetch_one(topics, &partition, left, out.is_empty())? {
                left = left.saturating_sub(fetched.batches.len());
                out.push(fetched);
                self.served_last = Some(partition);
            }
        }
        Ok(out)
    }

    fn turn(&self) -> Vec<TopicPartition> {
        let ready = |wanted: bool| {
            self.positions
                .iter()
                .filter(move |(partition, position)| {
                    let is_later = self.served_last.as_ref().is_none_or(|last| *partition > last);
                    !position.is_paused && is_later == wanted
                })
                .map(|(partition, _)| partition.clone())
        };
        ready(true).chain(ready(false)).collect()
    }

    fn fetch_one(
        &mut self,
        topics: &Topics,
        partition: &TopicPartition,
        max_bytes: usize,
        min_one: bool,
    ) -> Result<Option<FetchedRecords>, ClusterError> {
        let Some(position) = self.positions.get_mut(partition) else {
            return Ok(None);
        };
        let fetched = match position.log.read(position.offset, max_bytes, min_one) {
            Ok(fetched) => fetched,
            Err(ReadError::OutOfRange { offset, start, end }) => {
                tracing::warn!(topic = %partition.topic, partition = partition.partition, offset, start, end,
                    "position is out of range, continuing at the log start");
                position.offset = start;
                return Ok(None);
            }
            // A deleted topic is taken away by the next rebalance.
            Err(_) if topics.partition(&partition.topic, partition.partition).is_none() => return Ok(None),
            Err(error) => return Err(ClusterError::read(&error, partition)),
        };
        let Some(slice) = fetched.slice else {
            return Ok(None);
        };
        let batches = slice
            .read()
            .map_err(|error| ClusterError::damaged(&error, partition))?;
        let from_offset = position.offset;
        position.offset = offset_after(&batches).map_err(|error| ClusterError::batch(&error, partition))?;
        Ok(Some(FetchedRecords {
            partition: partition.clone(),
            from_offset,
            batches,
        }))
    }

    /// Asks all logs that are read to report news. `false` when they are already asked; otherwise a read is due,
    /// for what came before.
    pub(crate) fn watch(&mut self) -> bool {
        if self.news.is_some() {
            return false;
        }
        let news = Arc::new(Notify::new());
        for position in self.positions.values().filter(|position| !position.is_paused) {
            position.log.notify_on_advance(&news);
        }
        self.news = Some(news);
        true
    }

    /// Waits for news after [`Fetcher::watch`].
    pub(crate) async fn news(&mut self) {
        match &self.news {
            Some(news) => news.notified().await,
            None => return,
        }
        self.news = None;
    }
}

/// The offset after the last of these batches; only headers are looked at.
fn offset_after(batches: &Bytes) -> Result<i64, jackfield_protocol::records::BatchError> {
    let mut at = 0;
    let mut next = 0;
    while batches.len() >= at + BATCH_HEADER_BYTES {
        let header = BatchHeader::parse(&batches[at..])?;
        next = header.last_offset() + 1;
        at += header.size_bytes();
    }
    Ok(next)
}

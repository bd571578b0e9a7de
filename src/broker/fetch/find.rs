//! From a partition as a client names it to its log.

use std::sync::{Arc, Weak};

use jackfield_log::PartitionLog;
use kafka_protocol::error::ResponseError;

use super::request::{Place, TopicKey};
use crate::{Topic, Topics};

/// What is remembered of a partition in a session, so that it need not be looked up each time.
#[derive(Debug, Default)]
pub(super) struct Found {
    log: Weak<PartitionLog>,
    /// The name a topic id had.
    name: Option<Arc<str>>,
}

/// Looks partitions up, those of one topic with one search.
#[derive(Debug)]
pub(super) struct Finder<'a> {
    topics: &'a Topics,
    last: Option<(TopicKey, Option<Arc<Topic>>)>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(topics: &'a Topics) -> Self {
        Self { topics, last: None }
    }

    fn topic(&mut self, key: &TopicKey) -> Option<Arc<Topic>> {
        if let Some((last, topic)) = &self.last
            && last == key
        {
            return topic.clone();
        }
        let topic = match key {
            TopicKey::Name(name) => self.topics.get(name),
            TopicKey::Id(id) => self.topics.get_by_id(*id),
        };
        self.last = Some((key.clone(), topic.clone()));
        topic
    }

    /// The log of a partition.
    ///
    /// # Errors
    /// That there is none. A session knows the name of a topic id: it is told whether there is another topic of that
    /// name by now.
    pub(super) fn log(
        &mut self,
        place: &Place,
        found: &mut Found,
    ) -> Result<Arc<PartitionLog>, ResponseError> {
        if let Some(log) = found.log.upgrade()
            && !log.is_deleted()
        {
            return Ok(log);
        }
        let Some(topic) = self.topic(&place.topic) else {
            return Err(match (&place.topic, &found.name) {
                (TopicKey::Id(_), None) => ResponseError::UnknownTopicId,
                (TopicKey::Id(_), Some(name)) if self.topics.get(name).is_some() => {
                    ResponseError::InconsistentTopicId
                }
                _ => ResponseError::UnknownTopicOrPartition,
            });
        };
        let index = usize::try_from(place.partition).ok();
        let log = index.and_then(|index| topic.partitions.get(index));
        let log = log.ok_or(ResponseError::UnknownTopicOrPartition)?;
        *found = Found {
            log: Arc::downgrade(log),
            name: Some(Arc::clone(&topic.name)),
        };
        Ok(Arc::clone(log))
    }
}

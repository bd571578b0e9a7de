//! What the state machine knows of topics.

use std::sync::Arc;

use jackfield_log::TopicId;

use crate::Topics;

/// Topics as they are now.
pub(crate) trait TopicImage {
    /// Id and number of partitions.
    fn by_name(&self, name: &str) -> Option<(TopicId, i32)>;
    /// Name and number of partitions.
    fn by_id(&self, id: TopicId) -> Option<(Arc<str>, i32)>;
    /// All names.
    fn names(&self) -> Vec<Arc<str>>;
    /// Changes whenever a topic comes, goes or grows.
    fn version(&self) -> u64;
}

fn count(topic: &crate::Topic) -> i32 {
    i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)
}

impl TopicImage for Topics {
    fn by_name(&self, name: &str) -> Option<(TopicId, i32)> {
        let topic = self.get(name)?;
        Some((topic.id, count(&topic)))
    }

    fn by_id(&self, id: TopicId) -> Option<(Arc<str>, i32)> {
        let topic = self.get_by_id(id)?;
        Some((Arc::clone(&topic.name), count(&topic)))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.list().iter().map(|topic| Arc::clone(&topic.name)).collect()
    }

    fn version(&self) -> u64 {
        *self.changed.borrow()
    }
}

//! What comes out of a step, and what it is refused with.

use super::{
    super::error::GroupError, records::ConsumerRecord, settings::ConsumerSettings, topics::TopicImage,
};
use crate::groups::classic::effects::Now;

/// What a step looks at besides its group.
#[derive(Clone, Copy)]
pub(crate) struct World<'a> {
    pub(crate) topics: &'a dyn TopicImage,
    pub(crate) settings: &'a ConsumerSettings,
    pub(crate) now: Now,
}

/// A timer of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKind {
    /// The member is silent for too long.
    Session,
    /// It does not give up partitions.
    Rebalance,
    /// A classic member does not join again.
    Join,
    /// A classic member joined and does not fetch its assignment.
    Sync,
}

/// What happens to a member's timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimerChange {
    /// Fires after this time.
    Set(String, TimerKind, u64),
    /// As `Set`, unless it is running.
    SetIfAbsent(String, TimerKind, u64),
    Cancel(String, TimerKind),
}

impl TimerChange {
    /// Whose timer it is.
    pub(crate) fn member(&self) -> &str {
        match self {
            Self::Set(member, ..) | Self::SetIfAbsent(member, ..) | Self::Cancel(member, _) => member,
        }
    }
}

/// Result of a step: append `records` (all or nothing), apply them, then the rest.
#[derive(Debug)]
pub(crate) struct Outcome<T> {
    pub(crate) records: Vec<ConsumerRecord>,
    pub(crate) timers: Vec<TimerChange>,
    /// The group was compared with the topics of this version.
    pub(crate) checked_topics: Option<u64>,
    /// Its regular expressions were matched with the topics of this version.
    pub(crate) checked_regexes: Option<u64>,
    /// Regular expressions are to be matched with the topics afterwards.
    pub(crate) resolve_regexes: bool,
    pub(crate) value: T,
}

impl<T> Outcome<T> {
    pub(crate) fn new(records: Vec<ConsumerRecord>, value: T) -> Self {
        Self {
            records,
            timers: Vec::new(),
            checked_topics: None,
            checked_regexes: None,
            resolve_regexes: false,
            value,
        }
    }
}

/// Why a request of a consumer group was refused, with the reason in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Kafka's name of the reason.
    pub error: GroupError,
    /// For whoever reads the client's log.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(error: GroupError, message: impl Into<String>) -> Self {
        Self {
            error,
            message: message.into(),
        }
    }
}

impl From<GroupError> for Refusal {
    fn from(error: GroupError) -> Self {
        Self::new(error, error.to_string())
    }
}

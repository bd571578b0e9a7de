//! What one partition answers.

use jackfield_log::{Fetched, PartitionLog};
use kafka_protocol::error::ResponseError;

use super::{
    Asked,
    request::{TopicKey, Wanted},
    session::Seen,
};
use crate::{blocking, error_codes, leader_epoch};

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) code: i16,
    pub(super) fetched: Option<Fetched>,
    /// Epoch and end offset up to which the client's records may be this log's.
    pub(super) diverging: Option<(i32, i64)>,
    /// The leader epoch, for a client that believes in an older one.
    pub(super) leader_epoch: Option<i32>,
}

impl Answer {
    /// Bytes of records.
    pub(super) fn bytes(&self) -> usize {
        let slice = self.fetched.as_ref().and_then(|fetched| fetched.slice.as_ref());
        slice.map_or(0, |slice| slice.len)
    }

    /// What a session takes note of.
    pub(super) fn seen(&self) -> Seen {
        let fetched = self.fetched.as_ref();
        Seen {
            high_watermark: fetched.map_or(-1, |fetched| fetched.high_watermark),
            log_start_offset: fetched.map_or(-1, |fetched| fetched.log_start_offset),
            has_records: self.bytes() > 0,
            is_refused: self.code != 0 || self.diverging.is_some(),
        }
    }
}

fn refuse(error: ResponseError) -> Answer {
    Answer {
        code: error.code(),
        ..Answer::default()
    }
}

/// Reads every partition within the limits. The answers in the order of the partitions, the bytes found, and whether
/// there is more to tell than bytes.
pub(super) fn read_all(asked: &[Asked], max_bytes: usize) -> (Vec<Answer>, usize, bool) {
    let mut answers = Vec::with_capacity(asked.len());
    // As in Kafka, clients that ask for what there is not are answered when everybody else is.
    let mut is_due = asked.iter().all(|asked| asked.log.is_err());
    let mut bytes = 0;
    for asked in asked {
        let answer = match &asked.log {
            Ok(log) => read_one(asked, log, max_bytes.saturating_sub(bytes), bytes == 0),
            Err(error) => refuse(*error),
        };
        bytes += answer.bytes();
        is_due |= asked.log.is_ok() && answer.seen().is_refused;
        answers.push(answer);
    }
    (answers, bytes, is_due)
}

fn read_one(asked: &Asked, log: &PartitionLog, budget: usize, first: bool) -> Answer {
    let wanted = &asked.wanted;
    if log.is_offline() {
        return refuse(ResponseError::KafkaStorageError);
    }
    if let Some(answer) = check_epochs(wanted, log) {
        return answer;
    }
    let limit = wanted.max_bytes.min(budget);
    if limit == 0 && !first && (log.log_start_offset()..=log.log_end_offset()).contains(&wanted.offset) {
        return Answer {
            fetched: Some(without_records(log)),
            ..Answer::default()
        };
    }
    // Where an idle client waits, without the log's lock.
    if wanted.offset == log.high_watermark() && !log.is_deleted() {
        return Answer {
            fetched: Some(without_records(log)),
            ..Answer::default()
        };
    }
    // KIP-74: the first batch of the first partition with data is returned whatever its size.
    let read = log.read_verified(wanted.offset, limit, first);
    // What is read for the first time is verified, damage examined: other connections are not kept waiting by that.
    match read.unwrap_or_else(|| blocking::run(|| log.read(wanted.offset, limit, first))) {
        Ok(fetched) => Answer {
            fetched: Some(fetched),
            ..Answer::default()
        },
        // The topic was deleted meanwhile. Its log says so before the topic is gone from the registry.
        Err(_) if log.is_deleted() => refuse(match asked.place.topic {
            TopicKey::Id(_) => ResponseError::UnknownTopicId,
            TopicKey::Name(_) => ResponseError::UnknownTopicOrPartition,
        }),
        Err(error) => Answer {
            code: error_codes::of_read(&error),
            ..Answer::default()
        },
    }
}

/// The answer to a client that knows other epochs than the log has. The log's lock is taken only for one that says
/// something.
fn check_epochs(wanted: &Wanted, log: &PartitionLog) -> Option<Answer> {
    if wanted.leader_epoch >= 0 {
        let current = log.leader_epoch();
        if let Err(error) = leader_epoch::check(wanted.leader_epoch, current) {
            return Some(Answer {
                leader_epoch: (error == ResponseError::FencedLeaderEpoch).then_some(current),
                ..refuse(error)
            });
        }
    }
    if wanted.last_fetched_epoch < 0 {
        return None;
    }
    let Some((epoch, end)) = log.end_offset_of_epoch(wanted.last_fetched_epoch) else {
        return Some(refuse(ResponseError::OffsetOutOfRange));
    };
    let is_diverging = epoch < wanted.last_fetched_epoch || end < wanted.offset;
    is_diverging.then(|| Answer {
        fetched: Some(without_records(log)),
        diverging: Some((epoch, end)),
        ..Answer::default()
    })
}

/// The answer where there is no room for records: nothing is looked for.
fn without_records(log: &PartitionLog) -> Fetched {
    let high_watermark = log.high_watermark();
    Fetched {
        slice: None,
        high_watermark,
        last_stable_offset: high_watermark,
        log_start_offset: log.log_start_offset(),
    }
}

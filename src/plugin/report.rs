//! What a running task tells its worker: how it is, for whoever shows it, and what it wants, for whoever runs it. Writing and
//! reading hold a lock for the length of a copy.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jackfield_api::{Lag, SinkPosition, TopicPartition, TransactionBoundary};
use tokio::sync::Notify;

use crate::metrics::TaskMetrics;

/// Longest state of a task that is kept.
const MAX_STATE_BYTES: usize = 1_000;
/// Requests of one sink that are kept between two calls.
const MAX_SINK_WISHES: usize = 10_000;

/// The last reports of one task, and its numbers.
#[derive(Debug, Default)]
pub struct TaskReport {
    reported: Mutex<Reported>,
    metrics: TaskMetrics,
}

#[derive(Debug, Default, Clone)]
struct Reported {
    lag: Option<Lag>,
    state: Option<String>,
}

/// What a sink wants when its present call has returned, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkWish {
    /// Nothing more of these partitions.
    Pause(Vec<TopicPartition>),
    /// These partitions again.
    Resume(Vec<TopicPartition>),
    /// Its partitions from these offsets on.
    Seek(Vec<SinkPosition>),
    /// A commit now.
    Commit,
}

/// What one task wants of its worker.
#[derive(Debug, Default)]
pub struct TaskWishes {
    wished: Mutex<Wished>,
    /// Notified when the task wants its connector's task configs anew.
    reconfiguration: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Wished {
    sink: Vec<SinkWish>,
    boundary: Option<TransactionBoundary>,
}

impl TaskReport {
    /// How far the task is behind, as it said last; `None` = it has not said.
    pub fn lag(&self) -> Option<Lag> {
        self.lock().lag
    }

    /// What the task is doing, as it said last.
    pub fn state(&self) -> Option<String> {
        self.lock().state.clone()
    }

    /// Replaces the lag.
    pub fn report_lag(&self, lag: Lag) {
        self.lock().lag = Some(lag);
    }

    /// Replaces the state; what is too long is cut.
    pub fn report_state(&self, state: Option<&str>) {
        let kept = state.map(|state| {
            let end = state.floor_char_boundary(MAX_STATE_BYTES.min(state.len()));
            state[..end].to_owned()
        });
        self.lock().state = kept.filter(|state| !state.is_empty());
    }

    /// The task's own numbers.
    pub fn metrics(&self) -> &TaskMetrics {
        &self.metrics
    }

    fn lock(&self) -> MutexGuard<'_, Reported> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TaskWishes {
    /// Wishes whose reconfigurations are told to somebody.
    pub fn new(reconfiguration: Arc<Notify>) -> Self {
        Self {
            wished: Mutex::default(),
            reconfiguration,
        }
    }

    /// What the sink wanted since the last look.
    pub fn take_sink_wishes(&self) -> Vec<SinkWish> {
        std::mem::take(&mut self.lock().sink)
    }

    /// Where the source ended a transaction, if it did since the last look.
    pub fn take_boundary(&self) -> Option<TransactionBoundary> {
        self.lock().boundary.take()
    }

    /// Keeps a wish of a sink; false = there are too many.
    pub fn wish(&self, wish: SinkWish) -> bool {
        let mut wished = self.lock();
        let fits = wished.sink.len() < MAX_SINK_WISHES;
        if fits {
            wished.sink.push(wish);
        }
        fits
    }

    /// Keeps where a transaction ends.
    pub fn end_transaction(&self, boundary: TransactionBoundary) {
        self.lock().boundary = Some(boundary);
    }

    /// Asks for the connector's task configs anew.
    pub fn request_reconfiguration(&self) {
        self.reconfiguration.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Wished> {
        self.wished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_state_is_cut_between_characters() {
        let report = TaskReport::default();
        report.report_state(Some(&"ä".repeat(MAX_STATE_BYTES)));
        assert_eq!(report.state().unwrap().len(), MAX_STATE_BYTES);
        report.report_state(None);
        assert_eq!(report.state(), None);
    }

    #[test]
    fn wishes_are_taken_once_and_in_order() {
        let wishes = TaskWishes::default();
        wishes.wish(SinkWish::Pause(Vec::new()));
        wishes.wish(SinkWish::Commit);
        assert_eq!(
            wishes.take_sink_wishes(),
            [SinkWish::Pause(Vec::new()), SinkWish::Commit]
        );
        assert!(wishes.take_sink_wishes().is_empty());
        wishes.end_transaction(TransactionBoundary::Abort);
        assert_eq!(wishes.take_boundary(), Some(TransactionBoundary::Abort));
        assert_eq!(wishes.take_boundary(), None);
    }
}

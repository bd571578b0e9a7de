//! How far a source task is behind: what it reported last, from its own thread, for whoever shows it.

use std::sync::{Mutex, PoisonError};

use jackfield_api::Lag;

/// The last report of one source task. Writing and reading hold a lock for the length of a copy.
#[derive(Debug, Default)]
pub struct LagReport(Mutex<Option<Lag>>);

impl LagReport {
    /// What was reported last; `None` = nothing yet.
    pub fn last(&self) -> Option<Lag> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the report.
    pub fn report(&self, lag: Lag) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(lag);
    }
}

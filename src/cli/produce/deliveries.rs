//! What became of the records: counted while they are sent and acknowledged, and the first failure in words.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message as _,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryResult, ProducerContext},
};

use crate::client::LibraryLog;

/// Counts what became of the records.
#[derive(Debug, Clone, Default)]
pub(super) struct Deliveries(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    bytes: AtomicU64,
    delivered: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<Failure>>,
    /// Whether no more records are to be sent.
    is_closed: Mutex<bool>,
}

/// A record that was not taken.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) error: KafkaError,
    /// Counted from 1 over everything that was read.
    pub(super) number: u64,
    pub(super) partition: i32,
    pub(super) bytes: usize,
    pub(super) has_key: bool,
}

impl Failure {
    pub(super) fn code(&self) -> Option<RDKafkaErrorCode> {
        self.error.rdkafka_error_code()
    }
}

impl Deliveries {
    pub(super) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::SeqCst)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::SeqCst)
    }

    pub(super) fn delivered(&self) -> u64 {
        self.0.delivered.load(Ordering::SeqCst)
    }

    /// Acknowledged or refused.
    pub(super) fn answered(&self) -> u64 {
        self.delivered() + self.0.failed.load(Ordering::SeqCst)
    }

    pub(super) fn is_fine(&self) -> bool {
        self.0.failed.load(Ordering::SeqCst) == 0
    }

    pub(super) fn first_failure(&self) -> Option<Failure> {
        let failure = self.0.first_failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on nothing is sent.
    pub(super) fn close(&self) {
        *self.0.is_closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Sends a record and counts it, unless nothing is to be sent any more: then the answer is `None`.
    pub(super) fn send<T>(&self, bytes: u64, send: impl FnOnce() -> Result<(), T>) -> Option<Result<(), T>> {
        let is_closed = self.0.is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_closed {
            return None;
        }
        let result = send();
        if result.is_ok() {
            self.0.sent.fetch_add(1, Ordering::SeqCst);
            self.0.bytes.fetch_add(bytes, Ordering::SeqCst);
        }
        Some(result)
    }

    fn note_failure(&self, failure: Failure) {
        self.0.failed.fetch_add(1, Ordering::SeqCst);
        let mut first = self
            .0
            .first_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // A batch is refused as a whole: the record without a key is the reason, not the one in front of it.
        let explains = |first: &Failure| {
            failure.code() == Some(RDKafkaErrorCode::InvalidRecord) && first.has_key && !failure.has_key
        };
        if first.as_ref().is_none_or(explains) {
            *first = Some(failure);
        }
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        LibraryLog.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        LibraryLog.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    /// The record's number.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        match result {
            Ok(_) => drop(self.0.delivered.fetch_add(1, Ordering::SeqCst)),
            Err((error, message)) => self.note_failure(Failure {
                error: error.clone(),
                number: u64::try_from(number).unwrap_or(0),
                partition: message.partition(),
                bytes: message.key_len() + message.payload_len(),
                has_key: message.key().is_some(),
            }),
        }
    }
}

/// Ends when nothing was answered for as long as a broker may take.
#[derive(Debug)]
pub(super) struct Patience {
    most: Duration,
    answered: u64,
    since: Instant,
}

impl Patience {
    pub(super) fn new(most: Duration) -> Self {
        Self {
            most,
            answered: 0,
            since: Instant::now(),
        }
    }

    /// How long nothing was answered, or nothing was to be answered.
    pub(super) fn waited(&mut self, deliveries: &Deliveries) -> Duration {
        let answered = deliveries.answered();
        if answered != self.answered || answered >= deliveries.sent() {
            self.answered = answered;
            self.since = Instant::now();
        }
        self.since.elapsed()
    }

    pub(super) fn is_over(&mut self, deliveries: &Deliveries) -> bool {
        self.waited(deliveries) >= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(number: u64, has_key: bool) -> Failure {
        Failure {
            error: KafkaError::MessageProduction(RDKafkaErrorCode::InvalidRecord),
            number,
            partition: 0,
            bytes: 1,
            has_key,
        }
    }

    #[test]
    fn every_record_is_accounted_for() {
        let deliveries = Deliveries::default();
        for _ in 0..3 {
            assert_eq!(deliveries.send(2, || Ok::<(), ()>(())), Some(Ok(())));
        }
        assert_eq!(deliveries.send(2, || Err(7)), Some(Err(7)));
        deliveries.close();
        assert_eq!(deliveries.send(2, || Ok::<(), ()>(())), None);
        assert_eq!((deliveries.sent(), deliveries.bytes()), (3, 6));
        let mut patience = Patience::new(Duration::ZERO);
        assert!(deliveries.is_fine() && patience.is_over(&deliveries));
        for (number, has_key) in [(1, true), (2, false), (3, false)] {
            deliveries.note_failure(failure(number, has_key));
        }
        assert_eq!((deliveries.answered(), deliveries.delivered()), (3, 0));
        assert_eq!(deliveries.first_failure().unwrap().number, 2);
    }
}

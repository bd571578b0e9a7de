//! Appends that are not durable yet, in order.

use std::collections::VecDeque;

use futures::FutureExt as _;
use jackfield_cluster::{Acknowledgement, ClusterError};

/// The queue. Acknowledgements resolve in order, so only the front is ever waited for.
#[derive(Default)]
pub(super) struct InFlight {
    queue: VecDeque<(Acknowledgement, usize)>,
    bytes: usize,
    acknowledged: u64,
}

impl InFlight {
    /// Adds the append of one batch.
    pub(super) fn push(&mut self, acknowledgement: Acknowledgement, bytes: usize) {
        self.bytes += bytes;
        self.queue.push_back((acknowledgement, bytes));
    }

    /// Bytes in the queue.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether everything is durable.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Batches that are durable with their offsets, since the start.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Takes what is durable already, without waiting.
    pub(super) fn drain_ready(&mut self) -> Result<(), ClusterError> {
        while let Some((front, _)) = self.queue.front_mut() {
            match front.now_or_never() {
                Some(result) => self.pop(result)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Waits for the oldest append; at once when there is none. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<(), ClusterError> {
        match self.queue.front_mut() {
            Some((front, _)) => {
                let result = front.await;
                self.pop(result)
            }
            None => Ok(()),
        }
    }

    fn pop(&mut self, result: Result<Vec<i64>, ClusterError>) -> Result<(), ClusterError> {
        if let Some((_, bytes)) = self.queue.pop_front() {
            self.bytes -= bytes;
        }
        result?;
        self.acknowledged += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::oneshot;

    use super::*;

    #[tokio::test]
    async fn order_and_bytes() {
        let mut in_flight = InFlight::default();
        let mut senders = Vec::new();
        for bytes in [10, 20] {
            let (sender, receiver) = oneshot::channel::<()>();
            in_flight.push(receiver.map(|_| Ok(vec![])).boxed(), bytes);
            senders.push(sender);
        }
        senders.pop().unwrap().send(()).unwrap();
        in_flight.drain_ready().unwrap();
        assert_eq!(
            (in_flight.bytes(), in_flight.acknowledged()),
            (30, 0),
            "the first is still out"
        );
        senders.pop().unwrap().send(()).unwrap();
        in_flight.next().await.unwrap();
        assert_eq!((in_flight.bytes(), in_flight.acknowledged()), (20, 1));
        in_flight.drain_ready().unwrap();
        assert!(in_flight.is_empty());
        assert_eq!((in_flight.bytes(), in_flight.acknowledged()), (0, 2));
    }
}

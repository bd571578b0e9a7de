//! What the transforms make of a batch for the sink.

use bytes::Bytes;
use jackfield_batch::Batch;

use super::{
    SinkTask,
    incoming::{self, Delivery},
};
use crate::task::TaskFailure;

impl SinkTask<'_> {
    /// Sends a batch through the transforms, when there are any.
    pub(super) async fn transform(&mut self, delivery: Delivery) -> Result<Delivery, TaskFailure> {
        if self.transforms.is_empty() || delivery.records == 0 {
            return Ok(delivery);
        }
        let coordinates = |sequence| incoming::coordinates(&delivery, sequence);
        let bytes = delivery.batch.clone();
        let made = self
            .transforms
            .apply(self.context, &mut self.tolerance, bytes, &coordinates)
            .await?;
        let records = made.as_ref().map_or(0, |batch| batch.len());
        let batch = made.map_or_else(Bytes::new, Batch::into_inner);
        Ok(Delivery {
            batch,
            records,
            ..delivery
        })
    }
}

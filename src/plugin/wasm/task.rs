//! Tasks of WASM classes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    WasmHost,
    bindings::{
        exports::jackfield::plugin::{sink_task, source_task, transform},
        jackfield::plugin::types,
    },
    instance::Instance,
};
use crate::{
    HostedSink, HostedSource, HostedTransform, PluginError, PollLimits, Polled, RecordError, SinkPosition,
    Transformed, receive, receive::Receiver,
};

/// A running source task.
pub(super) struct WasmSource {
    pub(super) host: Arc<WasmHost>,
    pub(super) instance: Instance,
    pub(super) guest: Arc<source_task::Guest>,
    pub(super) receiver: Receiver,
}

#[async_trait]
impl HostedSource for WasmSource {
    async fn poll(&mut self, limits: PollLimits) -> Result<Polled, PluginError> {
        let asked = source_task::PollLimits {
            max_records: limits.max_records,
            max_bytes: limits.max_bytes,
        };
        let guest = Arc::clone(&self.guest);
        let call = self
            .instance
            .call(&self.host, "poll", self.host.limits.poll, |store| {
                Box::pin(async move { guest.call_poll(store, asked).await })
            });
        match call.await? {
            source_task::Polled::Idle(ms) => Ok(Polled::Idle(ms)),
            source_task::Polled::Batch(bytes) => match self.receiver.receive(Bytes::from(bytes), limits) {
                Ok(batch) => Ok(Polled::Batch(batch)),
                Err(error) => Err(self.instance.fail(error)),
            },
        }
    }

    async fn committed(&mut self, batches: u64) -> Result<(), PluginError> {
        let guest = Arc::clone(&self.guest);
        let call = self
            .instance
            .call(&self.host, "committed", self.host.limits.poll, |store| {
                Box::pin(async move { guest.call_committed(store, batches).await })
            });
        call.await
    }

    async fn stop(mut self: Box<Self>) {
        if !self.instance.is_live() {
            return;
        }
        let guest = Arc::clone(&self.guest);
        let call = self
            .instance
            .call(&self.host, "stop", self.host.limits.stop, |store| {
                Box::pin(async move { guest.call_stop(store).await.map(Ok) })
            });
        if let Err(error) = call.await {
            tracing::warn!(error = %error, "WASM task did not stop");
        }
    }
}

/// A running sink task.
pub(super) struct WasmSink {
    pub(super) host: Arc<WasmHost>,
    pub(super) instance: Instance,
    pub(super) guest: Arc<sink_task::Guest>,
}

#[async_trait]
impl HostedSink for WasmSink {
    async fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), PluginError> {
        let (guest, partitions) = (Arc::clone(&self.guest), positions(partitions));
        let call = self
            .instance
            .call(&self.host, "open", self.host.limits.put, |store| {
                Box::pin(async move { guest.call_open(store, &partitions).await })
            });
        call.await
    }

    async fn put(&mut self, batch: Bytes) -> Result<Vec<RecordError>, PluginError> {
        // Not a copy when nobody else holds the bytes.
        let (guest, batch) = (Arc::clone(&self.guest), Vec::from(batch));
        let call = self
            .instance
            .call(&self.host, "put", self.host.limits.put, |store| {
                Box::pin(async move { guest.call_put(store, &batch).await })
            });
        Ok(call.await?.into_iter().map(record_error).collect())
    }

    async fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, PluginError> {
        let (guest, asked) = (Arc::clone(&self.guest), positions(current));
        let call = self
            .instance
            .call(&self.host, "preCommit", self.host.limits.put, |store| {
                Box::pin(async move { guest.call_pre_commit(store, &asked).await })
            });
        let position = |found: types::Position| jackfield_api::SinkPosition {
            topic: found.topic,
            partition: found.partition,
            offset: found.offset,
            metadata: found.metadata,
        };
        let safe = call.await?.into_iter().map(position).collect();
        receive::positions(current, safe).map_err(|error| self.instance.fail(error))
    }

    async fn close(&mut self, partitions: &[(Arc<str>, i32)]) -> Result<(), PluginError> {
        let partition = |(topic, partition): &(Arc<str>, i32)| types::TopicPartition {
            topic: topic.to_string(),
            partition: *partition,
        };
        let (guest, partitions) = (
            Arc::clone(&self.guest),
            partitions.iter().map(partition).collect::<Vec<_>>(),
        );
        let call = self
            .instance
            .call(&self.host, "close", self.host.limits.put, |store| {
                Box::pin(async move { guest.call_close(store, &partitions).await })
            });
        call.await
    }

    async fn stop(mut self: Box<Self>) {
        if !self.instance.is_live() {
            return;
        }
        let guest = Arc::clone(&self.guest);
        let call = self
            .instance
            .call(&self.host, "stop", self.host.limits.stop, |store| {
                Box::pin(async move { guest.call_stop(store).await.map(Ok) })
            });
        if let Err(error) = call.await {
            tracing::warn!(error = %error, "WASM task did not stop");
        }
    }
}

/// A running transform.
pub(super) struct WasmTransform {
    pub(super) host: Arc<WasmHost>,
    pub(super) instance: Instance,
    pub(super) guest: Arc<transform::Guest>,
    pub(super) receiver: Receiver,
}

#[async_trait]
impl HostedTransform for WasmTransform {
    async fn apply(&mut self, batch: Bytes) -> Result<Transformed, PluginError> {
        let (guest, given) = (Arc::clone(&self.guest), Vec::from(batch.clone()));
        let call = self
            .instance
            .call(&self.host, "apply", self.host.limits.transform, |store| {
                Box::pin(async move { guest.call_apply(store, &given).await })
            });
        let output = call.await?;
        let made = self
            .receiver
            .receive_transformed(Bytes::from(output.batch), &batch);
        Ok(Transformed {
            batch: made.map_err(|error| self.instance.fail(error))?,
            rejected: output.rejected.into_iter().map(record_error).collect(),
        })
    }

    async fn stop(mut self: Box<Self>) {
        if !self.instance.is_live() {
            return;
        }
        let guest = Arc::clone(&self.guest);
        let call = self
            .instance
            .call(&self.host, "stop", self.host.limits.stop, |store| {
                Box::pin(async move { guest.call_stop(store).await.map(Ok) })
            });
        if let Err(error) = call.await {
            tracing::warn!(error = %error, "WASM transform did not stop");
        }
    }
}

fn record_error(found: types::RecordError) -> RecordError {
    RecordError {
        sequence: found.sequence,
        message: found.message,
    }
}

fn positions(positions: &[SinkPosition]) -> Vec<types::Position> {
    let position = |position: &SinkPosition| types::Position {
        topic: position.topic.to_string(),
        partition: position.partition,
        offset: position.offset,
        metadata: position.metadata.clone(),
    };
    positions.iter().map(position).collect()
}

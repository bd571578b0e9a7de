//! Tasks of WASM classes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jackfield_api::ConnectError;

use super::{
    WasmHost,
    bindings::{
        exports::jackfield::plugin::{sink_task, source_task},
        jackfield::plugin::types,
    },
    instance::Instance,
};
use crate::{
    HostedSink, HostedSource, PollLimits, Polled, RecordError, SinkPosition, receive, receive::Receiver,
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
    async fn poll(&mut self, limits: PollLimits) -> Result<Polled, ConnectError> {
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

    async fn committed(&mut self, batches: u64) -> Result<(), ConnectError> {
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
    async fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), ConnectError> {
        let (guest, partitions) = (Arc::clone(&self.guest), positions(partitions));
        let call = self
            .instance
            .call(&self.host, "open", self.host.limits.put, |store| {
                Box::pin(async move { guest.call_open(store, &partitions).await })
            });
        call.await
    }

    async fn put(&mut self, batch: Bytes) -> Result<Vec<RecordError>, ConnectError> {
        // Not a copy when nobody else holds the bytes.
        let (guest, batch) = (Arc::clone(&self.guest), Vec::from(batch));
        let call = self
            .instance
            .call(&self.host, "put", self.host.limits.put, |store| {
                Box::pin(async move { guest.call_put(store, &batch).await })
            });
        let error = |found: types::RecordError| RecordError {
            sequence: found.sequence,
            message: found.message,
        };
        Ok(call.await?.into_iter().map(error).collect())
    }

    async fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError> {
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

    async fn close(&mut self, partitions: &[(Arc<str>, i32)]) -> Result<(), ConnectError> {
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

fn positions(positions: &[SinkPosition]) -> Vec<types::Position> {
    let position = |position: &SinkPosition| types::Position {
        topic: position.topic.to_string(),
        partition: position.partition,
        offset: position.offset,
        metadata: position.metadata.clone(),
    };
    positions.iter().map(position).collect()
}

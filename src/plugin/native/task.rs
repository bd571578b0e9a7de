//! Tasks of native classes.

use std::{ffi::c_void, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use jackfield_api::abi::{
    self, Buf, POLL_BATCH, POLL_IDLE, PollResult, Position, SinkVTable, Slice, SourceVTable, TopicPartition,
    TransformVTable,
};
use jackfield_tasks::TaskGroup;

use super::{
    boundary::{PluginBytes, call, call_for_json},
    calls::{Calls, Running},
};
use crate::{
    HostedSink, HostedSource, HostedTransform, PluginError, PollLimits, Polled, RecordError, SinkPosition,
    Transformed, limits::Limits, receive::Receiver, services::HostTask,
};

/// The plugin's handle of a started task; stops it once.
#[derive(Debug)]
pub(super) struct Handle {
    raw: *mut c_void,
    stop: unsafe extern "C" fn(*mut c_void),
    host: Arc<HostTask>,
}

// SAFETY: the ABI lets calls for a task come from any thread, one at a time.
unsafe impl Send for Handle {}

impl Handle {
    /// # Safety
    /// `raw` was stored by the `start` that belongs to `stop`, and is used by nobody else.
    pub(super) unsafe fn new(
        raw: *mut c_void,
        stop: unsafe extern "C" fn(*mut c_void),
        host: Arc<HostTask>,
    ) -> Self {
        Self { raw, stop, host }
    }

    fn end(&mut self) {
        let raw = std::mem::replace(&mut self.raw, std::ptr::null_mut());
        if !raw.is_null() {
            // SAFETY: called once, last.
            unsafe { (self.stop)(raw) };
        }
        self.host.unwatch();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.end();
    }
}

/// A running source task.
#[derive(Debug)]
pub(super) struct NativeSource {
    calls: Calls<SourceState>,
    limits: Arc<Limits>,
    /// A poll whose caller went away: its batch must not be lost.
    pending: Option<Running<Polled>>,
}

#[derive(Debug)]
pub(super) struct SourceState {
    pub(super) handle: Handle,
    pub(super) table: SourceVTable,
    pub(super) receiver: Receiver,
}

impl NativeSource {
    pub(super) fn new(state: SourceState, group: TaskGroup, limits: Arc<Limits>) -> Self {
        Self {
            calls: Calls::new(state, group),
            limits,
            pending: None,
        }
    }
}

impl SourceState {
    fn poll(&mut self, limits: PollLimits) -> Result<Polled, PluginError> {
        let asked = abi::PollLimits {
            max_records: limits.max_records,
            max_bytes: limits.max_bytes,
        };
        let mut result = PollResult::EMPTY;
        // SAFETY: the handle is live, calls come one at a time, the limits and the places are valid during the call.
        let done = call(|error| unsafe {
            (self.table.poll)(self.handle.raw, &raw const asked, &raw mut result, error)
        });
        // SAFETY: the plugin filled the buffer in, or left it empty.
        let batch = unsafe { PluginBytes::new(result.batch) };
        done?;
        match result.state {
            POLL_BATCH => Ok(Polled::Batch(self.receiver.receive(batch.into_bytes(), limits)?)),
            // A negative time means "only when woken".
            POLL_IDLE => Ok(Polled::Idle(u64::try_from(result.idle_ms).ok())),
            state => Err(PluginError::fatal(format!(
                "plugin returned poll state {state}, the plugin ABI knows 1 and 2"
            ))),
        }
    }

    fn committed(&mut self, batches: u64) -> Result<(), PluginError> {
        // SAFETY: the handle is live and calls come one at a time.
        call(|error| unsafe { (self.table.committed)(self.handle.raw, batches, error) })
    }
}

#[async_trait]
impl HostedSource for NativeSource {
    async fn poll(&mut self, limits: PollLimits) -> Result<Polled, PluginError> {
        if self.pending.is_none() {
            self.pending = Some(self.calls.begin("poll", move |state| state.poll(limits))?);
        }
        let running = self.pending.as_mut().expect("set above");
        let result = self.calls.finish("poll", self.limits.poll, running).await;
        self.pending = None;
        result
    }

    async fn committed(&mut self, batches: u64) -> Result<(), PluginError> {
        self.calls
            .call("committed", self.limits.poll, move |state| {
                state.committed(batches)
            })
            .await
    }

    async fn stop(self: Box<Self>) {
        self.calls
            .stop(self.limits.stop, |state| state.handle.end())
            .await;
    }
}

/// A running sink task.
#[derive(Debug)]
pub(super) struct NativeSink {
    calls: Calls<SinkState>,
    limits: Arc<Limits>,
}

#[derive(Debug)]
pub(super) struct SinkState {
    pub(super) handle: Handle,
    pub(super) table: SinkVTable,
}

impl NativeSink {
    pub(super) fn new(state: SinkState, group: TaskGroup, limits: Arc<Limits>) -> Self {
        Self {
            calls: Calls::new(state, group),
            limits,
        }
    }
}

impl SinkState {
    fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), PluginError> {
        let positions = positions(partitions);
        // SAFETY: the handle is live, calls come one at a time, the positions are valid during the call.
        call(|error| unsafe {
            (self.table.open)(self.handle.raw, positions.as_ptr(), positions.len(), error)
        })
    }

    fn put(&mut self, batch: &[u8]) -> Result<Vec<RecordError>, PluginError> {
        let rejected: Vec<jackfield_api::RecordError> = call_for_json("put", |out, error| {
            // SAFETY: the handle is live, calls come one at a time, the batch is valid during the call.
            unsafe { (self.table.put)(self.handle.raw, Slice::of_bytes(batch), out, error) }
        })?;
        Ok(rejected.into_iter().map(RecordError::from).collect())
    }

    fn pre_commit(
        &mut self,
        current: &[SinkPosition],
    ) -> Result<Vec<jackfield_api::SinkPosition>, PluginError> {
        let positions = positions(current);
        call_for_json("preCommit", |out, error| {
            // SAFETY: the handle is live, calls come one at a time, the positions are valid during the call.
            unsafe {
                (self.table.pre_commit)(self.handle.raw, positions.as_ptr(), positions.len(), out, error)
            }
        })
    }

    fn close(&mut self, partitions: &[(Arc<str>, i32)]) -> Result<(), PluginError> {
        let partition = |(topic, partition): &(Arc<str>, i32)| TopicPartition {
            topic: Slice::of(topic),
            partition: *partition,
            reserved: 0,
        };
        let partitions: Vec<_> = partitions.iter().map(partition).collect();
        // SAFETY: the handle is live, calls come one at a time, the partitions are valid during the call.
        call(|error| unsafe {
            (self.table.close)(self.handle.raw, partitions.as_ptr(), partitions.len(), error)
        })
    }
}

fn positions(positions: &[SinkPosition]) -> Vec<Position> {
    let position = |position: &SinkPosition| Position {
        topic: Slice::of(&position.topic),
        offset: position.offset,
        metadata: Slice::of(&position.metadata),
        partition: position.partition,
        reserved: 0,
    };
    positions.iter().map(position).collect()
}

#[async_trait]
impl HostedSink for NativeSink {
    async fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), PluginError> {
        let partitions = partitions.to_vec();
        self.calls
            .call("open", self.limits.put, move |state| state.open(&partitions))
            .await
    }

    async fn put(&mut self, batch: Bytes) -> Result<Vec<RecordError>, PluginError> {
        self.calls
            .call("put", self.limits.put, move |state| state.put(&batch))
            .await
    }

    async fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, PluginError> {
        let asked = current.to_vec();
        let safe = self
            .calls
            .call("preCommit", self.limits.put, move |state| {
                state.pre_commit(&asked)
            })
            .await?;
        crate::receive::positions(current, safe)
    }

    async fn close(&mut self, partitions: &[(Arc<str>, i32)]) -> Result<(), PluginError> {
        let partitions = partitions.to_vec();
        self.calls
            .call("close", self.limits.put, move |state| state.close(&partitions))
            .await
    }

    async fn stop(self: Box<Self>) {
        self.calls
            .stop(self.limits.stop, |state| state.handle.end())
            .await;
    }
}

/// A running transform.
#[derive(Debug)]
pub(super) struct NativeTransform {
    calls: Calls<TransformState>,
    limits: Arc<Limits>,
}

#[derive(Debug)]
pub(super) struct TransformState {
    pub(super) handle: Handle,
    pub(super) table: TransformVTable,
    pub(super) receiver: Receiver,
}

impl NativeTransform {
    pub(super) fn new(state: TransformState, group: TaskGroup, limits: Arc<Limits>) -> Self {
        Self {
            calls: Calls::new(state, group),
            limits,
        }
    }
}

impl TransformState {
    fn apply(&mut self, batch: &[u8]) -> Result<Transformed, PluginError> {
        let mut out = Buf::EMPTY;
        let rejected = call_for_json("apply", |rejected, error| {
            // SAFETY: the handle is live, calls come one at a time, the batch and the places are valid during the call.
            unsafe {
                (self.table.apply)(
                    self.handle.raw,
                    Slice::of_bytes(batch),
                    &raw mut out,
                    rejected,
                    error,
                )
            }
        });
        // SAFETY: the plugin filled the buffer in, or left it empty.
        let bytes = unsafe { PluginBytes::new(out) };
        let rejected: Vec<jackfield_api::RecordError> = rejected?;
        Ok(Transformed {
            batch: self.receiver.receive_transformed(bytes.into_bytes(), batch)?,
            rejected: rejected.into_iter().map(RecordError::from).collect(),
        })
    }
}

#[async_trait]
impl HostedTransform for NativeTransform {
    async fn apply(&mut self, batch: Bytes) -> Result<Transformed, PluginError> {
        self.calls
            .call("apply", self.limits.transform, move |state| state.apply(&batch))
            .await
    }

    async fn stop(self: Box<Self>) {
        self.calls
            .stop(self.limits.stop, |state| state.handle.end())
            .await;
    }
}

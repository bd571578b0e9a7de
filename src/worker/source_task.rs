//! A source task: poll, convert, append records together with their source offsets.
//!
//! `poll` never waits. What was appended and is not durable yet is bounded in bytes; at the bound the task waits for
//! the oldest append. The source is told in order which of its batches are safe. Idle tasks wait for a wake-up, the end
//! of their idle time, or a command; nothing spins.

mod in_flight;
mod outgoing;
mod topics;

use std::{sync::Arc, time::Duration};

use jackfield_api::ErrorKind;
use jackfield_cluster::SourceProducer;
use jackfield_plugin::{HostedSource, PluginError, PollLimits, Polled, PolledBatch};
use tokio::{sync::Notify, time::Instant};

use self::{in_flight::InFlight, outgoing::Outgoing};
use crate::{
    errors::{RecordFailure, Stage, Tolerance},
    stores::status::State,
    task::{Backoff, Control, ControlReceiver, TaskContext, TaskFailure},
    transforms::{TransformChain, check_sequences},
};

/// Most bytes appended and not yet durable.
const MAX_IN_FLIGHT_BYTES: usize = 32 << 20;
/// What closing the producer may take when the task cannot start; nothing was sent by then.
const START_FAILED_CLOSE: Duration = Duration::from_millis(100);
/// Bad records one after another that a source may have without a pause.
const FREE_DATA_ERRORS: u32 = 100;
/// Limits of one poll.
const LIMITS: PollLimits = PollLimits {
    max_records: 20_000,
    max_bytes: 1 << 20,
};

/// Runs the task until it is told to stop or fails.
pub(crate) async fn run(context: &TaskContext, control: ControlReceiver) -> Result<(), TaskFailure> {
    let shared = &context.shared;
    let outgoing = Outgoing::new(context)?;
    let transforms = TransformChain::start(context).await?;
    let transactional_id = format!("jackfield-{}", context.id());
    let producer = shared.cluster.source_producer(&transactional_id).await;
    let producer = producer.map_err(|error| context.cluster_failure("opening the producer", &error))?;
    // Only now the predecessor is fenced off and the offsets it had queued are stored.
    let offsets = match shared.offsets.read(&context.connector).await {
        Ok(offsets) => offsets,
        Err(error) => {
            close(context, producer, START_FAILED_CLOSE).await;
            return Err(context.failure(true, "reading stored offsets", &error.to_string(), &[]));
        }
    };
    let services = context.services(Arc::new(offsets));
    let wake = Arc::clone(&services.wake);
    let source = match context.plugin.start_source(&context.task_config, services).await {
        Ok(source) => source,
        Err(error) => {
            close(context, producer, START_FAILED_CLOSE).await;
            return Err(context.plugin_failure("start", &error));
        }
    };
    let mut task = SourceTask {
        context,
        control,
        wake,
        source,
        producer,
        outgoing,
        transforms,
        in_flight: InFlight::default(),
        tolerance: Tolerance::default(),
        backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(60)),
        data_errors: 0,
        data_backoff: Backoff::new(Duration::from_millis(1), Duration::from_millis(100)),
        told: 0,
    };
    context.set_state(State::Running, None).await;
    let result = task.work().await;
    task.end(result).await
}

/// Ends a producer; what it could not store is sent again after a restart.
async fn close(context: &TaskContext, producer: Box<dyn SourceProducer>, deadline: Duration) {
    if let Err(error) = producer.close(deadline).await {
        tracing::warn!(
            connector = context.connector,
            task = context.task,
            error = %error,
            "source offsets were not all stored"
        );
    }
}

/// What the transforms made of a batch.
enum Transformed {
    /// There are none.
    Untouched,
    /// What is left of it.
    Into(Option<PolledBatch>),
}

struct SourceTask<'a> {
    context: &'a TaskContext,
    control: ControlReceiver,
    wake: Arc<Notify>,
    source: Box<dyn HostedSource>,
    producer: Box<dyn SourceProducer>,
    outgoing: Outgoing,
    transforms: TransformChain,
    in_flight: InFlight,
    tolerance: Tolerance,
    backoff: Backoff,
    /// Bad records since the last batch.
    data_errors: u32,
    /// Slows down a source that has nothing but bad records, or does not get past one.
    data_backoff: Backoff,
    /// Batches the source knows to be safe.
    told: u64,
}

impl SourceTask<'_> {
    async fn work(&mut self) -> Result<(), TaskFailure> {
        loop {
            match self.control.now() {
                Control::Run => {}
                Control::Pause => {
                    self.paused().await?;
                    continue;
                }
                Control::Stop(_) => return Ok(()),
            }
            self.in_flight
                .drain_ready()
                .map_err(|error| self.append_failure(&error))?;
            self.tell_source().await;
            if self.in_flight.bytes() >= MAX_IN_FLIGHT_BYTES {
                tokio::select! {
                    result = self.in_flight.next() => {
                        result.map_err(|error| self.append_failure(&error))?;
                    }
                    () = self.control.changed() => {}
                }
                continue;
            }
            match self.source.poll(LIMITS).await {
                Ok(Polled::Batch(batch)) => {
                    self.recovered().await;
                    self.data_errors = 0;
                    self.data_backoff.reset();
                    self.send(&batch).await?;
                    // A source that always has something must not keep others from running.
                    tokio::task::yield_now().await;
                }
                Ok(Polled::Idle(millis)) => {
                    self.recovered().await;
                    self.idle(millis.map(Duration::from_millis)).await?;
                }
                Err(error) => self.poll_failed(error).await?,
            }
        }
    }

    /// Converts a batch and appends it with its offsets.
    async fn send(&mut self, batch: &PolledBatch) -> Result<(), TaskFailure> {
        if batch.is_empty() {
            return self.idle(Some(Duration::ZERO)).await;
        }
        let transformed = self.transform(batch).await?;
        let records = match &transformed {
            Transformed::Untouched => Some(batch),
            Transformed::Into(records) => records.as_ref(),
        };
        let mut appended = (Vec::new(), 0);
        if let Some(records) = records {
            self.outgoing.prepare_topics(self.context, records).await?;
            appended = self
                .outgoing
                .convert(self.context, records, &mut self.tolerance)?;
        }
        let (records, mut bytes) = appended;
        let offsets = self.outgoing.offsets(self.context, batch)?;
        bytes += 100 * offsets.len();
        let acknowledgement = self.producer.append_atomic(records, offsets).await;
        let acknowledgement = acknowledgement.map_err(|error| self.append_failure(&error))?;
        self.in_flight.push(acknowledgement, bytes);
        Ok(())
    }

    /// Sends a batch through the transforms, when there are any.
    async fn transform(&mut self, batch: &PolledBatch) -> Result<Transformed, TaskFailure> {
        if self.transforms.is_empty() {
            return Ok(Transformed::Untouched);
        }
        check_sequences(batch)
            .map_err(|cause| self.context.failure(false, Stage::Poll.name(), &cause, &[]))?;
        let bytes = batch.get_ref().clone();
        let coordinates = |sequence| outgoing::coordinates_of(batch, sequence);
        let made = self
            .transforms
            .apply(self.context, &mut self.tolerance, bytes, &coordinates)
            .await?;
        Ok(Transformed::Into(made))
    }

    /// Waits until there may be something to poll.
    async fn idle(&mut self, time: Option<Duration>) -> Result<(), TaskFailure> {
        let until = time.map(|time| Instant::now() + time);
        loop {
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.control.changed() => return Ok(()),
                () = self.wake.notified() => return Ok(()),
                result = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    result.map_err(|error| self.append_failure(&error))?;
                }
                () = over => return Ok(()),
            }
            self.tell_source().await;
        }
    }

    /// Holds still until told otherwise; everything sent before is safe by then.
    async fn paused(&mut self) -> Result<(), TaskFailure> {
        self.flush().await?;
        self.context.set_state(State::Paused, None).await;
        while self.control.now() == Control::Pause {
            self.control.changed().await;
        }
        if self.control.now() == Control::Run {
            self.context.set_state(State::Running, None).await;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), TaskFailure> {
        while !self.in_flight.is_empty() {
            let result = self.in_flight.next().await;
            result.map_err(|error| self.append_failure(&error))?;
        }
        self.tell_source().await;
        Ok(())
    }

    /// Tells the source which of its batches are safe, when there are new ones.
    async fn tell_source(&mut self) {
        let batches = self.in_flight.acknowledged();
        if batches == self.told {
            return;
        }
        self.told = batches;
        tracing::debug!(
            connector = self.context.connector,
            task = self.context.task,
            batches,
            "batches committed"
        );
        if let Err(error) = self.source.committed(batches).await {
            tracing::warn!(
                connector = self.context.connector,
                task = self.context.task,
                error = %error,
                "source did not take the commit"
            );
        }
    }

    async fn poll_failed(&mut self, error: PluginError) -> Result<(), TaskFailure> {
        match error.kind {
            ErrorKind::Retriable => {
                let pause = self.backoff.advance();
                tracing::warn!(
                    connector = self.context.connector,
                    task = self.context.task,
                    error = %error,
                    retry_in_ms = pause.as_millis(),
                    "poll failed and is repeated"
                );
                let trace = self.context.plugin_failure(Stage::Poll.name(), &error).trace;
                self.context
                    .set_state(State::Running, Some(format!("retrying: {trace}")))
                    .await;
                self.idle(Some(pause)).await
            }
            ErrorKind::Data => {
                let failure = RecordFailure {
                    stage: Stage::Poll,
                    cause: error.message,
                    coordinates: Vec::new(),
                };
                self.tolerance.decide(self.context, failure)?;
                self.data_errors = self.data_errors.saturating_add(1);
                if self.data_errors > FREE_DATA_ERRORS {
                    let pause = self.data_backoff.advance();
                    return self.idle(Some(pause)).await;
                }
                tokio::task::yield_now().await;
                Ok(())
            }
            ErrorKind::Config | ErrorKind::Fatal => {
                Err(self.context.plugin_failure(Stage::Poll.name(), &error))
            }
        }
    }

    /// After failed polls the state says that all is well again.
    async fn recovered(&mut self) {
        if self.backoff.reset() {
            self.context.set_state(State::Running, None).await;
        }
    }

    fn append_failure(&self, error: &jackfield_cluster::ClusterError) -> TaskFailure {
        self.context.cluster_failure(Stage::Produce.name(), error)
    }

    /// Ends source and producer. What was appended is waited for, so that it is not sent again after a restart.
    async fn end(mut self, mut result: Result<(), TaskFailure>) -> Result<(), TaskFailure> {
        let mut patience = self.context.shared.worker.offset_flush_timeout();
        if let Control::Stop(deadline) = self.control.now() {
            patience = patience.min(deadline.saturating_duration_since(Instant::now()));
        }
        if result.is_ok() {
            match tokio::time::timeout(patience, self.flush()).await {
                Ok(flushed) => result = flushed,
                Err(_) => tracing::warn!(
                    connector = self.context.connector,
                    task = self.context.task,
                    bytes = self.in_flight.bytes(),
                    "task ends before everything appended was durable"
                ),
            }
        }
        self.source.stop().await;
        self.transforms.stop().await;
        close(self.context, self.producer, patience).await;
        self.tolerance.report(self.context);
        result
    }
}

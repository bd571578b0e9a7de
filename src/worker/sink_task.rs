//! A sink task: a member of the group `connect-<name>` that converts what it reads and puts it into the sink.
//!
//! Offsets are committed only after the sink's `pre_commit` said that the data is safe, with the sink's own metadata:
//! right after partitions were opened, every `offset.flush.interval.ms`, before partitions are given up, on pause and
//! at the end. A batch the sink could not take for now is delivered again, the same bytes, while the partitions are
//! paused and membership goes on.

mod group_positions;
mod incoming;
mod positions;
mod transformed;
mod wishes;

use std::{sync::Arc, time::Duration};

use jackfield_api::ErrorKind;
use jackfield_cluster::{
    CommittedOffset, FetchedRecords, GroupConsumer, GroupEvent, GroupSubscription, TopicPartition,
    TopicSelection,
};
use jackfield_plugin::{HostedSink, PluginError, RecordError, SinkPosition, StoredOffsets};
use tokio::time::Instant;

use self::{
    group_positions::GroupPositions,
    incoming::{Delivery, Incoming, pair},
    positions::Positions,
    wishes::Wishes,
};
use crate::{
    errors::{RecordFailure, Stage, Tolerance},
    stores::status::State,
    task::{Backoff, Control, ControlReceiver, TaskContext, TaskFailure},
    transforms::TransformChain,
};

/// Bytes of one fetch, unless `fetch.max.bytes` says otherwise.
const FETCH_BYTES: usize = 1 << 20;

/// Runs the task until it is told to stop or fails.
pub(crate) async fn run(context: &TaskContext, control: ControlReceiver) -> Result<(), TaskFailure> {
    let incoming = Incoming::new(context)?;
    let transforms = TransformChain::start(context).await?;
    let group_positions = Arc::new(GroupPositions::default());
    let services = context.services(Arc::clone(&group_positions) as Arc<dyn StoredOffsets>);
    let wishes = Wishes::of(Arc::clone(&services.wishes));
    let sink = context.plugin.start_sink(&context.task_config, services).await;
    let sink = sink.map_err(|error| context.plugin_failure("start", &error))?;
    let config = &context.config;
    let subscription = GroupSubscription {
        group_id: config.group_id.clone(),
        client_id: format!("connector-consumer-{}", context.id()),
        topics: config.topics.clone().unwrap_or(TopicSelection::Names(Vec::new())),
        max_bytes: config.fetch_max_bytes.unwrap_or(FETCH_BYTES),
        session_timeout: config.session_timeout,
    };
    let consumer = match context.shared.cluster.join_group(subscription).await {
        Ok(consumer) => consumer,
        Err(error) => {
            sink.stop().await;
            return Err(context.cluster_failure("joining the group", &error));
        }
    };
    let interval = context.shared.worker.offset_flush_interval();
    let mut task = SinkTask {
        context,
        control,
        sink,
        consumer,
        incoming,
        transforms,
        positions: Positions::default(),
        group_positions,
        wishes,
        tolerance: Tolerance::default(),
        interval,
        next_flush: Instant::now() + interval,
    };
    context.set_state(State::Running, None).await;
    let result = task.work().await;
    task.end(result).await
}

struct SinkTask<'a> {
    context: &'a TaskContext,
    control: ControlReceiver,
    sink: Box<dyn HostedSink>,
    consumer: Box<dyn GroupConsumer>,
    incoming: Incoming,
    transforms: TransformChain,
    positions: Positions,
    group_positions: Arc<GroupPositions>,
    wishes: Wishes,
    tolerance: Tolerance,
    interval: Duration,
    next_flush: Instant,
}

/// What a wait for the cluster ended with.
enum Woken {
    Event(GroupEvent),
    Told,
}

impl SinkTask<'_> {
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
            self.flush_when_due().await?;
            match self.wait(self.next_flush).await? {
                Woken::Event(GroupEvent::Records(fetched)) => self.deliver_all(fetched).await?,
                Woken::Event(event) => self.membership(event).await?,
                Woken::Told => {}
            }
        }
    }

    /// The next event, at most until `until`, or a command.
    async fn wait(&mut self, until: Instant) -> Result<Woken, TaskFailure> {
        let timeout = until.saturating_duration_since(Instant::now());
        tokio::select! {
            biased;
            () = self.control.changed() => Ok(Woken::Told),
            event = self.consumer.poll(timeout) => {
                event.map(Woken::Event).map_err(|error| self.context.cluster_failure("KAFKA_CONSUME", &error))
            }
        }
    }

    /// Follows a change of the assignment.
    async fn membership(&mut self, event: GroupEvent) -> Result<(), TaskFailure> {
        match event {
            GroupEvent::Assigned(committed) => self.assigned(committed).await,
            GroupEvent::Revoked(partitions) => {
                tracing::debug!(
                    connector = self.context.connector,
                    task = self.context.task,
                    partitions = partitions.len(),
                    "partitions revoked"
                );
                self.flush().await?;
                self.give_up(&partitions).await
            }
            GroupEvent::Lost(partitions) => self.give_up(&partitions).await,
            GroupEvent::Records(_) | GroupEvent::Idle => Ok(()),
        }
    }

    /// Opens the partitions and commits the positions the sink starts from, so that a crash from here on finds them.
    async fn assigned(&mut self, committed: Vec<CommittedOffset>) -> Result<(), TaskFailure> {
        if !self.positions.is_empty() {
            self.flush().await?;
            let partitions = self.positions.partitions();
            self.give_up(&partitions).await?;
        }
        self.positions.assign(&committed);
        let opened: Vec<SinkPosition> = self.positions.current();
        tracing::info!(
            connector = self.context.connector,
            task = self.context.task,
            partitions = opened.len(),
            "partitions assigned"
        );
        if opened.is_empty() {
            return Ok(());
        }
        let group = self.consumer.committed().await;
        let group = group.map_err(|error| {
            self.context
                .cluster_failure("reading the group's offsets", &error)
        })?;
        self.group_positions.set(group);
        let result = self.sink.open(&opened).await;
        result.map_err(|error| self.context.plugin_failure("open", &error))?;
        self.grant_wishes();
        self.flush().await
    }

    async fn give_up(&mut self, partitions: &[TopicPartition]) -> Result<(), TaskFailure> {
        let ours: Vec<_> = partitions
            .iter()
            .filter(|partition| self.positions.next(partition).is_some())
            .collect();
        let pairs: Vec<_> = ours.iter().map(|partition| pair(partition)).collect();
        for partition in ours {
            self.positions.remove(partition);
            self.wishes.forget(partition);
        }
        if pairs.is_empty() {
            return Ok(());
        }
        let result = self.sink.close(&pairs).await;
        result.map_err(|error| self.context.plugin_failure("close", &error))
    }

    async fn deliver_all(&mut self, fetched: Vec<FetchedRecords>) -> Result<(), TaskFailure> {
        self.note_starts(&fetched);
        for records in fetched {
            self.context.uses_topic(&records.partition.topic).await;
            let mut reading = self.incoming.begin(records);
            while let Some(delivery) = self
                .incoming
                .next(self.context, &mut reading, &mut self.tolerance)?
            {
                let delivery = self.transform(delivery).await?;
                let goes_on = self.control.now() == Control::Run && self.deliver(&delivery).await?;
                self.grant_wishes();
                if std::mem::take(&mut self.wishes.sought) || !goes_on {
                    // Everything fetched is read again from the positions that hold by now.
                    self.rewind();
                    return Ok(());
                }
                self.flush_when_due().await?;
            }
            // A busy topic must not keep other tasks from running.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Puts one batch, again and again while the sink asks for it. `false` = given up, because the assignment changed
    /// or the task is told something.
    async fn deliver(&mut self, delivery: &Delivery) -> Result<bool, TaskFailure> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(60));
        #[cfg(feature = "planted-bugs")]
        self.commit_before_the_flush(delivery).await;
        let mut accepted = delivery.records == 0;
        #[cfg(feature = "planted-bugs")]
        crate::planted::pass("sink.before-write");
        while !accepted {
            match self.sink.put(delivery.batch.clone()).await {
                Ok(errors) => {
                    self.refused(delivery, errors)?;
                    accepted = true;
                }
                Err(error) if error.kind == ErrorKind::Retriable => {
                    if !self.wait_to_retry(&error, backoff.advance()).await? {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(self.put_failure(delivery, &error)),
            }
        }
        #[cfg(feature = "planted-bugs")]
        crate::planted::pass("sink.written");
        if backoff.reset() {
            self.resume_all();
            self.context.set_state(State::Running, None).await;
        }
        self.positions
            .delivered(&delivery.partition, delivery.next_offset);
        Ok(true)
    }

    /// Keeps the membership alive while the sink needs a moment. `false` = the batch is not to be put again.
    async fn wait_to_retry(&mut self, error: &PluginError, pause: Duration) -> Result<bool, TaskFailure> {
        let failure = self.context.plugin_failure(Stage::Put.name(), error);
        tracing::warn!(
            connector = self.context.connector,
            task = self.context.task,
            error = %error,
            retry_in_ms = pause.as_millis(),
            "put failed and is repeated"
        );
        self.context
            .set_state(State::Running, Some(format!("retrying: {}", failure.trace)))
            .await;
        let partitions = self.positions.partitions();
        self.consumer.pause(&partitions);
        let until = Instant::now() + pause;
        while Instant::now() < until {
            match self.wait(until).await? {
                Woken::Event(GroupEvent::Idle) => {}
                // Fetched before the pause: read again after it.
                Woken::Event(GroupEvent::Records(fetched)) => {
                    for records in fetched {
                        self.consumer.seek(&records.partition, records.from_offset);
                    }
                }
                Woken::Event(event) => {
                    self.resume_all();
                    self.membership(event).await?;
                    return Ok(false);
                }
                Woken::Told => {
                    self.resume_all();
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Where a partition that nothing was ever committed of begins is known from what is fetched first.
    fn note_starts(&mut self, fetched: &[FetchedRecords]) {
        for records in fetched {
            if self.positions.next(&records.partition) == Some(-1) {
                self.positions.delivered(&records.partition, records.from_offset);
            }
        }
    }

    /// Reads on from the positions, which what was fetched and not delivered is after.
    fn rewind(&mut self) {
        for partition in self.positions.partitions() {
            if let Some(next) = self.positions.next(&partition).filter(|next| *next >= 0) {
                self.consumer.seek(&partition, next);
            }
        }
    }

    /// Records the sink could not take are passed over or fail the task.
    fn refused(&mut self, delivery: &Delivery, errors: Vec<RecordError>) -> Result<(), TaskFailure> {
        for error in errors {
            let failure = RecordFailure {
                stage: Stage::Put,
                cause: error.message,
                coordinates: incoming::coordinates(delivery, error.sequence),
            };
            self.tolerance.decide(self.context, failure)?;
        }
        Ok(())
    }

    fn put_failure(&self, delivery: &Delivery, error: &PluginError) -> TaskFailure {
        let failure = self.context.plugin_failure(Stage::Put.name(), error);
        let trace = format!(
            "{}\n\tbatch: {} records of {}-{} before offset {}",
            failure.trace,
            delivery.records,
            delivery.partition.topic,
            delivery.partition.partition,
            delivery.next_offset
        );
        TaskFailure { trace, ..failure }
    }

    /// The bug `offset-before-flush` of the crash tests: what is about to be delivered is committed already.
    #[cfg(feature = "planted-bugs")]
    async fn commit_before_the_flush(&mut self, delivery: &Delivery) {
        let current = self.positions.current().into_iter();
        let commits = current
            .filter(|position| pair(&delivery.partition) == (position.topic.clone(), position.partition));
        let commits: Vec<_> = commits
            .map(|position| CommittedOffset {
                partition: delivery.partition.clone(),
                offset: Some(delivery.next_offset),
                metadata: position.metadata,
            })
            .collect();
        if crate::planted::is("offset-before-flush")
            && let Err(error) = self.consumer.commit(commits).await
        {
            tracing::warn!(error = %error, "planted commit failed");
        }
    }

    async fn flush_when_due(&mut self) -> Result<(), TaskFailure> {
        if Instant::now() < self.next_flush {
            return Ok(());
        }
        self.flush().await
    }

    /// Lets the sink make everything safe, and commits what it says. After a commit the sink is asked again: what it may
    /// do only now need not wait for the next interval.
    async fn flush(&mut self) -> Result<(), TaskFailure> {
        self.next_flush = Instant::now() + self.interval;
        if self.commit_what_is_safe().await? {
            self.commit_what_is_safe().await?;
        }
        Ok(())
    }

    /// `true` = something was committed.
    async fn commit_what_is_safe(&mut self) -> Result<bool, TaskFailure> {
        if self.positions.is_empty() {
            return Ok(false);
        }
        let asked = self.sink.pre_commit(&self.positions.current()).await;
        self.grant_wishes();
        let safe = match asked {
            Ok(safe) => safe,
            Err(error) if error.kind == ErrorKind::Retriable => {
                tracing::warn!(
                    connector = self.context.connector,
                    task = self.context.task,
                    error = %error,
                    "flush failed and is repeated"
                );
                return Ok(false);
            }
            Err(error) => return Err(self.context.plugin_failure("flush", &error)),
        };
        #[cfg(feature = "planted-bugs")]
        crate::planted::pass("sink.synced");
        let commits = self.positions.to_commit(safe);
        if commits.is_empty() {
            return Ok(false);
        }
        #[cfg(feature = "planted-bugs")]
        crate::planted::pass("sink.before-commit");
        match self.consumer.commit(commits.clone()).await {
            Ok(()) => {
                #[cfg(feature = "planted-bugs")]
                crate::planted::pass("sink.committed");
                tracing::debug!(
                    connector = self.context.connector,
                    task = self.context.task,
                    partitions = commits.len(),
                    "offsets committed"
                );
                self.positions.committed(&commits);
                Ok(true)
            }
            // The next commit holds these positions too; after a rebalance the records come again.
            Err(error) => {
                tracing::warn!(
                    connector = self.context.connector,
                    task = self.context.task,
                    error = %error,
                    "offsets were not committed"
                );
                Ok(false)
            }
        }
    }

    /// Holds still until told otherwise, and stays a member of the group.
    async fn paused(&mut self) -> Result<(), TaskFailure> {
        self.flush().await?;
        self.context.set_state(State::Paused, None).await;
        while self.control.now() == Control::Pause {
            let partitions = self.positions.partitions();
            self.consumer.pause(&partitions);
            // What the sink could not make safe yet is tried again.
            self.flush_when_due().await?;
            match self.wait(self.next_flush).await? {
                // Fetched before the pause: read again after it.
                Woken::Event(GroupEvent::Records(fetched)) => {
                    self.note_starts(&fetched);
                    self.rewind();
                }
                Woken::Event(event) => self.membership(event).await?,
                Woken::Told => {}
            }
        }
        if self.control.now() == Control::Run {
            self.resume_all();
            self.context.set_state(State::Running, None).await;
        }
        Ok(())
    }

    /// Flushes and commits after a good run, closes the partitions and leaves the group.
    async fn end(mut self, mut result: Result<(), TaskFailure>) -> Result<(), TaskFailure> {
        if result.is_ok() {
            result = self.flush().await;
        }
        let partitions = self.positions.partitions();
        let closed = self.give_up(&partitions).await;
        if result.is_ok() {
            result = closed;
        }
        if let Err(error) = self.consumer.leave().await {
            tracing::warn!(
                connector = self.context.connector,
                task = self.context.task,
                error = %error,
                "leaving the group failed"
            );
        }
        self.sink.stop().await;
        self.transforms.stop().await;
        self.tolerance.report(self.context);
        result
    }
}

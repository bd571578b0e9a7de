//! One task: its context, what it is told, and the supervisor that runs it.
//!
//! A task runs on its own: a panic or an error fails it and nothing else. A failure that may pass (a retriable error,
//! a cluster that does not answer) restarts it after a back-off of 1 s to 60 s; any other leaves it FAILED until
//! somebody restarts it or changes its config. State and cause are visible in the status.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use jackfield_api::ErrorKind;
use jackfield_cluster::{Cluster, ClusterError};
use jackfield_env::Env;
use jackfield_plugin::{
    ConnectorPlugin, Kind, PluginError, StoredOffsets, TaskReport, TaskServices, TaskWishes,
};
use jackfield_tasks::TaskGroup;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    config::WorkerConfig,
    connector_config::ConnectorConfig,
    sink_task, source_task,
    stores::{
        offsets::OffsetStore,
        status::{State, Status, StatusStore},
    },
};

/// A plugin that traps, panics, or runs into a deadline or a limit this often within this time stays FAILED.
const MAX_FAULTS: usize = 5;
const FAULTS_WITHIN: Duration = Duration::from_secs(600);

/// What a task is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// Work.
    Run,
    /// Hold still, ready to go on.
    Pause,
    /// Flush, commit and end, before this moment.
    Stop(Instant),
}

/// Receives [`Control`].
#[derive(Debug, Clone)]
pub(crate) struct ControlReceiver(watch::Receiver<Control>);

impl ControlReceiver {
    /// What holds now.
    pub(crate) fn now(&self) -> Control {
        *self.0.borrow()
    }

    /// Waits for a change. When the sender is gone the task is to stop at once.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Everything a task needs.
#[derive(Debug)]
pub(crate) struct TaskContext {
    pub(crate) connector: String,
    pub(crate) task: u32,
    pub(crate) kind: Kind,
    pub(crate) config: ConnectorConfig,
    pub(crate) task_config: BTreeMap<String, String>,
    pub(crate) plugin: Arc<dyn ConnectorPlugin>,
    /// Notified when the task wants its connector's task configs anew.
    pub(crate) reconfiguration: Arc<Notify>,
    pub(crate) shared: Arc<Shared>,
}

/// What all tasks of a worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) worker: WorkerConfig,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) env: Env,
    pub(crate) offsets: OffsetStore,
    pub(crate) status: StatusStore,
}

/// Why a task ended.
#[derive(Debug, Clone)]
pub(crate) struct TaskFailure {
    /// Whether a new attempt may succeed.
    pub(crate) retriable: bool,
    /// Whether the plugin was thrown away for what it did: a few new attempts are made.
    pub(crate) is_fault: bool,
    /// What happened, for people: stage, plugin, record, cause.
    pub(crate) trace: String,
}

impl TaskContext {
    /// `connector-task`, as Connect names a task.
    pub(crate) fn id(&self) -> String {
        format!("{}-{}", self.connector, self.task)
    }

    /// Host services for the plugin. What it reports is shown until this attempt ends.
    pub(crate) fn services(&self, stored_offsets: Arc<dyn StoredOffsets>) -> TaskServices {
        let report = Arc::new(TaskReport::default());
        self.shared
            .status
            .show_report(&self.connector, self.task, Arc::clone(&report));
        TaskServices {
            report,
            ..self.services_beside(stored_offsets)
        }
    }

    /// Host services for a plugin that works for the task's own. What it reports is not shown.
    pub(crate) fn services_beside(&self, stored_offsets: Arc<dyn StoredOffsets>) -> TaskServices {
        TaskServices {
            connector: self.connector.clone(),
            task: self.task,
            wake: Arc::new(Notify::new()),
            stored_offsets,
            report: Arc::default(),
            wishes: Arc::new(TaskWishes::new(Arc::clone(&self.reconfiguration))),
        }
    }

    /// Sets the task's state.
    pub(crate) async fn set_state(&self, state: State, trace: Option<String>) {
        let version = Some(self.plugin.info().version.clone());
        self.shared
            .status
            .put_task(
                &self.connector,
                self.task,
                Status {
                    state,
                    trace,
                    version,
                },
            )
            .await;
    }

    /// Notes that the task uses a topic.
    pub(crate) async fn uses_topic(&self, topic: &str) {
        if self.shared.worker.topic_tracking_enable() {
            self.shared
                .status
                .put_topic(&self.connector, self.task, topic)
                .await;
        }
    }

    /// A failure with everything that helps to find its cause. `details` are further lines.
    pub(crate) fn failure(
        &self,
        retriable: bool,
        stage: &str,
        cause: &str,
        details: &[(&str, String)],
    ) -> TaskFailure {
        let info = self.plugin.info();
        let mut trace = format!("task {} failed in {stage}: {cause}", self.id());
        trace.push_str(&format!(
            "\n\tplugin: {} {} ({:?})",
            info.class,
            info.version,
            self.plugin.form()
        ));
        for (name, value) in details {
            trace.push_str(&format!("\n\t{name}: {value}"));
        }
        TaskFailure {
            retriable,
            is_fault: false,
            trace,
        }
    }

    /// A plugin's error as the task's end.
    pub(crate) fn plugin_failure(&self, stage: &str, error: &PluginError) -> TaskFailure {
        let hint = match error.kind {
            _ if error.is_fault => "the plugin misbehaved and is started anew after a back-off, a few times",
            ErrorKind::Config => "the configuration is wrong: change it, then restart the task",
            ErrorKind::Retriable => "the task is restarted by itself after a back-off",
            ErrorKind::Data => "errors.tolerance=all passes over bad records",
            ErrorKind::Fatal => "restart the task when the cause is gone",
        };
        let kind = format!("{:?}", error.kind).to_lowercase();
        let failure = self.failure(
            error.kind == ErrorKind::Retriable,
            stage,
            &error.message,
            &[("kind", kind), ("hint", hint.to_owned())],
        );
        TaskFailure {
            is_fault: error.is_fault,
            ..failure
        }
    }

    /// A cluster's error as the task's end. The task starts again from what was committed.
    pub(crate) fn cluster_failure(&self, stage: &str, error: &ClusterError) -> TaskFailure {
        let details = [("code", error.code.to_string())];
        self.failure(error.retriable, stage, &error.message, &details)
    }
}

/// Grows from its first to its last value by doubling.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    last: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first`, ends at `last`.
    pub(crate) fn new(first: Duration, last: Duration) -> Self {
        Self {
            first,
            last,
            next: first,
        }
    }

    /// The time to wait now.
    pub(crate) fn advance(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.last);
        now
    }

    /// Success: the next failure waits the first time again. Says whether there was a failure before.
    pub(crate) fn reset(&mut self) -> bool {
        let failed = self.next != self.first;
        self.next = self.first;
        failed
    }
}

/// A task that was started; dropping it leaves the task running.
#[derive(Debug)]
pub(crate) struct RunningTask {
    control: watch::Sender<Control>,
    supervisor: jackfield_tasks::TaskHandle<bool>,
}

impl RunningTask {
    /// Starts a supervised task.
    pub(crate) fn start(group: &TaskGroup, context: TaskContext, control: Control) -> Self {
        let (sender, receiver) = watch::channel(control);
        let group = group.clone();
        let name = format!("supervisor-{}", context.id());
        let inner = group.clone();
        let supervisor = group.spawn(
            name,
            supervise(inner, Arc::new(context), ControlReceiver(receiver)),
        );
        Self {
            control: sender,
            supervisor,
        }
    }

    /// Tells the task something; a task that has ended does not hear it.
    pub(crate) fn tell(&self, control: Control) {
        self.control.send_replace(control);
    }

    /// Waits for the end of a task that was told to stop; says whether it ended in time.
    pub(crate) async fn ended(mut self) -> bool {
        self.supervisor.join().await.unwrap_or(false)
    }

    /// Waits for the end of a task that was told to stop, and keeps what is left of it.
    pub(crate) async fn wait_for_end(&self) {
        self.control.closed().await;
    }
}

/// Runs attempts until one ends well, fails for good, or the task is told to stop. Says whether it ended in time.
async fn supervise(group: TaskGroup, context: Arc<TaskContext>, mut control: ControlReceiver) -> bool {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    let mut faults = VecDeque::new();
    loop {
        let started = Instant::now();
        let ended = attempt(&group, &context, control.clone()).await;
        context
            .shared
            .status
            .hide_report(&context.connector, context.task);
        let failure = match ended {
            Ok(in_time) => {
                tracing::debug!(
                    connector = context.connector,
                    task = context.task,
                    in_time,
                    "task ended"
                );
                context.set_state(State::Unassigned, None).await;
                return in_time;
            }
            Err(failure) => failure,
        };
        if started.elapsed() > Duration::from_secs(120) {
            backoff.reset();
        }
        let restarts = failure.retriable || (failure.is_fault && may_fault_again(&mut faults));
        tracing::error!(
            connector = context.connector,
            task = context.task,
            error = failure.trace,
            restarts,
            "task failed"
        );
        let mut trace = failure.trace;
        let pause = backoff.advance();
        if failure.is_fault && !restarts {
            trace.push_str(&format!(
                "\n\trestart: not by itself: {MAX_FAULTS} faults within {} minutes",
                FAULTS_WITHIN.as_secs() / 60
            ));
        }
        if restarts {
            trace.push_str(&format!("\n\trestart: by itself in {} s", pause.as_secs()));
        }
        context.set_state(State::Failed, Some(trace)).await;
        if !restarts {
            return true;
        }
        let restart_at = Instant::now() + pause;
        loop {
            if matches!(control.now(), Control::Stop(_)) {
                return true;
            }
            tokio::select! {
                () = tokio::time::sleep_until(restart_at) => break,
                () = control.changed() => {}
            }
        }
    }
}

/// Notes a fault, and says whether another attempt is to be made after it.
fn may_fault_again(faults: &mut VecDeque<Instant>) -> bool {
    let now = Instant::now();
    faults.push_back(now);
    while faults
        .front()
        .is_some_and(|first| now.duration_since(*first) > FAULTS_WITHIN)
    {
        faults.pop_front();
    }
    faults.len() < MAX_FAULTS
}

/// One attempt in a task of its own, so that a panic is an error here. `Ok(false)` = it did not end in time.
async fn attempt(
    group: &TaskGroup,
    context: &Arc<TaskContext>,
    mut control: ControlReceiver,
) -> Result<bool, TaskFailure> {
    let work = run(Arc::clone(context), control.clone());
    let mut handle = group.spawn(format!("task-{}", context.id()), work);
    loop {
        let deadline = match control.now() {
            Control::Stop(deadline) => Some(deadline),
            _ => None,
        };
        let too_late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            result = handle.join() => return match result {
                Ok(result) => result.map(|()| true),
                Err(error) => {
                    let hint = [("hint", "this is a defect; the task does not restart by itself".to_owned())];
                    Err(context.failure(false, "the task itself", &error.to_string(), &hint))
                }
            },
            () = control.changed() => {}
            () = too_late => {
                handle.abort();
                tracing::error!(
                    connector = context.connector,
                    task = context.task,
                    "task did not stop in time and is given up"
                );
                return Ok(false);
            }
        }
    }
}

/// A task that is paused when it starts waits before it does anything, as in Connect.
async fn run(context: Arc<TaskContext>, mut control: ControlReceiver) -> Result<(), TaskFailure> {
    loop {
        match control.now() {
            Control::Run => break,
            Control::Stop(_) => return Ok(()),
            Control::Pause => {
                context.set_state(State::Paused, None).await;
                control.changed().await;
            }
        }
    }
    tracing::debug!(connector = context.connector, task = context.task, "task starts");
    match context.kind {
        Kind::Source => source_task::run(&context, control).await,
        Kind::Sink => sink_task::run(&context, control).await,
        Kind::Transform => {
            let cause = "a transformation runs in the tasks of connectors, not by itself";
            Err(context.failure(false, "start", cause, &[]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_forgiven_a_few_times_within_a_time() {
        let mut faults = VecDeque::new();
        let forgiven: Vec<_> = (0..6).map(|_| may_fault_again(&mut faults)).collect();
        assert_eq!(forgiven, [true, true, true, true, false, false]);
        let Some(long_ago) = Instant::now().checked_sub(FAULTS_WITHIN + Duration::from_secs(1)) else {
            return; // The machine has not been up for so long.
        };
        let mut faults = VecDeque::from([long_ago; 10]);
        assert!(may_fault_again(&mut faults));
        assert_eq!(faults.len(), 1);
    }
}

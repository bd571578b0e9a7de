//! The async face of the group coordinator.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jackfield_env::Env;
use jackfield_log::PartitionLog;
use jackfield_tasks::TaskGroup;
use tokio::{
    sync::{Notify, OnceCell},
    time::{Duration, Instant},
};

use super::{
    classic::effects::{Now, Settings},
    config::{GroupConfigs, GroupsConfig},
    error::GroupError,
    loader::{self, LoadError},
    placement::partition_for_group,
    shard::Shard,
};
use crate::{CreateTopicError, Topics};

/// Topic that holds groups and offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Checks timers at least this often, whatever the schedule says.
const TIMER_CHECK_MAX: Duration = Duration::from_secs(60);

/// The coordinator. Cheap to clone; answers when its records are durable.
#[derive(Debug, Clone)]
pub struct Groups {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: GroupsConfig,
    pub(super) env: Env,
    pub(super) topics: Arc<Topics>,
    shards: Vec<Mutex<Shard>>,
    offsets_topic: OnceCell<()>,
    pub(super) group_configs: GroupConfigs,
    started: Instant,
    /// Woken when a deadline comes closer.
    earlier_deadline: Notify,
}

impl Groups {
    /// Loads groups and offsets, and starts the coordinator's timers on `tasks`. Blocking reads.
    ///
    /// # Errors
    /// When `__consumer_offsets` cannot be read.
    pub fn open(
        config: GroupsConfig,
        group_configs: GroupConfigs,
        topics: Arc<Topics>,
        env: Env,
        tasks: &TaskGroup,
    ) -> Result<Self, LoadError> {
        let existing = topics.get(OFFSETS_TOPIC);
        let count = match &existing {
            Some(topic) => topic.partitions.len(),
            None => usize::try_from(config.offsets_topic_partitions)
                .unwrap_or(1)
                .max(1),
        };
        let settings = Settings {
            initial_rebalance_delay_ms: config.initial_rebalance_delay_ms,
            max_size: config.max_size,
        };
        let groups = Self {
            inner: Arc::new(Inner {
                config,
                env,
                topics,
                shards: (0..count).map(|_| Mutex::new(Shard::new(settings))).collect(),
                offsets_topic: OnceCell::new(),
                group_configs,
                started: Instant::now(),
                earlier_deadline: Notify::new(),
            }),
        };
        if let Some(topic) = existing {
            let now = groups.now();
            let settings = |group_id: &str| groups.consumer_settings(group_id);
            for (index, log) in topic.partitions.iter().enumerate() {
                if log.is_offline() {
                    // Answered from nothing, its groups would begin anew.
                    tracing::error!(
                        partition = index,
                        "__consumer_offsets cannot be read: the groups stored here have no coordinator"
                    );
                    groups.lock(index).close();
                    continue;
                }
                loader::load(&mut groups.lock(index), log, &settings, now)?;
            }
            let _first = groups.inner.offsets_topic.set(());
        }
        groups.start_tasks(tasks);
        Ok(groups)
    }

    fn start_tasks(&self, tasks: &TaskGroup) {
        let (timers, stop) = (self.clone(), tasks.cancelled());
        tasks.spawn("group-timers", async move {
            stop.run_until_cancelled(timers.run_timers()).await;
            timers.close();
        });
        let (cleanup, stop) = (self.clone(), tasks.cancelled());
        tasks.spawn("offset-expiry", async move {
            stop.run_until_cancelled(cleanup.run_expiry()).await;
        });
    }

    async fn run_timers(&self) {
        loop {
            let now = self.now();
            let mut next = None;
            for index in 0..self.inner.shards.len() {
                let mut shard = self.lock(index);
                for group_id in shard.due(now) {
                    let settings = self.consumer_settings(&group_id);
                    shard.expire_consumers(&group_id, self.world(&settings, now));
                    shard.step(&group_id, now, |group, settings| {
                        ((), group.on_timer(now, settings))
                    });
                }
                next = next.into_iter().chain(shard.next_deadline()).min();
            }
            let sleep = next.map_or(TIMER_CHECK_MAX, |deadline: u64| {
                Duration::from_millis(deadline.saturating_sub(now.monotonic_ms)).min(TIMER_CHECK_MAX)
            });
            tokio::select! {
                () = tokio::time::sleep(sleep) => {}
                () = self.inner.earlier_deadline.notified() => {}
            }
        }
    }

    /// Refuses everything from now on, and answers what is parked with "coordinator not available".
    pub fn close(&self) {
        for index in 0..self.inner.shards.len() {
            self.lock(index).close();
        }
    }

    pub(super) fn now(&self) -> Now {
        let monotonic = self.inner.started.elapsed().as_millis();
        Now {
            monotonic_ms: u64::try_from(monotonic).unwrap_or(u64::MAX),
            wall_ms: self.inner.env.clock.now_ms(),
        }
    }

    pub(super) fn lock(&self, index: usize) -> MutexGuard<'_, Shard> {
        // A panic inside a step is a defect of that group alone; the others go on.
        self.inner.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn shard_count(&self) -> usize {
        self.inner.shards.len()
    }

    pub(super) fn shard_of(&self, group_id: &str) -> usize {
        let count = i32::try_from(self.inner.shards.len()).unwrap_or(i32::MAX);
        usize::try_from(partition_for_group(group_id, count)).unwrap_or(0)
    }

    pub(super) fn open_shard(&self, group_id: &str) -> Result<MutexGuard<'_, Shard>, GroupError> {
        let shard = self.lock(self.shard_of(group_id));
        if shard.closed {
            Err(GroupError::CoordinatorNotAvailable)
        } else {
            Ok(shard)
        }
    }

    /// Creates `__consumer_offsets` when it is not there yet.
    ///
    /// # Errors
    /// `CoordinatorNotAvailable` when it cannot be created.
    pub async fn ensure_offsets_topic(&self) -> Result<(), GroupError> {
        let created = self
            .inner
            .offsets_topic
            .get_or_try_init(|| self.create_offsets_topic())
            .await;
        created.copied()
    }

    async fn create_offsets_topic(&self) -> Result<(), GroupError> {
        let configs = BTreeMap::from([
            ("cleanup.policy".to_owned(), "compact".to_owned()),
            ("compression.type".to_owned(), "producer".to_owned()),
            (
                "segment.bytes".to_owned(),
                self.inner.config.offsets_topic_segment_bytes.to_string(),
            ),
        ]);
        let partitions = i32::try_from(self.inner.shards.len()).unwrap_or(i32::MAX);
        let created = self
            .inner
            .topics
            .create(OFFSETS_TOPIC, Some(partitions), &configs)
            .await;
        let topic = match created {
            Ok(topic) => Some(topic),
            Err(CreateTopicError::AlreadyExists(_)) => self.inner.topics.get(OFFSETS_TOPIC),
            Err(error) => {
                tracing::error!(%error, "cannot create __consumer_offsets");
                None
            }
        };
        let topic = topic.filter(|topic| topic.partitions.len() == self.inner.shards.len());
        let topic = topic.ok_or(GroupError::CoordinatorNotAvailable)?;
        for (index, log) in topic.partitions.iter().enumerate() {
            self.lock(index).log = Some(Arc::clone(log));
        }
        Ok(())
    }

    /// Waits until the shard's log is durable up to the offset.
    pub(super) async fn durable(&self, group_id: &str, offset: i64) -> Result<(), GroupError> {
        if offset < 0 {
            return Ok(());
        }
        let log: Option<Arc<PartitionLog>> = self.lock(self.shard_of(group_id)).log.clone();
        let log = log.ok_or(GroupError::NotCoordinator)?;
        log.committed(offset).await.map_err(|error| {
            tracing::error!(group = group_id, offset, %error, "group record not durable");
            GroupError::NotCoordinator
        })
    }

    /// Wakes the timer task when this shard's next deadline may be earlier than what it sleeps for.
    pub(super) fn deadlines_changed(&self) {
        self.inner.earlier_deadline.notify_one();
    }
}

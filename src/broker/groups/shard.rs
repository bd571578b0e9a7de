//! The groups of one partition of `__consumer_offsets`, behind one lock: a step of a group and the append of its
//! records happen in the same order.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jackfield_log::{AppendError, AppendOrigin, PartitionLog};
use jackfield_protocol::records::{Compression, RecordBatchBuilder};
use tokio::sync::{oneshot, watch};

use super::{
    classic::{
        effects::{Effects, JoinRefused, Joined, Now, Reply, Settings, Synced, Ticket},
        group::ClassicGroup,
    },
    consumer::{group::ConsumerGroup, records::ConsumerRecord},
    error::GroupError,
    group::Group,
    offsets::Offsets,
    records::{GroupRecord, OffsetValue},
};

/// Timers that are due at once may cause others; a group that never comes to rest is left to the timer task.
const IMMEDIATE_TIMERS_MAX: usize = 8;

/// Something that may be told once the log is durable up to and including this offset (-1: at once).
#[derive(Debug)]
pub(crate) struct Gated<T> {
    pub(crate) value: T,
    pub(crate) after_offset: i64,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) enum Waiter {
    Join(oneshot::Sender<Gated<Result<Joined, JoinRefused>>>),
    Sync(oneshot::Sender<Gated<Result<Synced, GroupError>>>),
}

/// A group with its offsets.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) group: Group,
    pub(crate) offsets: Offsets,
    /// Offset of the group's newest record: nothing is answered before it is durable.
    pub(crate) newest_record: i64,
    pub(crate) matching: Matching,
    scheduled: Option<u64>,
}

/// Whether the group's regular expressions are to be matched with the topics, which is done outside the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matching {
    Idle,
    Due,
    Running,
}

impl Entry {
    pub(crate) fn new(group: Group) -> Self {
        Self {
            group,
            offsets: Offsets::default(),
            newest_record: -1,
            matching: Matching::Idle,
            scheduled: None,
        }
    }
}

/// A step of a consumer group is refused, as in Kafka, when it takes more than the topic's `max.message.bytes`. What
/// others write has already happened, or is a set of tombstones.
fn check_size(
    group: &str,
    records: &[GroupRecord],
    bytes: usize,
    log: &PartitionLog,
) -> Result<(), GroupError> {
    let max_bytes = log.config().max_message_bytes;
    let may_be_refused = records
        .iter()
        .any(|record| matches!(record, GroupRecord::Consumer { .. }));
    if bytes <= max_bytes || !may_be_refused {
        return Ok(());
    }
    tracing::error!(
        group,
        bytes,
        max_bytes,
        "records of a consumer group are larger than max.message.bytes of __consumer_offsets"
    );
    Err(GroupError::UnknownServerError)
}

/// The groups of one partition.
#[derive(Debug)]
pub(crate) struct Shard {
    /// `None` until the topic is created.
    pub(crate) log: Option<Arc<PartitionLog>>,
    pub(crate) groups: HashMap<String, Entry>,
    waiters: HashMap<Ticket, Waiter>,
    next_ticket: u64,
    /// Deadlines of all groups.
    deadlines: BTreeSet<(u64, String)>,
    watchers: HashMap<String, watch::Sender<u64>>,
    settings: Settings,
    pub(crate) closed: bool,
}

impl Shard {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            log: None,
            groups: HashMap::new(),
            waiters: HashMap::new(),
            next_ticket: 0,
            deadlines: BTreeSet::new(),
            watchers: HashMap::new(),
            settings,
            closed: false,
        }
    }

    /// Registers a waiter.
    pub(crate) fn park(&mut self, waiter: Waiter) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.waiters.insert(ticket, waiter);
        ticket
    }

    /// Forgets a waiter whose requester went away.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        self.waiters.remove(&ticket);
    }

    #[cfg(test)]
    pub(crate) fn parked(&self) -> usize {
        self.waiters.len()
    }

    /// Refuses everything from now on and answers what is parked.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        self.waiters.clear();
        self.deadlines.clear();
    }

    /// Earliest deadline of all groups.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Groups with something due.
    pub(crate) fn due(&self, now: Now) -> Vec<String> {
        let due = self
            .deadlines
            .iter()
            .take_while(|(deadline, _)| *deadline <= now.monotonic_ms);
        due.map(|(_, group)| group.clone()).collect()
    }

    /// Follows a group's rebalances: the value changes whenever members should look.
    pub(crate) fn watch(&mut self, group_id: &str) -> watch::Receiver<u64> {
        self.watchers.retain(|_, sender| !sender.is_closed());
        self.watchers
            .entry(group_id.to_owned())
            .or_insert_with(|| watch::Sender::new(0))
            .subscribe()
    }

    /// Tells whoever follows the group's rebalances.
    pub(crate) fn rebalanced(&self, group_id: &str) {
        if let Some(watcher) = self.watchers.get(group_id) {
            watcher.send_modify(|changes| *changes += 1);
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    /// Offset of the group's newest record; -1 = none.
    pub(crate) fn newest_record(&self, group_id: &str) -> i64 {
        self.groups.get(group_id).map_or(-1, |entry| entry.newest_record)
    }

    fn classic_group(&mut self, group_id: &str) -> Option<&mut ClassicGroup> {
        match &mut self.groups.get_mut(group_id)?.group {
            Group::Classic(group) => Some(group),
            Group::Consumer(_) => None,
        }
    }

    /// Runs a step of a classic group that exists, then whatever it causes.
    pub(crate) fn step<T>(
        &mut self,
        group_id: &str,
        now: Now,
        step: impl FnOnce(&mut ClassicGroup, &Settings) -> (T, Effects),
    ) -> Option<T> {
        let settings = self.settings;
        let group = self.classic_group(group_id)?;
        let state_before = group.state();
        let (value, effects) = step(group, &settings);
        self.perform(group_id, effects, now);
        self.run_due_timers(group_id, now);
        self.reschedule(group_id);
        let state_after = self.classic_group(group_id).map(|group| group.state());
        if state_after != Some(state_before) {
            self.rebalanced(group_id);
        }
        Some(value)
    }

    fn run_due_timers(&mut self, group_id: &str, now: Now) {
        for _ in 0..IMMEDIATE_TIMERS_MAX {
            let settings = self.settings;
            let Some(group) = self.classic_group(group_id) else {
                return;
            };
            if group
                .next_deadline()
                .is_none_or(|deadline| deadline > now.monotonic_ms)
            {
                return;
            }
            let effects = group.on_timer(now, &settings);
            self.perform(group_id, effects, now);
        }
    }

    /// Brings the group's deadline into the schedule.
    pub(crate) fn reschedule(&mut self, group_id: &str) {
        let Some(entry) = self.groups.get_mut(group_id) else {
            return;
        };
        let next = entry.group.next_deadline();
        if entry.scheduled != next {
            if let Some(old) = entry.scheduled {
                self.deadlines.remove(&(old, group_id.to_owned()));
            }
            if let Some(next) = next {
                self.deadlines.insert((next, group_id.to_owned()));
            }
            entry.scheduled = next;
        }
    }

    /// Removes a group.
    pub(crate) fn remove(&mut self, group_id: &str, now: Now) {
        if let Some(mut entry) = self.groups.remove(group_id) {
            if let Group::Classic(group) = &mut entry.group {
                group.die(now);
            }
            if let Some(deadline) = entry.scheduled {
                self.deadlines.remove(&(deadline, group_id.to_owned()));
            }
        }
    }

    /// Appends the records of a step, tells the group, and hands out the answers.
    fn perform(&mut self, group_id: &str, effects: Effects, now: Now) {
        let mut next = Some(effects);
        while let Some(effects) = next.take() {
            let result = if effects.records.is_empty() {
                Ok(())
            } else {
                self.append(group_id, &effects.records, now).map(|_| ())
            };
            let settings = self.settings;
            let Some(group) = self.classic_group(group_id) else {
                return;
            };
            if let Some(on_appended) = effects.on_appended {
                next = Some(group.appended(on_appended, result, now, &settings));
            }
            self.deliver(group_id, effects.replies);
        }
    }

    /// Hands out answers; they are told when all records of the group are durable.
    pub(crate) fn deliver(&mut self, group_id: &str, replies: Vec<Reply>) {
        let after_offset = self.newest_record(group_id);
        for reply in replies {
            self.answer(reply, after_offset);
        }
    }

    /// Answers a join that needed no waiting.
    pub(crate) fn answer_join(&mut self, ticket: Ticket, group_id: &str, value: Result<Joined, JoinRefused>) {
        self.deliver(group_id, vec![Reply::Join(ticket, value)]);
    }

    /// Answers a sync that needed no waiting.
    pub(crate) fn answer_sync(&mut self, ticket: Ticket, group_id: &str, value: Result<Synced, GroupError>) {
        self.deliver(group_id, vec![Reply::Sync(ticket, value)]);
    }

    fn answer(&mut self, reply: Reply, after_offset: i64) {
        // A requester that went away meanwhile does not mind.
        match reply {
            Reply::Join(ticket, value) => {
                if let Some(Waiter::Join(waiter)) = self.waiters.remove(&ticket) {
                    let _gone = waiter.send(Gated { value, after_offset });
                }
            }
            Reply::Sync(ticket, value) => {
                if let Some(Waiter::Sync(waiter)) = self.waiters.remove(&ticket) {
                    let _gone = waiter.send(Gated { value, after_offset });
                }
            }
        }
    }

    /// Appends records of a group as one batch and returns the offset of the last. Offsets and their tombstones, and
    /// records of a consumer group, take effect in memory; a classic group's record already did.
    pub(crate) fn append(
        &mut self,
        group_id: &str,
        records: &[GroupRecord],
        now: Now,
    ) -> Result<i64, GroupError> {
        let log = self.log.as_ref().ok_or(GroupError::NotCoordinator)?;
        let mut builder = RecordBatchBuilder::new(Compression::None);
        for record in records {
            let (key, value) = record.encode();
            builder.push(now.wall_ms, Some(&key), value.as_deref(), &[]);
        }
        let batch = builder.finish();
        check_size(group_id, records, batch.len(), log)?;
        let appended = log.append(batch, AppendOrigin::Coordinator).map_err(|error| {
            tracing::error!(group = group_id, partition = log.partition(), %error, "group record not written");
            match error {
                AppendError::Storage(_) => GroupError::NotCoordinator,
                _ => GroupError::UnknownServerError,
            }
        })?;
        for record in records {
            self.apply(record);
        }
        if let Some(entry) = self.groups.get_mut(group_id) {
            entry.newest_record = appended.last_offset;
        }
        Ok(appended.last_offset)
    }

    fn apply(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::Offset {
                group,
                topic,
                partition,
                value,
            } => {
                let Some(entry) = self.groups.get_mut(group) else {
                    return;
                };
                match value {
                    Some(value) => entry.offsets.put(topic, *partition, value.clone()),
                    None => entry.offsets.remove(topic, *partition),
                }
            }
            GroupRecord::Consumer { group, record } => {
                if let Some(Group::Consumer(group)) = self.groups.get_mut(group).map(|entry| &mut entry.group)
                {
                    group.apply(record.clone());
                }
            }
            GroupRecord::Group { .. } => {}
        }
    }

    /// Takes over a record of a consumer group read from the log. A group that was a classic one becomes one, as when it was
    /// written.
    pub(crate) fn restore_consumer(&mut self, group_id: String, record: ConsumerRecord, now: Now) {
        if record == ConsumerRecord::Epoch(None) {
            return self.restore_end(&group_id, now);
        }
        if !self.groups.contains_key(&group_id) {
            if record.is_tombstone() {
                return;
            }
            let group = Group::Consumer(ConsumerGroup::new(&group_id));
            self.groups.insert(group_id.clone(), Entry::new(group));
        }
        let Some(entry) = self.groups.get_mut(&group_id) else {
            return;
        };
        if entry.group.as_consumer().is_none() && !record.is_tombstone() {
            entry.group = Group::Consumer(ConsumerGroup::new(&group_id));
        }
        if let Group::Consumer(group) = &mut entry.group {
            group.apply(record);
        }
    }

    /// Lets a group that was loaded with more members than are allowed any more find out who stays.
    pub(crate) fn shrink_classic_group(&mut self, group_id: &str, now: Now) {
        let max_size = self.settings.max_size;
        let is_too_large = self
            .classic_group(group_id)
            .is_some_and(|group| group.members().count() > max_size);
        if is_too_large {
            tracing::info!(
                group = group_id,
                max_size,
                "the group has more members than group.max.size: it rebalances"
            );
            self.step(group_id, now, |group, settings| {
                ((), group.rebalance(now, settings))
            });
        }
    }

    /// Forgets a group whose end was read from the log; its offsets, if it has any, remain.
    pub(crate) fn restore_end(&mut self, group_id: &str, now: Now) {
        match self.groups.get_mut(group_id) {
            Some(entry) if !entry.offsets.is_empty() => {
                entry.group = Group::Classic(ClassicGroup::new(group_id, now));
            }
            _ => self.remove(group_id, now),
        }
    }

    /// Puts an offset read from the log into memory; a group that has only offsets comes into being.
    pub(crate) fn restore_offset(
        &mut self,
        group_id: String,
        topic: &str,
        partition: i32,
        value: Option<OffsetValue>,
        now: Now,
    ) {
        match value {
            Some(value) => {
                let entry = self.groups.entry(group_id);
                let entry =
                    entry.or_insert_with_key(|id| Entry::new(Group::Classic(ClassicGroup::new(id, now))));
                entry.offsets.put(topic, partition, value);
            }
            None => {
                if let Some(entry) = self.groups.get_mut(&group_id) {
                    entry.offsets.remove(topic, partition);
                }
            }
        }
    }
}

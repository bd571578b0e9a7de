//! Steps of consumer groups behind the shard's lock: their records are appended, then take effect.

use std::collections::BTreeSet;

use super::{
    classic::{
        effects::{JoinRefused, JoinRequest, Joined, LeavingMember, Now, SyncRequest, Synced},
        group::ClassicGroup,
    },
    consumer::{
        classic_member::{ClassicJoin, Timed},
        group::ConsumerGroup,
        heartbeat::{ConsumerHeartbeat, ConsumerHeartbeatAnswer},
        leave::{Leaving, left},
        outcome::{Outcome, Refusal, TimerChange, TimerKind, World},
        records::ConsumerRecord,
        regex::Matched,
        settings::ConsumerSettings,
    },
    error::GroupError,
    group::Group,
    records::GroupRecord,
    shard::{Entry, Matching, Shard},
};

/// A member that could not be put out because nothing can be written stays for so long.
const RETRY_MS: u64 = 1_000;

impl Shard {
    /// The group, when it uses the consumer protocol.
    pub(crate) fn consumer_group(&self, group_id: &str) -> Result<&ConsumerGroup, Refusal> {
        let not_found = |message: String| Refusal::new(GroupError::GroupIdNotFound, message);
        let entry = self.groups.get(group_id);
        let entry = entry.ok_or_else(|| not_found(format!("Group {group_id} not found.")))?;
        let group = entry.group.as_consumer();
        group.ok_or_else(|| not_found(format!("Group {group_id} is not a consumer group.")))
    }

    /// Handles a valid heartbeat.
    pub(crate) fn consumer_heartbeat(
        &mut self,
        request: &ConsumerHeartbeat,
        world: World<'_>,
    ) -> Result<ConsumerHeartbeatAnswer, Refusal> {
        let group_id = request.group_id.as_str();
        if request.leaves() {
            match self.consumer_group(group_id)?.leave(request)? {
                Leaving::Keep(outcome) => self.perform_outcome(group_id, outcome, world)?,
                Leaving::Remove(member) => {
                    self.remove_consumers(group_id, &BTreeSet::from([member]), world)?
                }
            }
            return Ok(left(request));
        }
        let entry = self.groups.get(group_id);
        match entry.map(|entry| &entry.group) {
            None if request.joins() => {
                let group = ConsumerGroup::new(group_id);
                self.heartbeat_of_new_group(request, group, Vec::new(), world)
            }
            Some(Group::Classic(classic)) if request.joins() && classic.is_empty() => {
                let end = entry.map_or_else(Vec::new, |entry| entry.group.end(group_id));
                self.heartbeat_of_new_group(request, ConsumerGroup::new(group_id), end, world)
            }
            None => Err(Refusal::new(
                GroupError::GroupIdNotFound,
                format!("Consumer group {group_id} not found."),
            )),
            Some(Group::Classic(classic)) if request.joins() => {
                let group = ConsumerGroup::of_classic(classic, world)?;
                let mut records = entry.map_or_else(Vec::new, |entry| entry.group.end(group_id));
                records.extend(GroupRecord::of_consumer_group(group_id, group.all_records()));
                self.heartbeat_of_new_group(request, group, records, world)
            }
            _ => {
                let outcome = self.consumer_group(group_id)?.heartbeat(request, world)?;
                self.perform_outcome(group_id, outcome, world)
                    .map_err(Refusal::from)
            }
        }
    }

    /// The first heartbeat of a group that was none or a classic one; `records` make it what it is.
    fn heartbeat_of_new_group(
        &mut self,
        request: &ConsumerHeartbeat,
        group: ConsumerGroup,
        mut records: Vec<GroupRecord>,
        world: World<'_>,
    ) -> Result<ConsumerHeartbeatAnswer, Refusal> {
        let group_id = request.group_id.as_str();
        let mut outcome = group.heartbeat(request, world)?;
        records.extend(GroupRecord::of_consumer_group(
            group_id,
            std::mem::take(&mut outcome.records),
        ));
        // Members that were in the classic group keep their sessions; what the heartbeat sets counts more.
        let mut timers = group.classic_sessions();
        timers.append(&mut outcome.timers);
        outcome.timers = timers;
        let former = self.replace(group_id, Group::Consumer(group), &records, world.now)?;
        let answer = self.perform_outcome(group_id, outcome, world)?;
        if let Some(Group::Classic(mut classic)) = former {
            let refused = classic.refuse_parked(GroupError::RebalanceInProgress);
            self.deliver(group_id, refused.replies);
        }
        Ok(answer)
    }

    /// Puts another group into a group's place, once its records are written.
    fn replace(
        &mut self,
        group_id: &str,
        group: Group,
        records: &[GroupRecord],
        now: Now,
    ) -> Result<Option<Group>, GroupError> {
        let former = match self.groups.get_mut(group_id) {
            Some(entry) => Some(std::mem::replace(&mut entry.group, group)),
            None => {
                self.groups.insert(group_id.to_owned(), Entry::new(group));
                None
            }
        };
        let Err(error) = self.append(group_id, records, now) else {
            self.rebalanced(group_id);
            return Ok(former);
        };
        match (former, self.groups.get_mut(group_id)) {
            (Some(former), Some(entry)) => entry.group = former,
            _ => {
                self.groups.remove(group_id);
            }
        }
        Err(error)
    }

    /// Appends what a step wants, then lets it take effect.
    fn perform_outcome<T>(
        &mut self,
        group_id: &str,
        mut outcome: Outcome<T>,
        world: World<'_>,
    ) -> Result<T, GroupError> {
        let phase = self.groups.get(group_id).map(|entry| entry.group.phase());
        if !outcome.records.is_empty() {
            let records = std::mem::take(&mut outcome.records);
            let records = GroupRecord::of_consumer_group(group_id, records);
            self.append(group_id, &records, world.now)?;
        }
        let Some(entry) = self.groups.get_mut(group_id) else {
            return Ok(outcome.value);
        };
        if let Group::Consumer(group) = &mut entry.group {
            group.settle(&mut outcome, world.now);
            if outcome.resolve_regexes && entry.matching == Matching::Idle {
                entry.matching = Matching::Due;
            }
        }
        if self.groups.get(group_id).map(|entry| entry.group.phase()) != phase {
            self.rebalanced(group_id);
        }
        self.reschedule(group_id);
        Ok(outcome.value)
    }

    /// The regular expressions to match with the topics now; the caller stores what came out.
    pub(crate) fn regexes_to_match(&mut self, group_id: &str) -> Option<BTreeSet<String>> {
        let entry = self.groups.get_mut(group_id)?;
        if entry.matching != Matching::Due {
            return None;
        }
        let regexes = entry.group.as_consumer().map(ConsumerGroup::regexes_in_use);
        entry.matching = regexes.as_ref().map_or(Matching::Idle, |_| Matching::Running);
        regexes
    }

    /// Takes over what the regular expressions of a group match.
    pub(crate) fn store_matched(&mut self, group_id: &str, matched: Matched, world: World<'_>) {
        if let Some(entry) = self.groups.get_mut(group_id) {
            entry.matching = Matching::Idle;
        }
        // It may have gone or changed meanwhile.
        let Ok(group) = self.consumer_group(group_id) else {
            return;
        };
        let outcome = group.resolved(matched, world);
        // What failed is tried again with a later heartbeat.
        if let Err(error) = self.perform_outcome(group_id, outcome, world) {
            tracing::warn!(group = group_id, %error, "topics of regular expressions are not stored");
        }
    }

    /// Puts members out; what is left may be a classic group.
    fn remove_consumers(
        &mut self,
        group_id: &str,
        leaving: &BTreeSet<String>,
        world: World<'_>,
    ) -> Result<(), GroupError> {
        let max_size = self.settings().max_size;
        let group = self.consumer_group(group_id).map_err(|refusal| refusal.error)?;
        let known = leaving.iter().filter(|id| group.member(id).is_some());
        let leaving: &BTreeSet<String> = &known.cloned().collect();
        if leaving.is_empty() {
            return Ok(());
        }
        if group.becomes_classic_without(leaving, world.settings, max_size) {
            let classic = group.to_classic(leaving, world.topics, world.now);
            let end = group.end();
            return self.downgrade(group_id, classic, end, true, world.now);
        }
        let outcome = group.without(leaving, world.topics);
        self.perform_outcome(group_id, outcome, world)
    }

    fn downgrade(
        &mut self,
        group_id: &str,
        classic: ClassicGroup,
        end: Vec<ConsumerRecord>,
        rebalance: bool,
        now: Now,
    ) -> Result<(), GroupError> {
        let mut records = GroupRecord::of_consumer_group(group_id, end);
        records.push(classic.current_record());
        self.replace(group_id, Group::Classic(classic), &records, now)?;
        self.reschedule(group_id);
        if rebalance {
            self.step(group_id, now, |group, settings| {
                ((), group.rebalance(now, settings))
            });
        }
        Ok(())
    }

    /// Puts out whoever's time is over.
    pub(crate) fn expire_consumers(&mut self, group_id: &str, world: World<'_>) {
        let Ok(group) = self.consumer_group(group_id) else {
            return;
        };
        let overdue = group.overdue(world.now);
        self.put_out(group_id, &overdue, world);
    }

    fn put_out(&mut self, group_id: &str, overdue: &[(String, TimerKind)], world: World<'_>) {
        // Without those before them the others may be members of a classic group, which has timers of its own.
        if overdue.is_empty() || self.consumer_group(group_id).is_err() {
            return;
        }
        let ids = overdue.iter().map(|(member, _)| member.clone()).collect();
        let Err(error) = self.remove_consumers(group_id, &ids, world) else {
            for (member, why) in overdue {
                tracing::info!(group = group_id, %member, timer = ?why, "member is removed");
            }
            return;
        };
        if error == GroupError::UnknownServerError && overdue.len() > 1 {
            // Maybe too many for one batch of records.
            let (some, others) = overdue.split_at(overdue.len() / 2);
            self.put_out(group_id, some, world);
            self.put_out(group_id, others, world);
            return;
        }
        tracing::warn!(group = group_id, members = overdue.len(), %error, "members are not removed this time");
        let again = |(member, why): &(String, TimerKind)| TimerChange::Set(member.clone(), *why, RETRY_MS);
        self.settle_timers(group_id, overdue.iter().map(again).collect(), world.now);
    }

    fn settle_timers(&mut self, group_id: &str, timers: Vec<TimerChange>, now: Now) {
        if let Some(entry) = self.groups.get_mut(group_id)
            && let Group::Consumer(group) = &mut entry.group
        {
            group.set_timers(timers, now);
        }
        self.reschedule(group_id);
    }

    /// Starts the sessions of the members of a group that was loaded.
    pub(crate) fn start_sessions(&mut self, group_id: &str, settings: &ConsumerSettings, now: Now) {
        if let Ok(group) = self.consumer_group(group_id) {
            let timers = group.loaded_timers(settings);
            self.settle_timers(group_id, timers, now);
        }
    }

    /// Makes sure that there is a classic group to join: a new one, or one in the place of an empty consumer group.
    pub(crate) fn prepare_classic_group(
        &mut self,
        request: &JoinRequest,
        now: Now,
    ) -> Result<(), GroupError> {
        let group_id = request.group_id.as_str();
        let mut records = Vec::new();
        match self.groups.get(group_id).map(|entry| &entry.group) {
            Some(Group::Classic(_)) => return Ok(()),
            // Only an empty one comes here.
            Some(Group::Consumer(group)) => records = GroupRecord::of_consumer_group(group_id, group.end()),
            None => {}
        }
        if !request.member_id.is_empty() {
            return Err(GroupError::UnknownMemberId);
        }
        // A group exists from its first record on, as in Kafka.
        let group = ClassicGroup::new(group_id, now);
        records.push(group.record_of_new_group());
        self.replace(group_id, Group::Classic(group), &records, now)?;
        self.reschedule(group_id);
        Ok(())
    }

    /// Handles a classic member's join to a consumer group.
    pub(crate) fn classic_join_of_consumer_group(
        &mut self,
        request: &JoinRequest,
        fresh_id: &str,
        world: World<'_>,
    ) -> Result<Joined, JoinRefused> {
        let group_id = request.group_id.as_str();
        let refuse = |error| JoinRefused {
            error,
            member_id: request.member_id.clone(),
        };
        let max_size = self.settings().max_size;
        let group = self
            .consumer_group(group_id)
            .map_err(|refusal| refuse(refusal.error))?;
        match group.classic_join(request, fresh_id, max_size, world)? {
            ClassicJoin::Joined(outcome) => self.perform_outcome(group_id, outcome, world).map_err(refuse),
            ClassicJoin::Downgrade {
                group: working,
                member_id,
                rebalance,
            } => {
                let end = group.end();
                let classic = working.to_classic(&BTreeSet::new(), world.topics, world.now);
                let joined = classic.joined_of_migrated(&member_id);
                self.downgrade(group_id, classic, end, rebalance, world.now)
                    .map_err(refuse)?;
                Ok(joined)
            }
        }
    }

    /// Handles a classic member's sync with a consumer group.
    pub(crate) fn classic_sync_of_consumer_group(
        &mut self,
        request: &SyncRequest,
        world: World<'_>,
    ) -> Result<Synced, GroupError> {
        let group = self.consumer_group(&request.group_id);
        let group = group.map_err(|_| GroupError::UnknownMemberId)?;
        let timed = group.classic_sync(request, world.topics);
        self.timed(&request.group_id, timed, world.now)
    }

    /// Handles a classic member's heartbeat to a consumer group.
    pub(crate) fn classic_heartbeat_of_consumer_group(
        &mut self,
        group_id: &str,
        member_id: &str,
        instance: Option<&str>,
        generation: i32,
        now: Now,
    ) -> Result<(), GroupError> {
        let group = self
            .consumer_group(group_id)
            .map_err(|_| GroupError::UnknownMemberId)?;
        let timed = group.classic_heartbeat(member_id, instance, generation);
        self.timed(group_id, timed, now)
    }

    fn timed<T>(&mut self, group_id: &str, timed: Timed<T>, now: Now) -> Result<T, GroupError> {
        let (answer, timers) = timed;
        self.settle_timers(group_id, timers, now);
        answer
    }

    /// Takes members out of a consumer group; one result per member.
    pub(crate) fn leave_consumer_group(
        &mut self,
        group_id: &str,
        members: &[LeavingMember],
        world: World<'_>,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let group = self
            .consumer_group(group_id)
            .map_err(|_| GroupError::UnknownMemberId)?;
        let found: Vec<Result<String, GroupError>> = members
            .iter()
            .map(|member| {
                let found = group.leaving_member(&member.member_id, member.group_instance_id.as_deref());
                found.map(|member| member.id.clone())
            })
            .collect();
        let leaving = found.iter().filter_map(|found| found.clone().ok()).collect();
        self.remove_consumers(group_id, &leaving, world)?;
        Ok(found.into_iter().map(|found| found.map(|_| ())).collect())
    }
}

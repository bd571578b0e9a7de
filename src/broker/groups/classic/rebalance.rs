//! From "someone came or went" to the next generation.

use super::{
    effects::{Effects, Now, OnAppended, Settings},
    group::{ClassicGroup, State},
    timers::JoinTimer,
};
use crate::groups::error::GroupError;

impl ClassicGroup {
    /// Starts a rebalance where the state allows it; otherwise lets the current one go on.
    pub(super) fn rebalance_or_complete_join(
        &mut self,
        initial_delay_ms: Option<u32>,
        now: Now,
        settings: &Settings,
        out: &mut Effects,
    ) {
        match self.state {
            State::Empty | State::CompletingRebalance | State::Stable => {
                self.prepare_rebalance(initial_delay_ms, now, settings, out);
            }
            State::PreparingRebalance | State::Dead => self.maybe_complete_join(now, out),
        }
    }

    /// Starts a rebalance. The first one of an empty group waits for more members to come.
    pub(super) fn prepare_rebalance(
        &mut self,
        initial_delay_ms: Option<u32>,
        now: Now,
        settings: &Settings,
        out: &mut Effects,
    ) {
        if self.state == State::CompletingRebalance {
            self.reset_assignments(GroupError::RebalanceInProgress, now, out);
        }
        self.pending_syncs.clear();
        self.sync_deadline = None;
        let is_initial = self.state == State::Empty;
        self.transition_to(State::PreparingRebalance, now);
        if is_initial {
            let delay = u64::from(initial_delay_ms.unwrap_or(settings.initial_rebalance_delay_ms));
            let remaining = self.rebalance_timeout_ms().saturating_sub(delay);
            self.join_timer = Some(JoinTimer::Initial {
                deadline: now.monotonic_ms + delay,
                delay_ms: delay,
                remaining_ms: remaining,
            });
        } else if self.has_all_members_joined() {
            self.complete_join(now, out);
        } else {
            self.join_timer = Some(JoinTimer::Rebalance {
                deadline: now.monotonic_ms + self.rebalance_timeout_ms(),
            });
        }
    }

    /// Ends the join phase when everyone is there, unless it is the delayed first one.
    pub(super) fn maybe_complete_join(&mut self, now: Now, out: &mut Effects) {
        if self.state == State::PreparingRebalance
            && self.previous_state != State::Empty
            && self.has_all_members_joined()
        {
            self.complete_join(now, out);
        }
    }

    /// Ends the join phase: dynamic members that did not come are removed, the next generation begins, everyone
    /// is answered.
    pub(super) fn complete_join(&mut self, now: Now, out: &mut Effects) {
        self.join_timer = None;
        if self.state == State::Dead {
            return;
        }
        let absent: Vec<String> = self
            .members
            .values()
            .filter(|member| member.awaiting_join.is_none() && member.group_instance_id.is_none())
            .map(|member| member.id.clone())
            .collect();
        for member_id in &absent {
            tracing::info!(group = %self.id, member = %member_id, "member did not rejoin and is removed");
            self.remove(member_id);
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            tracing::warn!(group = %self.id, "nobody rejoined, waiting for sessions to end");
            self.join_timer = Some(JoinTimer::Rebalance {
                deadline: now.monotonic_ms + self.rebalance_timeout_ms(),
            });
            return;
        }
        self.init_next_generation(now);
        if self.state == State::Empty {
            tracing::info!(group = %self.id, generation = self.generation, "group is empty");
            out.records.push(self.record(|member| member.assignment.clone()));
            return;
        }
        tracing::info!(group = %self.id, generation = self.generation, members = self.members.len(), "group generation");
        self.answer_joins(now, out);
        self.sync_deadline = Some(now.monotonic_ms + self.rebalance_timeout_ms());
    }

    fn answer_joins(&mut self, now: Now, out: &mut Effects) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in ids {
            let joined = self.joined(&member_id, self.is_leader(&member_id));
            if let Some(member) = self.members.get_mut(&member_id) {
                member.is_new = false;
                if let Some(ticket) = member.awaiting_join.take() {
                    out.joined(ticket, joined);
                }
            }
            self.reschedule_heartbeat(&member_id, now);
            self.pending_syncs.insert(member_id);
        }
    }

    /// Keeps a leader that rejoined, or makes another one that did. `false` when nobody leads.
    fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = &self.leader else { return false };
        if self
            .members
            .get(leader)
            .is_some_and(|member| member.awaiting_join.is_some())
        {
            return true;
        }
        let joined = self
            .members
            .values()
            .find(|member| member.awaiting_join.is_some());
        let Some(elected) = joined.map(|member| member.id.clone()) else {
            return false;
        };
        tracing::info!(group = %self.id, former = %leader, %elected, "leader did not rejoin, another member leads");
        self.leader = Some(elected);
        true
    }

    /// Takes a member out and lets the group go on without it.
    pub(super) fn remove_and_update(
        &mut self,
        member_id: &str,
        now: Now,
        settings: &Settings,
        out: &mut Effects,
    ) {
        self.refuse_parked_join(member_id, GroupError::UnknownMemberId, "", out);
        if let Some(sync) = self.remove(member_id).and_then(|member| member.awaiting_sync) {
            out.synced(sync, Err(GroupError::UnknownMemberId));
        }
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(None, now, settings, out),
            State::PreparingRebalance if self.has_all_members_joined() => self.complete_join(now, out),
            _ => {}
        }
    }

    /// The records of a step were appended, or could not be.
    pub(crate) fn appended(
        &mut self,
        on_appended: OnAppended,
        result: Result<(), GroupError>,
        now: Now,
        settings: &Settings,
    ) -> Effects {
        let mut out = Effects::default();
        match on_appended {
            OnAppended::Assignment {
                generation,
                assignments,
            } => {
                self.assignment_appended(generation, assignments, result, now, settings, &mut out);
            }
            OnAppended::StaticMember(replaced) => {
                self.static_member_appended(*replaced, result, now, &mut out);
            }
        }
        out
    }
}

//! Deadlines of a group. The caller sleeps until [`ClassicGroup::next_deadline`] and calls [`ClassicGroup::on_timer`].

use super::{
    effects::{Effects, Now, Settings},
    group::{ClassicGroup, State},
    member::timeout_ms,
};

/// What ends the join phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinTimer {
    /// The first rebalance: prolonged while members keep coming, up to the rebalance timeout.
    Initial {
        deadline: u64,
        delay_ms: u64,
        remaining_ms: u64,
    },
    /// Any other: members have this long to rejoin.
    Rebalance { deadline: u64 },
}

impl JoinTimer {
    fn deadline(self) -> u64 {
        match self {
            Self::Initial { deadline, .. } | Self::Rebalance { deadline } => deadline,
        }
    }
}

impl ClassicGroup {
    /// A member has its whole session timeout again.
    pub(super) fn reschedule_heartbeat(&mut self, member_id: &str, now: Now) {
        if let Some(member) = self.members.get_mut(member_id) {
            let session_ms = timeout_ms(member.session_timeout_ms);
            member.heartbeat_deadline = Some(now.monotonic_ms + session_ms);
        }
    }

    /// Monotonic time of the next thing to do by itself.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        if self.state == State::Dead {
            return None;
        }
        let members = self
            .members
            .values()
            .filter_map(|member| member.heartbeat_deadline);
        let pending = self.pending_joins.values().copied();
        let phases = self
            .join_timer
            .map(JoinTimer::deadline)
            .into_iter()
            .chain(self.sync_deadline);
        members.chain(pending).chain(phases).min()
    }

    /// Does what is due.
    pub(crate) fn on_timer(&mut self, now: Now, settings: &Settings) -> Effects {
        let mut out = Effects::default();
        if self.state == State::Dead {
            return out;
        }
        self.expire_members(now, settings, &mut out);
        if self
            .sync_deadline
            .is_some_and(|deadline| deadline <= now.monotonic_ms)
        {
            self.expire_pending_syncs(now, settings, &mut out);
        }
        match self
            .join_timer
            .filter(|timer| timer.deadline() <= now.monotonic_ms)
        {
            Some(JoinTimer::Initial {
                delay_ms,
                remaining_ms,
                ..
            }) => {
                self.end_or_extend_initial_delay(delay_ms, remaining_ms, now, settings, &mut out);
            }
            Some(JoinTimer::Rebalance { .. }) => self.complete_join(now, &mut out),
            None => {}
        }
        out
    }

    fn end_or_extend_initial_delay(
        &mut self,
        delay_ms: u64,
        remaining_ms: u64,
        now: Now,
        settings: &Settings,
        out: &mut Effects,
    ) {
        if !self.new_member_added || remaining_ms == 0 {
            self.new_member_added = false;
            return self.complete_join(now, out);
        }
        self.new_member_added = false;
        let next_delay = u64::from(settings.initial_rebalance_delay_ms)
            .min(delay_ms)
            .min(remaining_ms);
        self.join_timer = Some(JoinTimer::Initial {
            deadline: now.monotonic_ms + next_delay,
            delay_ms: next_delay,
            remaining_ms: remaining_ms.saturating_sub(delay_ms),
        });
    }

    fn expire_members(&mut self, now: Now, settings: &Settings, out: &mut Effects) {
        let due = |deadline: u64| deadline <= now.monotonic_ms;
        let pending: Vec<String> = self
            .pending_joins
            .iter()
            .filter(|(_, deadline)| due(**deadline))
            .map(|(id, _)| id.clone())
            .collect();
        for member_id in pending {
            tracing::info!(group = %self.id, member = %member_id, "member did not come back with its id");
            self.remove_and_update_pending(&member_id, now, out);
        }
        let silent: Vec<String> = self
            .members
            .values()
            .filter(|member| member.heartbeat_deadline.is_some_and(due))
            .map(|member| member.id.clone())
            .collect();
        for member_id in silent {
            // A removal before may have ended the join phase, which starts every session anew.
            let Some(member) = self.members.get_mut(&member_id) else {
                continue;
            };
            if !member.heartbeat_deadline.is_some_and(due) {
                continue;
            }
            if member.has_satisfied_heartbeat() {
                member.heartbeat_deadline = None;
                continue;
            }
            tracing::info!(group = %self.id, member = %member_id, "session ended, member is removed");
            self.remove_and_update(&member_id, now, settings, out);
        }
    }

    fn remove_and_update_pending(&mut self, member_id: &str, now: Now, out: &mut Effects) {
        self.pending_joins.remove(member_id);
        if self.state == State::PreparingRebalance && self.has_all_members_joined() {
            self.complete_join(now, out);
        }
    }

    fn expire_pending_syncs(&mut self, now: Now, settings: &Settings, out: &mut Effects) {
        self.sync_deadline = None;
        if !matches!(self.state, State::CompletingRebalance | State::Stable) || self.pending_syncs.is_empty()
        {
            return;
        }
        for member_id in std::mem::take(&mut self.pending_syncs) {
            tracing::info!(group = %self.id, member = %member_id, "member sent no sync and is removed");
            self.remove(&member_id);
        }
        self.prepare_rebalance(None, now, settings, out);
    }
}

//! JoinGroup.

use super::{
    effects::{Effects, JoinRequest, Now, OnAppended, Settings, StaticMemberReplaced, Ticket},
    group::{ClassicGroup, State},
    member::{Member, timeout_ms},
};
use crate::groups::error::GroupError;

/// A new member that waits for its first generation is forgotten after this; if it is still there it tries again.
const NEW_MEMBER_JOIN_TIMEOUT_MS: u64 = 300_000;
/// Most members of a group that were given an id and have not come back with it.
const PENDING_JOINS_MAX: usize = 10_000;

impl ClassicGroup {
    /// Handles a join. `fresh_id` is random and becomes part of a new member's id.
    pub(crate) fn join(
        &mut self,
        request: JoinRequest,
        fresh_id: &str,
        ticket: Ticket,
        now: Now,
        settings: &Settings,
    ) -> Effects {
        let mut out = Effects::default();
        if !self.accepts_joining(&request.member_id, settings) {
            self.remove(&request.member_id);
            out.refuse_join(ticket, GroupError::GroupMaxSizeReached, "");
        } else if self.state == State::Dead {
            out.refuse_join(ticket, GroupError::CoordinatorNotAvailable, &request.member_id);
        } else if !self.supports(&request.protocol_type, &request.protocols) {
            out.refuse_join(ticket, GroupError::InconsistentGroupProtocol, &request.member_id);
        } else if request.member_id.is_empty() {
            self.join_unknown(request, fresh_id, ticket, now, settings, &mut out);
        } else {
            self.join_known(request, ticket, now, settings, &mut out);
        }
        out
    }

    fn accepts_joining(&self, member_id: &str, settings: &Settings) -> bool {
        match self.state {
            State::Empty | State::Dead => true,
            // Counts those that wait, so that the last to rejoin are left out when the limit was lowered.
            State::PreparingRebalance => {
                self.members
                    .get(member_id)
                    .is_some_and(|member| member.awaiting_join.is_some())
                    || self.awaiting_join_count() < settings.max_size
            }
            State::CompletingRebalance | State::Stable => {
                self.members.contains_key(member_id) || self.members.len() < settings.max_size
            }
        }
    }

    fn join_unknown(
        &mut self,
        request: JoinRequest,
        fresh_id: &str,
        ticket: Ticket,
        now: Now,
        settings: &Settings,
        out: &mut Effects,
    ) {
        if let Some(instance) = request.group_instance_id.clone() {
            let new_id = format!("{instance}-{fresh_id}");
            match self.static_members.get(&instance).cloned() {
                Some(old_id) => {
                    self.replace_static_member(request, &old_id, new_id, ticket, now, settings, out)
                }
                None => self.add_member(request, new_id, ticket, now, settings, out),
            }
            return;
        }
        let new_id = format!("{}-{fresh_id}", request.client_id);
        if !request.require_known_member_id {
            self.add_member(request, new_id, ticket, now, settings, out);
        } else if self.pending_joins.len() >= PENDING_JOINS_MAX {
            out.refuse_join(ticket, GroupError::GroupMaxSizeReached, "");
        } else {
            let session_ms = timeout_ms(request.session_timeout_ms);
            self.pending_joins
                .insert(new_id.clone(), now.monotonic_ms + session_ms);
            out.refuse_join(ticket, GroupError::MemberIdRequired, &new_id);
        }
    }

    fn join_known(
        &mut self,
        request: JoinRequest,
        ticket: Ticket,
        now: Now,
        settings: &Settings,
        out: &mut Effects,
    ) {
        let member_id = request.member_id.clone();
        if request.group_instance_id.is_none() && self.pending_joins.contains_key(&member_id) {
            return self.add_member(request, member_id, ticket, now, settings, out);
        }
        if let Err(error) = self.validate_member(&member_id, request.group_instance_id.as_deref()) {
            return out.refuse_join(ticket, error, &member_id);
        }
        let unchanged = self
            .members
            .get(&member_id)
            .is_some_and(|member| member.protocols == request.protocols);
        let is_leader = self.is_leader(&member_id);
        match self.state {
            State::PreparingRebalance => self.rejoin(request, ticket, now, settings, out),
            // The answer may have been lost: the current generation again.
            State::CompletingRebalance if unchanged => out.joined(ticket, self.joined(&member_id, is_leader)),
            // A follower without news just syncs; a leader may know of changes that are not in its metadata.
            State::Stable if unchanged && !is_leader => out.joined(ticket, self.joined(&member_id, false)),
            State::CompletingRebalance | State::Stable => self.rejoin(request, ticket, now, settings, out),
            State::Empty | State::Dead => out.refuse_join(ticket, GroupError::UnknownMemberId, &member_id),
        }
    }

    fn add_member(
        &mut self,
        request: JoinRequest,
        member_id: String,
        ticket: Ticket,
        now: Now,
        settings: &Settings,
        out: &mut Effects,
    ) {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type);
        }
        if self.state == State::PreparingRebalance && self.previous_state == State::Empty {
            self.new_member_added = true;
        }
        self.insert(Member {
            id: member_id,
            group_instance_id: request.group_instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
            assignment: bytes::Bytes::new(),
            is_new: true,
            awaiting_join: Some(ticket),
            awaiting_sync: None,
            heartbeat_deadline: Some(now.monotonic_ms + NEW_MEMBER_JOIN_TIMEOUT_MS),
        });
        let delay = request.initial_rebalance_delay_ms;
        self.rebalance_or_complete_join(delay, now, settings, out);
    }

    /// A current member joins the next generation.
    fn rejoin(
        &mut self,
        request: JoinRequest,
        ticket: Ticket,
        now: Now,
        settings: &Settings,
        out: &mut Effects,
    ) {
        let delay = request.initial_rebalance_delay_ms;
        let member_id = request.member_id.clone();
        self.update_member(&member_id, request, ticket, out);
        self.rebalance_or_complete_join(delay, now, settings, out);
    }

    fn update_member(&mut self, member_id: &str, request: JoinRequest, ticket: Ticket, out: &mut Effects) {
        self.set_protocols(member_id, request.protocols);
        let Some(member) = self.members.get_mut(member_id) else {
            return;
        };
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        if let Some(superseded) = member.awaiting_join.replace(ticket) {
            out.refuse_join(superseded, GroupError::RebalanceInProgress, member_id);
        }
    }

    /// A static member came back without its member id: it takes the place of its former self, which is fenced.
    #[allow(clippy::too_many_arguments, reason = "the inputs of one step")]
    fn replace_static_member(
        &mut self,
        request: JoinRequest,
        old_id: &str,
        new_id: String,
        ticket: Ticket,
        now: Now,
        settings: &Settings,
        out: &mut Effects,
    ) {
        let instance = request.group_instance_id.clone().unwrap_or_default();
        let leader_before = self.leader.clone();
        let supports_skip_assignment = request.supports_skip_assignment;
        let delay = request.initial_rebalance_delay_ms;
        self.refuse_parked_join(old_id, GroupError::FencedInstanceId, old_id, out);
        let Some(mut old_member) = self.remove(old_id) else {
            return out.refuse_join(ticket, GroupError::UnknownMemberId, "");
        };
        if let Some(sync) = old_member.awaiting_sync.take() {
            out.synced(sync, Err(GroupError::FencedInstanceId));
        }
        let mut new_member = old_member.clone();
        new_member.id.clone_from(&new_id);
        new_member.is_new = false;
        self.insert(new_member);
        if leader_before.as_deref() == Some(old_id) {
            self.leader = Some(new_id.clone());
        }
        self.reschedule_heartbeat(&new_id, now);
        self.update_member(&new_id, request, ticket, out);
        match self.state {
            State::Stable if self.protocol_name == self.select_protocol() => {
                out.records.push(self.record(|member| member.assignment.clone()));
                out.on_appended = Some(OnAppended::StaticMember(Box::new(StaticMemberReplaced {
                    group_instance_id: instance,
                    old_member,
                    new_member_id: new_id,
                    leader_before,
                    supports_skip_assignment,
                })));
            }
            // The old id may already be in the leader's hands: its assignment would miss the new one.
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(delay, now, settings, out),
            _ => self.maybe_complete_join(now, out),
        }
    }

    /// Answers the static member whose record was written, or restores its former self when it could not be.
    pub(super) fn static_member_appended(
        &mut self,
        replaced: StaticMemberReplaced,
        result: Result<(), GroupError>,
        now: Now,
        out: &mut Effects,
    ) {
        let new_id = replaced.new_member_id;
        if let Err(error) = result {
            tracing::warn!(group = %self.id, instance = %replaced.group_instance_id, %error, "static member not stored");
            self.refuse_parked_join(&new_id, error, "", out);
            self.remove(&new_id);
            let old_id = replaced.old_member.id.clone();
            self.insert(replaced.old_member);
            self.leader = replaced.leader_before;
            self.reschedule_heartbeat(&old_id, now);
            return;
        }
        let is_leader = self.is_leader(&new_id);
        let Some(ticket) = self
            .members
            .get_mut(&new_id)
            .and_then(|member| member.awaiting_join.take())
        else {
            return;
        };
        let mut joined = self.joined(&new_id, is_leader && replaced.supports_skip_assignment);
        if replaced.supports_skip_assignment {
            joined.skip_assignment = is_leader;
        } else {
            // Older clients would assign again when told they lead: they are shown the former leader's id.
            joined.leader = replaced.leader_before.unwrap_or_default();
        }
        out.joined(ticket, joined);
    }
}

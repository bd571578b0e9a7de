//! SyncGroup and Heartbeat.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    effects::{Effects, Now, OnAppended, Settings, SyncRequest, Synced, Ticket},
    group::{ClassicGroup, State},
};
use crate::groups::error::GroupError;

impl ClassicGroup {
    /// Handles a sync: followers wait for the leader's assignment.
    pub(crate) fn sync(&mut self, request: SyncRequest, ticket: Ticket, now: Now) -> Effects {
        let mut out = Effects::default();
        if let Err(error) = self.validate_sync(&request) {
            out.synced(ticket, Err(error));
            return out;
        }
        match self.state {
            State::PreparingRebalance => out.synced(ticket, Err(GroupError::RebalanceInProgress)),
            State::CompletingRebalance => self.sync_completing(request, ticket, &mut out),
            State::Stable => {
                self.sync_received(&request.member_id);
                self.reschedule_heartbeat(&request.member_id, now);
                let assignment = self
                    .members
                    .get(&request.member_id)
                    .map(|member| member.assignment.clone())
                    .unwrap_or_default();
                out.synced(ticket, Ok(self.synced(assignment)));
            }
            State::Empty | State::Dead => out.synced(ticket, Err(GroupError::UnknownMemberId)),
        }
        out
    }

    fn validate_sync(&self, request: &SyncRequest) -> Result<(), GroupError> {
        let differs =
            |asked: &Option<String>, own: &Option<String>| asked.is_some() && own.is_some() && asked != own;
        match self.state {
            State::Dead => return Err(GroupError::CoordinatorNotAvailable),
            State::Empty => return Err(GroupError::UnknownMemberId),
            _ => {}
        }
        self.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation != self.generation {
            Err(GroupError::IllegalGeneration)
        } else if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            Err(GroupError::InconsistentGroupProtocol)
        } else {
            Ok(())
        }
    }

    fn sync_completing(&mut self, request: SyncRequest, ticket: Ticket, out: &mut Effects) {
        self.sync_received(&request.member_id);
        if let Some(member) = self.members.get_mut(&request.member_id)
            && let Some(superseded) = member.awaiting_sync.replace(ticket)
        {
            out.synced(superseded, Err(GroupError::RebalanceInProgress));
        }
        if !self.is_leader(&request.member_id) {
            return;
        }
        let mut assignments: BTreeMap<String, Bytes> = request
            .assignments
            .into_iter()
            .filter(|(id, _)| self.members.contains_key(id))
            .collect();
        let missing = self.members.len() - assignments.len();
        if missing > 0 {
            tracing::warn!(group = %self.id, generation = self.generation, missing, "members without assignment");
        }
        for member_id in self.members.keys() {
            assignments.entry(member_id.clone()).or_default();
        }
        out.records
            .push(self.record(|member| assignments.get(&member.id).cloned().unwrap_or_default()));
        out.on_appended = Some(OnAppended::Assignment {
            generation: self.generation,
            assignments,
        });
    }

    /// The leader's assignment was written (everyone gets it), or could not be (everyone joins again).
    pub(super) fn assignment_appended(
        &mut self,
        generation: i32,
        assignments: BTreeMap<String, Bytes>,
        result: Result<(), GroupError>,
        now: Now,
        settings: &Settings,
        out: &mut Effects,
    ) {
        if self.state != State::CompletingRebalance || self.generation != generation {
            return;
        }
        if let Err(error) = result {
            self.reset_assignments(error, now, out);
            self.prepare_rebalance(None, now, settings, out);
            return;
        }
        for (member_id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&member_id) {
                member.assignment = assignment;
            }
        }
        self.transition_to(State::Stable, now);
        self.answer_syncs(Ok(()), now, out);
    }

    /// Forgets this generation's assignments and answers parked syncs with the error.
    pub(super) fn reset_assignments(&mut self, error: GroupError, now: Now, out: &mut Effects) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        self.answer_syncs(Err(error), now, out);
    }

    fn answer_syncs(&mut self, result: Result<(), GroupError>, now: Now, out: &mut Effects) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in ids {
            let Some(member) = self.members.get_mut(&member_id) else {
                continue;
            };
            let Some(ticket) = member.awaiting_sync.take() else {
                continue;
            };
            let assignment = member.assignment.clone();
            out.synced(ticket, result.map(|()| self.synced(assignment)));
            // A session that ended while the sync was parked here was not counted.
            self.reschedule_heartbeat(&member_id, now);
        }
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment,
        }
    }

    fn sync_received(&mut self, member_id: &str) {
        self.pending_syncs.remove(member_id);
        if self.pending_syncs.is_empty() {
            self.sync_deadline = None;
        }
    }

    /// Handles a heartbeat.
    pub(crate) fn heartbeat(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Now,
    ) -> Result<(), GroupError> {
        if self.state == State::Dead {
            return Err(GroupError::CoordinatorNotAvailable);
        }
        self.validate_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.reschedule_heartbeat(member_id, now);
        match self.state {
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            // Members send heartbeats from the join answer on.
            State::CompletingRebalance | State::Stable => Ok(()),
            State::Empty | State::Dead => Err(GroupError::UnknownMemberId),
        }
    }
}

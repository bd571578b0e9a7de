//! LeaveGroup: by the member itself, or by an administrator who names the instance id.

use super::{
    effects::{Effects, LeavingMember, Now, Settings},
    group::{ClassicGroup, State},
};
use crate::groups::error::GroupError;

impl ClassicGroup {
    /// Handles a leave; one result per member, in order.
    pub(crate) fn leave(
        &mut self,
        leaving: &[LeavingMember],
        now: Now,
        settings: &Settings,
    ) -> (Result<Vec<Result<(), GroupError>>, GroupError>, Effects) {
        let mut out = Effects::default();
        if self.state == State::Dead {
            return (Err(GroupError::CoordinatorNotAvailable), out);
        }
        let results: Vec<_> = leaving
            .iter()
            .map(|member| self.leave_one(member, &mut out))
            .collect();
        if results.iter().any(Result::is_ok) {
            match self.state {
                State::Stable | State::CompletingRebalance => {
                    self.prepare_rebalance(None, now, settings, &mut out)
                }
                State::PreparingRebalance => self.maybe_complete_join(now, &mut out),
                State::Empty | State::Dead => {}
            }
        }
        (Ok(results), out)
    }

    fn leave_one(&mut self, leaving: &LeavingMember, out: &mut Effects) -> Result<(), GroupError> {
        let instance = leaving.group_instance_id.as_deref();
        let member_id = if leaving.member_id.is_empty() {
            let current = instance.and_then(|instance| self.static_members.get(instance));
            current.cloned().ok_or(GroupError::UnknownMemberId)?
        } else if self.pending_joins.remove(&leaving.member_id).is_some() {
            return Ok(());
        } else {
            self.validate_member(&leaving.member_id, instance)?;
            leaving.member_id.clone()
        };
        tracing::info!(group = %self.id, member = %member_id, "member leaves");
        self.refuse_parked_join(&member_id, GroupError::UnknownMemberId, "", out);
        if let Some(sync) = self.remove(&member_id).and_then(|member| member.awaiting_sync) {
            out.synced(sync, Err(GroupError::UnknownMemberId));
        }
        Ok(())
    }
}

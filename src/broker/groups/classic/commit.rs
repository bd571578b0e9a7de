//! Who may commit offsets.

use super::{
    effects::Now,
    group::{ClassicGroup, State},
};
use crate::groups::error::GroupError;

impl ClassicGroup {
    /// Checks a commit; one of a member counts as a heartbeat where Kafka counts it.
    pub(crate) fn validate_commit(
        &mut self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        now: Now,
    ) -> Result<(), GroupError> {
        match self.state {
            State::Dead => return Err(GroupError::CoordinatorNotAvailable),
            // A consumer that assigns itself, or an administrator.
            State::Empty if generation < 0 => return Ok(()),
            _ => {}
        }
        if generation < 0 && member_id.is_empty() && instance_id.is_none() {
            return Err(GroupError::UnknownMemberId);
        }
        self.validate_member(member_id, instance_id)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        match self.state {
            State::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            State::Stable | State::PreparingRebalance => {
                self.reschedule_heartbeat(member_id, now);
                Ok(())
            }
            State::Empty | State::Dead => Ok(()),
        }
    }
}

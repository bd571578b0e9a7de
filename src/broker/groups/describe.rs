//! Questions of administrators about groups.

use super::{consumer::outcome::Refusal, coordinator::Groups, error::GroupError};
use bytes::Bytes;

/// Type of groups with the classic protocol, as administrators see it.
pub const CLASSIC: &str = "classic";
/// Type of groups with the consumer protocol.
pub const CONSUMER: &str = "consumer";

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// Group.
    pub group_id: String,
    /// `consumer`, `connect`, …; empty when no member ever joined.
    pub protocol_type: String,
    /// Kafka's name of its state.
    pub state: &'static str,
    /// [`CLASSIC`] or [`CONSUMER`].
    pub group_type: &'static str,
}

/// Everything there is to say about a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Kafka's name of its state.
    pub state: &'static str,
    /// `consumer`, `connect`, …; empty when no member ever joined.
    pub protocol_type: String,
    /// The protocol all members use, such as `range`; empty unless the group is stable.
    pub protocol: String,
    /// Members by id.
    pub members: Vec<DescribedMember>,
}

/// A member of a described group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct DescribedMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    /// `/address`, as Java prints it.
    pub client_host: String,
    /// Metadata under the group's protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// Empty unless the group is stable.
    pub assignment: Bytes,
}

impl Groups {
    /// All groups in any of these states and types, names in any case; an empty list leaves nothing out.
    ///
    /// # Errors
    /// When groups are not served now.
    pub async fn list(&self, states: &[String], types: &[String]) -> Result<Vec<ListedGroup>, GroupError> {
        let wanted = |names: &[String], name: &str| {
            names.is_empty()
                || names
                    .iter()
                    .any(|wanted| wanted.trim().eq_ignore_ascii_case(name))
        };
        let mut listed = Vec::new();
        for index in 0..self.shard_count() {
            let (groups, newest) = {
                let shard = self.lock(index);
                if shard.closed {
                    return Err(GroupError::CoordinatorNotAvailable);
                }
                let newest = shard.groups.iter().max_by_key(|(_, entry)| entry.newest_record);
                let newest = newest.map(|(id, entry)| (id.clone(), entry.newest_record));
                let groups = shard.groups.iter().map(|(id, entry)| entry.group.listed(id));
                (groups.collect::<Vec<_>>(), newest)
            };
            if let Some((group_id, offset)) = newest {
                self.durable(&group_id, offset).await?;
            }
            let is_wanted =
                |group: &ListedGroup| wanted(types, group.group_type) && wanted(states, group.state);
            listed.extend(groups.into_iter().filter(is_wanted));
        }
        listed.sort_unstable_by(|one, other| one.group_id.cmp(&other.group_id));
        Ok(listed)
    }

    /// Describes a group of the classic protocol.
    ///
    /// # Errors
    /// `GroupIdNotFound`, also for a group of the consumer protocol; when the group is not served here or now.
    pub async fn describe(&self, group_id: &str) -> Result<DescribedGroup, Refusal> {
        let (described, after_offset) = {
            let shard = self.open_shard(group_id)?;
            let not_found = |why: &str| {
                let message = format!("Group {group_id} {why}.");
                Refusal::new(GroupError::GroupIdNotFound, message)
            };
            let entry = shard.groups.get(group_id).ok_or_else(|| not_found("not found"))?;
            let group = entry
                .group
                .as_classic()
                .ok_or_else(|| not_found("is not a classic group"))?;
            (group.described(), entry.newest_record)
        };
        self.durable(group_id, after_offset).await?;
        Ok(described)
    }
}

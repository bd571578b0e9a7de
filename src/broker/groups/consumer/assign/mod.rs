//! The assignors of the coordinator: from subscriptions and the last target to the next one.

mod range;
#[cfg(test)]
mod tests;
mod uniform;
mod uniform_mixed;

use std::collections::{BTreeMap, BTreeSet};

use jackfield_log::TopicId;

use super::{member::Assignment, settings::Assignor};

/// A member that partitions may be assigned to.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) instance_id: Option<&'a str>,
    /// Topics it is subscribed to; all exist.
    pub(super) topics: BTreeSet<TopicId>,
    /// What it was to have before.
    pub(super) previous: Option<&'a Assignment>,
}

/// Members by id.
pub(super) type Candidates<'a> = BTreeMap<&'a str, Candidate<'a>>;

/// Target by member id; a member that is left out gets nothing.
pub(super) type Assigned = BTreeMap<String, Assignment>;

/// Assigns the partitions of all topics the members are subscribed to. Homogeneous members have the same subscription.
pub(super) fn assign(
    assignor: Assignor,
    members: &Candidates<'_>,
    homogeneous: bool,
    partitions: &dyn Fn(TopicId) -> i32,
) -> Assigned {
    match assignor {
        Assignor::Range => range::assign(members, partitions),
        Assignor::Uniform if homogeneous => uniform::assign(members, partitions),
        Assignor::Uniform => uniform_mixed::assign(members, partitions),
    }
}

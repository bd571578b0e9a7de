//! What goes into and comes out of a step of the state machine.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::member::{Member, Protocol};
use crate::groups::{error::GroupError, records::GroupRecord};

/// When a step happens. Timers run on the monotonic clock; records carry wall-clock time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) monotonic_ms: u64,
    pub(crate) wall_ms: i64,
}

/// Names a request that waits for its answer. A later answer to a waiter that went away is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

/// Limits the state machine needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) initial_rebalance_delay_ms: u32,
    pub(crate) max_size: usize,
}

/// A join request.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// Group.
    pub group_id: String,
    /// Empty at first; then the id the coordinator gave.
    pub member_id: String,
    /// Static membership.
    pub group_instance_id: Option<String>,
    /// Client id, the start of new member ids.
    pub client_id: String,
    /// `/address` of the client, as Java prints it.
    pub client_host: String,
    /// A member that is silent for longer is removed.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for this member.
    pub rebalance_timeout_ms: i32,
    /// `consumer`, `connect`, …
    pub protocol_type: String,
    /// Protocols in order of preference.
    pub protocols: Vec<Protocol>,
    /// Whether a new dynamic member must come again with the id it is given (JoinGroup 4 and newer).
    pub require_known_member_id: bool,
    /// Whether the client understands `skip_assignment` (JoinGroup 9 and newer).
    pub supports_skip_assignment: bool,
    /// Replaces `group.initial.rebalance.delay.ms` when this join begins the first rebalance.
    pub initial_rebalance_delay_ms: Option<u32>,
}

/// A successful join.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct Joined {
    pub member_id: String,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: String,
    /// The leader is told not to assign again.
    pub skip_assignment: bool,
    /// All members, for the leader only.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct JoinedMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub metadata: Bytes,
}

/// A refused join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The id to come back with (`MemberIdRequired`), or the id of the request.
    pub member_id: String,
}

/// A sync request.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct SyncRequest {
    pub group_id: String,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    /// Assignment by member id; the leader's only.
    pub assignments: Vec<(String, Bytes)>,
}

/// A successful sync.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct Synced {
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: Bytes,
}

/// A member that leaves, or is removed by its instance id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct LeavingMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
}

/// An answer to a parked request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Join(Ticket, Result<Joined, JoinRefused>),
    Sync(Ticket, Result<Synced, GroupError>),
}

/// What must be told to the group once its records were appended, or could not be.
#[derive(Debug)]
pub(crate) enum OnAppended {
    /// The leader's assignment of this generation.
    Assignment {
        generation: i32,
        assignments: BTreeMap<String, Bytes>,
    },
    /// A static member came back under a new member id.
    StaticMember(Box<StaticMemberReplaced>),
}

/// See [`OnAppended::StaticMember`].
#[derive(Debug)]
pub(crate) struct StaticMemberReplaced {
    pub(crate) group_instance_id: String,
    /// Restored when the record cannot be written.
    pub(crate) old_member: Member,
    pub(crate) new_member_id: String,
    pub(crate) leader_before: Option<String>,
    pub(crate) supports_skip_assignment: bool,
}

/// Result of a step, in this order: append `records` (all or nothing), tell the group, deliver `replies`.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) records: Vec<GroupRecord>,
    pub(crate) on_appended: Option<OnAppended>,
    pub(crate) replies: Vec<Reply>,
}

impl Effects {
    pub(crate) fn joined(&mut self, ticket: Ticket, joined: Joined) {
        self.replies.push(Reply::Join(ticket, Ok(joined)));
    }

    pub(crate) fn refuse_join(&mut self, ticket: Ticket, error: GroupError, member_id: &str) {
        let member_id = member_id.to_owned();
        self.replies
            .push(Reply::Join(ticket, Err(JoinRefused { error, member_id })));
    }

    pub(crate) fn synced(&mut self, ticket: Ticket, result: Result<Synced, GroupError>) {
        self.replies.push(Reply::Sync(ticket, result));
    }
}

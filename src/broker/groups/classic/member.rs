//! A member of a classic group.

use bytes::Bytes;

use super::effects::Ticket;
use crate::groups::records::MemberValue;

/// A timeout as requests have it; one that is less than nothing is over at once.
pub(crate) fn timeout_ms(ms: i32) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// A protocol a member supports, with its metadata (for consumers: the subscription).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// Name: an assignor's, or Connect's `sessioned`, `compatible`, …
    pub name: String,
    /// Opaque to the coordinator.
    pub metadata: Bytes,
}

/// A member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: String,
    pub(crate) group_instance_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// Joined and not yet answered for the first time: it cannot send heartbeats.
    pub(crate) is_new: bool,
    pub(crate) awaiting_join: Option<Ticket>,
    pub(crate) awaiting_sync: Option<Ticket>,
    /// Monotonic time at which the member is considered gone; `None` while it waits for an answer of ours.
    pub(crate) heartbeat_deadline: Option<u64>,
}

impl Member {
    /// A member as a group record holds it.
    pub(crate) fn restored(value: MemberValue, protocol: &str, heartbeat_deadline: u64) -> Self {
        Self {
            id: value.member_id,
            group_instance_id: value.group_instance_id,
            client_id: value.client_id,
            client_host: value.client_host,
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            session_timeout_ms: value.session_timeout_ms,
            protocols: vec![Protocol {
                name: protocol.to_owned(),
                metadata: value.subscription,
            }],
            assignment: value.assignment,
            is_new: false,
            awaiting_join: None,
            awaiting_sync: None,
            heartbeat_deadline: Some(heartbeat_deadline),
        }
    }

    /// Metadata under a protocol; empty when the member does not support it.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|supported| supported.name == protocol);
        found
            .map(|supported| supported.metadata.clone())
            .unwrap_or_default()
    }

    /// The first protocol of the member's own order that everyone supports.
    pub(crate) fn vote(&self, supported_by_all: impl Fn(&str) -> bool) -> Option<&str> {
        self.protocols
            .iter()
            .map(|protocol| protocol.name.as_str())
            .find(|name| supported_by_all(name))
    }

    /// Whether silence is our fault: a request of the member is parked here.
    pub(crate) fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}

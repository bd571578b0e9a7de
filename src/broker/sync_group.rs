//! SyncGroup, versions 0 to 5.

use bytes::Bytes;
use kafka_protocol::{
    messages::{SyncGroupRequest, SyncGroupResponse},
    protocol::StrBytes,
};

use crate::groups::{GroupError, Groups, SyncRequest};

/// First version that must name the protocol type and the protocol.
const NAMED_PROTOCOL_VERSION: i16 = 5;

/// Handles the request; followers wait for the leader's assignment.
pub(crate) async fn handle(groups: &Groups, request: SyncGroupRequest, version: i16) -> SyncGroupResponse {
    if version >= NAMED_PROTOCOL_VERSION
        && (request.protocol_type.is_none() || request.protocol_name.is_none())
    {
        return SyncGroupResponse::default().with_error_code(GroupError::InconsistentGroupProtocol.code());
    }
    let assignments = request
        .assignments
        .into_iter()
        // Copied: a slice would keep the whole request in memory for as long as the member lives.
        .map(|assigned| {
            (
                assigned.member_id.to_string(),
                Bytes::copy_from_slice(&assigned.assignment),
            )
        })
        .collect();
    let synced = groups
        .sync(SyncRequest {
            group_id: request.group_id.to_string(),
            member_id: request.member_id.to_string(),
            group_instance_id: request.group_instance_id.map(|id| id.to_string()),
            generation: request.generation_id,
            protocol_type: request.protocol_type.map(|name| name.to_string()),
            protocol_name: request.protocol_name.map(|name| name.to_string()),
            assignments,
        })
        .await;
    match synced {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(synced.protocol_type.map(StrBytes::from_string))
            .with_protocol_name(synced.protocol_name.map(StrBytes::from_string))
            .with_assignment(synced.assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
    }
}

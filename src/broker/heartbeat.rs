//! Heartbeat, versions 0 to 4.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::{error_codes::code_of, groups::Groups};

/// Handles the request.
pub(crate) fn handle(groups: &Groups, request: &HeartbeatRequest) -> HeartbeatResponse {
    let instance = request.group_instance_id.as_ref().map(|id| id.as_str());
    let result = groups.heartbeat(
        &request.group_id,
        &request.member_id,
        instance,
        request.generation_id,
    );
    HeartbeatResponse::default().with_error_code(code_of(&result))
}

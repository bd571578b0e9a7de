//! LeaveGroup, versions 0 to 5.

use kafka_protocol::{
    messages::{LeaveGroupRequest, LeaveGroupResponse, leave_group_response::MemberResponse},
    protocol::StrBytes,
};

use crate::{
    error_codes::code_of,
    groups::{Groups, LeavingMember},
};

/// First version that names several members.
const BATCH_VERSION: i16 = 3;

/// Handles the request.
pub(crate) async fn handle(groups: &Groups, request: LeaveGroupRequest, version: i16) -> LeaveGroupResponse {
    let members = if version >= BATCH_VERSION {
        let member = |member: &kafka_protocol::messages::leave_group_request::MemberIdentity| LeavingMember {
            member_id: member.member_id.to_string(),
            group_instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
        };
        request.members.iter().map(member).collect()
    } else {
        vec![LeavingMember {
            member_id: request.member_id.to_string(),
            group_instance_id: None,
        }]
    };
    let results = match groups.leave(&request.group_id, &members).await {
        Ok(results) => results,
        Err(error) => return LeaveGroupResponse::default().with_error_code(error.code()),
    };
    if version < BATCH_VERSION {
        return LeaveGroupResponse::default().with_error_code(results.first().map_or(0, code_of));
    }
    let answers = members.into_iter().zip(&results).map(|(member, result)| {
        MemberResponse::default()
            .with_member_id(StrBytes::from_string(member.member_id))
            .with_group_instance_id(member.group_instance_id.map(StrBytes::from_string))
            .with_error_code(code_of(result))
    });
    LeaveGroupResponse::default().with_members(answers.collect())
}

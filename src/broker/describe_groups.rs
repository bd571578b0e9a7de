//! DescribeGroups, versions 0 to 6. A group that does not exist is `Dead`, and since version 6 an error besides (KIP-1043).

use kafka_protocol::{
    messages::{
        DescribeGroupsRequest, DescribeGroupsResponse, GroupId, describe_groups_response::DescribedGroup,
        describe_groups_response::DescribedGroupMember,
    },
    protocol::StrBytes,
};

use crate::groups::{DescribedMember, GroupError, Groups};

/// First version in which a missing group is an error.
const NOT_FOUND_VERSION: i16 = 6;

/// Everything there is to do with a group: nobody is kept from anything (READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS,
/// ALTER_CONFIGS as bits).
pub(crate) const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;

/// Handles the request.
pub(crate) async fn handle(
    groups: &Groups,
    request: DescribeGroupsRequest,
    version: i16,
) -> DescribeGroupsResponse {
    let mut answers = Vec::with_capacity(request.groups.len());
    for group_id in request.groups {
        let mut answer = describe(groups, group_id, version).await;
        if request.include_authorized_operations && answer.error_code == 0 {
            answer.authorized_operations = GROUP_OPERATIONS;
        }
        answers.push(answer);
    }
    DescribeGroupsResponse::default().with_groups(answers)
}

async fn describe(groups: &Groups, group_id: GroupId, version: i16) -> DescribedGroup {
    let found = groups.describe(&group_id).await;
    let answer = DescribedGroup::default().with_group_id(group_id);
    match found {
        Ok(group) => answer
            .with_group_state(StrBytes::from_static_str(group.state))
            .with_protocol_type(StrBytes::from_string(group.protocol_type))
            .with_protocol_data(StrBytes::from_string(group.protocol))
            .with_members(group.members.into_iter().map(member).collect()),
        Err(refusal) if refusal.error == GroupError::GroupIdNotFound => {
            let dead = answer.with_group_state(StrBytes::from_static_str("Dead"));
            if version < NOT_FOUND_VERSION {
                return dead;
            }
            dead.with_error_code(GroupError::GroupIdNotFound.code())
                .with_error_message(Some(StrBytes::from_string(refusal.message)))
        }
        Err(refusal) => answer.with_error_code(refusal.error.code()),
    }
}

fn member(member: DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(StrBytes::from_string(member.member_id))
        .with_group_instance_id(member.group_instance_id.map(StrBytes::from_string))
        .with_client_id(StrBytes::from_string(member.client_id))
        .with_client_host(StrBytes::from_string(member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}

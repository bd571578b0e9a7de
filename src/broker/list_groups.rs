//! ListGroups, versions 0 to 5.

use kafka_protocol::{
    messages::{GroupId, ListGroupsRequest, ListGroupsResponse, list_groups_response},
    protocol::StrBytes,
};

use crate::groups::{Groups, ListedGroup};

/// Handles the request.
pub(crate) async fn handle(groups: &Groups, request: ListGroupsRequest) -> ListGroupsResponse {
    let names = |names: Vec<StrBytes>| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (states, types) = (names(request.states_filter), names(request.types_filter));
    let listed = groups.list(&states, &types).await;
    let row = |group: ListedGroup| {
        list_groups_response::ListedGroup::default()
            .with_group_id(GroupId(StrBytes::from_string(group.group_id)))
            .with_protocol_type(StrBytes::from_string(group.protocol_type))
            .with_group_state(StrBytes::from_static_str(group.state))
            .with_group_type(StrBytes::from_static_str(group.group_type))
    };
    match listed {
        Ok(listed) => ListGroupsResponse::default().with_groups(listed.into_iter().map(row).collect()),
        Err(error) => ListGroupsResponse::default().with_error_code(error.code()),
    }
}

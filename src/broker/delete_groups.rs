//! DeleteGroups, versions 0 to 2: groups without members, with their offsets.

use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, delete_groups_response::DeletableGroupResult,
};

use crate::{error_codes::code_of, groups::Groups};

/// Handles the request.
pub(crate) async fn handle(groups: &Groups, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let deleted = groups.delete_group(&group_id).await;
        let result = DeletableGroupResult::default().with_error_code(code_of(&deleted));
        results.push(result.with_group_id(group_id));
    }
    DeleteGroupsResponse::default().with_results(results)
}

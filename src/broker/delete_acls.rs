//! DeleteAcls, versions 1 to 3: there is no authorizer.

use kafka_protocol::{
    error::ResponseError,
    messages::{DeleteAclsRequest, DeleteAclsResponse, delete_acls_response::DeleteAclsFilterResult},
};

use crate::describe_acls::NO_AUTHORIZER;

/// Handles the request.
pub(crate) fn handle(request: &DeleteAclsRequest) -> DeleteAclsResponse {
    let refused = DeleteAclsFilterResult::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(NO_AUTHORIZER));
    DeleteAclsResponse::default().with_filter_results(vec![refused; request.filters.len()])
}

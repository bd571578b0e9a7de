//! CreateAcls, versions 1 to 3: there is no authorizer.

use kafka_protocol::{
    error::ResponseError,
    messages::{CreateAclsRequest, CreateAclsResponse, create_acls_response::AclCreationResult},
};

use crate::describe_acls::NO_AUTHORIZER;

/// Handles the request.
pub(crate) fn handle(request: &CreateAclsRequest) -> CreateAclsResponse {
    let refused = AclCreationResult::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(NO_AUTHORIZER));
    CreateAclsResponse::default().with_results(vec![refused; request.creations.len()])
}

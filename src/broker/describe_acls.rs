//! DescribeAcls, versions 1 to 3: there is no authorizer.

use kafka_protocol::{
    error::ResponseError,
    messages::{DescribeAclsRequest, DescribeAclsResponse},
    protocol::StrBytes,
};

/// Kafka's words where `authorizer.class.name` is not set, for those who want to change something.
pub(crate) const NO_AUTHORIZER: StrBytes = StrBytes::from_static_str("No Authorizer is configured.");

/// Handles the request.
pub(crate) fn handle(_request: &DescribeAclsRequest) -> DescribeAclsResponse {
    DescribeAclsResponse::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(StrBytes::from_static_str(
            "No Authorizer is configured on the broker",
        )))
}

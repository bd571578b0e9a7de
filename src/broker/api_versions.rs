//! ApiVersions, versions 0 to 4: the version table. Must be answered before anything else is known of the client.

use jackfield_protocol::versions::{Api, SUPPORTED, Support};
use kafka_protocol::{
    error::ResponseError,
    messages::{ApiVersionsRequest, ApiVersionsResponse, api_versions_response::ApiVersion},
};

use crate::features;

/// First version in which clients name their software.
const SOFTWARE_VERSION: i16 = 3;

fn row(support: &Support) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(support.key)
        .with_min_version(support.min)
        .with_max_version(support.max)
}

/// Handles the request.
pub(crate) fn handle(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    let named = |text: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        !text.is_empty()
            && text.chars().all(inner)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    if version >= SOFTWARE_VERSION
        && !(named(&request.client_software_name) && named(&request.client_software_version))
    {
        return ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code());
    }
    ApiVersionsResponse::default()
        .with_api_keys(SUPPORTED.iter().map(row).collect())
        .with_supported_features(features::supported())
        .with_finalized_features(features::finalized())
        .with_finalized_features_epoch(features::EPOCH)
}

/// Answer to a version nobody knows, in version 0: the client picks one from this request's own row (KIP-511).
pub(crate) fn unsupported() -> ApiVersionsResponse {
    let own = SUPPORTED.iter().filter(|support| support.api == Api::ApiVersions);
    ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(own.map(row).collect())
}

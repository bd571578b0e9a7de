//! UpdateFeatures, versions 0 to 2: every feature has the one level it is served at, so nothing changes.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        UpdateFeaturesRequest, UpdateFeaturesResponse, update_features_request::FeatureUpdateKey,
        update_features_response::UpdatableFeatureResult,
    },
    protocol::StrBytes,
};

use crate::{
    broker::Core,
    features::{ABSENT, FEATURES},
};

/// Codes of upgrade, safe and unsafe downgrade.
const UPGRADE_TYPES: std::ops::RangeInclusive<i8> = 1..=3;
/// Last version whose answers have a row per feature.
const RESULTS_VERSION: i16 = 1;

/// Handles the request.
pub(crate) fn handle(core: &Core, request: &UpdateFeaturesRequest, version: i16) -> UpdateFeaturesResponse {
    let refused = request
        .feature_updates
        .iter()
        .find_map(|update| Some((update, why_not(core.config.node_id, update)?)));
    let response = UpdateFeaturesResponse::default().with_error_message(None);
    if let Some((update, why)) = refused {
        // Kafka's words, which its tool prints.
        let message = format!(
            "The update failed for all features since the following feature had an error: Invalid update version {} \
             for feature {}. {why}",
            update.max_version_level,
            update.feature.as_str(),
        );
        return response
            .with_error_code(ResponseError::InvalidUpdateVersion.code())
            .with_error_message(Some(StrBytes::from_string(message)));
    }
    if version > RESULTS_VERSION {
        return response;
    }
    let results = request.feature_updates.iter().map(|update| {
        UpdatableFeatureResult::default()
            .with_feature(update.feature.clone())
            .with_error_message(Some(StrBytes::from_static_str("NONE")))
    });
    response.with_results(results.collect())
}

/// Why a feature cannot be at the level asked for, in Kafka's words; `None` where it is.
fn why_not(node_id: i32, update: &FeatureUpdateKey) -> Option<String> {
    let (name, level) = (update.feature.as_str(), update.max_version_level);
    if !UPGRADE_TYPES.contains(&update.upgrade_type) {
        return Some("The controller does not support the given upgrade type.".to_owned());
    }
    if level < 0 {
        return Some("A feature version cannot be less than 0.".to_owned());
    }
    match FEATURES.iter().find(|feature| feature.name == name) {
        Some(feature) if feature.level == level => None,
        Some(feature) => Some(format!(
            "Local controller {node_id} only supports versions {}",
            feature.level
        )),
        None if level > 0 => Some(format!(
            "Local controller {node_id} does not support this feature."
        )),
        None if ABSENT.contains(&name) => None,
        None => Some(format!("Feature {name} not found.")),
    }
}

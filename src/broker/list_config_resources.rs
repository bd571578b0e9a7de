//! ListConfigResources, versions 0 and 1 (KIP-1142): everything that can have configs. Version 0 is about client metrics alone.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        ListConfigResourcesRequest, ListConfigResourcesResponse,
        list_config_resources_response::ConfigResource,
    },
    protocol::StrBytes,
};

use crate::{broker::Core, config_resources::Resource, stored_configs::Owner};

/// Handles the request.
pub(crate) fn handle(
    core: &Core,
    request: &ListConfigResourcesRequest,
    version: i16,
) -> ListConfigResourcesResponse {
    let response = ListConfigResourcesResponse::default();
    let asked: Vec<i8> = match (version, request.resource_types.is_empty()) {
        (0, _) => vec![16],
        (_, true) => Resource::NUMBERS.iter().map(|(_, number)| *number).collect(),
        (_, false) => request.resource_types.clone(),
    };
    if asked.iter().any(|number| Resource::of(*number).is_none()) {
        return response.with_error_code(ResponseError::UnsupportedVersion.code());
    }
    let mut found = Vec::new();
    for (resource, number) in Resource::NUMBERS {
        if asked.contains(&number) {
            let named = names(core, resource).into_iter().map(|name| {
                ConfigResource::default()
                    .with_resource_type(number)
                    .with_resource_name(StrBytes::from_string(name))
            });
            found.extend(named);
        }
    }
    response.with_config_resources(found)
}

fn names(core: &Core, resource: Resource) -> Vec<String> {
    let stored = |owner| {
        let levels = core.configs.levels();
        levels.stored.names(owner).map(str::to_owned).collect()
    };
    match resource {
        Resource::Topic => core
            .topics
            .list()
            .iter()
            .map(|topic| topic.name.to_string())
            .collect(),
        Resource::Broker | Resource::BrokerLogger => vec![core.config.node_id.to_string()],
        Resource::ClientMetrics => stored(Owner::ClientMetrics),
        Resource::Group => stored(Owner::Group),
    }
}

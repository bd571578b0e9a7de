//! `/connector-plugins`: what the worker can run, and what it can be told.

use axum::{
    extract::{Path, State},
    response::Response,
};
use jackfield_worker::{ConfigInfos, ConfigKeyInfo, Herder, PluginRow};

use crate::{
    body::{self, JsonBody},
    query::Parameters,
    reply::{self, ApiError},
};

/// The connectors that can be run, and with connectorsOnly=false all other plugins
#[utoipa::path(get, path = "/connector-plugins", tag = "connector-plugins", operation_id = "listConnectorPlugins",
    params(("connectorsOnly" = Option<bool>, Query,
        description = "true is the default; with false there are also rows with an error: what cannot be used")),
    responses((status = 200, description = "a row per class and use", body = Vec<PluginRow>)))]
pub(crate) async fn list(State(herder): State<Herder>, query: Parameters) -> Response {
    reply::ok(&herder.plugins(query.flag("connectorsOnly", true)))
}

/// The config keys of a connector or converter
#[utoipa::path(get, path = "/connector-plugins/{pluginName}/config", tag = "connector-plugins",
    operation_id = "getConnectorConfigDef",
    params(
        ("pluginName" = String, Path, description = "class, or its last part"),
        ("version" = Option<String>, Query, description = "latest (the default), a version or a range of them")
    ),
    responses((status = 200, description = "every key", body = Vec<ConfigKeyInfo>)))]
pub(crate) async fn config(
    State(herder): State<Herder>,
    Path(plugin): Path<String>,
    query: Parameters,
) -> Result<Response, ApiError> {
    let version = query.all("version").next().unwrap_or("latest");
    Ok(reply::ok(&herder.plugin_config(&plugin, version).await?))
}

/// Checks a connector config without creating anything
#[utoipa::path(put, path = "/connector-plugins/{pluginName}/config/validate", tag = "connector-plugins",
    operation_id = "validateConfigs",
    params(("pluginName" = String, Path, description = "class, or its last part")),
    request_body = BTreeMap<String, String>,
    responses((status = 200, description = "every key with its value and what is wrong with it", body = ConfigInfos)))]
pub(crate) async fn validate(
    State(herder): State<Herder>,
    Path(plugin): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, ApiError> {
    let given = body::texts(body)?;
    if let Some(Some(class)) = given.get("connector.class")
        && !without_suffix(class).ends_with(without_suffix(&plugin))
    {
        return Err(ApiError::BadRequest(format!(
            "Included connector type {class} does not match request type {plugin}"
        )));
    }
    Ok(reply::ok(&herder.validate(given).await?))
}

fn without_suffix(class: &str) -> &str {
    match class.strip_suffix("Connector") {
        Some(short) if !short.is_empty() => short,
        _ => class,
    }
}

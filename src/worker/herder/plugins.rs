//! What the worker can run, and the config keys of it.

use jackfield_plugin::{Kind, PluginInfo, is_version_in};

use super::{Herder, HerderError, PluginRow, kind_name};
use crate::{
    config_infos::ConfigKeyInfo,
    connector_config::{key_infos, option_infos},
    converters,
};

impl Herder {
    /// `GET /connector-plugins`: sinks, sources, and unless connectors alone are asked for, converters in both their uses.
    pub fn plugins(&self, connectors_only: bool) -> Vec<PluginRow> {
        let list = self.inner.plugins.list();
        let of_kind = |kind: Kind| {
            let found = list.iter().filter(move |info| info.kind == kind);
            found.map(|info: &PluginInfo| PluginRow {
                class: info.class.clone(),
                kind: kind_name(Some(info.kind)),
                version: Some(info.version.clone()),
            })
        };
        let mut rows: Vec<PluginRow> = of_kind(Kind::Sink).chain(of_kind(Kind::Source)).collect();
        if !connectors_only {
            let mut classes: Vec<_> = converters::classes().collect();
            classes.sort_unstable();
            let row = |class: &str, kind| PluginRow {
                class: class.to_owned(),
                kind,
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            };
            let both = classes.iter().filter(|(_, header_only)| !header_only);
            rows.extend(both.map(|(class, _)| row(class, "converter")));
            rows.extend(classes.iter().map(|(class, _)| row(class, "header_converter")));
            rows.extend(of_kind(Kind::Transform));
        }
        rows
    }

    /// `GET /connector-plugins/{class}/config`: the keys of a connector, or the options of a converter. `version` is
    /// `latest`, a version, or a range of them (`[1.0,2.0)`).
    ///
    /// # Errors
    /// No such class or version, or it cannot be loaded.
    pub async fn plugin_config(&self, class: &str, version: &str) -> Result<Vec<ConfigKeyInfo>, HerderError> {
        let is_in = |known: &str| match version.trim() {
            "" | "latest" => Ok(true),
            range => is_version_in(known, range)
                .ok_or_else(|| HerderError::BadRequest(format!("Invalid version specification: {version}"))),
        };
        let none = |known: &str| {
            HerderError::BadRequest(format!("Plugin {class} has version {known}, not {version}"))
        };
        // A range that cannot be read is told of first, as in Kafka.
        is_in(env!("CARGO_PKG_VERSION"))?;
        if let Some(options) = option_infos(class) {
            let own = env!("CARGO_PKG_VERSION");
            return if is_in(own)? { Ok(options) } else { Err(none(own)) };
        }
        if !self.inner.plugins.knows(class) {
            return Err(HerderError::NotFound(format!("Unknown plugin {class}.")));
        }
        let plugin = self.inner.plugins.load(class, None).await;
        let plugin = plugin.map_err(|error| HerderError::Internal(error.0))?;
        let info = plugin.info();
        if !is_in(&info.version)? {
            return Err(none(&info.version));
        }
        Ok(key_infos(info.kind, plugin.config_def(), &info.version))
    }
}

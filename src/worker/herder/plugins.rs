//! What the worker can run, and the config keys of it.

use jackfield_plugin::{BadPackage, Kind, LookupError, PluginInfo, VersionRange, Wanted};

use super::{Herder, HerderError, PluginRow, kind_name};
use crate::{
    config_infos::ConfigKeyInfo,
    connector_config::{key_infos, option_infos},
    converters,
};

impl Herder {
    /// `GET /connector-plugins`: sinks, sources, and unless connectors alone are asked for, converters in both their uses,
    /// and what cannot be used, with the reason. Tools take every row of the plain list for something that can be run, and
    /// may refuse fields they do not know; who asks for all plugins gets rows of types it may not know anyway.
    pub fn plugins(&self, connectors_only: bool) -> Vec<PluginRow> {
        let list = self.inner.plugins.list();
        let of_kind = |kind: Kind| {
            let found = list.iter().filter(move |info| info.kind == kind);
            found.map(|info: &PluginInfo| PluginRow {
                class: info.class.clone(),
                kind: kind_name(Some(info.kind)),
                version: Some(info.version.clone()),
                ..PluginRow::default()
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
                ..PluginRow::default()
            };
            let both = classes.iter().filter(|(_, header_only)| !header_only);
            rows.extend(both.map(|(class, _)| row(class, "converter")));
            rows.extend(classes.iter().map(|(class, _)| row(class, "header_converter")));
            rows.extend(of_kind(Kind::Transform));
            rows.extend(self.inner.plugins.bad().into_iter().flat_map(unusable));
        }
        rows
    }

    /// `GET /connector-plugins/{class}/config`: the keys of a connector, or the options of a converter. `version` is
    /// `latest`, a version, or a range of them (`[1.0,2.0)`).
    ///
    /// # Errors
    /// No such class or version, or it cannot be loaded.
    pub async fn plugin_config(&self, class: &str, version: &str) -> Result<Vec<ConfigKeyInfo>, HerderError> {
        let range: VersionRange = version
            .parse()
            .map_err(|_| HerderError::BadRequest(format!("Invalid version specification: {version}")))?;
        if let Some(options) = option_infos(class) {
            let own = env!("CARGO_PKG_VERSION");
            if range.contains(own) {
                return Ok(options);
            }
            return Err(HerderError::BadRequest(format!(
                "Plugin {class} not found that matches the version range {range}, available versions: [{own}]"
            )));
        }
        let wanted = Wanted {
            class: class.to_owned(),
            version: range,
            form: None,
        };
        let plugin = self.inner.plugins.load_wanted(&wanted).await;
        let plugin = plugin.map_err(|error| match error {
            LookupError::UnknownClass(_) => HerderError::NotFound(format!("Unknown plugin {class}.")),
            LookupError::NoVersion { .. } => HerderError::BadRequest(error.to_string()),
            LookupError::Unusable(cause) => HerderError::Internal(cause),
        })?;
        let info = plugin.info();
        Ok(key_infos(info.kind, plugin.config_def(), &info.version))
    }
}

/// A row per class that the package says it has, or one for the package.
fn unusable(package: BadPackage) -> Vec<PluginRow> {
    let location = package.location.display().to_string();
    let row = |class: String, kind, version| PluginRow {
        class,
        kind,
        version,
        location: Some(location.clone()),
        error: Some(package.reason.clone()),
    };
    let Some(manifest) = &package.manifest else {
        let name = package
            .location
            .file_name()
            .unwrap_or(package.location.as_os_str());
        return vec![row(name.to_string_lossy().into_owned(), kind_name(None), None)];
    };
    let connectors = manifest.plugins.iter();
    connectors
        .map(|connector| {
            row(
                connector.class.clone(),
                kind_name(Some(connector.kind)),
                Some(manifest.package.version.clone()),
            )
        })
        .collect()
}

//! Checking a connector's config: class, definition, and what the connector itself says.

use std::sync::Arc;

use jackfield_api::ErrorKind;
use jackfield_plugin::ConnectorPlugin;

use super::{HerderError, Inner};
use crate::{
    ConfigMap,
    connector_config::{ConnectorConfig, form, sorted},
};

impl Inner {
    /// The loaded class and the checked config.
    pub(super) async fn validate(
        &self,
        config: &ConfigMap,
    ) -> Result<(Arc<dyn ConnectorPlugin>, ConnectorConfig), HerderError> {
        let (plugin, checked) = self.check(config).await?;
        match plugin.validate(&sorted(config)).await {
            Ok(issues) if issues.is_empty() => Ok((plugin, checked)),
            Ok(issues) => Err(invalid(issues.into_iter().map(|issue| issue.message).collect())),
            Err(error) if error.kind == ErrorKind::Config => Err(invalid(vec![error.message])),
            Err(error) => Err(HerderError::Internal(format!(
                "connector class {} could not check its config: {error}",
                plugin.info().class
            ))),
        }
    }

    /// The loaded class and the config checked against its definition; runs no check of the connector's own.
    pub(super) async fn check(
        &self,
        config: &ConfigMap,
    ) -> Result<(Arc<dyn ConnectorPlugin>, ConnectorConfig), HerderError> {
        let class = config
            .get("connector.class")
            .map(|class| class.trim())
            .filter(|class| !class.is_empty());
        let Some(class) = class else {
            let shown: Vec<String> = config
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            return Err(HerderError::BadConfig(format!(
                "Connector config {{{}}} contains no connector type",
                shown.join(", ")
            )));
        };
        let plugin = self.plugins.load(class, form(config)).await;
        let plugin = plugin.map_err(|error| HerderError::BadConfig(self.no_class(class, &error.0)))?;
        let kind = plugin.info().kind;
        let checked = ConnectorConfig::parse(config, kind, plugin.config_def(), &self.shared.worker);
        Ok((plugin, checked.map_err(invalid)?))
    }

    /// Kafka's sentence for a class it does not know; a class that is there and cannot be loaded says why.
    fn no_class(&self, class: &str, cause: &str) -> String {
        let list = self.plugins.list();
        let known = |name: &str| name == class || name.rsplit('.').next() == Some(class);
        if list
            .iter()
            .any(|info| known(&info.class) || info.aliases.iter().any(|alias| known(alias)))
        {
            return cause.to_owned();
        }
        let available: Vec<&str> = list.iter().map(|info| info.class.as_str()).collect();
        format!(
            "Failed to find any class that implements Connector and which name matches {class}, available connectors \
             are: {} ({cause})",
            available.join(", ")
        )
    }
}

/// Kafka's body for an invalid config.
fn invalid(problems: Vec<String>) -> HerderError {
    HerderError::BadConfig(format!(
        "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the above \
         list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
        problems.len(),
        problems.join("\n")
    ))
}

//! Checking a connector's config: class, definition, and what the connector itself says.

use std::sync::Arc;

use jackfield_api::{ConfigDef, ErrorKind};
use jackfield_plugin::{ConnectorPlugin, Kind, LookupError};

use super::{Herder, HerderError, Inner};
use crate::{
    ConfigMap, GivenConfig,
    config_infos::ConfigInfos,
    connector_config::{ConnectorConfig, Looked, PLUGIN_VERSION, Problems, infos, sorted, wanted},
};

/// Why there is no class that a config could be checked with.
#[derive(Debug)]
enum NotLoaded {
    /// The version is to blame, which is said of the keys.
    Version(Box<ConfigInfos>),
    Other(HerderError),
}

impl From<NotLoaded> for HerderError {
    fn from(error: NotLoaded) -> Self {
        match error {
            NotLoaded::Version(infos) => invalid(&infos),
            NotLoaded::Other(error) => error,
        }
    }
}

impl Herder {
    /// `PUT /connector-plugins/{class}/config/validate`: every key with its value and what is wrong with it.
    ///
    /// # Errors
    /// The class is not named or not known, or its check failed.
    pub async fn validate(&self, given: GivenConfig) -> Result<ConfigInfos, HerderError> {
        let inner = Arc::clone(&self.inner);
        self.finish("validate".to_owned(), async move {
            let (config, nulls) = split(&given);
            let plugin = match inner.load(&config).await {
                Ok(plugin) => plugin,
                Err(NotLoaded::Version(infos)) => return Ok(*infos),
                Err(NotLoaded::Other(error)) => return Err(error),
            };
            let problems = match inner.parse(&plugin, &config) {
                Ok(checked) => match inner.transforms(&checked).await {
                    Ok(_) => inner.ask(&plugin, &config).await?,
                    Err(problems) => problems,
                },
                Err(problems) => problems,
            };
            Ok(inner.infos(&plugin, &given, with_nulls(problems, &nulls)))
        })
        .await
    }

    /// The config, when no value is null.
    ///
    /// # Errors
    /// A null, together with everything else that is wrong.
    pub async fn without_nulls(&self, given: GivenConfig) -> Result<ConfigMap, HerderError> {
        let (config, nulls) = split(&given);
        if nulls.is_empty() {
            return Ok(config);
        }
        Err(invalid(&self.validate(given).await?))
    }
}

impl Inner {
    /// The loaded class and the checked config.
    pub(super) async fn validate(
        &self,
        config: &ConfigMap,
    ) -> Result<(Arc<dyn ConnectorPlugin>, ConnectorConfig), HerderError> {
        let (plugin, checked) = self.check(config).await?;
        let problems = self.ask(&plugin, config).await?;
        if problems.is_empty() {
            return Ok((plugin, checked));
        }
        Err(invalid(&self.infos(&plugin, &given(config), problems)))
    }

    /// The loaded class and the config checked against its definition; runs no check of the connector's own.
    pub(super) async fn check(
        &self,
        config: &ConfigMap,
    ) -> Result<(Arc<dyn ConnectorPlugin>, ConnectorConfig), HerderError> {
        let plugin = self.load(config).await?;
        let checked = self.check_with(&plugin, config).await?;
        Ok((plugin, checked))
    }

    /// The config checked against the definition of a class.
    pub(super) async fn check_with(
        &self,
        plugin: &Arc<dyn ConnectorPlugin>,
        config: &ConfigMap,
    ) -> Result<ConnectorConfig, HerderError> {
        let refused = |problems| invalid(&self.infos(plugin, &given(config), problems));
        let mut checked = self.parse(plugin, config).map_err(refused)?;
        checked.transforms = self.transforms(&checked).await.map_err(refused)?;
        Ok(checked)
    }

    async fn load(&self, config: &ConfigMap) -> Result<Arc<dyn ConnectorPlugin>, NotLoaded> {
        let Some(class) = config.get("connector.class").map(|class| class.trim()) else {
            let shown: Vec<String> = config
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            return Err(NotLoaded::Other(HerderError::BadConfig(format!(
                "Connector config {{{}}} contains no connector type",
                shown.join(", ")
            ))));
        };
        let wanted = wanted(config).map_err(|message| {
            let mut problems = Problems::default();
            problems.add(PLUGIN_VERSION, message);
            self.wrong_version(config, problems, self.versions(class))
        })?;
        let loaded = self.plugins.load_wanted(&wanted).await.map_err(|error| {
            let message = error.to_string();
            match error {
                LookupError::UnknownClass(_) => {
                    NotLoaded::Other(HerderError::BadConfig(self.no_class(class)))
                }
                LookupError::Unusable(_) => NotLoaded::Other(HerderError::BadConfig(message)),
                LookupError::NoVersion { mut versions, .. } => {
                    let mut problems = Problems::default();
                    problems.add("connector.class", message.clone());
                    problems.add(PLUGIN_VERSION, message);
                    versions.reverse();
                    self.wrong_version(config, problems, versions)
                }
            }
        })?;
        if loaded.info().kind == Kind::Transform {
            return Err(NotLoaded::Other(HerderError::BadConfig(format!(
                "{class} is a transformation and no connector: name it in transforms.<alias>.type"
            ))));
        }
        Ok(loaded)
    }

    /// The keys that every connector has: of which version the others would be is not known.
    fn wrong_version(&self, config: &ConfigMap, problems: Problems, versions: Vec<String>) -> NotLoaded {
        let list = self.plugins.list();
        let class = config.get("connector.class").map_or("", |class| class.trim());
        let known = list.iter().find(|info| info.is_named(class));
        let looked = Looked {
            given: &given(config),
            kind: known.map_or(Kind::Source, |info| info.kind),
            versions: &versions,
            own: &ConfigDef::default(),
            worker: &self.shared.worker,
        };
        NotLoaded::Version(Box::new(infos(&looked, &problems)))
    }

    /// All versions of a class, newest first.
    fn versions(&self, class: &str) -> Vec<String> {
        let list = self.plugins.list().into_iter();
        list.filter(|info| info.is_named(class))
            .map(|info| info.version)
            .collect()
    }

    fn parse(
        &self,
        plugin: &Arc<dyn ConnectorPlugin>,
        config: &ConfigMap,
    ) -> Result<ConnectorConfig, Problems> {
        let kind = plugin.info().kind;
        ConnectorConfig::parse(config, kind, plugin.config_def(), &self.shared.worker)
    }

    /// What the connector itself finds wrong with a config that its definition allows.
    async fn ask(
        &self,
        plugin: &Arc<dyn ConnectorPlugin>,
        config: &ConfigMap,
    ) -> Result<Problems, HerderError> {
        let mut problems = Problems::default();
        match plugin.validate(&sorted(config)).await {
            Ok(issues) => {
                for issue in issues {
                    problems.add(&issue.name, issue.message);
                }
            }
            Err(error) if error.kind == ErrorKind::Config => problems.add("connector.class", error.message),
            Err(error) => {
                return Err(HerderError::Internal(format!(
                    "connector class {} could not check its config: {error}",
                    plugin.info().class
                )));
            }
        }
        Ok(problems)
    }

    fn infos(
        &self,
        plugin: &Arc<dyn ConnectorPlugin>,
        given: &GivenConfig,
        problems: Problems,
    ) -> ConfigInfos {
        let info = plugin.info();
        let versions = self.versions(&info.class);
        let looked = Looked {
            given,
            kind: info.kind,
            versions: &versions,
            own: plugin.config_def(),
            worker: &self.shared.worker,
        };
        infos(&looked, &problems)
    }

    /// Kafka's sentence for a class it does not know.
    fn no_class(&self, class: &str) -> String {
        let list = self.plugins.list();
        let mut available: Vec<&str> = list.iter().map(|info| info.class.as_str()).collect();
        available.dedup();
        let hint = match (self.plugins.bad().len(), available.is_empty()) {
            (0, false) => String::new(),
            (0, true) => " (no plugin was found at all, see plugin.path)".to_owned(),
            (bad, _) => format!(" ({bad} packages cannot be used, see `jackfield plugins`)"),
        };
        format!(
            "Failed to find any class that implements Connector and which name matches {class}, available connectors \
             are: {}{hint}",
            available.join(", ")
        )
    }
}

/// The values, and the keys whose value is null.
fn split(given: &GivenConfig) -> (ConfigMap, Vec<String>) {
    let mut config = ConfigMap::new();
    let mut nulls = Vec::new();
    for (key, value) in given {
        match value {
            Some(value) => drop(config.insert(key.clone(), value.clone())),
            None => nulls.push(key.clone()),
        }
    }
    (config, nulls)
}

fn with_nulls(mut problems: Problems, nulls: &[String]) -> Problems {
    for key in nulls {
        problems.add(key, "Null value can not be supplied as the configuration value.");
    }
    problems
}

fn given(config: &ConfigMap) -> GivenConfig {
    let entries = config.iter();
    entries
        .map(|(key, value)| (key.clone(), Some(value.clone())))
        .collect()
}

/// Kafka's body for an invalid config.
fn invalid(infos: &ConfigInfos) -> HerderError {
    let errors: Vec<&str> = infos.errors().collect();
    HerderError::BadConfig(format!(
        "Connector configuration is invalid and contains the following {} error(s):\n{}\nYou can also find the above \
         list of errors at the endpoint `/connector-plugins/{{connectorType}}/config/validate`",
        errors.len(),
        errors.join("\n")
    ))
}

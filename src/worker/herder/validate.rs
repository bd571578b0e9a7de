//! Checking a connector's config: class, definition, and what the connector itself says.

use std::sync::Arc;

use jackfield_api::ErrorKind;
use jackfield_plugin::{ConnectorPlugin, Kind};

use super::{Herder, HerderError, Inner};
use crate::{
    ConfigMap, GivenConfig,
    config_infos::ConfigInfos,
    connector_config::{ConnectorConfig, Looked, Problems, form, infos, sorted, transforms},
    transforms::TransformSpec,
};

impl Herder {
    /// `PUT /connector-plugins/{class}/config/validate`: every key with its value and what is wrong with it.
    ///
    /// # Errors
    /// The class is not named or not known, or its check failed.
    pub async fn validate(&self, given: GivenConfig) -> Result<ConfigInfos, HerderError> {
        let inner = Arc::clone(&self.inner);
        self.finish("validate".to_owned(), async move {
            let (config, nulls) = split(&given);
            let plugin = inner.load(&config).await?;
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
        let refused = |problems| invalid(&self.infos(&plugin, &given(config), problems));
        let mut checked = self.parse(&plugin, config).map_err(refused)?;
        checked.transforms = self.transforms(&checked).await.map_err(refused)?;
        Ok((plugin, checked))
    }

    /// The transforms of a config, loaded, their options checked.
    async fn transforms(&self, checked: &ConnectorConfig) -> Result<Vec<TransformSpec>, Problems> {
        let mut problems = Problems::default();
        let mut specs = Vec::new();
        for named in &checked.named_transforms {
            let key = format!("transforms.{}.type", named.alias);
            let invalid =
                |what: &str| format!("Invalid value {} for configuration {key}: {what}", named.class);
            let plugin = match self.plugins.load(&named.class, named.form).await {
                Ok(plugin) if plugin.info().kind == Kind::Transform => plugin,
                Ok(plugin) => {
                    let what = format!("it is a {}, not a transformation", plugin.info().kind);
                    problems.add(&key, invalid(&what));
                    continue;
                }
                Err(error) => {
                    problems.add(&key, invalid(&error.0));
                    continue;
                }
            };
            let before = problems.iter().count();
            transforms::check(named, plugin.config_def(), &mut problems);
            if problems.iter().count() == before {
                match plugin.validate(&named.options).await {
                    Ok(issues) => {
                        for issue in issues {
                            problems.add(
                                &format!("transforms.{}.{}", named.alias, issue.name),
                                issue.message,
                            );
                        }
                    }
                    Err(error) => problems.add(&key, invalid(&error.message)),
                }
            }
            specs.push(TransformSpec {
                alias: named.alias.clone(),
                plugin,
                options: named.options.clone(),
            });
        }
        if problems.is_empty() {
            Ok(specs)
        } else {
            Err(problems)
        }
    }

    async fn load(&self, config: &ConfigMap) -> Result<Arc<dyn ConnectorPlugin>, HerderError> {
        let Some(class) = config.get("connector.class").map(|class| class.trim()) else {
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
        if plugin.info().kind == Kind::Transform {
            return Err(HerderError::BadConfig(format!(
                "{class} is a transformation and no connector: name it in transforms.<alias>.type"
            )));
        }
        Ok(plugin)
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
        let list = self.plugins.list();
        let versions = list.into_iter().filter(|other| other.class == info.class);
        let versions: Vec<String> = versions.map(|other| other.version).collect();
        let looked = Looked {
            given,
            kind: info.kind,
            versions: &versions,
            own: plugin.config_def(),
            worker: &self.shared.worker,
        };
        infos(&looked, &problems)
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

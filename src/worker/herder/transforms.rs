//! Loading the transforms of a connector's config.

use jackfield_plugin::Kind;

use super::Inner;
use crate::{
    connector_config::{ConnectorConfig, Problems, transforms},
    transforms::TransformSpec,
};

impl Inner {
    /// The transforms of a config, loaded, their options checked.
    pub(super) async fn transforms(&self, checked: &ConnectorConfig) -> Result<Vec<TransformSpec>, Problems> {
        let mut problems = Problems::default();
        let mut specs = Vec::new();
        for named in &checked.named_transforms {
            let key = format!("transforms.{}.type", named.alias);
            let class = &named.wanted.class;
            let invalid = |what: &str| format!("Invalid value {class} for configuration {key}: {what}");
            let plugin = match self.plugins.load_wanted(&named.wanted).await {
                Ok(plugin) if plugin.info().kind == Kind::Transform => plugin,
                Ok(plugin) => {
                    let what = format!("it is a {}, not a transformation", plugin.info().kind);
                    problems.add(&key, invalid(&what));
                    continue;
                }
                Err(error) => {
                    problems.add(&key, invalid(&error.to_string()));
                    continue;
                }
            };
            let before = problems.iter().count();
            transforms::check(named, plugin.config_def(), &mut problems);
            if problems.iter().count() == before {
                match plugin.validate(&named.options).await {
                    Ok(issues) => {
                        for issue in issues {
                            let key = format!("transforms.{}.{}", named.alias, issue.name);
                            problems.add(&key, issue.message);
                        }
                    }
                    Err(error) => problems.add(&key, invalid(&error.message)),
                }
            }
            specs.push(TransformSpec {
                alias: named.alias.clone(),
                wanted: named.wanted.clone(),
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
}

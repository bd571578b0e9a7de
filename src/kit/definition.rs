//! Config definitions: what they say, and that wrong values are told by option.

use std::collections::BTreeSet;

use jackfield_api::{ConfigDef, ConfigKey, ConfigType};

use crate::{Entry, Verdict, checks, stage::Stage};

pub(crate) const CHECKS: &[Entry] = checks![
    "a good config has no problem" => good,
    "a missing option is told by its name" => missing,
    "a value of a wrong type is told by its option" => wrong_types,
    "odd values are refused or taken, never fatal" => odd_values,
];

/// Values nobody should write.
const ODD: &[&str] = &[
    "",
    "   ",
    "\u{0}\u{1}\u{7f}",
    "🦀",
    "-1",
    "99999999999999999999",
    "NaN",
    "{",
    "[",
    "%s%n",
    "a,,b",
];
const LONG: usize = 64 * 1024;

/// What the definition says of itself.
pub(crate) fn definition(definition: &ConfigDef) -> Verdict {
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for key in &definition.keys {
        let ConfigKey {
            name, documentation, ..
        } = key;
        if name.is_empty() {
            wrong.push("an option has no name".to_owned());
        }
        if !names.insert(name) {
            wrong.push(format!("{name} is defined twice"));
        }
        if documentation.trim().is_empty() {
            wrong.push(format!("{name} has no documentation"));
        }
        if let Some(default) = &key.default
            && let Err(message) = key.check(default)
        {
            wrong.push(format!("the default of {name} is not valid: {message}"));
        }
    }
    if wrong.is_empty() {
        Ok(None)
    } else {
        Err(wrong.join("; "))
    }
}

async fn good(stage: &Stage<'_>) -> Verdict {
    let problems = stage.problems(&stage.config).await?;
    if !problems.is_empty() {
        let told = problems
            .iter()
            .map(|(name, message)| format!("{name}: {message}"));
        return Err(told.collect::<Vec<_>>().join("; "));
    }
    stage.task_config().await?;
    Ok(None)
}

async fn missing(stage: &Stage<'_>) -> Verdict {
    let required: Vec<_> = stage
        .plugin
        .config_def()
        .keys
        .iter()
        .filter(|key| key.required)
        .collect();
    if required.is_empty() {
        return Ok(Some("no option is required".to_owned()));
    }
    for key in required {
        let mut config = stage.config.clone();
        config.remove(&key.name);
        told(stage, &config, key, "is left out").await?;
    }
    Ok(None)
}

async fn wrong_types(stage: &Stage<'_>) -> Verdict {
    let text = [
        ConfigType::String,
        ConfigType::List,
        ConfigType::Class,
        ConfigType::Password,
    ];
    let keys = stage.plugin.config_def().keys.iter();
    let typed: Vec<_> = keys.filter(|key| !text.contains(&key.kind)).collect();
    if typed.is_empty() {
        return Ok(Some("all options are texts".to_owned()));
    }
    for key in typed {
        let mut config = stage.config.clone();
        config.insert(key.name.clone(), "neither here nor there".to_owned());
        told(stage, &config, key, "is not of its type").await?;
    }
    Ok(None)
}

/// Fails when no problem of this config names the option.
async fn told(
    stage: &Stage<'_>,
    config: &std::collections::BTreeMap<String, String>,
    key: &ConfigKey,
    what: &str,
) -> Result<(), String> {
    let problems = stage.problems(config).await?;
    let name = &key.name;
    if problems.iter().any(|(found, _)| found == name) {
        return Ok(());
    }
    let found: Vec<_> = problems.into_iter().map(|(name, _)| name).collect();
    Err(format!(
        "when {name} {what}, problems are told of: [{}]",
        found.join(", ")
    ))
}

async fn odd_values(stage: &Stage<'_>) -> Verdict {
    let names: BTreeSet<_> = stage
        .plugin
        .config_def()
        .keys
        .iter()
        .map(|key| key.name.clone())
        .collect();
    let long = "x".repeat(LONG);
    for name in &names {
        for value in ODD.iter().copied().chain([long.as_str()]) {
            let mut config = stage.config.clone();
            config.insert(name.clone(), value.to_owned());
            let shown: String = value.chars().take(30).collect();
            let odd = |what: String| format!("with {name}={shown:?} {what}");
            let problems = stage.problems(&config).await.map_err(odd)?;
            let mut unknown = problems.iter().map(|(name, _)| name);
            if let Some(unknown) =
                unknown.find(|found| !config.contains_key(*found) && !names.contains(*found))
            {
                return Err(odd(format!("a problem names {unknown:?}, which is no option")));
            }
            if !problems.is_empty() || stage.plugin.info().kind == jackfield_plugin::Kind::Transform {
                continue;
            }
            if let Err(error) = stage.plugin.task_configs(&config, 3).await
                && error.is_fault
            {
                return Err(odd(error.message));
            }
        }
    }
    Ok(None)
}

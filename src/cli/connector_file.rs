//! Connectors given on the command line, in the forms Kafka takes: a flat JSON object with `name`, a JSON object with
//! `name`, `config` and `initial_state`, or a properties file.

use std::path::{Path, PathBuf};

use jackfield_worker::{ConfigMap, TargetState};
use serde_json::{Map, Value};

use crate::{exit::ConnectorFailed, properties};

/// A connector as a file describes it; `name` is part of the config.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConnectorFile {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) config: ConfigMap,
    pub(crate) initial_state: TargetState,
}

impl ConnectorFile {
    /// Reads a file; the error names it and says what is wrong.
    pub(crate) fn read(path: &Path) -> Result<Self, ConnectorFailed> {
        let bytes = std::fs::read(path).map_err(|error| failed(path, &format!("cannot be read: {error}")))?;
        Self::of_bytes(path, &bytes)
    }

    /// As [`ConnectorFile::read`], with the file's content.
    pub(crate) fn of_bytes(path: &Path, bytes: &[u8]) -> Result<Self, ConnectorFailed> {
        let failed = |reason: String| failed(path, &reason);
        let (config, initial_state) = parse(bytes).map_err(failed)?;
        let Some(name) = config.get("name").filter(|name| !name.is_empty()).cloned() else {
            return Err(failed(
                "has no 'name'; add a line such as name=my-connector".to_owned(),
            ));
        };
        Ok(Self {
            path: path.to_owned(),
            name,
            config,
            initial_state,
        })
    }
}

fn failed(path: &Path, reason: &str) -> ConnectorFailed {
    ConnectorFailed(format!("connector file {}: {reason}", path.display()))
}

/// Reads the content of a file, which may lack a name. The error ends a sentence about the file.
pub(crate) fn parse(bytes: &[u8]) -> Result<(ConfigMap, TargetState), String> {
    let is_json = bytes.trim_ascii_start().starts_with(b"{");
    if !is_json {
        let properties = properties::parse(bytes).map_err(|error| format!("is not valid: {error}"))?;
        return Ok((properties.into_iter().collect(), TargetState::Started));
    }
    let object: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| format!("is not valid JSON: {error}"))?;
    if matches!(object.get("config"), Some(Value::Object(_))) {
        nested(object)
    } else {
        flat(object)
    }
}

fn flat(object: Map<String, Value>) -> Result<(ConfigMap, TargetState), String> {
    Ok((strings(object)?, TargetState::Started))
}

fn nested(object: Map<String, Value>) -> Result<(ConfigMap, TargetState), String> {
    let (mut config, mut name, mut initial_state) = (ConfigMap::new(), None, TargetState::Started);
    for (field, value) in object {
        match (field.as_str(), value) {
            ("config", Value::Object(fields)) => config = strings(fields)?,
            ("name", Value::String(text)) => name = Some(text),
            ("initial_state", Value::Null) => {}
            ("initial_state", Value::String(text)) => initial_state = target_state(&text)?,
            (other, _) => {
                return Err(format!(
                    "has an unexpected field '{other}' beside 'name' and 'config'"
                ));
            }
        }
    }
    let name = name.ok_or("has no 'name' beside 'config'")?;
    let configured = config.entry("name".to_owned()).or_insert_with(|| name.clone());
    if *configured != name {
        return Err(format!("is named '{name}', and '{configured}' in its config"));
    }
    Ok((config, initial_state))
}

fn strings(object: Map<String, Value>) -> Result<ConfigMap, String> {
    let text = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Number(number) => Ok((key, number.to_string())),
        Value::Bool(flag) => Ok((key, flag.to_string())),
        other => Err(format!("has no plain value for '{key}', but {other}")),
    };
    object.into_iter().map(text).collect()
}

fn target_state(name: &str) -> Result<TargetState, String> {
    match name.to_ascii_uppercase().as_str() {
        "RUNNING" => Ok(TargetState::Started),
        "PAUSED" => Ok(TargetState::Paused),
        "STOPPED" => Ok(TargetState::Stopped),
        _ => Err(format!(
            "has initial_state '{name}'; it must be RUNNING, PAUSED or STOPPED"
        )),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(content: &str, expected: &Expect) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c");
        std::fs::write(&path, content).unwrap();
        let text = match ConnectorFile::read(&path) {
            Ok(file) => format!("{} {:?} {:?}", file.name, file.initial_state, file.config),
            Err(error) => error.to_string().replace(&path.display().to_string(), "FILE"),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn three_forms() {
        check(
            "name=a\nconnector.class=FileStreamSource\n",
            &expect![[r#"a Started {"connector.class": "FileStreamSource", "name": "a"}"#]],
        );
        check(
            r#" {"name":"a","tasks.max":1,"x":true}"#,
            &expect![[r#"a Started {"name": "a", "tasks.max": "1", "x": "true"}"#]],
        );
        check(
            r#"{"name":"a","config":{"tasks.max":"1"},"initial_state":"paused"}"#,
            &expect![[r#"a Paused {"tasks.max": "1", "name": "a"}"#]],
        );
        check(
            r#"{"name":"a","config":"flat"}"#,
            &expect![[r#"a Started {"name": "a", "config": "flat"}"#]],
        );
    }

    #[test]
    fn what_is_wrong() {
        check(
            "tasks.max=1\n",
            &expect!["connector file FILE: has no 'name'; add a line such as name=my-connector"],
        );
        check(
            r#"{"name":"a""#,
            &expect![
                "connector file FILE: is not valid JSON: EOF while parsing an object at line 1 column 11"
            ],
        );
        check(
            r#"{"name":"a","config":{"name":"b"}}"#,
            &expect!["connector file FILE: is named 'a', and 'b' in its config"],
        );
        check(
            r#"{"name":"a","config":{},"initial_state":"x"}"#,
            &expect!["connector file FILE: has initial_state 'x'; it must be RUNNING, PAUSED or STOPPED"],
        );
        check(
            r#"{"name":"a","config":{},"tasks":[]}"#,
            &expect!["connector file FILE: has an unexpected field 'tasks' beside 'name' and 'config'"],
        );
        check(
            r#"{"name":"a","x":[1]}"#,
            &expect!["connector file FILE: has no plain value for 'x', but [1]"],
        );
        let missing = ConnectorFile::read(Path::new("/nope")).unwrap_err().to_string();
        assert!(
            missing.starts_with("connector file /nope: cannot be read: No such file"),
            "{missing}"
        );
    }
}

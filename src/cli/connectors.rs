//! `jackfield connectors`: a Connect worker through its REST API.

mod rest;
mod shown;

use std::{io::Read as _, path::PathBuf};

use anyhow::{Context as _, anyhow, bail};
use jackfield_worker::TargetState;
use serde_json::{Value, json};

use self::rest::{Rest, RestError, segment};
use crate::{
    arguments::{ConnectorOffsetsAction, ConnectorsAction, ConnectorsArguments, LogsAction},
    client::key_value,
    configuration::Environment,
    connector_file::ConnectorFile,
    exit::CannotRead,
    kafka::Refusal,
    output::{Outcome, Output, confirm, suggestion},
};

/// Runs one action.
pub(crate) fn run(arguments: ConnectorsArguments, environment: &Environment) -> anyhow::Result<()> {
    let worker = Worker {
        rest: Rest::new(&arguments.worker, environment)?,
        output: Output::new(arguments.output, environment),
    };
    match arguments.action {
        ConnectorsAction::List => worker.list(),
        ConnectorsAction::Describe(named) => worker.describe(&named.name),
        ConnectorsAction::Create { files } => worker.create(&files),
        ConnectorsAction::Apply { files } => worker.apply(&files),
        ConnectorsAction::Patch { named, pairs } => worker.patch(&named.name, &pairs),
        ConnectorsAction::Pause(named) => worker.each(&named.names, "paused", "PUT", "pause"),
        ConnectorsAction::Resume(named) => worker.each(&named.names, "resumed", "PUT", "resume"),
        ConnectorsAction::Stop(named) => worker.each(&named.names, "stopped", "PUT", "stop"),
        ConnectorsAction::Restart {
            named,
            include_tasks,
            only_failed,
            task,
        } => {
            let path = match task {
                Some(task) => format!("tasks/{task}/restart"),
                None => format!("restart?includeTasks={include_tasks}&onlyFailed={only_failed}"),
            };
            worker.each(&named.names, "restarted", "POST", &path)
        }
        ConnectorsAction::Delete { named, confirmation } => {
            confirm(&format!("delete {}?", named.names.join(", ")), confirmation.yes)?;
            worker.each(&named.names, "deleted", "DELETE", "")
        }
        ConnectorsAction::Tasks(named) => worker.tasks(&named.name),
        ConnectorsAction::Topics { named, reset: false } => worker.topics(&named.name),
        ConnectorsAction::Topics { named, reset: true } => {
            worker.each(&[named.name], "forgot the topics of", "PUT", "topics/reset")
        }
        ConnectorsAction::Offsets { action } => worker.offsets(action),
        ConnectorsAction::Plugins { all } => worker.plugins(all),
        ConnectorsAction::Validate { files } => worker.validate(&files),
        ConnectorsAction::Logs { action } => worker.logs(action),
    }
}

struct Worker {
    rest: Rest,
    output: Output,
}

impl Worker {
    fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.rest.send("GET", path, None)?.body)
    }

    /// As [`Rest::send`] for a path below a connector; a connector that does not exist gets a suggestion.
    fn of(
        &self,
        name: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<rest::Answer, RestError> {
        let slash = if path.is_empty() { "" } else { "/" };
        let path = format!("/connectors/{}{slash}{path}", segment(name));
        let result = self.rest.send(method, &path, body);
        let Err(RestError::Refused { status: 404, message }) = result else {
            return result;
        };
        let known = self.rest.send("GET", "/connectors", None)?.body;
        let known: Vec<_> = known
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let message = if known.contains(&name) {
            message
        } else {
            format!("does not exist{}", suggestion(name, known))
        };
        Err(RestError::Refused { status: 404, message })
    }

    fn get_of(&self, name: &str, path: &str) -> anyhow::Result<Value> {
        let answer = self.of(name, "GET", path, None);
        Ok(answer.map_err(|error| about(name, error))?.body)
    }

    /// One request for each connector, whose answer says nothing more.
    fn each(&self, names: &[String], done: &str, method: &str, path: &str) -> anyhow::Result<()> {
        let mut outcomes = Vec::new();
        for name in names {
            let result = self.of(name, method, path, None).map(|_| done.to_owned());
            outcomes.push(outcome(name, result)?);
        }
        self.output.outcomes(&outcomes)
    }

    fn list(&self) -> anyhow::Result<()> {
        let all = self.get("/connectors?expand=info&expand=status")?;
        self.output.print(&all, || shown::list(&self.output, &all))
    }

    fn describe(&self, name: &str) -> anyhow::Result<()> {
        let info = self.get_of(name, "")?;
        let status = self.get_of(name, "status")?;
        let document = json!({"info": info, "status": status});
        self.output
            .print(&document, || shown::describe(&self.output, &info, &status))
    }

    fn create(&self, files: &[PathBuf]) -> anyhow::Result<()> {
        let mut outcomes = Vec::new();
        for file in read_all(files)? {
            outcomes.push(outcome(
                &file.name,
                self.post(&file).map(|()| "created".to_owned()),
            )?);
        }
        self.output.outcomes(&outcomes)
    }

    fn post(&self, file: &ConnectorFile) -> Result<(), RestError> {
        let mut body = json!({"name": file.name, "config": file.config});
        match file.initial_state {
            TargetState::Started => {}
            TargetState::Paused => body["initial_state"] = json!("PAUSED"),
            TargetState::Stopped => body["initial_state"] = json!("STOPPED"),
        }
        self.rest.send("POST", "/connectors", Some(&body)).map(|_| ())
    }

    fn apply(&self, files: &[PathBuf]) -> anyhow::Result<()> {
        let mut outcomes = Vec::new();
        for file in read_all(files)? {
            outcomes.push(outcome(&file.name, self.apply_one(&file).map(str::to_owned))?);
        }
        self.output.outcomes(&outcomes)
    }

    /// A state at the start is for connectors that are new, and only POST takes it.
    fn apply_one(&self, file: &ConnectorFile) -> Result<&'static str, RestError> {
        if file.initial_state != TargetState::Started {
            match self.of(&file.name, "GET", "", None) {
                Err(RestError::Refused { status: 404, .. }) => return self.post(file).map(|()| "created"),
                other => other?,
            };
        }
        let path = format!("/connectors/{}/config", segment(&file.name));
        let answer = self.rest.send("PUT", &path, Some(&json!(file.config)))?;
        Ok(if answer.status == 201 {
            "created"
        } else {
            "configured"
        })
    }

    fn patch(&self, name: &str, pairs: &[String]) -> anyhow::Result<()> {
        let mut changes = serde_json::Map::new();
        for pair in pairs {
            let (key, value) = key_value("KEY=[VALUE]", pair)?;
            let value = if value.is_empty() {
                Value::Null
            } else {
                Value::String(value)
            };
            changes.insert(key, value);
        }
        let result = match self.of(name, "PATCH", "config", Some(&Value::Object(changes.clone()))) {
            // Workers before Kafka 3.8.
            Err(RestError::NotOffered { .. }) => self.replace(name, changes),
            other => other.map(|_| ()),
        };
        self.output
            .outcomes(&[outcome(name, result.map(|()| "configured".to_owned()))?])
    }

    fn replace(&self, name: &str, changes: serde_json::Map<String, Value>) -> Result<(), RestError> {
        let mut config = self.of(name, "GET", "config", None)?.body;
        if let Value::Object(config) = &mut config {
            for (key, value) in changes {
                config.insert(key, value);
            }
            config.retain(|_, value| !value.is_null());
        }
        self.of(name, "PUT", "config", Some(&config)).map(|_| ())
    }

    fn tasks(&self, name: &str) -> anyhow::Result<()> {
        let mut status = self.get_of(name, "status")?;
        let tasks = status["tasks"].take();
        self.output.print(&tasks, || shown::tasks(&self.output, &tasks))
    }

    fn topics(&self, name: &str) -> anyhow::Result<()> {
        let answer = self.get_of(name, "topics")?;
        self.output.print(&answer, || {
            let topics = answer[name]["topics"].as_array().into_iter().flatten();
            topics
                .filter_map(Value::as_str)
                .map(|topic| format!("{topic}\n"))
                .collect()
        })
    }

    fn offsets(&self, action: ConnectorOffsetsAction) -> anyhow::Result<()> {
        let (name, answer) = match action {
            ConnectorOffsetsAction::Get(named) => {
                let offsets = self.get_of(&named.name, "offsets")?;
                return self
                    .output
                    .print(&offsets, || shown::offsets(&self.output, &offsets));
            }
            ConnectorOffsetsAction::Alter {
                named,
                file,
                confirmation,
            } => {
                let offsets = read_json(&file)?;
                confirm(
                    &format!("change the offsets of {}?", named.name),
                    confirmation.yes,
                )?;
                let answer = self.of(&named.name, "PATCH", "offsets", Some(&offsets));
                (named.name, answer)
            }
            ConnectorOffsetsAction::Reset { named, confirmation } => {
                confirm(
                    &format!("forget the offsets of {}?", named.name),
                    confirmation.yes,
                )?;
                let answer = self.of(&named.name, "DELETE", "offsets", None);
                (named.name, answer)
            }
        };
        let answer = answer.map_err(|error| about(&name, error))?.body;
        self.output.print(&answer, || {
            format!("{}\n", answer["message"].as_str().unwrap_or("done"))
        })
    }

    fn plugins(&self, all: bool) -> anyhow::Result<()> {
        let plugins = self.get(&format!("/connector-plugins?connectorsOnly={}", !all))?;
        self.output
            .print(&plugins, || shown::plugins(&self.output, &plugins))
    }

    fn validate(&self, files: &[PathBuf]) -> anyhow::Result<()> {
        let (mut answers, mut text, mut errors) = (Vec::new(), String::new(), 0);
        for file in read_all(files)? {
            let answer = match self.validate_one(&file) {
                Ok(answer) => answer,
                // The other files are checked all the same.
                Err(RestError::Refused { message, .. }) => {
                    errors += 1;
                    text += &format!("{}: {message}\n", file.name);
                    answers.push(json!({"name": file.name, "error_count": 1, "error": message}));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            errors += answer["error_count"].as_u64().unwrap_or(0);
            text += &shown::validation(&self.output, &file.name, &answer);
            answers.push(answer);
        }
        self.output.print(&Value::Array(answers), || text)?;
        match errors {
            0 => Ok(()),
            1 => bail!("1 error"),
            many => bail!("{many} errors"),
        }
    }

    fn validate_one(&self, file: &ConnectorFile) -> Result<Value, RestError> {
        let Some(class) = file.config.get("connector.class") else {
            return Err(RestError::Refused {
                status: 400,
                message: format!("has no connector.class, in {}", file.path.display()),
            });
        };
        let path = format!("/connector-plugins/{}/config/validate", segment(class));
        Ok(self.rest.send("PUT", &path, Some(&json!(file.config)))?.body)
    }

    fn logs(&self, action: LogsAction) -> anyhow::Result<()> {
        match action {
            LogsAction::Get { logger } => {
                let answer = match &logger {
                    Some(logger) => {
                        let level = self.get(&format!("/admin/loggers/{}", segment(logger)))?;
                        json!({logger: level})
                    }
                    None => self.get("/admin/loggers")?,
                };
                self.output
                    .print(&answer, || shown::loggers(&self.output, &answer))
            }
            LogsAction::Set {
                logger,
                level,
                cluster,
            } => {
                let level = level.to_uppercase();
                let scope = if cluster { "?scope=cluster" } else { "" };
                let path = format!("/admin/loggers/{}{scope}", segment(&logger));
                let answer = self.rest.send("PUT", &path, Some(&json!({"level": level})))?;
                self.output.print(&answer.body, || {
                    // For the whole cluster there is no answer: other workers are only asked.
                    let changed = answer
                        .body
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str);
                    let changed: String = changed.map(|logger| format!("{logger}\n")).collect();
                    match (changed.is_empty(), cluster) {
                        (false, _) => changed,
                        (true, true) => format!("asked for {level} of {logger}\n"),
                        (true, false) => format!("{logger} was at {level} already\n"),
                    }
                })
            }
        }
    }
}

/// A refusal is one connector's; that nobody answers is everybody's.
fn outcome(name: &str, result: Result<String, RestError>) -> anyhow::Result<Outcome> {
    let result = match result {
        Ok(done) => Ok(done),
        Err(RestError::Refused { status, message }) => Err(Refusal::new(&status.to_string(), message)),
        Err(error) => return Err(error.into()),
    };
    Ok(Outcome {
        kind: "connector",
        name: name.to_owned(),
        result,
    })
}

fn about(name: &str, error: RestError) -> anyhow::Error {
    match error {
        RestError::Refused { message, .. } => anyhow!("connector '{name}': {message}"),
        other => other.into(),
    }
}

/// All files are read before the first is used.
fn read_all(files: &[PathBuf]) -> anyhow::Result<Vec<ConnectorFile>> {
    let read = |file: &PathBuf| {
        let bytes = std::fs::read(file).map_err(|error| CannotRead::named(file.display(), &error))?;
        ConnectorFile::of_bytes(file, &bytes).map_err(|error| anyhow!("{error}"))
    };
    files.iter().map(read).collect()
}

fn read_json(file: &PathBuf) -> anyhow::Result<Value> {
    let name = file.display();
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin()
            .read_to_end(&mut bytes)
            .context("standard input")?;
    } else {
        bytes = std::fs::read(file).map_err(|error| CannotRead::named(&name, &error))?;
    }
    let offsets: Value = serde_json::from_slice(&bytes).with_context(|| format!("{name} is no JSON"))?;
    if !offsets["offsets"].is_array() {
        bail!("{name}: must be {{\"offsets\": [{{\"partition\": {{…}}, \"offset\": {{…}}}}]}}");
    }
    Ok(offsets)
}

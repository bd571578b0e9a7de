//! Answers of a Connect worker for people.

use serde_json::Value;

use crate::output::Output;

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or("-")
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The first line of what a failed task left behind.
fn first_line(trace: &Value) -> String {
    let trace = trace.as_str().unwrap_or_default();
    trace.lines().next().unwrap_or_default().to_owned()
}

/// `3/4`: how many tasks run.
fn running(tasks: &Value) -> String {
    let running = items(tasks).filter(|task| task["state"] == "RUNNING").count();
    format!("{running}/{}", items(tasks).count())
}

/// `org.apache.kafka.connect.file.FileStreamSource` as `FileStreamSource`.
fn short(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

/// A table of connectors, with what went wrong below it.
pub(crate) fn list(output: &Output, all: &Value) -> String {
    let mut failures = String::new();
    let row = |(name, connector): (&String, &Value)| {
        let status = &connector["status"];
        failures += &traces(name, status);
        vec![
            name.clone(),
            word(&connector["info"], "type").to_owned(),
            word(&status["connector"], "state").to_owned(),
            running(&status["tasks"]),
            word(&status["connector"], "worker_id").to_owned(),
            short(word(&connector["info"]["config"], "connector.class")).to_owned(),
        ]
    };
    let rows: Vec<_> = all.as_object().into_iter().flatten().map(row).collect();
    output.table(&["CONNECTOR", "TYPE", "STATE", "TASKS", "WORKER", "CLASS"], &rows) + &failures
}

fn traces(name: &str, status: &Value) -> String {
    let mut text = String::new();
    if let Some(trace) = status["connector"].get("trace") {
        text += &format!("{name}: {}\n", first_line(trace));
    }
    for task in items(&status["tasks"]) {
        if let Some(trace) = task.get("trace") {
            text += &format!("{name}, task {}: {}\n", task["id"], first_line(trace));
        }
    }
    text
}

/// One connector: state, tasks, configuration, and all of what went wrong.
pub(crate) fn describe(output: &Output, info: &Value, status: &Value) -> String {
    let mut text = format!(
        "{}: {}, {} on {}\n",
        word(info, "name"),
        word(&status["connector"], "state"),
        word(info, "type"),
        word(&status["connector"], "worker_id"),
    );
    for (key, value) in info["config"].as_object().into_iter().flatten() {
        text += &format!("  {key}={}\n", value.as_str().unwrap_or_default());
    }
    if let Some(trace) = status["connector"]["trace"].as_str() {
        text += &format!("{}\n", trace.trim_end());
    }
    text += &table(output, &status["tasks"], false);
    for task in items(&status["tasks"]) {
        if let Some(trace) = task["trace"].as_str() {
            text += &format!("task {}: {}\n", task["id"], trace.trim_end());
        }
    }
    text
}

/// A table of tasks.
pub(crate) fn tasks(output: &Output, tasks: &Value) -> String {
    table(output, tasks, true)
}

fn table(output: &Output, tasks: &Value, with_traces: bool) -> String {
    let row = |task: &Value| {
        let lag = task["lag"].as_object();
        let lag: Vec<_> = lag
            .into_iter()
            .flatten()
            .map(|(unit, count)| format!("{count} {unit}"))
            .collect();
        vec![
            task["id"].to_string(),
            word(task, "state").to_owned(),
            word(task, "worker_id").to_owned(),
            lag.join(", "),
            if with_traces {
                first_line(&task["trace"])
            } else {
                String::new()
            },
        ]
    };
    let rows: Vec<_> = items(tasks).map(row).collect();
    if rows.is_empty() {
        return "no tasks\n".to_owned();
    }
    // Only Jackfield's worker says how far a task is behind, and what is empty everywhere says nothing.
    let header = ["TASK", "STATE", "WORKER", "BEHIND", "TRACE"];
    let used: Vec<_> = (0..header.len())
        .filter(|column| rows.iter().any(|row| !row[*column].is_empty()))
        .collect();
    let header: Vec<_> = used.iter().map(|column| header[*column]).collect();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| used.iter().map(|column| row[*column].clone()).collect())
        .collect();
    output.table(&header, &rows)
}

/// A table of offsets.
pub(crate) fn offsets(output: &Output, offsets: &Value) -> String {
    let row = |entry: &Value| vec![entry["partition"].to_string(), entry["offset"].to_string()];
    let rows: Vec<_> = items(&offsets["offsets"]).map(row).collect();
    output.table(&["PARTITION", "OFFSET"], &rows)
}

/// A table of plugins.
pub(crate) fn plugins(output: &Output, plugins: &Value) -> String {
    let row = |columns: &[&str], plugin: &Value| -> Vec<String> {
        let columns = columns.iter();
        columns.map(|name| word(plugin, name).to_owned()).collect()
    };
    let (unusable, usable): (Vec<_>, Vec<_>) = items(plugins).partition(|plugin| plugin["error"].is_string());
    let rows: Vec<_> = usable
        .into_iter()
        .map(|plugin| row(&["class", "type", "version"], plugin))
        .collect();
    let mut text = output.table(&["CLASS", "TYPE", "VERSION"], &rows);
    for plugin in unusable {
        let [location, error] = ["location", "error"].map(|name| word(plugin, name));
        text.push_str(&format!("cannot be used: {location}: {error}\n"));
    }
    text
}

/// What is wrong with a configuration.
pub(crate) fn validation(output: &Output, name: &str, answer: &Value) -> String {
    let mut rows = Vec::new();
    for config in items(&answer["configs"]) {
        let value = &config["value"];
        for error in items(&value["errors"]) {
            let given = value["value"].as_str().unwrap_or("(none)").to_owned();
            let error = error.as_str().unwrap_or_default().to_owned();
            rows.push(vec![word(value, "name").to_owned(), given, error]);
        }
    }
    if rows.is_empty() {
        format!("{name}: fine\n")
    } else {
        format!("{name}:\n{}", output.table(&["KEY", "VALUE", "ERROR"], &rows))
    }
}

/// A table of loggers.
pub(crate) fn loggers(output: &Output, loggers: &Value) -> String {
    let row = |(logger, level): (&String, &Value)| vec![logger.clone(), word(level, "level").to_owned()];
    let rows: Vec<_> = loggers.as_object().into_iter().flatten().map(row).collect();
    output.table(&["LOGGER", "LEVEL"], &rows)
}

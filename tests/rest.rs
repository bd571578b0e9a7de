//! Connect's REST API of the running program: paths, status codes and bodies.

use serde_json::{Value, json};

use crate::harness::{
    program::Standalone,
    rest::{Answer, Rest},
    scratch::{Scratch, free_port},
    wait,
};

fn source(file: &str) -> Value {
    json!({"connector.class": "FileStreamSource", "tasks.max": "1", "file": file, "topic": "rest-topic"})
}

fn with_name(config: &Value, name: &str) -> Value {
    let mut config = config.clone();
    config["name"] = json!(name);
    config
}

/// Connect's error body: a code and a message, nothing else.
fn check_error(answer: &Answer, status: u16, message: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let body = answer
        .body
        .as_object()
        .unwrap_or_else(|| panic!("an error body in {answer:?}"));
    assert_eq!(body.len(), 2, "{answer:?}");
    assert_eq!(body["error_code"], status, "{answer:?}");
    assert!(body["message"].as_str().unwrap().contains(message), "{answer:?}");
}

fn started(name: &str) -> (Scratch, Standalone) {
    let scratch = Scratch::new(name);
    let mut worker = Standalone::new(&scratch);
    worker.start(&[]);
    (scratch, worker)
}

#[test]
fn the_worker_describes_itself() {
    let (_scratch, worker) = started("rest-self");
    let rest = &worker.rest;
    let root = rest.get("/").body;
    assert_eq!(
        root.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["version", "commit", "kafka_cluster_id"]
    );
    assert_eq!(root["kafka_cluster_id"].as_str().unwrap().len(), 22);
    let health = wait::until("health", || {
        Some(rest.get("/health")).filter(|answer| answer.status == 200)
    });
    assert_eq!(health.body["status"], "healthy");
    assert!(health.body["message"].is_string());
    let plugins = rest.get("/connector-plugins").body;
    for (class, kind) in [
        ("FileStreamSourceConnector", "source"),
        ("FileStreamSinkConnector", "sink"),
    ] {
        let class = format!("org.apache.kafka.connect.file.{class}");
        let row = plugins
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["class"] == class)
            .unwrap();
        assert_eq!(row["type"], kind);
        assert!(row["version"].is_string());
    }
    let all = rest.get("/connector-plugins?connectorsOnly=false").body;
    for kind in ["source", "sink", "converter"] {
        assert!(
            all.as_array().unwrap().iter().any(|row| row["type"] == kind),
            "{kind} in {all}"
        );
    }
    check_error(&rest.get("/nothing/here"), 404, "");
}

#[test]
fn a_connector_is_created_read_changed_and_deleted() {
    let (scratch, worker) = started("rest-crud");
    let rest = &worker.rest;
    scratch.write("in.txt", "one\n");
    assert_eq!(rest.get("/connectors").body, json!([]));
    let created = rest.post("/connectors", &json!({"name": "a", "config": source("in.txt")}));
    assert_eq!(created.status, 201);
    assert!(
        created.location.as_deref().unwrap().ends_with("/connectors/a"),
        "{created:?}"
    );
    assert_eq!(created.body["name"], "a");
    assert_eq!(created.body["type"], "source");
    assert_eq!(created.body["config"], with_name(&source("in.txt"), "a"));
    check_error(
        &rest.post("/connectors", &json!({"name": "a", "config": source("in.txt")})),
        409,
        "a",
    );

    rest.wait_for_state("a", "RUNNING");
    wait::until("the source to say that nothing is left to read", || {
        let task = rest.get("/connectors/a/tasks/0/status").body;
        (task["lag"] == json!({"bytes": 0, "files": 0})).then_some(())
    });
    let info = rest.get("/connectors/a").body;
    assert_eq!(info["tasks"], json!([{"connector": "a", "task": 0}]));
    assert_eq!(rest.get("/connectors").body, json!(["a"]));
    assert_eq!(
        rest.get("/connectors/a/config").body,
        with_name(&source("in.txt"), "a")
    );
    let expanded = rest.get("/connectors?expand=status&expand=info").body;
    assert_eq!(expanded["a"]["info"], info);
    assert_eq!(expanded["a"]["status"]["name"], "a");
    let tasks = rest.get("/connectors/a/tasks").body;
    assert_eq!(tasks[0]["id"], json!({"connector": "a", "task": 0}));
    assert_eq!(tasks[0]["config"]["file"], "in.txt");

    let status = rest.get("/connectors/a/status").body;
    assert_eq!(
        status.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["name", "connector", "tasks", "type"]
    );
    assert_eq!(status["connector"]["state"], "RUNNING");
    let worker_id = status["connector"]["worker_id"].as_str().unwrap();
    assert!(worker_id.starts_with("127.0.0.1:"), "{worker_id}");
    assert_eq!(rest.get("/connectors/a/tasks/0/status").body, status["tasks"][0]);
    assert_eq!(status["tasks"][0]["id"], 0);

    let mut changed = source("in.txt");
    changed["batch.size"] = json!("7");
    let put = rest.put("/connectors/a/config", &changed);
    assert_eq!(
        (put.status, &put.body["config"]["batch.size"]),
        (200, &json!("7"))
    );
    assert_eq!(rest.put("/connectors/b/config", &source("other.txt")).status, 201);
    assert_eq!(rest.delete("/connectors/a").status, 204);
    wait::until("a to be gone", || {
        (rest.get("/connectors/a").status == 404).then_some(())
    });
    assert_eq!(rest.get("/connectors").body, json!(["b"]));
}

#[test]
fn states_are_changed_and_restarts_asked_for() {
    let (scratch, worker) = started("rest-states");
    let rest = &worker.rest;
    scratch.write("in.txt", "one\n");
    let body = json!({"name": "s", "config": source("in.txt"), "initial_state": "STOPPED"});
    assert_eq!(rest.post("/connectors", &body).status, 201);
    rest.wait_for_state("s", "STOPPED");
    assert_eq!(rest.get("/connectors/s/status").body["tasks"], json!([]));
    for (path, status, state) in [
        ("resume", 202, "RUNNING"),
        ("pause", 202, "PAUSED"),
        ("stop", 204, "STOPPED"),
        ("resume", 202, "RUNNING"),
    ] {
        let answer = rest.bare("PUT", &format!("/connectors/s/{path}"));
        assert_eq!((answer.status, answer.body), (status, Value::Null), "{path}");
        rest.wait_for_state("s", state);
    }
    // Each start of the task says where it reads on.
    let starts = || worker.log().matches("reading in.txt").count();
    let before = starts();
    assert_eq!(rest.bare("POST", "/connectors/s/restart").status, 204);
    rest.wait_for_state("s", "RUNNING");
    let restarted = rest.bare("POST", "/connectors/s/restart?includeTasks=true&onlyFailed=false");
    assert_eq!((restarted.status, &restarted.body["name"]), (202, &json!("s")));
    assert_eq!(restarted.body["connector"]["state"], "RESTARTING");
    wait::until("the task to start again", || {
        (starts() == before + 1).then_some(())
    });
    rest.wait_for_state("s", "RUNNING");
    assert_eq!(rest.bare("POST", "/connectors/s/tasks/0/restart").status, 204);
    wait::until("the task to start once more", || {
        (starts() == before + 2).then_some(())
    });
    rest.wait_for_state("s", "RUNNING");
}

#[test]
fn errors_have_connects_codes_and_body() {
    let (_scratch, worker) = started("rest-errors");
    let rest = &worker.rest;
    for path in [
        "/connectors/x",
        "/connectors/x/config",
        "/connectors/x/status",
        "/connectors/x/tasks",
        "/connectors/x/tasks/0/status",
    ] {
        check_error(&rest.get(path), 404, "x");
    }
    check_error(&rest.delete("/connectors/x"), 404, "x");
    check_error(&rest.bare("PUT", "/connectors/x/pause"), 404, "x");
    check_error(&rest.bare("POST", "/connectors/x/restart"), 404, "x");
    check_error(&rest.bare("POST", "/connectors/x/tasks/0/restart"), 404, "x");
    // Each names what is wrong.
    check_error(
        &rest.put(
            "/connectors/bad/config",
            &json!({"connector.class": "NoSuchConnector"}),
        ),
        400,
        "NoSuchConnector",
    );
    check_error(
        &rest.put(
            "/connectors/bad/config",
            &json!({"connector.class": "FileStreamSource"}),
        ),
        400,
        "topic",
    );
    let mut config = source("in.txt");
    config["tasks.max"] = json!("0");
    check_error(&rest.put("/connectors/bad/config", &config), 400, "tasks.max");
    config = with_name(&source("in.txt"), "other");
    check_error(&rest.put("/connectors/bad/config", &config), 400, "name");
    let sink = json!({"connector.class": "FileStreamSink", "file": "o", "topics": "a", "topics.regex": "b"});
    check_error(&rest.put("/connectors/bad/config", &sink), 400, "topics");
    let malformed = rest.send("POST", "/connectors", Some("{\"name\":")).unwrap();
    assert!(
        malformed.status == 400 || malformed.status == 500,
        "{malformed:?}"
    );
    assert!(malformed.body["error_code"].is_number(), "{malformed:?}");
    assert_eq!(rest.get("/connectors").body, json!([]), "nothing was created");
}

#[test]
fn what_runs_survives_a_restart_of_the_worker() {
    let (scratch, mut worker) = started("rest-restart");
    scratch.write("in.txt", "one\n");
    worker.rest.put("/connectors/kept/config", &source("in.txt"));
    worker.rest.put("/connectors/paused/config", &source("other.txt"));
    worker.rest.wait_for_state("kept", "RUNNING");
    worker.rest.wait_for_state("paused", "RUNNING");
    worker.rest.bare("PUT", "/connectors/paused/pause");
    worker.rest.wait_for_state("paused", "PAUSED");
    worker.kill_9();
    worker.start(&[]);
    worker.rest.wait_for_state("kept", "RUNNING");
    worker.rest.wait_for_state("paused", "PAUSED");
    assert_eq!(worker.rest.get("/connectors/kept/config").body["file"], "in.txt");
}

#[test]
fn admin_has_listeners_of_its_own_and_tracking_can_be_off() {
    let scratch = Scratch::new("rest-admin");
    let admin = Rest::new(free_port());
    let mut worker = Standalone::new(&scratch);
    worker.property("admin.listeners", &format!("http://127.0.0.1:{}", admin.port));
    worker.property("topic.tracking.enable", "false");
    worker.start(&[]);
    wait::until("the admin listener to answer", || {
        admin.send("GET", "/", None).ok()
    });
    assert_eq!(worker.rest.get("/admin/loggers").status, 404);
    assert_eq!(admin.get("/connectors").status, 404);
    let changed = admin.put("/admin/loggers/jackfield_worker", &json!({"level": "debug"}));
    assert_eq!((changed.status, changed.body), (200, json!(["jackfield_worker"])));
    let level = admin.get("/admin/loggers/jackfield_worker").body;
    assert_eq!(level["level"], "DEBUG");
    assert!(level["last_modified"].is_u64(), "{level}");
    for (method, path) in [
        ("GET", "/connectors/a/topics"),
        ("PUT", "/connectors/a/topics/reset"),
    ] {
        let refused = worker.rest.bare(method, path);
        let expected = json!({"error_code": 403, "message": "Topic tracking is disabled."});
        assert_eq!((refused.status, refused.body), (403, expected), "{path}");
    }
}

//! The files of `config/` and Kafka's own sample files: each one starts the program and means what it says.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;

use crate::harness::{
    process::Process,
    program::binary,
    rest::Rest,
    scratch::{Scratch, free_port},
    wait,
    wire::Wire,
};

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

/// A worker started with the given files, ports and directories moved by `--set`, which wins over files.
struct Worker {
    rest: Rest,
    kafka_port: u16,
    process: Process,
}

impl Worker {
    fn start(scratch: &Scratch, files: &[&Path]) -> Self {
        let (kafka_port, rest_port) = (free_port(), free_port());
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
        let mut command = Command::new(binary());
        command.current_dir(scratch.path()).arg("standalone").args(files);
        for setting in [
            format!("bootstrap.servers=127.0.0.1:{kafka_port}"),
            format!("broker.listeners=PLAINTEXT://127.0.0.1:{kafka_port}"),
            format!("listeners=http://127.0.0.1:{rest_port}"),
            format!("plugin.path={}", plugins.display()),
            format!("data.dir={}", scratch.join("data").display()),
            "broker.log.dirs=data/broker".to_owned(),
        ] {
            command.arg("--set").arg(setting);
        }
        let mut process = Process::start(
            "jackfield standalone",
            &mut command,
            &scratch.join("standalone.log"),
        );
        let rest = Rest::new(rest_port);
        rest.wait_until_up(|| assert!(process.is_running(), "the worker ended early"));
        Self {
            rest,
            kafka_port,
            process,
        }
    }

    fn stop(mut self) {
        assert_eq!(self.process.stop(Signal::TERM).0.code(), Some(0));
    }
}

/// Runs the quickstart with these three files and checks topic and sink file.
fn check_quickstart(scratch: &Scratch, worker: &Path, source: &Path, sink: &Path) {
    scratch.write("test.txt", "foo\nbar\n");
    let worker = Worker::start(scratch, &[worker, source, sink]);
    wait::until("both lines in test.sink.txt", || {
        (fs::read_to_string(scratch.join("test.sink.txt")).ok()? == "foo\nbar\n").then_some(())
    });
    let records = Wire::connect(worker.kafka_port).read_all("connect-test", 0);
    let texts: Vec<_> = records.iter().map(|record| record.text()).collect();
    assert_eq!(
        texts,
        [
            r#"{"schema":{"type":"string","optional":false},"payload":"foo"}"#,
            r#"{"schema":{"type":"string","optional":false},"payload":"bar"}"#
        ]
    );
    let mut names = worker.rest.get("/connectors").body;
    names.as_array_mut().unwrap().sort_by_key(ToString::to_string);
    assert_eq!(names, serde_json::json!(["local-file-sink", "local-file-source"]));
    worker.stop();
}

#[test]
fn the_shipped_quickstart_files_work() {
    let scratch = Scratch::new("config-quickstart");
    check_quickstart(
        &scratch,
        &config("connect-standalone.properties"),
        &config("connect-file-source.properties"),
        &config("connect-file-sink.properties"),
    );
}

/// No limit is reached in a test: the file is still hidden, with all that was committed.
#[test]
fn the_shipped_rolling_sink_works() {
    let scratch = Scratch::new("config-rolling");
    scratch.write("test.txt", "foo\nbar\n");
    fs::create_dir(scratch.join("out")).unwrap();
    let files = [
        "connect-standalone",
        "connect-file-source",
        "connect-file-sink-rolling",
    ]
    .map(|name| config(&format!("{name}.properties")));
    let worker = Worker::start(&scratch, &files.each_ref().map(PathBuf::as_path));
    let directory = scratch.join("out/connect-test/0");
    let file = directory.join(".00000000000000000000.jsonl.gz.part");
    wait::until("the first record in a file", || file.exists().then_some(()));
    wait::until("both lines in the topic", || {
        (Wire::connect(worker.kafka_port).read_all("connect-test", 0).len() == 2).then_some(())
    });
    let rest = worker.rest.clone();
    assert_eq!(
        rest.get("/connectors/local-file-sink-rolling/tasks")
            .body
            .as_array()
            .unwrap()
            .len(),
        2
    );
    worker.stop();
    let mut lines = String::new();
    let bytes = fs::read(file).unwrap();
    flate2::read::MultiGzDecoder::new(&bytes[..])
        .read_to_string(&mut lines)
        .unwrap();
    assert!(
        "\"foo\"\n\"bar\"\n".starts_with(&lines) && lines.starts_with("\"foo\"\n"),
        "{lines}"
    );
}

#[test]
fn the_shipped_file_of_patterns_works() {
    let scratch = Scratch::new("config-glob");
    fs::create_dir_all(scratch.join("logs/deep")).unwrap();
    scratch.write("logs/deep/app.log", "old\n");
    let files = [
        config("connect-standalone.properties"),
        config("connect-file-source-glob.properties"),
    ];
    let worker = Worker::start(&scratch, &[&files[0], &files[1]]);
    let mut wire = Wire::connect(worker.kafka_port);
    let records = wait::until("a line in connect-logs", || {
        // Only what is written after the tasks have started is read.
        let file = fs::OpenOptions::new()
            .append(true)
            .open(scratch.join("logs/deep/app.log"));
        std::io::Write::write_all(&mut file.unwrap(), b"new\n").unwrap();
        wire.topics().get("connect-logs")?;
        let records = wire.read_all("connect-logs", 0);
        (!records.is_empty()).then_some(records)
    });
    for record in records {
        assert_eq!(
            record.text(),
            r#"{"schema":{"type":"string","optional":false},"payload":"new"}"#
        );
    }
    worker.stop();
}

/// The settings of the sample files that Apache Kafka 4.3 ships, key for key.
#[test]
fn kafkas_own_sample_files_work() {
    let scratch = Scratch::new("config-kafka");
    let worker = scratch.write(
        "connect-standalone.properties",
        "# These are defaults.\nbootstrap.servers=localhost:9092\n\n\
         key.converter=org.apache.kafka.connect.json.JsonConverter\n\
         value.converter=org.apache.kafka.connect.json.JsonConverter\n\
         key.converter.schemas.enable=true\nvalue.converter.schemas.enable=true\n\n\
         offset.storage.file.filename=/tmp/connect.offsets\noffset.flush.interval.ms=10000\n\n#plugin.path=\n",
    );
    let source = scratch.write(
        "connect-file-source.properties",
        "name=local-file-source\nconnector.class=FileStreamSource\ntasks.max=1\nfile=test.txt\ntopic=connect-test\n",
    );
    let sink = scratch.write(
        "connect-file-sink.properties",
        "name=local-file-sink\nconnector.class=FileStreamSink\ntasks.max=1\nfile=test.sink.txt\ntopics=connect-test\n",
    );
    check_quickstart(&scratch, &worker, &source, &sink);
}

#[test]
fn every_key_of_the_commented_worker_file_is_known() {
    let scratch = Scratch::new("config-worker");
    let text = fs::read_to_string(config("worker.properties")).unwrap();
    let setting = regex::Regex::new(r"(?m)^#([a-z][a-z0-9.]*=\S+)$").unwrap();
    let uncommented = setting.replace_all(&text, "$1").into_owned();
    assert!(
        uncommented
            .lines()
            .filter(|line| !line.starts_with('#') && line.contains('='))
            .count()
            > 10
    );
    for (name, text) in [("as-it-is", text), ("uncommented", uncommented)] {
        let file = scratch.write(&format!("{name}.properties"), text);
        Worker::start(&scratch, &[&file]).stop();
    }
}

#[test]
fn the_brokers_file_works() {
    let scratch = Scratch::new("config-broker");
    let port = free_port();
    let mut process = Process::start(
        "jackfield broker",
        Command::new(binary())
            .current_dir(scratch.path())
            .arg("broker")
            .arg("--config")
            .arg(config("server.properties"))
            .args(["--set", &format!("listeners=PLAINTEXT://127.0.0.1:{port}")]),
        &scratch.join("broker.log"),
    );
    wait::until("the broker", || {
        assert!(process.is_running(), "the broker ended early");
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    Wire::connect(port).create_topic("made", 1, &[]);
    assert!(
        scratch.join("jackfield-data/broker/made-0").is_dir(),
        "log.dirs is obeyed"
    );
    assert_eq!(process.stop(Signal::INT).0.code(), Some(0));
}

#[test]
fn every_file_of_config_is_loaded_by_a_test() {
    let known = [
        "connect-standalone.properties",
        "connect-file-source.properties",
        "connect-file-source-glob.properties",
        "connect-file-sink.properties",
        "connect-file-sink-rolling.properties",
        "worker.properties",
        "server.properties",
    ];
    for entry in fs::read_dir(config("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            known.contains(&name.as_str()),
            "config/{name} is loaded by no test"
        );
    }
}

/// A `bootstrap.servers` elsewhere, and a key that nobody knows, are refused with what to do about it.
#[test]
fn mistakes_are_named() {
    let scratch = Scratch::new("config-mistakes");
    let converters = "key.converter=org.apache.kafka.connect.json.JsonConverter\n\
                      value.converter=org.apache.kafka.connect.json.JsonConverter\n";
    for (mistake, said) in [
        (
            "bootstrap.servers=kafka.example.org:9092",
            "kafka.example.org:9092",
        ),
        ("offset.flush.intervall.ms=100", "offset.flush.interval.ms"),
        ("offset.flush.interval.ms=soon", "soon"),
    ] {
        let file = scratch.write("worker.properties", format!("{converters}{mistake}\n"));
        let output = Command::new(binary())
            .current_dir(scratch.path())
            .arg("standalone")
            .arg(file)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{mistake} was accepted");
        assert!(error.contains(said), "{mistake}: {error}");
    }
}

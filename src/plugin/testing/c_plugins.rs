//! Plugins in C through the host: the templates of projects, and the host-metrics example with a fixture of `/proc`.

use std::fs;

use bytes::Bytes;
use jackfield_api::{ErrorKind, batch::RecordRef};
use jackfield_batch::BatchBuilder;

use super::*;
use crate::SinkPosition;

/// A package of a C project of this workspace, built by its own Makefile and loaded.
struct Project {
    class: Arc<dyn ConnectorPlugin>,
    root: tempfile::TempDir,
}

impl Project {
    /// A project of the template, as `plugin new acme-plugin` writes it.
    async fn of_template(kind: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("project");
        fs::create_dir(&project).unwrap();
        let template = workspace().join("src/cli/plugin/templates/c").join(kind);
        let fill = |text: &str| {
            [
                ("@name@", "acme-plugin"),
                ("@ident@", "acme_plugin"),
                ("@class@", "AcmePlugin"),
                ("@version@", "0.1.0"),
            ]
            .iter()
            .fold(text.to_owned(), |text, (place, value)| text.replace(place, value))
        };
        for entry in fs::read_dir(template).unwrap() {
            let path = entry.unwrap().path();
            let name = fill(path.file_name().unwrap().to_str().unwrap());
            let text = fill(&fs::read_to_string(&path).unwrap());
            assert!(!text.contains("@class") && !text.contains("@name"), "{text}");
            fs::write(project.join(name), text).unwrap();
        }
        Self::build(root, &project, "libacme_plugin.so", "AcmePlugin", kind).await
    }

    async fn host_metrics() -> Self {
        let root = tempfile::tempdir().unwrap();
        let project = workspace().join("connectors/examples/host-metrics");
        let class = "jackfield.examples.HostMetricsSource";
        Self::build(root, &project, "libhost_metrics.so", class, "source").await
    }

    async fn build(root: tempfile::TempDir, project: &Path, library: &str, class: &str, kind: &str) -> Self {
        let manifest = fs::read_to_string(project.join("plugin.toml")).unwrap();
        assert!(manifest.contains(&format!("class = \"{class}\"")), "{manifest}");
        let out = root.path().join("out");
        let copy = root.path().join("copy");
        // Built elsewhere, so that nothing is left in the sources.
        run(Command::new("cp").arg("-r").arg(project).arg(&copy));
        let sdk = workspace().join("src/api/include");
        run(Command::new("make")
            .args(["--no-print-directory", "CFLAGS=-O1 -Werror -pedantic"])
            .arg(format!("JACKFIELD_SDK={}", sdk.display()))
            .arg("-C")
            .arg(&copy));
        TestPackage {
            name: "acme-plugin",
            version: "0.1.0",
            class,
            kind,
            native: Some(&copy.join("build").join(library)),
            ..TestPackage::default()
        }
        .write(&out);
        let plugins = Plugins::discover(config(&out, &[]));
        let class = plugins.load(class, Some(Form::Native)).await.unwrap();
        Self { class, root }
    }

    async fn source(&self, config: &[(&str, &str)], services: &Services) -> Box<dyn HostedSource> {
        self.class
            .start_source(&entries(config), services.task())
            .await
            .unwrap()
    }
}

/// Services that know this offset.
fn stored(partition: &str, offset: &str) -> Services {
    Services {
        stored: Stored {
            offsets: entries(&[(partition, offset)]),
            group: Vec::new(),
        },
        ..Services::default()
    }
}

async fn polled(source: &mut Box<dyn HostedSource>, limits: PollLimits) -> PolledBatch {
    let until = std::time::Instant::now() + DEADLINE;
    loop {
        match source.poll(limits).await.unwrap() {
            Polled::Batch(batch) => return batch,
            Polled::Idle(wait) => tokio::time::sleep(Duration::from_millis(wait.unwrap())).await,
        }
        assert!(std::time::Instant::now() < until, "no batch");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_template_counts_at_its_interval_and_goes_on_at_its_offset() {
    let project = Project::of_template("source").await;
    let keys: Vec<_> = project
        .class
        .config_def()
        .keys
        .iter()
        .map(|key| key.name.as_str())
        .collect();
    assert_eq!(keys, ["topic", "interval.ms"]);
    let issues = project
        .class
        .config_def()
        .check(&entries(&[("interval.ms", "0")]));
    assert_eq!(issues.len(), 2, "{issues:?}");
    let config = [("topic", "counts"), ("interval.ms", "3600000")];
    let mut source = project.source(&config, &Services::default()).await;
    let first = polled(&mut source, POLL).await;
    let found = first.records().next().unwrap().record;
    assert_eq!(
        (
            first.len(),
            first.topic(found.topic),
            texts(&first).remove(0).as_str()
        ),
        (1, "counts", r#"{"n":0}"#)
    );
    let partition = first.source_partition(found.source_partition.unwrap());
    assert_eq!(
        (partition, found.source_offset),
        (r#"{"counter":"acme-plugin"}"#, Some(r#"{"n":0}"#))
    );
    let Polled::Idle(Some(wait)) = source.poll(POLL).await.unwrap() else {
        panic!("a second record at once");
    };
    assert!((3_000_000..=3_600_000).contains(&wait), "{wait}");
    source.committed(1).await.unwrap();
    source.stop().await;

    let config = [("topic", "counts"), ("interval.ms", "1")];
    let mut source = project
        .source(&config, &stored(partition, r#"{ "n": 41 }"#))
        .await;
    for expected in [r#"{"n":42}"#, r#"{"n":43}"#] {
        assert_eq!(texts(&polled(&mut source, POLL).await), [expected]);
    }
    source.stop().await;
    let wrong = entries(&[("topic", "t"), ("interval.ms", "soon")]);
    let error = project
        .class
        .start_source(&wrong, Services::default().task())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(
        error
            .message
            .contains("interval.ms soon: a whole number from 1 to"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sink_template_appends_lines_and_commits_what_is_synced() {
    let project = Project::of_template("sink").await;
    let file = project.root.path().join("out.txt");
    fs::write(&file, "before\n").unwrap();
    let config = entries(&[("file", file.to_str().unwrap())]);
    let tasks = project.class.task_configs(&config, 4).await.unwrap();
    assert_eq!(tasks, std::slice::from_ref(&config));
    let mut sink = project
        .class
        .start_sink(&config, Services::default().task())
        .await
        .unwrap();
    let at = |offset| SinkPosition {
        topic: "t".into(),
        partition: 0,
        offset,
        metadata: String::new(),
    };
    sink.open(&[at(-1)]).await.unwrap();
    let mut builder = BatchBuilder::new();
    builder.record("t").value("a").push().unwrap();
    builder.record("t").push().unwrap();
    let schema = r#"{"type":"int32","optional":false}"#;
    let typed = jackfield_batch::DraftValue::Typed { schema, data: &[2] };
    builder.record("t").value(typed).push().unwrap();
    builder.record("t").value(&b"\xffraw"[..]).push().unwrap();
    let rejected = sink.put(Bytes::from(builder.finish())).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].sequence, 2);
    assert!(
        rejected[0].message.contains("under a schema"),
        "{}",
        rejected[0].message
    );
    assert!(
        sink.put(Bytes::from(BatchBuilder::new().finish()))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(sink.pre_commit(&[at(4)]).await.unwrap(), [at(4)]);
    let error = sink.put(Bytes::from_static(b"JFB\x01damaged")).await.unwrap_err();
    assert!(error.message.contains("invalid batch: "), "{error}");
    sink.stop().await;
    assert_eq!(fs::read(&file).unwrap(), b"before\na\n\n\xffraw\n");
    let nowhere = entries(&[("file", "/nonexistent/out.txt")]);
    let error = project
        .class
        .start_sink(&nowhere, Services::default().task())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(
        error
            .message
            .contains("file /nonexistent/out.txt cannot be written: No such file"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_transform_template_writes_upper_case_and_drops_null_values() {
    let project = Project::of_template("transform").await;
    let services = Services::default().task();
    let mut transform = project
        .class
        .start_transform(&entries(&[]), services)
        .await
        .unwrap();
    let mut builder = BatchBuilder::new();
    builder
        .record("t")
        .key("k")
        .value("straße a")
        .header("h", "v")
        .push()
        .unwrap();
    builder.record("t").key("dropped").push().unwrap();
    builder
        .record("u")
        .value(&b"bytes"[..])
        .source("{}", r#"{"o":1}"#)
        .push()
        .unwrap();
    let given = Bytes::from(builder.finish());
    let made = transform.apply(given.clone()).await.unwrap();
    assert!(made.rejected.is_empty());
    let batch = made.batch.unwrap();
    let records: Vec<_> = batch.records().collect();
    let shown = |found: &RecordRef<'_>| {
        (
            found.record.sequence,
            format!("{:?}", found.record.value),
            found.header_count(),
        )
    };
    assert_eq!(shown(&records[0]), (0, r#"Utf8("STRAßE A")"#.to_owned(), 1));
    assert_eq!(
        shown(&records[1]),
        (2, "Bytes([98, 121, 116, 101, 115])".to_owned(), 0)
    );
    assert_eq!(
        (records.len(), records[1].record.source_offset),
        (2, Some(r#"{"o":1}"#))
    );
    let nothing = transform
        .apply(Bytes::from(BatchBuilder::new().finish()))
        .await
        .unwrap();
    assert!(nothing.batch.is_none());
    transform.stop().await;
}

/// Key and value of every record of a round, polled in parts of at most 3.
async fn round(source: &mut Box<dyn HostedSource>, count: usize) -> Vec<(String, String)> {
    let limits = PollLimits {
        max_records: 3,
        ..POLL
    };
    let mut found = Vec::new();
    while found.len() < count {
        let batch = polled(source, limits).await;
        assert!(batch.len() <= 3);
        for record in batch.records().map(|found| found.record) {
            let (Value::Utf8(key), Value::Json(value)) = (record.key, record.value) else {
                panic!("{record:?}");
            };
            assert_eq!(batch.topic(record.topic), "metrics");
            assert!(record.timestamp.is_some());
            found.push((key.to_owned(), value.to_owned()));
        }
    }
    found
}

const PROC: [(&str, &str); 5] = [
    ("stat", "cpu  100 0 50 850 3 0 0 7 0 0\ncpu0 40 0\nintr 5 6 7\n"),
    (
        "meminfo",
        "MemTotal:       2048 kB\nHugePages_Total:       0\nMemFree: 1024 kB\n",
    ),
    ("loadavg", "0.50 0.25 12.10 2/345 6789\n"),
    (
        "net/dev",
        "Inter-|   Receive  |  Transmit\n face |bytes packets errs\n  eth0: 10 2 0 1 0 0 0 0 20 4 3 0 0 0 0 0\n",
    ),
    (
        "diskstats",
        "   7 0 loop0 1 2 3\n   8       0 sda 5 0 16 9 7 0 32 1 0 1500 2 0 0 0 0\n",
    ),
];

/// `key labels value unit` of every record that is expected of [`PROC`], in order.
const NUMBERS: &str = "\
cpu.seconds {\"cpu\":\"all\",\"mode\":\"user\"} 1 seconds
cpu.seconds {\"cpu\":\"all\",\"mode\":\"nice\"} 0 seconds
cpu.seconds {\"cpu\":\"all\",\"mode\":\"system\"} 0.5 seconds
cpu.seconds {\"cpu\":\"all\",\"mode\":\"idle\"} 8.5 seconds
cpu.seconds {\"cpu\":\"all\",\"mode\":\"iowait\"} 0.03 seconds
cpu.seconds {\"cpu\":\"all\",\"mode\":\"irq\"} 0 seconds
cpu.seconds {\"cpu\":\"all\",\"mode\":\"softirq\"} 0 seconds
cpu.seconds {\"cpu\":\"all\",\"mode\":\"steal\"} 0.07 seconds
cpu.seconds {\"cpu\":\"0\",\"mode\":\"user\"} 0.4 seconds
cpu.seconds {\"cpu\":\"0\",\"mode\":\"nice\"} 0 seconds
memory.total {} 2097152 bytes
memory.free {} 1048576 bytes
load.1m {} 0.5 1
load.5m {} 0.25 1
load.15m {} 12.1 1
threads.running {} 2 1
threads.total {} 345 1
network.receive.bytes {\"device\":\"eth0\"} 10 bytes
network.receive.packets {\"device\":\"eth0\"} 2 1
network.receive.errors {\"device\":\"eth0\"} 0 1
network.receive.drops {\"device\":\"eth0\"} 1 1
network.transmit.bytes {\"device\":\"eth0\"} 20 bytes
network.transmit.packets {\"device\":\"eth0\"} 4 1
network.transmit.errors {\"device\":\"eth0\"} 3 1
network.transmit.drops {\"device\":\"eth0\"} 0 1
disk.reads {\"device\":\"sda\"} 5 1
disk.read.bytes {\"device\":\"sda\"} 8192 bytes
disk.writes {\"device\":\"sda\"} 7 1
disk.write.bytes {\"device\":\"sda\"} 16384 bytes
disk.busy {\"device\":\"sda\"} 1.5 seconds";

/// The records of a round.
fn expected(sequence: u64) -> Vec<(String, String)> {
    let record = |line: &str| {
        let [key, labels, value, unit] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let json = format!(r#"{{"value":{value},"unit":"{unit}","labels":{labels},"sequence":{sequence}}}"#);
        (key.to_owned(), json)
    };
    NUMBERS.lines().map(record).collect()
}

fn write_proc(directory: &Path) {
    fs::create_dir_all(directory.join("net")).unwrap();
    for (file, text) in PROC {
        fs::write(directory.join(file), text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_metrics_gives_what_proc_says_and_its_sequence_outlives_a_restart() {
    let project = Project::host_metrics().await;
    let proc = project.root.path().join("proc");
    write_proc(&proc);
    let proc = proc.to_str().unwrap();
    let config = [
        ("topic", "metrics"),
        ("interval.ms", "10"),
        ("proc.directory", proc),
    ];
    let services = Services::default();
    let mut source = project.source(&config, &services).await;
    assert_eq!(round(&mut source, 30).await, expected(1));
    assert_eq!(round(&mut source, 30).await, expected(2));
    assert_eq!(services.report.state(), None);
    let series: Vec<_> = services
        .report
        .metrics()
        .series()
        .into_iter()
        .map(|(name, ..)| name)
        .collect();
    assert!(
        series.iter().any(|name| name == "rounds") && series.iter().any(|name| name == "read_seconds"),
        "{series:?}"
    );
    fs::remove_file(Path::new(proc).join("stat")).unwrap();
    let error = loop {
        match source.poll(POLL).await {
            Ok(Polled::Idle(wait)) => tokio::time::sleep(Duration::from_millis(wait.unwrap())).await,
            Ok(Polled::Batch(batch)) => panic!("{batch:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ErrorKind::Retriable);
    assert!(
        error.message.contains("/proc/stat cannot be read: No such file"),
        "{error}"
    );
    write_proc(Path::new(proc));
    assert_eq!(
        round(&mut source, 30).await,
        expected(3),
        "the failed round counts for nothing"
    );
    source.stop().await;
    let partition = format!(r#"{{"proc":"{proc}"}}"#);
    let mut source = project
        .source(&config, &stored(&partition, r#"{"sequence":3}"#))
        .await;
    assert_eq!(round(&mut source, 30).await, expected(4));
    source.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_metrics_checks_its_config_key_by_key_and_leaves_out_what_is_not_there() {
    let project = Project::host_metrics().await;
    let proc = project.root.path().join("proc");
    write_proc(&proc);
    let proc = proc.to_str().unwrap();
    let check = async |metrics: &str, directory: &str| {
        let config = entries(&[
            ("topic", "t"),
            ("metrics", metrics),
            ("proc.directory", directory),
        ]);
        let issues = project.class.validate(&config).await.unwrap();
        issues
            .into_iter()
            .map(|issue| format!("{}: {}", issue.name, issue.message))
            .collect::<Vec<_>>()
    };
    assert!(check("load , cpu", proc).await.is_empty());
    assert_eq!(
        check("load,\"x\",gpu", "/nonexistent").await,
        [
            "metrics: cpu, memory, load, network and disk can be read, not \"x\"",
            "metrics: cpu, memory, load, network and disk can be read, not gpu",
            "proc.directory: there is no directory /nonexistent",
        ]
    );
    assert_eq!(check(" ,", proc).await.len(), 1);

    fs::remove_file(Path::new(proc).join("diskstats")).unwrap();
    let config = [
        ("topic", "metrics"),
        ("metrics", "disk,load"),
        ("proc.directory", proc),
    ];
    let services = Services::default();
    let mut source = project.source(&config, &services).await;
    assert_eq!(round(&mut source, 5).await, expected(1)[12..17]);
    let state = services.report.state().unwrap();
    assert!(
        state.starts_with("left out: disk, ") && state.contains("diskstats cannot be read"),
        "{state}"
    );
    let Polled::Idle(Some(wait)) = source.poll(POLL).await.unwrap() else {
        panic!("a second round at once");
    };
    assert!((5_000..=10_000).contains(&wait), "{wait}");
    source.stop().await;
    let nothing = entries(&[("topic", "t"), ("proc.directory", "/nonexistent")]);
    let error = project
        .class
        .start_source(&nothing, Services::default().task())
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(
        error
            .message
            .contains("nothing can be read in /nonexistent: left out: cpu"),
        "{error}"
    );
}

//! The shipped file connector, driven through both forms by the same functions.

mod full_disk;

use std::{fs, io::Write};

use jackfield_api::{
    OffsetChange,
    batch::{BatchBuilder, Record},
};

use super::*;
use crate::{HostedSink, SinkPosition};

async fn load(directory: &Path, class: &str, form: Form) -> Arc<dyn ConnectorPlugin> {
    let plugins = Plugins::discover(config(shipped(), &[directory]));
    assert_eq!(plugins.bad().len(), 0, "{:?}", plugins.bad());
    let plugin = plugins.load(class, Some(form)).await.unwrap();
    assert_eq!(plugin.form(), form);
    plugin
}

/// Polls until there is a batch, going by what the source says about its idle time.
async fn next(source: &mut dyn HostedSource, wake: &Notify, limits: PollLimits) -> PolledBatch {
    tokio::time::timeout(DEADLINE, async {
        loop {
            match source.poll(limits).await.unwrap() {
                Polled::Batch(batch) => return batch,
                Polled::Idle(Some(ms)) => {
                    tokio::time::timeout(Duration::from_millis(ms), wake.notified())
                        .await
                        .ok();
                }
                Polled::Idle(None) => wake.notified().await,
            }
        }
    })
    .await
    .expect("a batch within the deadline")
}

fn append(path: &Path, text: &str) {
    fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

fn last_offset(batch: &PolledBatch) -> (String, String) {
    let last = batch.records().last().unwrap().record;
    let partition = batch.source_partition(last.source_partition.unwrap());
    (partition.to_owned(), last.source_offset.unwrap().to_owned())
}

/// A missing file waits, its appearance and an append wake, a restart resumes at the stored offset.
async fn drive_source(form: Form) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.txt");
    let plugin = load(directory.path(), "FileStreamSource", form).await;
    let config = entries(&[("file", path.to_str().unwrap()), ("topic", "connect-test")]);
    assert_eq!(plugin.validate(&config).await.unwrap(), []);
    let issues = plugin.validate(&entries(&[("file", "x")])).await.unwrap();
    assert!(
        issues.iter().any(|issue| issue.name == "topic"),
        "{form}: {issues:?}"
    );
    let configs = plugin.task_configs(&config, 3).await.unwrap();
    assert_eq!(configs.len(), 1, "{form}");
    let change = |offset: &str| {
        [OffsetChange {
            partition: r#"{"filename":"a"}"#.to_owned(),
            offset: Some(offset.to_owned()),
        }]
    };
    let altered = plugin.alter_offsets(&config, &change(r#"{"position":1}"#)).await;
    assert!(altered.unwrap(), "{form}");
    let refused = plugin.alter_offsets(&config, &change("{}")).await.unwrap_err();
    assert!(
        refused.message.contains("contain the key 'position'"),
        "{form}: {refused}"
    );

    let mut services = Services::default();
    let mut source = plugin.start_source(&configs[0], services.task()).await.unwrap();
    assert!(
        matches!(source.poll(POLL).await.unwrap(), Polled::Idle(_)),
        "{form}: no file yet"
    );
    append(&path, "hello\nwörld\n");
    let mut batch = next(&mut *source, &services.wake, POLL).await;
    let mut lines = texts(&batch);
    if lines.len() < 2 {
        // The task was woken by the file's creation, before its content.
        batch = next(&mut *source, &services.wake, POLL).await;
        lines.extend(texts(&batch));
    }
    assert_eq!(lines, ["hello", "wörld"], "{form}");
    assert_eq!(batch.topics().collect::<Vec<_>>(), ["connect-test"], "{form}");
    source.committed(1).await.unwrap();
    append(&path, "third\n");
    let batch = next(&mut *source, &services.wake, POLL).await;
    assert_eq!(texts(&batch), ["third"], "{form}");
    let (partition, offset) = last_offset(&batch);
    let position = format!("{{\"position\":{},\"device\":", "hello\nwörld\nthird\n".len());
    assert!(offset.starts_with(&position), "{form}: {offset}");
    source.stop().await;

    append(&path, "fourth\n");
    services.stored.offsets.insert(partition, offset);
    let mut source = plugin.start_source(&configs[0], services.task()).await.unwrap();
    assert_eq!(
        texts(&next(&mut *source, &services.wake, POLL).await),
        ["fourth"],
        "{form}: no line repeated"
    );
    source.stop().await;
}

/// A line of 10 MB passes whole.
async fn drive_huge_line(form: Form) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("huge.txt");
    let huge = "0123456789".repeat(1_000_000);
    append(&path, &format!("small\n{huge}\nlast\n"));
    let plugin = load(directory.path(), "FileStreamSource", form).await;
    let config = entries(&[("file", path.to_str().unwrap()), ("topic", "t")]);
    let services = Services::default();
    let mut source = plugin.start_source(&config, services.task()).await.unwrap();
    let mut lines = Vec::new();
    while lines.len() < 3 {
        lines.extend(texts(&next(&mut *source, &services.wake, POLL).await));
    }
    assert_eq!(lines[0], "small", "{form}");
    assert!(lines[1] == huge, "{form}: {} bytes", lines[1].len());
    assert_eq!(lines[2], "last", "{form}");
    source.stop().await;
}

fn sink_batch(lines: &[&str], first_offset: i64) -> bytes::Bytes {
    let mut builder = BatchBuilder::new();
    let topic = builder.topic("t").unwrap();
    for (index, line) in (0..).zip(lines) {
        let record = Record {
            topic,
            source_partition: None,
            partition: Some(0),
            timestamp: Some(1),
            offset: first_offset + i64::from(index),
            sequence: index,
            key: Value::Null,
            value: Value::Utf8(line),
            source_offset: None,
        };
        builder.push(&record, &[]).unwrap();
    }
    builder.finish().into()
}

fn position(offset: i64, metadata: &str) -> SinkPosition {
    SinkPosition {
        topic: "t".into(),
        partition: 0,
        offset,
        metadata: metadata.to_owned(),
    }
}

/// Lines arrive, a commit says how far, and what was not committed is cut when the sink opens again.
/// Starts a sink and opens partitions as the worker does, which tries again what may succeed later: a process that another
/// test starts just now has the old task's files, and the locks on them, until it has become another program.
async fn opened(
    plugin: &dyn ConnectorPlugin,
    config: &BTreeMap<String, String>,
    services: &Services,
    partitions: &[SinkPosition],
) -> Box<dyn HostedSink> {
    for _ in 0..500 {
        let tried = async {
            let mut sink = plugin.start_sink(config, services.task()).await?;
            sink.open(partitions).await.map(|()| sink)
        };
        match tried.await {
            Err(error) if error.kind == jackfield_api::ErrorKind::Retriable => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            done => return done.unwrap(),
        }
    }
    panic!("the partitions cannot be opened");
}

async fn drive_sink(form: Form) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.sink.txt");
    let plugin = load(directory.path(), "FileStreamSink", form).await;
    let config = entries(&[("file", path.to_str().unwrap()), ("topics", "t")]);
    let services = Services::default();
    let mut sink = plugin.start_sink(&config, services.task()).await.unwrap();
    sink.open(&[position(-1, "")]).await.unwrap();
    let rejected = sink.put(sink_batch(&["one", "two"], 0)).await.unwrap();
    assert_eq!(rejected.len(), 0, "{form}");
    assert_eq!(sink.put(sink_batch(&[], 2)).await.unwrap().len(), 0, "{form}");
    let committed = sink.pre_commit(&[position(2, "")]).await.unwrap();
    assert_eq!((committed.len(), committed[0].offset), (1, 2), "{form}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n", "{form}");
    sink.put(sink_batch(&["lost"], 2)).await.unwrap();
    sink.close(&[("t".into(), 0)]).await.unwrap();
    sink.stop().await;

    append(&path, "torn");
    let mut sink = opened(&*plugin, &config, &services, &committed).await;
    sink.put(sink_batch(&["three"], 2)).await.unwrap();
    let last = sink
        .pre_commit(&[position(3, &committed[0].metadata)])
        .await
        .unwrap();
    sink.stop().await;
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "one\ntwo\nthree\n",
        "{form}: exactly once"
    );

    // Another topic takes the place of "t", whose commit says where the file ends.
    append(&path, "torn");
    let mut services = Services::default();
    services.stored.group = vec![jackfield_api::SinkPosition {
        topic: "t".to_owned(),
        partition: 0,
        offset: 3,
        metadata: last[0].metadata.clone(),
    }];
    let new = SinkPosition {
        topic: "other".into(),
        ..position(-1, "")
    };
    let sink = opened(&*plugin, &config, &services, &[new]).await;
    sink.stop().await;
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n", "{form}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_follows_its_file_in_both_forms() {
    for form in BOTH {
        drive_source(form).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_line_passes_in_both_forms() {
    for form in BOTH {
        drive_huge_line(form).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sink_is_exactly_once_in_both_forms() {
    for form in BOTH {
        drive_sink(form).await;
    }
}

/// Files of a partition below `directory`, hidden ones too, with their content.
fn files_of(directory: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(directory.join("t/0")).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn rolling(directory: &Path) -> BTreeMap<String, String> {
    entries(&[
        ("file.directory", directory.to_str().unwrap()),
        ("file.roll.records", "2"),
        ("topics", "t"),
    ])
}

/// Files get their names after the commit of their records, and what was not committed is cut or removed.
async fn drive_rolling_sink(form: Form) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let plugin = load(root, "FileStreamSink", form).await;
    let config = rolling(root);
    assert_eq!(plugin.validate(&config).await.unwrap(), []);
    assert_eq!(plugin.task_configs(&config, 3).await.unwrap().len(), 3, "{form}");
    let services = Services::default();
    let mut sink = plugin.start_sink(&config, services.task()).await.unwrap();
    sink.open(&[position(-1, "")]).await.unwrap();
    sink.put(sink_batch(&["a", "b", "c"], 0)).await.unwrap();
    let name = |first: i64| format!("{first:020}.txt");
    let part = |first: i64| format!(".{first:020}.txt.part");
    let file = |name: String, content: &str| (name, content.to_owned());
    let committed = sink.pre_commit(&[position(3, "")]).await.unwrap();
    assert_eq!(
        files_of(root),
        [file(part(0), "a\nb\n"), file(part(2), "c\n")],
        "{form}"
    );
    sink.pre_commit(&committed).await.unwrap();
    assert_eq!(
        files_of(root),
        [file(part(2), "c\n"), file(name(0), "a\nb\n")],
        "{form}"
    );
    sink.put(sink_batch(&["lost", "lost", "lost"], 3)).await.unwrap();
    sink.stop().await;
    let mut sink = opened(&*plugin, &config, &services, &committed).await;
    assert_eq!(
        files_of(root),
        [file(part(2), "c\n"), file(name(0), "a\nb\n")],
        "{form}"
    );
    sink.put(sink_batch(&["d"], 3)).await.unwrap();
    let committed = sink
        .pre_commit(&[position(4, &committed[0].metadata)])
        .await
        .unwrap();
    sink.pre_commit(&committed).await.unwrap();
    sink.stop().await;
    assert_eq!(
        files_of(root),
        [file(name(0), "a\nb\n"), file(name(2), "c\nd\n")],
        "{form}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_files_are_finished_by_commits_in_both_forms() {
    for form in BOTH {
        drive_rolling_sink(form).await;
    }
}

/// Relative paths mean inside of a component what they mean outside, when the current directory is granted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relative_path_is_the_workers() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("link");
    fs::create_dir_all(directory.path().join("real/below")).unwrap();
    std::os::unix::fs::symlink("real", &link).unwrap();
    let current = directory.path().join("real/below");
    let mut plugins = Plugins::discover(config(shipped(), &[&link]));
    plugins.current_directory = Some(current.clone());
    let services = Services::default();
    let options = |file| entries(&[("file", file), ("topic", "t"), ("topics", "t")]);
    let plugin = plugins.load("FileStreamSink", Some(Form::Wasm)).await.unwrap();
    let mut sink = plugin
        .start_sink(&options("test.txt"), services.task())
        .await
        .unwrap();
    sink.open(&[position(-1, "")]).await.unwrap();
    sink.put(sink_batch(&["relative"], 0)).await.unwrap();
    let committed = sink.pre_commit(&[position(1, "")]).await.unwrap();
    let absolute = link.join("below/test.txt");
    assert!(
        committed[0].metadata.contains(absolute.to_str().unwrap()),
        "{committed:?}"
    );
    sink.stop().await;
    let path = current.join("test.txt");
    assert_eq!(fs::read_to_string(&path).unwrap(), "relative\n");

    let source = plugins.load("FileStreamSource", Some(Form::Wasm)).await.unwrap();
    let mut source = source
        .start_source(&options("test.txt"), services.task())
        .await
        .unwrap();
    assert_eq!(
        texts(&next(&mut *source, &services.wake, POLL).await),
        ["relative"]
    );
    append(&path, "more\n");
    assert_eq!(texts(&next(&mut *source, &services.wake, POLL).await), ["more"]);
    source.stop().await;

    // An absolute path is not looked for below the current directory.
    let refused = async {
        let mut sink = plugin
            .start_sink(&options("/elsewhere.txt"), services.task())
            .await?;
        sink.open(&[position(-1, "")]).await?;
        sink.put(sink_batch(&["lost"], 0)).await
    };
    let error = refused.await.unwrap_err();
    assert!(error.message.contains("plugin.wasm.directories"), "{error}");
    assert!(!current.join("elsewhere.txt").exists());
}

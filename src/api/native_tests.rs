//! The C ABI from the host's side: a small library is entered in process and driven through its tables.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use super::*;
use crate::{
    Config, ConfigDef, ConfigKey, ConfigType, Connector, ErrorKind, HttpRequest, Importance, LogLevel,
    OffsetChange, RecordError, Sink, SinkPosition, Source, TaskConfig, TaskContext, TransactionBoundary,
    Transform, TransformOutput,
    abi::{NOT_YET, OK},
    batch::Draft,
};

/// Does what its config says.
struct Scripted {
    context: SourceContext,
    act: String,
    count: i64,
}

impl Connector for Scripted {
    const CLASS: &'static str = "test.Scripted";
    const ALIASES: &'static [&'static str] = &["One", "Two"];
    const VERSION: &'static str = "1.2.3";

    fn config_def() -> ConfigDef {
        ConfigDef {
            keys: vec![ConfigKey::new("act", ConfigType::String, Importance::High, "é").required()],
        }
    }

    fn task_configs(config: &Config, max_tasks: u32) -> Result<Vec<TaskConfig>, ConnectError> {
        Ok(vec![config.original().clone(); max_tasks as usize])
    }

    fn alter_offsets(_config: &Config, offsets: &[OffsetChange]) -> Result<bool, ConnectError> {
        match offsets.iter().all(|change| change.offset.is_some()) {
            true => Ok(true),
            false => Err(ConnectError::config("offsets stay")),
        }
    }
}

impl Source for Scripted {
    fn start(config: &Config, context: SourceContext) -> Result<Self, ConnectError> {
        let act = config.string("act")?.to_owned();
        if act == "panic at start" {
            panic!("no start");
        }
        let stored = context
            .stored_offset("{\"p\":1}")
            .unwrap_or_else(|| "none".to_owned());
        let watched = context.watch_path("/some/path");
        context.log(
            LogLevel::Info,
            &format!(
                "started {} {} {stored} {watched}",
                context.connector(),
                context.task()
            ),
        );
        Ok(Self {
            context,
            act,
            count: 0,
        })
    }

    fn poll(&mut self, limits: PollLimits, batch: &mut BatchBuilder) -> Result<Polled, ConnectError> {
        self.count += 1;
        let topic = batch.topic("t")?;
        let record = crate::batch::Record {
            topic,
            source_partition: None,
            partition: None,
            timestamp: None,
            offset: -1,
            sequence: limits.max_records,
            key: crate::batch::Value::Null,
            value: crate::batch::Value::Utf8("v"),
            source_offset: None,
        };
        batch.push(&record, &[])?;
        match self.act.as_str() {
            "records" => Ok(Polled::Idle(Some(7))),
            "idle" => {
                batch.clear();
                self.context.wake_handle().wake();
                self.context.report_lag(1 << 40, 2);
                Ok(if self.count == 1 {
                    Polled::Idle(Some(5))
                } else {
                    Polled::Idle(None)
                })
            }
            "fail once" if self.count == 1 => Err(ConnectError::retriable("try again")),
            "fail once" => {
                assert_eq!(batch.len(), 1, "the failed poll left nothing behind");
                Ok(Polled::Records)
            }
            other => panic!("act {other}"),
        }
    }

    fn stop(&mut self) {
        self.context.log(LogLevel::Info, "stopped");
    }
}

/// Gives positions back with what it was told.
struct Echo {
    context: SinkContext,
    seen: String,
}

impl Connector for Echo {
    const CLASS: &'static str = "test.Echo";
    const VERSION: &'static str = "1.2.3";

    fn config_def() -> ConfigDef {
        ConfigDef::default()
    }
}

impl Sink for Echo {
    fn start(_config: &Config, context: SinkContext) -> Result<Self, ConnectError> {
        let seen = String::new();
        Ok(Self { context, seen })
    }

    fn open(&mut self, partitions: &[SinkPosition]) -> Result<(), ConnectError> {
        self.seen = format!("{partitions:?} of {:?}", self.context.group_positions()?);
        Ok(())
    }

    fn put(&mut self, batch: &Batch<&[u8]>) -> Result<Vec<RecordError>, ConnectError> {
        let error = |sequence| RecordError {
            sequence,
            message: "bad \"one\"".to_owned(),
        };
        Ok(batch
            .records()
            .map(|found| error(found.record.sequence))
            .collect())
    }

    fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError> {
        Ok(current
            .iter()
            .map(|at| SinkPosition {
                metadata: self.seen.clone(),
                ..at.clone()
            })
            .collect())
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectError> {
        Err(ConnectError::data(format!("{partitions:?}")))
    }
}

/// Doubles records, drops those with value `drop`, and cannot take `bad`. Says through the host what it is asked to.
struct Doubling;

impl Connector for Doubling {
    const CLASS: &'static str = "test.Doubling";
    const VERSION: &'static str = "1.2.3";

    fn config_def() -> ConfigDef {
        ConfigDef::default()
    }
}

impl Transform for Doubling {
    fn start(_config: &Config, context: TaskContext) -> Result<Self, ConnectError> {
        context.report_state(Some("doubling"));
        context.counter_add("records", &[("table", "a")], 2);
        Ok(Self)
    }

    fn apply(&mut self, batch: &Batch<&[u8]>, output: &mut TransformOutput<'_>) -> Result<(), ConnectError> {
        for found in batch.records() {
            match found.record.value {
                crate::batch::Value::Utf8("drop") => {}
                crate::batch::Value::Utf8("bad") => output.reject(&found, "cannot be doubled"),
                _ => {
                    output.keep(batch, &found)?;
                    output.push(Draft::of(batch, &found).topic("again"))?;
                }
            }
        }
        Ok(())
    }
}

struct TestLibrary;

impl Library for TestLibrary {
    const CLASSES: &'static [Class] = &[
        Class::source::<Scripted>(),
        Class::sink::<Echo>(),
        Class::transform::<Doubling>(),
    ];
}

/// A task's host: what the handle points to.
#[derive(Default)]
struct Host {
    lines: Mutex<Vec<String>>,
    wakes: AtomicUsize,
    lag: Mutex<Option<(u64, u64)>>,
    retained: AtomicI64,
    said: Mutex<Vec<String>>,
}

unsafe extern "C" fn host_level() -> u8 {
    3
}

unsafe extern "C" fn host_log(task: *const c_void, level: u8, message: Slice) {
    // SAFETY: the handle is the address of a `Host` that outlives its tasks, the text lives during the call.
    let (host, message) = unsafe { (&*task.cast::<Host>(), text(&message)) };
    host.lines
        .lock()
        .unwrap()
        .push(format!("{level} {}", message.unwrap()));
}

unsafe extern "C" fn host_stored(_task: *const c_void, partition: Slice, out: *mut Buf) -> bool {
    // SAFETY: the text lives during the call, `out` is a place for the result.
    unsafe {
        assert_eq!(text(&partition).unwrap(), "{\"p\":1}");
        out.write(Buf::from_vec(b"{\"o\":2}".to_vec()));
    }
    true
}

unsafe extern "C" fn host_group_positions(_task: *const c_void, out: *mut Buf) {
    let positions = br#"[{"topic":"t","partition":3,"offset":7,"metadata":"of another"}]"#;
    // SAFETY: `out` is a place for the result.
    unsafe { out.write(Buf::from_vec(positions.to_vec())) };
}

unsafe extern "C" fn host_watch(_task: *const c_void, path: Slice) -> bool {
    // SAFETY: the text lives during the call.
    unsafe { text(&path) }.unwrap() == "/some/path"
}

unsafe extern "C" fn host_wake(task: *const c_void) {
    // SAFETY: as in `host_log`.
    unsafe { &*task.cast::<Host>() }
        .wakes
        .fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn host_retain(task: *const c_void) {
    // SAFETY: as in `host_log`.
    unsafe { &*task.cast::<Host>() }
        .retained
        .fetch_add(1, Ordering::SeqCst);
}

unsafe extern "C" fn host_release(task: *const c_void) {
    // SAFETY: as in `host_log`.
    unsafe { &*task.cast::<Host>() }
        .retained
        .fetch_sub(1, Ordering::SeqCst);
}

unsafe extern "C" fn host_report_lag(task: *const c_void, bytes: u64, files: u64) {
    // SAFETY: as in `host_log`.
    *unsafe { &*task.cast::<Host>() }.lag.lock().unwrap() = Some((bytes, files));
}

fn say(task: *const c_void, what: String) {
    // SAFETY: as in `host_log`.
    unsafe { &*task.cast::<Host>() }.said.lock().unwrap().push(what);
}

/// # Safety
/// The text lives during the call.
unsafe fn heard(slice: &Slice) -> String {
    // SAFETY: the caller's promise.
    unsafe { text(slice) }.unwrap().to_owned()
}

unsafe extern "C" fn host_report_state(task: *const c_void, state: Slice) {
    // SAFETY: the text lives during the call.
    say(task, format!("state {}", unsafe { heard(&state) }));
}

unsafe extern "C" fn host_reconfigure(task: *const c_void) {
    say(task, "reconfigure".to_owned());
}

unsafe extern "C" fn host_boundary(task: *const c_void, boundary: u8) {
    say(task, format!("boundary {boundary}"));
}

/// # Safety
/// The partitions live during the call.
unsafe fn heard_partitions(partitions: *const abi::TopicPartition, len: usize) -> String {
    // SAFETY: the caller's promise.
    let partitions = unsafe { array(partitions, len) }.iter();
    // SAFETY: the caller's promise.
    let shown = partitions.map(|at| format!("{}-{}", unsafe { heard(&at.topic) }, at.partition));
    shown.collect::<Vec<_>>().join(" ")
}

unsafe extern "C" fn host_pause(task: *const c_void, partitions: *const abi::TopicPartition, len: usize) {
    // SAFETY: the partitions live during the call.
    let heard = unsafe { heard_partitions(partitions, len) };
    say(task, format!("pause {heard}"));
}

unsafe extern "C" fn host_resume(task: *const c_void, partitions: *const abi::TopicPartition, len: usize) {
    // SAFETY: the partitions live during the call.
    let heard = unsafe { heard_partitions(partitions, len) };
    say(task, format!("resume {heard}"));
}

unsafe extern "C" fn host_seek(task: *const c_void, positions: *const abi::Position, len: usize) {
    // SAFETY: the positions live during the call.
    let positions = unsafe { read_positions(positions, len) }.unwrap();
    say(
        task,
        format!(
            "seek {}-{} {}",
            positions[0].topic, positions[0].partition, positions[0].offset
        ),
    );
}

unsafe extern "C" fn host_request_commit(task: *const c_void) {
    say(task, "commit".to_owned());
}

unsafe extern "C" fn host_metric(
    task: *const c_void,
    kind: u8,
    name: Slice,
    labels: *const KeyValue,
    label_count: usize,
    value: f64,
) {
    // SAFETY: the texts live during the call.
    let (name, labels) = unsafe { (heard(&name), read_config(labels, label_count).unwrap()) };
    say(task, format!("metric {kind} {name} {labels:?} {value}"));
}

/// # Safety
/// The request lives during the call.
unsafe fn hear_request(task: *const c_void, what: &str, request: *const abi::HttpRequest) {
    // SAFETY: the caller's promise.
    let said = unsafe {
        let request = request.read();
        let headers = read_config(request.headers, request.header_count).unwrap();
        let (method, url) = (heard(&request.method), heard(&request.url));
        let body = heard(&request.body);
        format!("{what} {method} {url} {headers:?} {body} {}", request.timeout_ms)
    };
    say(task, said);
}

unsafe extern "C" fn host_http_begin(
    task: *const c_void,
    request: *const abi::HttpRequest,
    number: *mut u64,
    _error: *mut Error,
) -> i32 {
    // SAFETY: the request lives during the call, `number` is a place.
    unsafe {
        hear_request(task, "begin", request);
        number.write(5);
    }
    OK
}

unsafe extern "C" fn host_http_take(
    _task: *const c_void,
    number: u64,
    out: *mut abi::HttpResponse,
    _error: *mut Error,
) -> i32 {
    if number != 5 {
        return NOT_YET;
    }
    let response = abi::HttpResponse {
        status: 204,
        reserved: [0; 6],
        headers: Buf::from_vec(br#"[["etag","x"]]"#.to_vec()),
        body: Buf::EMPTY,
    };
    // SAFETY: `out` is a place.
    unsafe { out.write(response) };
    OK
}

unsafe extern "C" fn host_http_fetch(
    task: *const c_void,
    request: *const abi::HttpRequest,
    _out: *mut abi::HttpResponse,
    error: *mut Error,
) -> i32 {
    // SAFETY: the request lives during the call, `error` is a place.
    unsafe {
        hear_request(task, "fetch", request);
        error.write(Error {
            kind: abi::ERROR_CONFIG,
            reserved: [0; 7],
            message: Buf::from_vec(b"not granted".to_vec()),
        });
    }
    abi::FAILED
}

static TABLE: HostVTable = HostVTable {
    struct_size: size_u32::<HostVTable>(),
    reserved: 0,
    log_max_level: host_level,
    log: host_log,
    stored_offset: host_stored,
    watch_path: host_watch,
    wake: host_wake,
    retain: host_retain,
    release: host_release,
    report_lag: host_report_lag,
    group_positions: host_group_positions,
    report_state: host_report_state,
    request_task_reconfiguration: host_reconfigure,
    transaction_boundary: host_boundary,
    pause: host_pause,
    resume: host_resume,
    seek: host_seek,
    request_commit: host_request_commit,
    metric: host_metric,
    http_begin: host_http_begin,
    http_take: host_http_take,
    http_fetch: host_http_fetch,
};

fn enter() -> &'static PluginDesc {
    static DESCRIPTOR: Descriptor = Descriptor::new();
    // SAFETY: the table is static; a descriptor that is not null lives as long as the process.
    unsafe { entry::<TestLibrary>(&DESCRIPTOR, abi::ABI_MAJOR, &TABLE).as_ref() }.unwrap()
}

fn classes() -> Vec<&'static ClassDesc> {
    let desc = enter();
    // SAFETY: the descriptor's own array of pointers to descriptors that live as long as the process.
    unsafe {
        array(desc.classes, desc.class_count as usize)
            .iter()
            .map(|class| &**class)
            .collect()
    }
}

/// What a call left in its places for results.
struct Called {
    code: i32,
    error: Option<(u8, String)>,
    out: String,
}

fn take(buf: Buf) -> Vec<u8> {
    // SAFETY: a buffer from a call of the library; it is freed once, below.
    let bytes = unsafe {
        bytes(&Slice {
            ptr: buf.ptr,
            len: buf.len,
        })
    }
    .to_vec();
    if let Some(free) = buf.free {
        // SAFETY: the buffer's own function with its own parts, once.
        unsafe { free(buf.ptr, buf.len, buf.cap) };
    }
    bytes
}

fn call(function: impl FnOnce(*mut Buf, *mut Error) -> i32) -> Called {
    let (mut out, mut error) = (Buf::EMPTY, Error::EMPTY);
    let code = function(&raw mut out, &raw mut error);
    let kind = error.kind;
    let message = String::from_utf8(take(error.message)).unwrap();
    Called {
        code,
        error: (code != OK).then_some((kind, message)),
        out: String::from_utf8(take(out)).unwrap(),
    }
}

fn key_value<'a>(key: &'a str, value: &'a str) -> KeyValue {
    KeyValue {
        key: Slice::of(key),
        value: Slice::of(value),
    }
}

/// A running task of a class.
struct Task<'a> {
    class: &'static ClassDesc,
    handle: *mut c_void,
    host: &'a Host,
}

fn start<'a>(host: &'a Host, class: &'static ClassDesc, act: &str) -> Result<Task<'a>, (u8, String)> {
    let config = [key_value("act", act)];
    let context = abi::TaskContext {
        struct_size: size_u32::<abi::TaskContext>(),
        task_id: 4,
        connector: Slice::of("name"),
        host: std::ptr::from_ref(host).cast(),
    };
    let mut handle = std::ptr::null_mut();
    // SAFETY: the class's own tables and function, and arguments that live during the call.
    let called = call(|_, error| unsafe {
        let start = class
            .source
            .as_ref()
            .map_or_else(|| (*class.sink).start, |source| source.start);
        start(class, config.as_ptr(), 1, &context, &mut handle, error)
    });
    match called.error {
        Some(error) => Err(error),
        None => Ok(Task { class, handle, host }),
    }
}

impl Task<'_> {
    fn poll(&self) -> (Called, PollResult) {
        let limits = abi::PollLimits {
            max_records: 42,
            max_bytes: 1,
        };
        let mut result = PollResult::EMPTY;
        // SAFETY: the class's own table and a running task.
        let called =
            call(|_, error| unsafe { ((*self.class.source).poll)(self.handle, &limits, &mut result, error) });
        (called, result)
    }

    fn stop(self) {
        // SAFETY: the task's last call.
        unsafe {
            match self.class.source.as_ref() {
                Some(source) => (source.stop)(self.handle),
                None => ((*self.class.sink).stop)(self.handle),
            }
        }
        assert_eq!(
            self.host.retained.load(Ordering::SeqCst),
            0,
            "the handle was released"
        );
    }
}

#[test]
fn the_library_describes_itself() {
    let desc = enter();
    assert_eq!((desc.magic, desc.abi_major, desc.abi_minor), (abi::MAGIC, 0, 4));
    assert_eq!((desc.batch_major_min, desc.batch_major_max), (1, 1));
    let [source, sink, _] = classes()[..] else {
        panic!("three classes")
    };
    // SAFETY: texts of a descriptor live as long as the process.
    unsafe {
        assert_eq!(text(&source.name).unwrap(), "test.Scripted");
        assert_eq!(text(&source.version).unwrap(), "1.2.3");
        let aliases = array(source.aliases, source.alias_count);
        assert_eq!(
            aliases
                .iter()
                .map(|alias| text(alias).unwrap())
                .collect::<Vec<_>>(),
            ["One", "Two"]
        );
    }
    assert_eq!((source.kind, sink.kind), (abi::KIND_SOURCE, abi::KIND_SINK));
    assert!(source.sink.is_null() && sink.source.is_null());
}

#[test]
fn another_major_or_an_older_host_is_refused() {
    static DESCRIPTOR: Descriptor = Descriptor::new();
    let older = HostVTable {
        struct_size: 8,
        ..TABLE
    };
    // SAFETY: tables that live during the call.
    unsafe {
        assert!(entry::<TestLibrary>(&DESCRIPTOR, abi::ABI_MAJOR + 1, &TABLE).is_null());
        assert!(entry::<TestLibrary>(&DESCRIPTOR, abi::ABI_MAJOR, &older).is_null());
        assert!(entry::<TestLibrary>(&DESCRIPTOR, abi::ABI_MAJOR, std::ptr::null()).is_null());
    }
}

#[test]
fn questions_are_answered_as_json() {
    let class = classes()[0];
    // SAFETY: the class's own tables, and arguments that live during the calls.
    unsafe {
        let connector = &*class.connector;
        let called = call(|out, error| (connector.config_def)(class, out, error));
        assert_eq!(
            serde_json::from_str::<ConfigDef>(&called.out).unwrap(),
            Scripted::config_def()
        );
        let called = call(|out, error| (connector.validate)(class, std::ptr::null(), 0, out, error));
        assert!(
            called.out.contains("Missing required configuration \\\"act\\\""),
            "{}",
            called.out
        );
        let config = [key_value("act", "ü")];
        let called = call(|out, error| (connector.validate)(class, config.as_ptr(), 1, out, error));
        assert_eq!((called.code, called.out.as_str()), (OK, "[]"));
        let called = call(|out, error| (connector.task_configs)(class, config.as_ptr(), 1, 2, out, error));
        assert_eq!(called.out, r#"[{"act":"ü"},{"act":"ü"}]"#);
        let called = call(|out, error| (connector.task_configs)(class, std::ptr::null(), 0, 2, out, error));
        assert_eq!(called.error.unwrap().0, abi::ERROR_CONFIG);
        let alter = |offsets: &str| {
            let offsets = abi::Slice::of(offsets);
            call(|out, error| {
                (connector.alter_offsets)(class, config.as_ptr(), 1, &raw const offsets, out, error)
            })
        };
        let called = alter(r#"[{"partition":"{\"p\":1}","offset":"{\"o\":2}"}]"#);
        assert_eq!((called.code, called.out.as_str()), (OK, "true"));
        let called = alter(r#"[{"partition":"{\"p\":1}","offset":null}]"#);
        assert_eq!(called.error.unwrap().0, abi::ERROR_CONFIG);
        assert_eq!(alter("nonsense").error.unwrap().0, abi::ERROR_FATAL);
    }
}

#[test]
fn a_source_polls_batches_and_idle_times() {
    let host = Host::default();
    let task = start(&host, classes()[0], "records").unwrap();
    assert_eq!(*host.lines.lock().unwrap(), ["3 started name 4 {\"o\":2} true"]);
    let (called, result) = task.poll();
    assert_eq!((called.code, result.state), (OK, abi::POLL_BATCH));
    let batch = Batch::parse(take(result.batch)).unwrap();
    assert_eq!(batch.records().next().unwrap().record.sequence, 42);
    task.stop();
    assert_eq!(host.lines.lock().unwrap().last().unwrap(), "3 stopped");

    let task = start(&host, classes()[0], "idle").unwrap();
    let (_, result) = task.poll();
    assert_eq!((result.state, result.idle_ms), (abi::POLL_IDLE, 5));
    let (_, result) = task.poll();
    assert_eq!((result.state, result.idle_ms), (abi::POLL_IDLE, -1));
    assert_eq!(host.wakes.load(Ordering::SeqCst), 2);
    assert_eq!(*host.lag.lock().unwrap(), Some((1 << 40, 2)));
    task.stop();
}

#[test]
fn an_error_keeps_its_kind_and_the_task() {
    let host = Host::default();
    let task = start(&host, classes()[0], "fail once").unwrap();
    let (called, _) = task.poll();
    assert_eq!(
        called.error.unwrap(),
        (abi::ERROR_RETRIABLE, "try again".to_owned())
    );
    let (called, result) = task.poll();
    assert_eq!((called.code, result.state), (OK, abi::POLL_BATCH));
    take(result.batch);
    task.stop();
}

#[test]
fn a_panic_is_contained_and_ends_the_task() {
    let host = Host::default();
    let (kind, message) = start(&host, classes()[0], "panic at start").err().unwrap();
    assert_eq!(
        (kind, message.as_str()),
        (abi::ERROR_PANIC, "the plugin panicked: no start")
    );
    assert_eq!(ErrorKind::from_abi_code(kind), ErrorKind::Fatal);
    assert_eq!(host.retained.load(Ordering::SeqCst), 0);

    let task = start(&host, classes()[0], "explode").unwrap();
    let (called, _) = task.poll();
    assert_eq!(
        called.error.unwrap(),
        (abi::ERROR_PANIC, "the plugin panicked: act explode".to_owned())
    );
    let (called, _) = task.poll();
    assert_eq!(
        called.error.unwrap(),
        (abi::ERROR_FATAL, "the task panicked before".to_owned())
    );
    task.stop();
    assert!(
        !host
            .lines
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains("stopped")),
        "not entered again"
    );
}

#[test]
fn a_sink_passes_positions_and_rejected_records() {
    let host = Host::default();
    let task = start(&host, classes()[1], "").unwrap();
    let position = abi::Position {
        topic: Slice::of("t\"1"),
        offset: 9,
        metadata: Slice::of("m"),
        partition: 2,
        reserved: 0,
    };
    let mut builder = BatchBuilder::new();
    builder.topic("t").unwrap();
    let empty = builder.finish();
    let topic_partition = abi::TopicPartition {
        topic: Slice::of("t"),
        partition: 2,
        reserved: 0,
    };
    // SAFETY: the class's own table, a running task, and arguments that live during the calls.
    unsafe {
        let sink = &*task.class.sink;
        assert_eq!(
            call(|_, error| (sink.open)(task.handle, &position, 1, error)).code,
            OK
        );
        let called = call(|out, error| (sink.put)(task.handle, Slice::of_bytes(&empty), out, error));
        assert_eq!(
            (called.code, called.out.as_str()),
            (OK, ""),
            "nothing rejected, nothing written"
        );
        let called = call(|out, error| (sink.put)(task.handle, Slice::of("no batch"), out, error));
        assert_eq!(called.error.unwrap().0, abi::ERROR_FATAL);
        let called = call(|out, error| (sink.pre_commit)(task.handle, &position, 1, out, error));
        let safe: Vec<SinkPosition> = serde_json::from_str(&called.out).unwrap();
        assert_eq!(
            (safe[0].topic.as_str(), safe[0].partition, safe[0].offset),
            ("t\"1", 2, 9)
        );
        for seen in ["metadata: \"m\"", "offset: 7, metadata: \"of another\""] {
            assert!(safe[0].metadata.contains(seen), "{}", safe[0].metadata);
        }
        let called = call(|_, error| (sink.close)(task.handle, &topic_partition, 1, error));
        assert_eq!(called.error.unwrap().0, abi::ERROR_DATA);
    }
    task.stop();
}

#[test]
fn rejected_records_are_json() {
    let host = Host::default();
    let source = start(&host, classes()[0], "records").unwrap();
    let batch = take(source.poll().1.batch);
    source.stop();
    let task = start(&host, classes()[1], "").unwrap();
    // SAFETY: the class's own table, a running task, and a batch that lives during the call.
    let called = call(|out, error| unsafe {
        ((*task.class.sink).put)(task.handle, Slice::of_bytes(&batch), out, error)
    });
    assert_eq!(called.out, r#"[{"sequence":42,"message":"bad \"one\""}]"#);
    task.stop();
}

#[test]
fn names_of_a_config_reach_the_class() {
    let config = BTreeMap::from([("act".to_owned(), "x".to_owned())]);
    let class = &TestLibrary::CLASSES[0];
    assert_eq!(class.task_configs(config.clone(), 1).unwrap(), [config]);
}

/// A context of a task of this host, as the library has it.
fn native_host(host: &Host) -> std::sync::Arc<NativeHost> {
    enter();
    let context = abi::TaskContext {
        struct_size: size_u32::<abi::TaskContext>(),
        task_id: 4,
        connector: Slice::of("name"),
        host: std::ptr::from_ref(host).cast(),
    };
    // SAFETY: the context and its handle outlive the answer.
    unsafe { NativeHost::read(&context) }.unwrap()
}

#[test]
fn what_a_task_asks_for_reaches_the_host() {
    let host = Host::default();
    let sink = SinkContext::new(native_host(&host));
    let partition = [TopicPartition {
        topic: "t".to_owned(),
        partition: 2,
    }];
    sink.pause(&partition);
    sink.resume(&partition);
    sink.seek(&[SinkPosition {
        topic: "t".to_owned(),
        partition: 2,
        offset: 9,
        metadata: String::new(),
    }]);
    sink.request_commit();
    sink.request_task_reconfiguration();
    sink.report_state(Some("busy"));
    sink.report_state(None);
    sink.gauge_set("depth", &[], 1.5);
    SourceContext::new(native_host(&host)).transaction_boundary(TransactionBoundary::Abort);
    assert_eq!(
        *host.said.lock().unwrap(),
        [
            "pause t-2",
            "resume t-2",
            "seek t-2 9",
            "commit",
            "reconfigure",
            "state busy",
            "state ",
            "metric 2 depth {} 1.5",
            "boundary 2"
        ]
    );
    drop(sink);
    assert_eq!(host.retained.load(Ordering::SeqCst), 0);
}

#[test]
fn http_goes_through_the_host() {
    let host = Host::default();
    let http = TaskContext::new(native_host(&host)).http();
    let request = HttpRequest::post("https://h/p", "body").header("a", "b");
    let call = http.begin(&request).unwrap();
    let response = http.take(call).unwrap().unwrap();
    assert_eq!((response.status, response.header("etag")), (204, Some("x")));
    let request = request.timeout(std::time::Duration::from_secs(2));
    let refused = http.fetch(&request).unwrap_err();
    assert_eq!(
        (refused.kind, refused.message.as_str()),
        (ErrorKind::Config, "not granted")
    );
    assert_eq!(
        *host.said.lock().unwrap(),
        [
            "begin POST https://h/p {\"a\": \"b\"} body 0",
            "fetch POST https://h/p {\"a\": \"b\"} body 2000"
        ]
    );
}

#[test]
fn a_transform_filters_multiplies_and_rejects() {
    let host = Host::default();
    let class = classes()[2];
    assert_eq!(class.kind, abi::KIND_TRANSFORM);
    let table = transform_table(class);
    let context = abi::TaskContext {
        struct_size: size_u32::<abi::TaskContext>(),
        task_id: 4,
        connector: Slice::of("name"),
        host: std::ptr::from_ref(&host).cast(),
    };
    let mut handle = std::ptr::null_mut();
    // SAFETY: the class's own table, arguments that live during the call.
    let started =
        call(|_, error| unsafe { (table.start)(class, std::ptr::null(), 0, &context, &mut handle, error) });
    assert_eq!(started.code, OK);
    assert_eq!(
        *host.said.lock().unwrap(),
        ["state doubling", "metric 1 records {\"table\": \"a\"} 2"]
    );
    let mut builder = BatchBuilder::new();
    for (sequence, value) in (0..).zip(["a", "drop", "bad", "b"]) {
        let topic = builder.topic("t").unwrap();
        let record = crate::batch::Record {
            topic,
            source_partition: None,
            partition: None,
            timestamp: None,
            offset: -1,
            sequence,
            key: crate::batch::Value::Null,
            value: crate::batch::Value::Utf8(value),
            source_offset: None,
        };
        builder.push(&record, &[]).unwrap();
    }
    let given = builder.finish();
    let mut out = Buf::EMPTY;
    // SAFETY: the class's own table and a running transform.
    let applied = call(|rejected, error| unsafe {
        (table.apply)(handle, Slice::of_bytes(&given), &mut out, rejected, error)
    });
    assert_eq!(applied.code, OK);
    assert_eq!(applied.out, r#"[{"sequence":2,"message":"cannot be doubled"}]"#);
    let made = Batch::parse(take(out)).unwrap();
    let made: Vec<_> = made
        .records()
        .map(|found| (made.topic(found.record.topic), found.record.sequence))
        .collect();
    assert_eq!(made, [("t", 0), ("again", 0), ("t", 3), ("again", 3)]);
    // SAFETY: the transform's last call.
    unsafe { (table.stop)(handle) };
    assert_eq!(host.retained.load(Ordering::SeqCst), 0);
}

fn transform_table(class: &ClassDesc) -> &abi::TransformVTable {
    // SAFETY: a transform's table, which lives as long as the process.
    unsafe { class.transform.as_ref() }.unwrap()
}

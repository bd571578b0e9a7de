//! Native libraries that are not what they should be: each is refused before anything of it is used, with a message that
//! names plugin, file, what was found and what to do. Small C libraries stand in for foreign ones.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

/// Layout of the C ABI, as far as a broken plugin needs it.
const C: &str = r#"
#include <stdint.h>
#include <stddef.h>
typedef struct { const uint8_t *ptr; size_t len; } Slice;
typedef struct {
    uint32_t size; uint8_t kind, reserved[3]; Slice name, version; const Slice *aliases; size_t alias_count;
    const void *connector, *source, *sink, *transform, *user_data;
} Class;
typedef struct {
    uint64_t magic; uint16_t major, minor; uint32_t size; uint64_t features; uint16_t batch_min, batch_max;
    uint32_t class_count; const Class *const *classes; Slice built_with;
} Desc;
static int f(void) { return 0; }
typedef struct { uint32_t size, reserved; void *functions[6]; } Table;
static const Table table = { TABLE_SIZE, 0, { f, f, f, SECOND_LAST, f, f } };
static const Class class = { CLASS_SIZE, KIND, {0}, { NAME, NAME_LEN }, { (const uint8_t *)"1.2.3", 5 }, 0, 0,
    CONNECTOR, SOURCE, 0, 0, 0 };
static const Class *const classes[] = { CLASSES };
static const Desc desc = { MAGIC, MAJOR, MINOR, DESC_SIZE, 0, BATCH, BATCH, COUNT, LIST, { 0, 0 } };
const Desc *ENTRY(uint16_t major, const void *host) { return RESULT; }
"#;

/// What a correct library would define.
const RIGHT: [(&str, &str); 18] = [
    ("MAGIC", "0x4e4947554c50464aull"),
    ("MAJOR", "0"),
    ("MINOR", "4"),
    ("DESC_SIZE", "sizeof(Desc)"),
    ("TABLE_SIZE", "sizeof(Table)"),
    ("SECOND_LAST", "f"),
    ("BATCH", "1"),
    ("COUNT", "1"),
    ("LIST", "classes"),
    ("CLASSES", "&class"),
    ("CLASS_SIZE", "sizeof(Class)"),
    ("NAME", "(const uint8_t *)\"C\""),
    ("NAME_LEN", "1"),
    ("CONNECTOR", "&table"),
    ("KIND", "1"),
    ("SOURCE", "&table"),
    ("ENTRY", "jf_plugin_entry"),
    ("RESULT", "&desc"),
];

/// Builds the library with some definitions changed. Every one gets a file of its own, as libraries stay loaded.
fn build(directory: &Path, changes: &[(&str, &str)]) -> PathBuf {
    let source = directory.join("plugin.c");
    fs::write(&source, C).unwrap();
    let library = directory.join("library.so");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-w", "-o"])
        .arg(&library)
        .arg(&source);
    for (name, value) in RIGHT {
        let value = changes
            .iter()
            .find(|(changed, _)| *changed == name)
            .map_or(value, |(_, value)| value);
        compiler.arg(format!("-D{name}={value}"));
    }
    run(&mut compiler);
    library
}

async fn refusal(changes: &[(&str, &str)], package: TestPackage<'_>) -> String {
    let root = tempfile::tempdir().unwrap();
    let library = build(root.path(), changes);
    TestPackage {
        native: Some(&library),
        class: "C",
        ..package
    }
    .write(root.path());
    let plugins = Plugins::discover(config(root.path(), &[]));
    plugins
        .load("C", Some(Form::Native))
        .await
        .unwrap_err()
        .to_string()
}

/// A library with these changes must be refused with a message that contains all of `says`.
async fn check(changes: &[(&str, &str)], says: &[&str]) {
    let error = refusal(changes, TestPackage::default()).await;
    for part in says.iter().chain(&["plugin test 1.2.3, file ", "plugin.so: "]) {
        assert!(error.contains(part), "{changes:?}: {error} does not say {part:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_library_is_refused() {
    check(
        &[("ENTRY", "something_else")],
        &["does not export jf_plugin_entry"],
    )
    .await;
    check(
        &[("RESULT", "NULL")],
        &["the library refuses this program", "supports plugin ABI 0.4"],
    )
    .await;
    check(
        &[("MAGIC", "7")],
        &["not a Jackfield plugin", "0x0000000000000007"],
    )
    .await;
    check(
        &[("MAJOR", "3")],
        &[
            "speaks plugin ABI 3.4, this program supports plugin ABI 0.4",
            "install a package",
        ],
    )
    .await;
    check(&[("MINOR", "9")], &["speaks plugin ABI 0.9"]).await;
    check(
        &[("DESC_SIZE", "24")],
        &["its descriptor has 24 bytes, 56 are needed"],
    )
    .await;
    check(
        &[("BATCH", "5")],
        &["record batch format 5 to 5, this program speaks 1"],
    )
    .await;
    check(&[("COUNT", "0")], &["it has 0 classes"]).await;
    check(&[("COUNT", "4000000000")], &["it has 4000000000 classes"]).await;
    check(
        &[("LIST", "NULL")],
        &["it has 1 classes, 1 to 1000 are supported"],
    )
    .await;
    check(
        &[("LIST", "(const void *)((const char *)classes + 1)")],
        &["its list of classes is not aligned"],
    )
    .await;
    check(&[("KIND", "9")], &["class 0: kind 9"]).await;
    check(&[("SOURCE", "NULL")], &["class 0: source table is missing"]).await;
    check(
        &[("TABLE_SIZE", "8")],
        &["connector table has 8 bytes, 40 are needed"],
    )
    .await;
    check(
        &[("SECOND_LAST", "NULL")],
        &["connector table lacks the function at byte 32"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_class_that_is_not_whole_is_refused() {
    check(&[("CLASSES", "NULL")], &["class 0: no descriptor"]).await;
    check(
        &[("CLASS_SIZE", "40")],
        &["class 0: its descriptor has 40 bytes, 96 are needed"],
    )
    .await;
    check(
        &[("NAME", "NULL")],
        &["class 0: its name has 0 bytes, 1 to 1000 are supported"],
    )
    .await;
    check(
        &[("NAME_LEN", "1ull << 40")],
        &["class 0: its name has 1099511627776 bytes"],
    )
    .await;
    check(
        &[("NAME", "(const uint8_t *)\"\\377\"")],
        &["class 0: its name is not UTF-8"],
    )
    .await;
    check(&[("CONNECTOR", "NULL")], &["class 0: connector table is missing"]).await;
    check(
        &[("COUNT", "2"), ("CLASSES", "&class, &class")],
        &["class 1: C is there twice"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_library_or_not_the_one_that_was_pinned_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let text = root.path().join("text");
    fs::write(&text, "no library").unwrap();
    let package = TestPackage {
        native: Some(&text),
        ..TestPackage::default()
    };
    let directory = package.write(root.path());
    let load = async || {
        let plugins = Plugins::discover(config(root.path(), &[]));
        let loaded = plugins.load("Misbehaving", Some(Form::Native)).await;
        loaded.unwrap_err().to_string()
    };
    let error = load().await;
    assert!(
        error.contains("plugin.so: no library: build or install the package again"),
        "{error}"
    );

    TestPackage {
        native: Some(&misbehaving()[0]),
        ..TestPackage::default()
    }
    .write(root.path());
    let file = directory.join("plugin.so");
    let mut library = fs::read(&file).unwrap();
    let middle = library.len() / 2;
    library[middle] ^= 1;
    fs::write(&file, library).unwrap();
    let error = load().await;
    assert!(error.contains("plugin.so: sha256 is "), "{error}");
    assert!(
        error.contains("the file was changed, install the package again"),
        "{error}"
    );
}

/// Each is caught in the plugin, and the process goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panics_of_every_call_are_the_tasks_own_error() {
    let fixture = Fixture::new(Limits::default());
    let plugin = fixture.load(Form::Native).await;
    let started = plugin
        .start_source(&entries(&[("do", "panic in start")]), Services::default().task())
        .await;
    let error = started.map(drop).unwrap_err();
    assert!(
        error.is_fault && error.message.contains("plugin panicked: in start"),
        "{error}"
    );
    let mut task = fixture.start(Form::Native, "panic", "").await;
    let error = task.poll(POLL).await.unwrap_err();
    assert!(
        error.is_fault && error.message.contains("plugin panicked: on demand"),
        "{error}"
    );
    task.stop().await;
    fixture
        .start(Form::Native, "panic in stop", "")
        .await
        .stop()
        .await;

    let root = tempfile::tempdir().unwrap();
    TestPackage {
        native: Some(&misbehaving()[0]),
        class: "jackfield.test.Panicking",
        kind: "sink",
        ..TestPackage::default()
    }
    .write(root.path());
    let plugins = Plugins::discover(config(root.path(), &[]));
    let plugin = plugins.load("Panicking", Some(Form::Native)).await.unwrap();
    let mut sink = plugin
        .start_sink(&entries(&[("do", "x")]), Services::default().task())
        .await
        .unwrap();
    let batch = jackfield_api::batch::BatchBuilder::new().finish();
    let error = sink.put(batch.into()).await.unwrap_err();
    assert!(
        error.is_fault && error.message.contains("plugin panicked: in put"),
        "{error}"
    );
    sink.stop().await;
    assert_eq!(
        fixture.says(Form::Native, "print", "").await,
        "printed",
        "the process goes on"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manifests_abi_is_looked_at_before_the_library_is_loaded() {
    let package = TestPackage {
        abi: "2.0",
        ..TestPackage::default()
    };
    // Its initializer would end the process.
    let error = refusal(
        &[(
            "RESULT",
            "&desc; } __attribute__((constructor)) void boom(void) { __builtin_trap()",
        )],
        package,
    )
    .await;
    assert!(
        error.contains("built for plugin ABI 2.0, this program supports plugin ABI 0.4"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_everyone_can_write_is_not_loaded() {
    for file in ["test-1.2.3/plugin.so", "test-1.2.3", ""] {
        let root = tempfile::tempdir().unwrap();
        TestPackage {
            native: Some(&misbehaving()[0]),
            ..TestPackage::default()
        }
        .write(root.path());
        let path = root.path().join(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let plugins = Plugins::discover(config(root.path(), &[]));
        let error = plugins.load("Misbehaving", None).await.unwrap_err().to_string();
        assert!(error.contains("is writable by everyone"), "{file:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_library_is_loaded_anew() {
    let root = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let load = |magic: &'static str| {
        let library = build(root.path(), &[("MAGIC", magic)]);
        TestPackage {
            native: Some(&library),
            class: "C",
            ..TestPackage::default()
        }
        .write(root.path());
        let config = PluginConfig {
            cache_dir: cache.path().to_owned(),
            ..config(root.path(), &[])
        };
        async move {
            Plugins::discover(config)
                .load("C", None)
                .await
                .unwrap_err()
                .to_string()
        }
    };
    assert!(load("21").await.contains("starts with 0x0000000000000015"));
    assert!(
        load("22").await.contains("starts with 0x0000000000000016"),
        "not the one loaded before"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overwriting_a_loaded_library_harms_nobody() {
    let fixture = Fixture::new(Limits::default());
    let mut task = fixture.start(Form::Native, "identity", "").await;
    let file = fixture.root.path().join("test-1.2.3/plugin.so");
    fs::write(&file, "not code").unwrap();
    assert!(matches!(task.poll(POLL).await, Ok(Polled::Batch(_))));
    task.stop().await;
    let said = fixture.says(Form::Native, "identity", "").await;
    assert_eq!(said, "test 3 None", "the loaded class stays");
}

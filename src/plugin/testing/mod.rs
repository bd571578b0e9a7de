//! Tests of the host with real plugins in both forms. The artifacts are built here, by the project's own script and cargo,
//! once per test run and into the build directory the tests themselves come from.

mod c_plugins;
mod containment;
mod file_connector;
mod forms;
mod libraries;
mod live;
mod old_headers;
mod reach;
mod transforms;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
    time::Duration,
};

use jackfield_api::batch::Value;
use tokio::sync::Notify;

use crate::{
    ConnectorPlugin, Form, HostedSource, Lag, NativePolicy, PluginConfig, PluginError, Plugins, Policy,
    PollLimits, Polled, PolledBatch, StoredOffsets, TaskReport, TaskServices, Variables, Wanted,
    limits::Limits,
    manifest::{HOST_TARGET, Sha256},
};

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: PollLimits = PollLimits {
    max_records: 500,
    max_bytes: 1 << 20,
};
/// The WIT package this program speaks.
const CONTRACT: &str = "jackfield:plugin@0.0.4";
const BOTH: [Form; 2] = [Form::Native, Form::Wasm];

/// Directory of the workspace.
fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Build directory and profile this test comes from.
fn build_directory() -> (PathBuf, bool) {
    let test = std::env::current_exe().unwrap();
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("<target>/<profile>/deps/<test>");
    (profile.parent().unwrap().to_owned(), profile.ends_with("release"))
}

fn run(command: &mut Command) {
    let (target, _) = build_directory();
    let output = command
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", target)
        // A library may bring a toolchain file, which rustup's own `rustc` would obey.
        .env("RUSTC", Path::new(env!("CARGO")).with_file_name("rustc"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A root of `plugin.path` with the shipped packages.
fn shipped() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let (target, release) = build_directory();
        let root = target.join("plugin-tests/shipped");
        let mut script = Command::new("scripts/package-plugins.sh");
        script.arg("--out").arg(&root);
        if !release {
            script.arg("--dev");
        }
        run(&mut script);
        root
    })
}

/// The artifacts of `misbehaving.rs`: native, WASM.
fn misbehaving() -> &'static [PathBuf; 2] {
    static FILES: OnceLock<[PathBuf; 2]> = OnceLock::new();
    FILES.get_or_init(|| {
        let (target, release) = build_directory();
        let build = |arguments: &[&str]| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo
                .args([
                    "build",
                    "--quiet",
                    "-p",
                    "jackfield-api",
                    "--example",
                    "misbehaving",
                ])
                .args(arguments);
            if release {
                cargo.arg("--release");
            }
            run(&mut cargo);
        };
        build(&[]);
        build(&["--target", "wasm32-wasip2"]);
        let profile = if release { "release" } else { "debug" };
        [
            target.join(profile).join("examples/libmisbehaving.so"),
            target
                .join("wasm32-wasip2")
                .join(profile)
                .join("examples/misbehaving.wasm"),
        ]
    })
}

/// Where compiled code of all tests is kept, so that components are compiled once.
fn cache_dir() -> PathBuf {
    build_directory().0.join("plugin-tests/cache")
}

/// A package to be written.
struct TestPackage<'a> {
    name: &'a str,
    version: &'a str,
    class: &'a str,
    kind: &'a str,
    native: Option<&'a Path>,
    wasm: Option<&'a Path>,
    abi: &'a str,
    contract: &'a str,
    directories: &'a str,
    /// More lines of `[capabilities]`.
    asks: &'a str,
}

impl Default for TestPackage<'_> {
    fn default() -> Self {
        Self {
            name: "test",
            version: "1.2.3",
            class: "jackfield.test.MisbehavingConnector",
            kind: "source",
            native: None,
            wasm: None,
            abi: "0.4",
            contract: CONTRACT,
            directories: "read-write",
            asks: "",
        }
    }
}

impl TestPackage<'_> {
    /// Writes the package under a root and gives its directory.
    fn write(&self, root: &Path) -> PathBuf {
        let directory = root.join(format!("{}-{}", self.name, self.version));
        fs::create_dir_all(&directory).unwrap();
        let mut manifest = format!(
            "schema = 1\n[package]\nname = \"{}\"\nversion = \"{}\"\n\
             [[plugin]]\nclass = \"{}\"\nkind = \"{}\"\n[capabilities]\ndirectories = \"{}\"\n{}\n",
            self.name, self.version, self.class, self.kind, self.directories, self.asks
        );
        if let Some(native) = self.native {
            fs::copy(native, directory.join("plugin.so")).unwrap();
            let digest = Sha256::of(&fs::read(native).unwrap());
            manifest.push_str(&format!(
                "[artifact.native]\nabi = \"{}\"\n\
                 [artifact.native.targets.{HOST_TARGET}]\nfile = \"plugin.so\"\nsha256 = \"{digest}\"\n",
                self.abi
            ));
        }
        if let Some(wasm) = self.wasm {
            fs::copy(wasm, directory.join("plugin.wasm")).unwrap();
            let digest = Sha256::of(&fs::read(wasm).unwrap());
            manifest.push_str(&format!(
                "[artifact.wasm]\nfile = \"plugin.wasm\"\nsha256 = \"{digest}\"\ncontract = \"{}\"\n",
                self.contract
            ));
        }
        fs::write(directory.join("plugin.toml"), manifest).unwrap();
        directory
    }
}

fn config(root: &Path, granted: &[&Path]) -> PluginConfig {
    PluginConfig {
        plugin_path: vec![root.to_owned()],
        cache_dir: cache_dir(),
        wasm_directories: granted.iter().map(|directory| directory.to_path_buf()).collect(),
        native: NativePolicy {
            own_directories: Vec::new(),
            allow: vec!["*".to_owned()],
        },
        policy: Policy::default(),
        environment: Variables::default(),
    }
}

/// The misbehaving source in both forms.
struct Fixture {
    root: tempfile::TempDir,
    plugins: Plugins,
}

impl Fixture {
    fn new(limits: Limits) -> Self {
        let root = tempfile::tempdir().unwrap();
        let [native, wasm] = misbehaving();
        TestPackage {
            native: Some(native),
            wasm: Some(wasm),
            ..TestPackage::default()
        }
        .write(root.path());
        let granted = root.path().join("granted");
        fs::create_dir(&granted).unwrap();
        let plugins = Plugins::with_limits(config(root.path(), &[&granted]), limits);
        Self { root, plugins }
    }

    fn granted(&self) -> PathBuf {
        self.root.path().join("granted")
    }

    async fn load(&self, form: Form) -> Arc<dyn ConnectorPlugin> {
        self.plugins.load("Misbehaving", Some(form)).await.unwrap()
    }

    async fn start(&self, form: Form, what: &str, argument: &str) -> Box<dyn HostedSource> {
        let config = entries(&[("do", what), ("argument", argument)]);
        self.load(form)
            .await
            .start_source(&config, Services::default().task())
            .await
            .unwrap()
    }

    /// What one poll gives.
    async fn poll(&self, form: Form, what: &str, argument: &str) -> Result<Polled, PluginError> {
        self.start(form, what, argument).await.poll(POLL).await
    }

    /// The text one poll gives.
    async fn says(&self, form: Form, what: &str, argument: &str) -> String {
        match self.poll(form, what, argument).await {
            Ok(Polled::Batch(batch)) => texts(&batch).remove(0),
            other => panic!("{form} {what}: {other:?}"),
        }
    }
}

fn entries(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn texts(batch: &PolledBatch) -> Vec<String> {
    let text = |value: Value<'_>| match value {
        Value::Utf8(text) => text.to_owned(),
        other => panic!("not text: {other:?}"),
    };
    batch.records().map(|found| text(found.record.value)).collect()
}

/// Host services with stored offsets in memory.
#[derive(Debug, Default)]
struct Services {
    wake: Arc<Notify>,
    report: Arc<TaskReport>,
    stored: Stored,
}

#[derive(Debug, Clone, Default)]
struct Stored {
    offsets: BTreeMap<String, String>,
    group: Vec<jackfield_api::SinkPosition>,
}

impl StoredOffsets for Stored {
    fn read(&self, source_partition: &str) -> Option<String> {
        self.offsets.get(source_partition).cloned()
    }

    fn group_positions(&self) -> Vec<jackfield_api::SinkPosition> {
        self.group.clone()
    }
}

impl Services {
    fn task(&self) -> TaskServices {
        TaskServices {
            connector: "test".to_owned(),
            task: 3,
            wake: Arc::clone(&self.wake),
            report: Arc::clone(&self.report),
            wishes: Arc::default(),
            stored_offsets: Arc::new(self.stored.clone()),
        }
    }
}

//! The connector that is measured as a package with both forms, built by cargo and loaded by the plugin host.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use jackfield_plugin::{
    Form, HostedSink, HostedSource, NativePolicy, PluginConfig, Plugins, Policy, StoredOffsets, TaskReport,
    TaskServices, TaskWishes, Variables,
    manifest::{HOST_TARGET, Sha256},
};

use crate::{lists::Lists, scratch::Scratch};

const WIT: &str = include_str!("../../src/api/wit/plugin.wit");
const ABI: &str = include_str!("../../src/api/abi.rs");

/// The package, and the component of typed lists.
pub(crate) struct Package {
    plugins: Plugins,
    lists: PathBuf,
    _scratch: Scratch,
}

#[derive(Debug)]
struct NoOffsets;

impl StoredOffsets for NoOffsets {}

/// Builds an example of the SDK and says where it is.
fn build(example: &str, wasm: bool) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "build",
        "--release",
        "--quiet",
        "--package",
        "jackfield-api",
        "--example",
        example,
    ]);
    if wasm {
        cargo.args(["--target", "wasm32-wasip2"]);
    }
    assert!(cargo.status().unwrap().success(), "{cargo:?}");
    // <target>/release/deps/<this program>
    let program = std::env::current_exe().unwrap();
    let release = program.parent().and_then(Path::parent).unwrap();
    if wasm {
        let wasm = release.parent().unwrap().join("wasm32-wasip2/release/examples");
        wasm.join(format!("{example}.wasm"))
    } else {
        release.join(format!("examples/lib{example}.so"))
    }
}

impl Package {
    /// Builds everything.
    pub(crate) fn build() -> Self {
        let scratch = Scratch::new("boundary");
        let directory = scratch.join("package");
        fs::create_dir(&directory).unwrap();
        let (native, wasm) = (build("boundary", false), build("boundary", true));
        fs::copy(&native, directory.join("plugin.so")).unwrap();
        fs::copy(&wasm, directory.join("plugin.wasm")).unwrap();
        let digest = |path: &Path| Sha256::of(&fs::read(path).unwrap());
        let contract = WIT
            .lines()
            .find_map(|line| line.strip_prefix("package ")?.strip_suffix(';'))
            .expect("the contract has a name");
        let part = |name: &str| {
            let start = format!("pub const {name}: u16 = ");
            let value = ABI
                .lines()
                .find_map(|line| line.strip_prefix(&start)?.strip_suffix(';'));
            value.expect("the ABI has a version")
        };
        let manifest = format!(
            "schema = 1\n[package]\nname = \"boundary\"\nversion = \"1.0.0\"\n\
             [[plugin]]\nclass = \"jackfield.bench.ReadySource\"\nkind = \"source\"\n\
             [[plugin]]\nclass = \"jackfield.bench.TakenSink\"\nkind = \"sink\"\n\
             [artifact.native]\nabi = \"{}.{}\"\n[artifact.native.targets.{HOST_TARGET}]\nfile = \"plugin.so\"\n\
             sha256 = \"{}\"\n[artifact.wasm]\nfile = \"plugin.wasm\"\nsha256 = \"{}\"\ncontract = \"{contract}\"\n",
            part("ABI_MAJOR"),
            part("ABI_MINOR"),
            digest(&native),
            digest(&wasm)
        );
        fs::write(directory.join("plugin.toml"), manifest).unwrap();
        let plugins = Plugins::discover(PluginConfig {
            plugin_path: vec![scratch.path().to_owned()],
            cache_dir: scratch.join("cache"),
            wasm_directories: Vec::new(),
            native: NativePolicy {
                own_directories: Vec::new(),
                allow: vec!["boundary".to_owned()],
            },
            policy: Policy::default(),
            environment: Variables::default(),
        });
        Self {
            plugins,
            lists: build("typed_list", true),
            _scratch: scratch,
        }
    }

    /// Starts the source and the sink in a form.
    pub(crate) async fn start(
        &self,
        form: Form,
        config: &BTreeMap<String, String>,
    ) -> (Box<dyn HostedSource>, Box<dyn HostedSink>) {
        let services = || TaskServices {
            connector: "boundary".to_owned(),
            task: 0,
            wake: Arc::default(),
            stored_offsets: Arc::new(NoOffsets),
            report: Arc::<TaskReport>::default(),
            wishes: Arc::<TaskWishes>::default(),
        };
        let source = self
            .plugins
            .load("jackfield.bench.ReadySource", Some(form))
            .await
            .unwrap();
        let sink = self
            .plugins
            .load("jackfield.bench.TakenSink", Some(form))
            .await
            .unwrap();
        (
            source.start_source(config, services()).await.unwrap(),
            sink.start_sink(config, services()).await.unwrap(),
        )
    }

    /// A new instance of the component of typed lists.
    pub(crate) async fn lists(&self) -> Lists {
        Lists::start(&self.lists).await
    }
}

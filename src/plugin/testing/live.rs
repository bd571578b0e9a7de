//! Packages that come, change and go while the program runs; several versions of a class; what is remembered of bad ones.

use super::*;

const CLASS: &str = "jackfield.test.MisbehavingConnector";

/// The misbehaving source's component as another version: the text is as long, so the code around it stays as it is.
fn component(directory: &Path, version: &str) -> PathBuf {
    assert_eq!(version.len(), "1.2.3".len());
    let mut content = fs::read(&misbehaving()[1]).unwrap();
    let places: Vec<usize> = content
        .windows(5)
        .enumerate()
        .filter_map(|(at, bytes)| (bytes == b"1.2.3").then_some(at))
        .collect();
    assert!(!places.is_empty(), "the component says its version");
    for at in places {
        content[at..at + 5].copy_from_slice(version.as_bytes());
    }
    let path = directory.join(format!("{version}.wasm"));
    fs::write(&path, content).unwrap();
    path
}

/// A package under a root, whole when it appears there.
fn install(root: &Path, name: &str, version: &str) -> PathBuf {
    let outside = tempfile::tempdir_in(root.parent().unwrap()).unwrap();
    let written = TestPackage {
        wasm: Some(&component(outside.path(), version)),
        version,
        ..TestPackage::default()
    }
    .write(outside.path());
    let directory = root.join(name);
    fs::rename(written, &directory).unwrap();
    directory
}

fn wanted(version: &str) -> Wanted {
    Wanted {
        class: "Misbehaving".to_owned(),
        version: version.parse().unwrap(),
        form: Some(Form::Wasm),
    }
}

/// A root of `plugin.path` beside which packages are written.
struct Root {
    _directory: tempfile::TempDir,
    path: PathBuf,
    plugins: Arc<Plugins>,
}

impl Root {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plugins");
        fs::create_dir(&path).unwrap();
        let plugins = Arc::new(Plugins::discover(config(&path, &[])));
        Self {
            _directory: directory,
            path,
            plugins,
        }
    }

    fn versions(&self) -> Vec<String> {
        self.plugins.list().into_iter().map(|info| info.version).collect()
    }

    fn bad(&self) -> Vec<String> {
        self.plugins.bad().into_iter().map(|bad| bad.reason).collect()
    }

    /// Waits for a state that only following `plugin.path` brings about.
    async fn wait_for(&self, what: &str, mut is_there: impl FnMut(&Self) -> bool) {
        let started = std::time::Instant::now();
        while !is_there(self) {
            assert!(
                started.elapsed() < DEADLINE,
                "waited in vain for {what}: {:?}",
                self.bad()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_changes_and_goes_is_found_without_anybody_looking() {
    let root = Root::new();
    root.plugins.follow();
    let package = install(&root.path, "package", "1.2.3");
    root.wait_for("the first version", |root| root.versions() == ["1.2.3"])
        .await;
    install(&root.path, "other", "1.2.4");
    root.wait_for("two versions", |root| root.versions() == ["1.2.4", "1.2.3"])
        .await;
    // In place: files of a package that is there.
    let text = fs::read_to_string(package.join("plugin.toml")).unwrap();
    fs::write(package.join("plugin.toml"), format!("{text}colour = \"red\"\n")).unwrap();
    root.wait_for("an unknown key", |root| {
        root.bad().iter().any(|bad| bad.contains("colour"))
    })
    .await;
    assert_eq!(root.versions(), ["1.2.4"], "it hides no other");
    fs::write(package.join("plugin.toml"), text).unwrap();
    root.wait_for("the key to be gone", |root| root.bad().is_empty())
        .await;
    fs::remove_dir_all(&package).unwrap();
    root.wait_for("the package to be gone", |root| root.versions() == ["1.2.4"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_is_usable_when_its_last_byte_is_there_and_not_before() {
    let root = Root::new();
    root.plugins.follow();
    let outside = tempfile::tempdir().unwrap();
    let written = TestPackage {
        wasm: Some(&component(outside.path(), "1.2.3")),
        ..TestPackage::default()
    }
    .write(outside.path());
    let content = fs::read(written.join("plugin.wasm")).unwrap();
    // As `cp -r` may do it: the manifest first, and the code bit by bit.
    let package = root.path.join("package");
    fs::create_dir(&package).unwrap();
    fs::copy(written.join("plugin.toml"), package.join("plugin.toml")).unwrap();
    root.wait_for("the manifest without code", |root| {
        root.bad()
            .iter()
            .any(|bad| bad.contains("plugin.wasm cannot be read"))
    })
    .await;
    fs::write(package.join("plugin.wasm"), &content[..content.len() / 2]).unwrap();
    // Half of the code is noticed when somebody wants it, and without that.
    root.wait_for("half of the code", |root| {
        root.bad().iter().any(|bad| bad.contains("sha256 is"))
    })
    .await;
    assert!(root.versions().is_empty());
    let error = root
        .plugins
        .load_wanted(&wanted(""))
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("sha256 is"), "{error}");
    fs::write(package.join("plugin.wasm"), &content).unwrap();
    root.wait_for("all of the code", |root| {
        root.bad().is_empty() && root.versions() == ["1.2.3"]
    })
    .await;
    root.plugins.load_wanted(&wanted("")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_version_chooses_between_packages() {
    let root = Root::new();
    for version in ["1.2.3", "1.2.4", "2.0.0"] {
        install(&root.path, version, version);
    }
    for (asked_for, version) in [
        ("", "2.0.0"),
        ("latest", "2.0.0"),
        ("1.2.3", "1.2.3"),
        ("[1.0,2.0)", "1.2.4"),
        ("(,1.2.3],[2.0,)", "2.0.0"),
    ] {
        let plugin = root.plugins.load_wanted(&wanted(asked_for)).await.unwrap();
        assert_eq!(plugin.info().version, version, "{asked_for}");
        assert_eq!(
            root.plugins.selected(&wanted(asked_for)).unwrap().version,
            version
        );
    }
    fs::write(root.path.join("1.2.4/plugin.wasm"), "no code").unwrap();
    root.plugins.rescan();
    let error = root.plugins.load_wanted(&wanted("1.2.4")).await.unwrap_err();
    let (text, error) = (error.to_string(), error);
    assert!(
        matches!(&error, crate::LookupError::NoVersion { versions, .. } if *versions == ["1.2.3", "2.0.0"]),
        "{error:?}"
    );
    assert!(
        text.starts_with(&format!(
            "Plugin {CLASS} not found that matches the version range [1.2.4,1.2.4], available versions: [1.2.3, 2.0.0]; \
             version 1.2.4 in "
        )) && text.ends_with("no WASM component: build or install the package again"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_that_cannot_be_loaded_is_listed_until_it_changes_and_an_older_one_serves() {
    let root = Root::new();
    install(&root.path, "old", "1.2.3");
    let new = install(&root.path, "new", "1.2.4");
    let content = fs::read(new.join("plugin.wasm")).unwrap();
    fs::write(new.join("plugin.wasm"), &content[..content.len() - 1]).unwrap();
    assert_eq!(root.versions(), Vec::<String>::new(), "nobody has looked yet");
    let loaded = root.plugins.load_wanted(&wanted("")).await.unwrap();
    assert_eq!(loaded.info().version, "1.2.3");
    assert_eq!(root.versions(), ["1.2.3"]);
    let bad = root.plugins.bad();
    assert_eq!((bad.len(), &bad[0].location), (1, &new));
    assert!(bad[0].reason.contains("sha256 is"), "{bad:?}");
    assert_eq!(bad[0].manifest.as_ref().unwrap().plugins[0].class, CLASS);
    fs::write(new.join("plugin.wasm"), &content).unwrap();
    root.plugins.rescan();
    assert_eq!((root.versions().len(), root.bad().len()), (2, 0));
    let loaded = root.plugins.load_wanted(&wanted("")).await.unwrap();
    assert_eq!(loaded.info().version, "1.2.4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_replaces_running_code_is_newer_or_in_its_place() {
    let root = Root::new();
    let package = install(&root.path, "package", "1.2.3");
    root.plugins.rescan();
    let running = root.plugins.load_wanted(&wanted("")).await.unwrap();
    let replacement = |asked_for: &str| {
        let (plugins, wanted, info) = (
            Arc::clone(&root.plugins),
            wanted(asked_for),
            running.info().clone(),
        );
        async move {
            plugins.rescan();
            let new = plugins.load_replacement(&wanted, &info).await;
            new.map(|new| new.map(|new| new.info().version.clone()))
        }
    };
    assert_eq!(replacement("").await.unwrap(), None, "the same");
    let newer = install(&root.path, "newer", "1.2.4");
    assert_eq!(replacement("").await.unwrap().as_deref(), Some("1.2.4"));
    assert_eq!(replacement("1.2.3").await.unwrap(), None, "not asked for");
    fs::remove_dir_all(&newer).unwrap();
    install(&root.path, "older", "1.2.2");
    assert_eq!(replacement("").await.unwrap(), None, "nothing newer");
    fs::write(package.join("plugin.wasm"), "no code").unwrap();
    assert_eq!(
        replacement("").await.unwrap(),
        None,
        "a bad package is no reason to go back"
    );
    fs::remove_dir_all(&package).unwrap();
    assert_eq!(replacement("").await.unwrap().as_deref(), Some("1.2.2"), "gone");
    install(&root.path, "package", "1.2.1");
    assert_eq!(
        replacement("[1.2.1]").await.unwrap().as_deref(),
        Some("1.2.1"),
        "in its place"
    );
    fs::remove_dir_all(&package).unwrap();
    fs::remove_dir_all(root.path.join("older")).unwrap();
    assert!(replacement("").await.is_err(), "nothing is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_that_nobody_runs_any_more_is_let_go() {
    let root = Root::new();
    let mut running = None;
    for version in ["1.2.3", "1.2.4", "1.2.5", "1.2.6"] {
        fs::remove_dir_all(root.path.join("package")).ok();
        install(&root.path, "package", version);
        root.plugins.rescan();
        let plugin = root.plugins.load_wanted(&wanted("")).await.unwrap();
        assert_eq!(plugin.info().version, version);
        let config = entries(&[("do", "identity"), ("argument", "")]);
        let task = plugin
            .start_source(&config, Services::default().task())
            .await
            .unwrap();
        assert!(
            root.plugins.compiled_count() <= 2,
            "the running one and the new one"
        );
        if let Some((task, plugin)) = running.replace((task, plugin)) {
            let task: Box<dyn HostedSource> = task;
            let plugin: Arc<dyn ConnectorPlugin> = plugin;
            task.stop().await;
            let old = Arc::downgrade(&plugin);
            drop(plugin);
            root.plugins.forget_unused();
            assert!(old.upgrade().is_none(), "{version} took its place");
        }
        assert_eq!(root.plugins.compiled_count(), 1);
    }
    let (mut task, _plugin) = running.expect("four tasks were started");
    assert!(matches!(task.poll(POLL).await, Ok(Polled::Batch(_))));
}

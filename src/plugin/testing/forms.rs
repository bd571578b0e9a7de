//! Which class, which version, which form: and what is said when there is none.

use std::fs;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_chooses_the_form() {
    let root = tempfile::tempdir().unwrap();
    let [native, wasm] = misbehaving();
    let both = TestPackage {
        native: Some(native),
        wasm: Some(wasm),
        ..TestPackage::default()
    };
    TestPackage {
        name: "jackfield-test",
        ..both
    }
    .write(root.path());
    let plugins = |native: NativePolicy| {
        Plugins::discover(PluginConfig {
            native,
            ..config(root.path(), &[])
        })
    };

    let nobody = plugins(NativePolicy::default());
    assert_eq!(nobody.load("Misbehaving", None).await.unwrap().form(), Form::Wasm);
    let error = nobody
        .load("Misbehaving", Some(Form::Native))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("add jackfield-test to plugin.native.allow"),
        "{error}"
    );

    let shipped = plugins(NativePolicy {
        own_directories: vec![root.path().to_owned()],
        allow: Vec::new(),
    });
    assert_eq!(
        shipped.load("Misbehaving", None).await.unwrap().form(),
        Form::Native
    );
    assert_eq!(
        shipped
            .load("Misbehaving", Some(Form::Wasm))
            .await
            .unwrap()
            .form(),
        Form::Wasm
    );

    let named = plugins(NativePolicy {
        own_directories: Vec::new(),
        allow: vec!["jackfield-test".to_owned()],
    });
    assert_eq!(
        named.load("Misbehaving", None).await.unwrap().form(),
        Form::Native
    );

    let other = plugins(NativePolicy {
        own_directories: Vec::new(),
        allow: vec!["jackfield-other".to_owned()],
    });
    assert_eq!(other.load("Misbehaving", None).await.unwrap().form(), Form::Wasm);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shipped_name_is_not_enough_elsewhere_nor_the_place_without_the_name() {
    let root = tempfile::tempdir().unwrap();
    TestPackage {
        native: Some(&misbehaving()[0]),
        name: "other",
        ..TestPackage::default()
    }
    .write(root.path());
    let native = NativePolicy {
        own_directories: vec![root.path().to_owned()],
        allow: Vec::new(),
    };
    let plugins = Plugins::discover(PluginConfig {
        native,
        ..config(root.path(), &[])
    });
    let error = plugins.load("Misbehaving", None).await.unwrap_err().to_string();
    assert!(
        error.contains("has only native code") && error.contains("plugin.native.allow"),
        "{error}"
    );
    let error = plugins
        .load("Misbehaving", Some(Form::Wasm))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("plugin.form is wasm, but package other") && error.contains("only: native"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_version_is_taken_and_a_lying_manifest_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let wasm = Some(misbehaving()[1].as_path());
    TestPackage {
        wasm,
        version: "1.2.3",
        ..TestPackage::default()
    }
    .write(root.path());
    TestPackage {
        wasm,
        version: "1.2.3-rc.1",
        ..TestPackage::default()
    }
    .write(root.path());
    TestPackage {
        wasm,
        version: "1.1.20",
        ..TestPackage::default()
    }
    .write(root.path());
    let plugins = Plugins::discover(config(root.path(), &[]));
    let versions: Vec<_> = plugins.list().into_iter().map(|info| info.version).collect();
    assert_eq!(versions, ["1.2.3", "1.2.3-rc.1", "1.1.20"]);
    assert_eq!(
        plugins
            .load("jackfield.test.MisbehavingConnector", None)
            .await
            .unwrap()
            .info()
            .version,
        "1.2.3"
    );

    TestPackage {
        wasm,
        version: "1.10.0",
        ..TestPackage::default()
    }
    .write(root.path());
    let plugins = Plugins::discover(config(root.path(), &[]));
    let exactly = Wanted {
        class: "MisbehavingConnector".to_owned(),
        version: "1.10.0".parse().unwrap(),
        form: None,
    };
    let error = plugins.load_wanted(&exactly).await.unwrap_err().to_string();
    assert!(
        error.contains("has version 1.2.3, the manifest says 1.10.0"),
        "{error}"
    );
    let loaded = plugins.load("MisbehavingConnector", None).await.unwrap();
    assert_eq!(loaded.info().version, "1.2.3", "the newest that can be loaded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_installed_later_is_found_and_an_unknown_class_is_explained() {
    let root = tempfile::tempdir().unwrap();
    let plugins = Plugins::discover(config(root.path(), &[]));
    let error = plugins.load("Misbehaving", None).await.unwrap_err().to_string();
    assert!(
        error.contains("no plugin was found at all, see plugin.path"),
        "{error}"
    );
    TestPackage {
        wasm: Some(&misbehaving()[1]),
        ..TestPackage::default()
    }
    .write(root.path());
    plugins.load("Misbehaving", None).await.unwrap();
    fs::create_dir(root.path().join("broken")).unwrap();
    let error = plugins
        .load("FileStreamSource", None)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("there are jackfield.test.MisbehavingConnector"),
        "{error}"
    );
    assert!(error.contains("1 packages cannot be used"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_digest_or_contract_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let [native, wasm] = misbehaving();
    let both = TestPackage {
        native: Some(native),
        wasm: Some(wasm),
        ..TestPackage::default()
    };
    let directory = both.write(root.path());
    for file in ["plugin.so", "plugin.wasm"] {
        let mut content = fs::read(directory.join(file)).unwrap();
        content.push(0);
        fs::write(directory.join(file), content).unwrap();
    }
    let plugins = Plugins::discover(config(root.path(), &[]));
    assert_eq!(plugins.bad().len(), 0, "digests are checked at load");
    for form in BOTH {
        let error = plugins
            .load("Misbehaving", Some(form))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("plugin test 1.2.3, file ") && error.contains("sha256 is "),
            "{error}"
        );
    }

    let root = tempfile::tempdir().unwrap();
    let wasm = Some(wasm.as_path());
    TestPackage {
        wasm,
        contract: "jackfield:plugin@9.9.9",
        ..TestPackage::default()
    }
    .write(root.path());
    let error = Plugins::discover(config(root.path(), &[]))
        .load("Misbehaving", None)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("built for jackfield:plugin@9.9.9, this program supports jackfield:plugin@0.0.4"),
        "{error}"
    );
}

/// A component of an older contract, as it was built then, is refused: by its manifest, and by itself where that lies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_of_an_older_contract_says_what_to_do() {
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("testing/old/source-0.0.3.wasm");
    for (contract, found) in [
        ("jackfield:plugin@0.0.3", "jackfield:plugin@0.0.3"),
        (CONTRACT, "@0.0.3"),
    ] {
        let root = tempfile::tempdir().unwrap();
        TestPackage {
            wasm: Some(&old),
            contract,
            ..TestPackage::default()
        }
        .write(root.path());
        let plugins = Plugins::discover(config(root.path(), &[]));
        let error = plugins.load("Misbehaving", None).await.unwrap_err().to_string();
        for part in [
            "plugin test 1.2.3, file ",
            "plugin.wasm: built for jackfield:plugin",
            found,
            &format!("this program supports {CONTRACT}: install a package built for it"),
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_cache_is_noticed_and_written_again() {
    let root = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    // A component that compiles at once.
    let component = root.path().join("empty.wasm");
    fs::write(&component, EMPTY_COMPONENT).unwrap();
    TestPackage {
        wasm: Some(&component),
        ..TestPackage::default()
    }
    .write(root.path());
    let load = || async {
        let config = PluginConfig {
            cache_dir: cache.path().to_owned(),
            ..config(root.path(), &[])
        };
        Plugins::discover(config)
            .load("Misbehaving", None)
            .await
            .unwrap_err()
            .to_string()
    };
    assert!(
        load().await.contains("not a Jackfield plugin"),
        "it compiles, but exports nothing"
    );
    let directory = cache.path().join("wasm");
    let mode =
        |path: &Path| std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions());
    assert_eq!(mode(&directory) & 0o777, 0o700);
    let files: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let good = fs::read(&files[0]).unwrap();
    for damage in [3, 20, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[damage] ^= 1;
        fs::write(&files[0], bad).unwrap();
        load().await;
        assert_eq!(fs::read(&files[0]).unwrap(), good, "byte {damage}");
    }
    fs::write(&files[0], b"short").unwrap();
    load().await;
    assert_eq!(fs::read(&files[0]).unwrap(), good);

    // Read back as it is: only a compilation writes the file.
    let old = std::time::SystemTime::UNIX_EPOCH;
    fs::File::options()
        .write(true)
        .open(&files[0])
        .unwrap()
        .set_modified(old)
        .unwrap();
    let is_old = || fs::metadata(&files[0]).unwrap().modified().unwrap() == old;
    load().await;
    assert!(is_old(), "the cache is used");

    // Others could have put code there: nothing in it is used.
    fs::set_permissions(&directory, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    load().await;
    assert_eq!(mode(&directory) & 0o777, 0o700);
    load().await;
    assert!(!is_old(), "compiled anew");
}

/// `(component)`.
const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_component_or_too_large_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("module.wasm");
    for (content, says) in [
        (&b"not wasm"[..], "no WASM component"),
        (b"\0asm\x01\0\0\0", "a core WASM module, not a component"),
        (
            &[EMPTY_COMPONENT, b"no section"].concat(),
            "not a component this program can run",
        ),
        (
            &[EMPTY_COMPONENT, &[0; 4088]].concat(),
            "4096 bytes, components of at most 1024 are loaded",
        ),
    ] {
        fs::write(&file, content).unwrap();
        TestPackage {
            wasm: Some(&file),
            ..TestPackage::default()
        }
        .write(root.path());
        let limits = Limits {
            component_bytes: 1024,
            ..Limits::default()
        };
        let plugins = Plugins::with_limits(config(root.path(), &[]), limits);
        let error = plugins.load("Misbehaving", None).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

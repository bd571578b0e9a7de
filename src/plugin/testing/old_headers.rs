//! A C plugin that was built against the header of ABI 0.4, kept beside this file: it keeps running while this program speaks
//! that ABI, and is refused with a message that says what to do by every other one.

use std::fs;

use jackfield_api::{
    ErrorKind,
    abi::{ABI_MAJOR, ABI_MINOR},
};

use super::*;

/// The ABI of the kept header.
const KEPT: (u16, u16) = (0, 4);

fn directory() -> PathBuf {
    workspace().join("src/plugin/testing/old")
}

/// The kept plugin in a package, loaded by a host.
async fn load(root: &Path, arguments: &[&str], abi: &str) -> Result<Arc<dyn ConnectorPlugin>, String> {
    let library = root.join("ticks.so");
    run(Command::new("cc")
        .args([
            "-std=c11",
            "-shared",
            "-fPIC",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-o",
        ])
        .arg(&library)
        .args(arguments)
        .arg(directory().join("ticks-0.4.c")));
    let packages = root.join("packages");
    TestPackage {
        native: Some(&library),
        class: "Ticks",
        abi,
        ..TestPackage::default()
    }
    .write(&packages);
    let plugins = Plugins::discover(config(&packages, &[]));
    plugins
        .load("Ticks", Some(Form::Native))
        .await
        .map_err(|error| error.to_string())
}

/// A refusal names plugin, file, what was found, what is supported and what to do.
fn check(refusal: &str, found: &str) {
    let supported = format!("this program supports plugin ABI {ABI_MAJOR}.{ABI_MINOR}");
    let remedy = "install a package built for it, or use the program version the package was built for";
    for part in [
        "plugin test 1.2.3, file ",
        "plugin.so: ",
        found,
        supported.as_str(),
        remedy,
    ] {
        assert!(refusal.contains(part), "{refusal} does not say {part:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_built_against_the_kept_header_runs_or_is_told_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let loaded = load(root.path(), &[], "0.4").await;
    if (ABI_MAJOR, ABI_MINOR) != KEPT {
        check(&loaded.unwrap_err(), "built for plugin ABI 0.4");
        return;
    }
    let class = loaded.unwrap();
    let config = entries(&[]);
    assert_eq!(
        class.task_configs(&config, 1).await.unwrap(),
        std::slice::from_ref(&config)
    );
    let services = Services::default();
    let mut source = class.start_source(&config, services.task()).await.unwrap();
    assert_eq!(services.report.state().as_deref(), Some("ticking"));
    let Polled::Batch(batch) = source.poll(POLL).await.unwrap() else {
        panic!("no batch");
    };
    assert_eq!(texts(&batch), ["tick"]);
    assert!(matches!(source.poll(POLL).await, Ok(Polled::Idle(Some(17)))));
    let error = source.poll(POLL).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Data, "no more ticks")
    );
    source.committed(1).await.unwrap();
    source.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_of_another_minor_is_told_what_to_do() {
    let other = ABI_MINOR + 1;
    let (define, found) = (format!("-DMINOR={other}"), format!("{ABI_MAJOR}.{other}"));
    let root = tempfile::tempdir().unwrap();
    let said = load(root.path(), &[&define], &found).await.unwrap_err();
    check(&said, &format!("built for plugin ABI {found}"));
    // A manifest that promises too much changes nothing.
    let here = format!("{ABI_MAJOR}.{ABI_MINOR}");
    let said = load(root.path(), &[&define], &here).await.unwrap_err();
    check(&said, &format!("the library speaks plugin ABI {found}"));
}

/// A header without comments and empty lines.
fn declarations(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let mut kept = String::new();
    let mut rest = text.as_str();
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = comment.split_once("*/").unwrap().1;
    }
    kept.push_str(rest);
    let lines = kept.lines().map(str::trim_end).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_abi_does_not_change_without_its_number() {
    if (ABI_MAJOR, ABI_MINOR) != KEPT {
        return;
    }
    let here = declarations(&workspace().join("src/api/include/jackfield_plugin.h"));
    let kept = declarations(&directory().join("jackfield_plugin-0.4.h"));
    assert!(
        here == kept,
        "the header declares something else than that of ABI 0.4, which is kept: raise ABI_MINOR, and keep a copy of the new \
         header beside it\n{here}"
    );
}

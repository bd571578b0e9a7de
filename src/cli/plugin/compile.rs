//! Starts what compiles a project, cargo or make, and finds what came out.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
};

use anyhow::{Context as _, anyhow, bail};
use jackfield_plugin::Form;
use serde::Deserialize;
use tokio::process::Command;

use super::{
    project::{Language, Project, identifier},
    stamp::Built,
};

const WASM_TARGET: &str = "wasm32-wasip2";
const INSTALL_RUST: &str = "install Rust from https://rustup.rs";

/// How something is to be compiled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    pub(super) dev: bool,
    /// Nothing but errors is shown.
    pub(super) quiet: bool,
}

/// Compiles one form.
///
/// # Errors
/// A tool is missing, or does not succeed; it has said why on standard error.
pub(super) async fn compile(project: &Project, form: Form, mode: Mode) -> anyhow::Result<Built> {
    let file = match project.language {
        Language::Rust => cargo(project, form, mode).await?,
        Language::C => make(project, mode).await?,
    };
    Ok(Built { form, file })
}

/// One line of what cargo says with `--message-format json`.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
    target: Option<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    #[serde(default)]
    kind: Vec<String>,
}

async fn cargo(project: &Project, form: Form, mode: Mode) -> anyhow::Result<PathBuf> {
    let manifest = project.directory.join("Cargo.toml");
    let mut cargo = command("cargo", &project.directory);
    cargo.args(["build", "--lib", "--message-format", "json-render-diagnostics"]);
    cargo.arg("--manifest-path").arg(&manifest);
    if !mode.dev {
        cargo.arg("--release");
    }
    if mode.quiet {
        cargo.arg("--quiet");
    }
    if form == Form::Wasm {
        need_wasm_target(&project.directory).await?;
        cargo.args(["--target", WASM_TARGET]);
    }
    let output = captured(&mut cargo)
        .await
        .map_err(|error| missing("cargo", INSTALL_RUST, &error))?;
    succeeded("cargo build", output.status)?;
    let suffixes: &[&str] = match form {
        Form::Wasm => &["wasm"],
        Form::Native => &["so", "dylib"],
    };
    let text = String::from_utf8_lossy(&output.stdout);
    found_in(&text, &manifest, suffixes).with_context(|| {
        format!(
            "cargo built no plugin: {} needs crate-type = [\"cdylib\"] in [lib]",
            manifest.display()
        )
    })
}

/// The library that cargo made of this manifest.
fn found_in(messages: &str, manifest: &Path, suffixes: &[&str]) -> Option<PathBuf> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let manifest = real(manifest);
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok());
    let ours = messages.filter(|message| {
        let is_library = |target: &Target| target.kind.iter().any(|kind| kind == "cdylib");
        message.reason == "compiler-artifact"
            && message.target.as_ref().is_some_and(is_library)
            && real(&message.manifest_path) == manifest
    });
    ours.flat_map(|message| message.filenames).find(|file| {
        let suffix = file.extension().and_then(|suffix| suffix.to_str());
        suffix.is_some_and(|suffix| suffixes.contains(&suffix))
    })
}

/// Rust's libraries for the target must be there; rustup can fetch them.
async fn need_wasm_target(directory: &Path) -> anyhow::Result<()> {
    let output = command("rustc", directory)
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .output()
        .await
        .map_err(|error| missing("rustc", INSTALL_RUST, &error))?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && libraries.is_dir() {
        return Ok(());
    }
    eprintln!("Rust's target {WASM_TARGET} is not installed: rustup target add {WASM_TARGET}");
    let added = command("rustup", directory)
        .args(["target", "add", WASM_TARGET])
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .status()
        .await;
    if added.as_ref().is_ok_and(ExitStatus::success) {
        return Ok(());
    }
    let why = match added {
        Ok(status) => format!("rustup ended with {status}"),
        Err(error) => format!("rustup cannot be started ({error})"),
    };
    bail!(
        "Rust's target {WASM_TARGET} is missing, and {why}: install it with 'rustup target add {WASM_TARGET}' \
         (https://rustup.rs), or build another form with --form native"
    )
}

async fn make(project: &Project, mode: Mode) -> anyhow::Result<PathBuf> {
    let mut make = command("make", &project.directory);
    // Of a make that started us: its job server is not ours.
    for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        make.env_remove(variable);
    }
    make.arg("--no-print-directory");
    if mode.quiet {
        make.arg("--silent");
    }
    let output = captured(&mut make)
        .await
        .map_err(|error| missing("make", "install make and a C compiler", &error))?;
    if !mode.quiet {
        // Standard output is for what the command is asked for.
        eprint!("{}", String::from_utf8_lossy(&output.stdout));
    }
    succeeded("make", output.status)?;
    let name = identifier(&project.manifest.package.name);
    let candidates = ["so", "dylib"].map(|suffix| project.output().join(format!("lib{name}.{suffix}")));
    let found = candidates.iter().find(|file| file.is_file());
    found.cloned().with_context(|| {
        format!(
            "make left no library: the first target of {} has to make build/lib{name}.so",
            project.directory.join("Makefile").display()
        )
    })
}

fn command(program: &str, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end: standard output is ours, the errors are the author's.
async fn captured(command: &mut Command) -> std::io::Result<Output> {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.spawn()?.wait_with_output().await
}

fn missing(program: &str, remedy: &str, error: &std::io::Error) -> anyhow::Error {
    anyhow!("{program} cannot be started ({error}): {remedy}")
}

fn succeeded(what: &str, status: ExitStatus) -> anyhow::Result<()> {
    if status.success() {
        Ok(())
    } else {
        bail!("the build failed: {what} ended with {status}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_the_project_is_found_among_what_cargo_says() {
        let line = |manifest: &str, kind: &str, files: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"{manifest}","target":{{"kind":["{kind}"]}},"filenames":[{files}]}}"#
            )
        };
        let messages = [
            "not json".to_owned(),
            line("/p/sdk/api/Cargo.toml", "cdylib", r#""/t/libother.so""#),
            line("/p/Cargo.toml", "bin", r#""/t/x""#),
            line("/p/Cargo.toml", "cdylib", r#""/t/libx.rlib","/t/libx.so""#),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ]
        .join("\n");
        let found = |suffixes: &[&str]| found_in(&messages, Path::new("/p/Cargo.toml"), suffixes);
        assert_eq!(found(&["so", "dylib"]), Some(PathBuf::from("/t/libx.so")));
        assert_eq!(found(&["wasm"]), None);
    }
}

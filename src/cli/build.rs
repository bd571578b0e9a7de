//! Puts together what `jackfield plugin new` writes into projects: the sources of the SDK's crates, and the root manifest
//! and lock file, which say what these depend on. The command embeds the result.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Crates of the SDK, as far as they are there.
const CRATES: [&str; 3] = ["api", "batch", "derive"];
/// What a crate consists of.
const SOURCES: [&str; 4] = ["rs", "toml", "wit", "h"];

fn main() -> io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.join("../..");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?).join("sdk");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    for file in ["Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(file).display());
        fs::copy(root.join(file), out.join(file))?;
    }
    for name in CRATES {
        let from = root.join("src").join(name);
        println!("cargo::rerun-if-changed={}", from.display());
        if from.is_dir() {
            copy(&from, &out.join(name))?;
        }
    }
    println!(
        "cargo::rerun-if-changed={}",
        here.join("plugin/templates").display()
    );
    println!("cargo::rerun-if-changed={}", here.join("build.rs").display());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        let is_source = |extension: &std::ffi::OsStr| SOURCES.iter().any(|known| extension == *known);
        if path.is_dir() {
            copy(&path, &target)?;
        } else if path.extension().is_some_and(is_source) {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}

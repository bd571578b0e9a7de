//! The part of a package's manifest that is written and not typed: its artifacts, with digests and versions. And the files of
//! a package, replaced so that whoever runs them never sees half of one.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use jackfield_plugin::{
    CONTRACT, Form, abi,
    manifest::{HOST_TARGET, MANIFEST_FILE, Manifest, Sha256},
};

/// The component's name in a package.
const COMPONENT: &str = "connector.wasm";

/// What was built in one form.
#[derive(Debug, Clone)]
pub(super) struct Built {
    pub(super) form: Form,
    pub(super) file: PathBuf,
}

/// A file of the package.
#[derive(Debug, Clone)]
pub(super) struct Installed {
    pub(super) form: Form,
    /// Inside the package.
    pub(super) file: PathBuf,
    pub(super) bytes: u64,
    pub(super) sha256: Sha256,
}

/// The author's manifest with an artifact that is none, so that everything else can be checked before it is built.
pub(super) fn with_placeholder(text: &str) -> String {
    let nothing = Installed {
        form: Form::Wasm,
        file: COMPONENT.into(),
        bytes: 0,
        sha256: Sha256([0; 32]),
    };
    stamped(text, &[nothing])
}

fn stamped(text: &str, artifacts: &[Installed]) -> String {
    let mut stamped = text.trim_end().to_owned();
    stamped.push_str("\n\n# Written by `jackfield plugin build`.\n");
    for artifact in artifacts {
        let (file, sha256) = (artifact.file.display(), artifact.sha256);
        stamped.push_str(&match artifact.form {
            Form::Wasm => format!(
                "[artifact.wasm]\nfile = \"{file}\"\nsha256 = \"{sha256}\"\ncontract = \"{CONTRACT}\"\n\n"
            ),
            Form::Native => format!(
                "[artifact.native]\nabi = \"{}\"\n\n[artifact.native.targets.{HOST_TARGET}]\nfile = \"{file}\"\n\
                 sha256 = \"{sha256}\"\n\n",
                abi()
            ),
        });
    }
    stamped.truncate(stamped.trim_end().len());
    stamped.push('\n');
    stamped
}

/// Writes the package. Returns its files, and whether anything changed.
///
/// # Errors
/// Something cannot be read or written.
pub(super) fn install(
    directory: &Path,
    text: &str,
    built: &[Built],
) -> anyhow::Result<(Vec<Installed>, bool)> {
    let before = known_files(directory);
    let mut changed = false;
    let mut installed = Vec::new();
    for artifact in built {
        let content =
            fs::read(&artifact.file).with_context(|| format!("cannot read {}", artifact.file.display()))?;
        let name = artifact.file.file_name().unwrap_or_default();
        let file = match artifact.form {
            Form::Wasm => PathBuf::from(COMPONENT),
            Form::Native => Path::new(HOST_TARGET).join(name),
        };
        changed |= replace(&directory.join(&file), &content)?;
        installed.push(Installed {
            form: artifact.form,
            file,
            bytes: content.len() as u64,
            sha256: Sha256::of(&content),
        });
    }
    let manifest = stamped(text, &installed);
    Manifest::parse(&manifest).map_err(|reason| anyhow!("{MANIFEST_FILE}: {reason}"))?;
    changed |= replace(&directory.join(MANIFEST_FILE), manifest.as_bytes())?;
    // What only an earlier build had.
    let current: BTreeSet<_> = installed.iter().map(|artifact| artifact.file.clone()).collect();
    for gone in before.difference(&current) {
        fs::remove_file(directory.join(gone)).ok();
    }
    Ok((installed, changed))
}

/// Files that the manifest of a package names.
fn known_files(directory: &Path) -> BTreeSet<PathBuf> {
    let text = fs::read_to_string(directory.join(MANIFEST_FILE)).unwrap_or_default();
    Manifest::parse(&text)
        .map(|manifest| manifest.files().map(Path::to_owned).collect())
        .unwrap_or_default()
}

/// The forms of a package that was built before.
pub(super) fn forms_of(directory: &Path) -> Vec<Form> {
    let text = fs::read_to_string(directory.join(MANIFEST_FILE)).unwrap_or_default();
    let Ok(manifest) = Manifest::parse(&text) else {
        return Vec::new();
    };
    let wasm = manifest.artifact.wasm.iter().map(|_| Form::Wasm);
    wasm.chain(manifest.native_here().map(|_| Form::Native)).collect()
}

/// Puts a file in the place of another at once, when it is another. Says whether it was.
pub(super) fn replace(file: &Path, content: &[u8]) -> anyhow::Result<bool> {
    if fs::read(file).is_ok_and(|there| there == content) {
        return Ok(false);
    }
    let directory = file.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(directory)?;
        let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
        new.write_all(content)?;
        new.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        new.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "schema = 1\n[package]\nname = \"x\"\nversion = \"0.1.0\"\n\
        [[plugin]]\nclass = \"X\"\nkind = \"source\"\n[capabilities]\nclock = true\n";

    #[test]
    fn a_package_has_what_was_built_last_and_changes_only_when_that_does() {
        let root = tempfile::tempdir().unwrap();
        let package = root.path().join("package/x-0.1.0");
        let (wasm, library) = (root.path().join("x.wasm"), root.path().join("libx.so"));
        fs::write(&wasm, "code").unwrap();
        fs::write(&library, "library").unwrap();
        let built = |form, file: &Path| Built {
            form,
            file: file.to_owned(),
        };
        let both = [built(Form::Wasm, &wasm), built(Form::Native, &library)];
        let (installed, changed) = install(&package, TEXT, &both).unwrap();
        assert!(changed);
        assert_eq!(installed[0].sha256, Sha256::of(b"code"));
        let text = fs::read_to_string(package.join(MANIFEST_FILE)).unwrap();
        assert!(text.starts_with(TEXT), "{text}");
        let manifest = Manifest::parse(&text).unwrap();
        assert!(manifest.capabilities.clock);
        assert_eq!(manifest.artifact.wasm.unwrap().contract, CONTRACT);
        assert_eq!(manifest.artifact.native.unwrap().abi, abi());
        assert_eq!(forms_of(&package), [Form::Wasm, Form::Native]);
        assert!(!install(&package, TEXT, &both).unwrap().1, "nothing changed");
        fs::write(&library, "library 2").unwrap();
        assert!(install(&package, TEXT, &both[1..]).unwrap().1);
        assert_eq!(forms_of(&package), [Form::Native]);
        assert!(!package.join(COMPONENT).exists(), "nobody names it any more");
        let left: Vec<_> = fs::read_dir(&package).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }
}

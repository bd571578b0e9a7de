//! Finds packages: scans the roots of `plugin.path` one level deep and reads manifests. Runs no plugin code.
//!
//! A bad package is put on a list with its reason and hides no other. Digests are not checked here but when an artifact is
//! loaded, so that start-up does not read megabytes that nobody uses; everything else about an artifact (it is there,
//! it is a file, it lies inside the package) is.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    BadPackage,
    manifest::{MANIFEST_FILE, MAX_MANIFEST_BYTES, Manifest},
};

/// A usable package.
#[derive(Debug)]
pub(crate) struct FoundPackage {
    /// Its directory.
    pub(crate) directory: PathBuf,
    /// The root of `plugin.path` it was found under.
    pub(crate) root: PathBuf,
    /// What it says about itself.
    pub(crate) manifest: Manifest,
}

/// Everything found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) packages: Vec<Arc<FoundPackage>>,
    pub(crate) bad: Vec<BadPackage>,
}

/// Scans all roots, in order; in a root the directories come by name.
pub(crate) fn scan(plugin_path: &[PathBuf]) -> Found {
    let mut found = Found::default();
    let mut seen = Vec::new();
    for root in plugin_path {
        // The same root twice (perhaps through a link) is not a duplicate of every package in it.
        let real = root.canonicalize().unwrap_or_else(|_| root.clone());
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        scan_root(root, &mut found);
    }
    drop_duplicates(&mut found);
    found
}

fn scan_root(root: &Path, found: &mut Found) {
    if root.join(MANIFEST_FILE).is_file() {
        return read_package(root, root, found);
    }
    let listed = fs::read_dir(root).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
    let mut entries: Vec<PathBuf> = match listed {
        Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
        Err(cause) => {
            let reason =
                format!("directory of plugin.path cannot be read: {cause}; create it or correct plugin.path");
            return found.bad.push(BadPackage {
                location: root.to_owned(),
                reason,
            });
        }
    };
    entries.sort();
    for entry in entries {
        let hidden = entry
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && entry.is_dir() {
            read_package(root, &entry, found);
        }
    }
}

fn read_package(root: &Path, directory: &Path, found: &mut Found) {
    match read_manifest(directory) {
        Ok(manifest) => found.packages.push(Arc::new(FoundPackage {
            directory: directory.to_owned(),
            root: root.to_owned(),
            manifest,
        })),
        Err(reason) => found.bad.push(BadPackage {
            location: directory.to_owned(),
            reason,
        }),
    }
}

fn read_manifest(directory: &Path) -> Result<Manifest, String> {
    let path = directory.join(MANIFEST_FILE);
    let text = read_limited(&path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => format!("no {MANIFEST_FILE}: a package is a directory with one"),
        _ => format!("{MANIFEST_FILE} cannot be read: {cause}"),
    })?;
    let manifest = Manifest::parse(&text).map_err(|reason| format!("{MANIFEST_FILE}: {reason}"))?;
    let inside = directory
        .canonicalize()
        .map_err(|cause| format!("directory cannot be read: {cause}"))?;
    for file in manifest.files() {
        let real = directory.join(file).canonicalize().map_err(|cause| {
            format!(
                "artifact {} cannot be read: {cause}; build or install the package again",
                file.display()
            )
        })?;
        if !real.starts_with(&inside) {
            return Err(format!(
                "artifact {} lies outside of the package: {}",
                file.display(),
                real.display()
            ));
        }
        if !real.is_file() {
            return Err(format!("artifact {} is not a file", file.display()));
        }
    }
    Ok(manifest)
}

fn read_limited(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = fs::File::open(path)?
        .take(MAX_MANIFEST_BYTES + 1)
        .read_to_string(&mut text)?;
    if read as u64 > MAX_MANIFEST_BYTES {
        return Err(io::Error::other(format!(
            "larger than {MAX_MANIFEST_BYTES} bytes"
        )));
    }
    Ok(text)
}

/// The first package of a class and version stays; a later one is bad as a whole.
fn drop_duplicates(found: &mut Found) {
    let mut owners: HashMap<(String, String), PathBuf> = HashMap::new();
    let Found { packages, bad } = found;
    packages.retain(|package| {
        let version = &package.manifest.package.version;
        let key = |class: &String| (class.clone(), version.clone());
        let classes = package
            .manifest
            .connectors
            .iter()
            .map(|connector| &connector.class);
        for class in classes.clone() {
            if let Some(owner) = owners.get(&key(class)) {
                let reason = format!(
                    "class {class} version {version} is already in {}: remove one of the two",
                    owner.display()
                );
                bad.push(BadPackage {
                    location: package.directory.clone(),
                    reason,
                });
                return false;
            }
        }
        for class in classes {
            owners.insert(key(class), package.directory.clone());
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Sha256;

    fn package(root: &Path, directory: &str, class: &str, version: &str) -> PathBuf {
        let at = root.join(directory);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("connector.wasm"), b"").unwrap();
        let text = format!(
            "schema = 1\n[package]\nname = \"p\"\nversion = \"{version}\"\n[[connector]]\nclass = \"{class}\"\nkind = \"source\"\n\
             [artifact.wasm]\nfile = \"connector.wasm\"\nsha256 = \"{}\"\ncontract = \"jackfield:plugin@0.0.4\"\n",
            Sha256::of(b"")
        );
        fs::write(at.join(MANIFEST_FILE), text).unwrap();
        at
    }

    fn classes(found: &Found) -> Vec<String> {
        let class = |package: &Arc<FoundPackage>| package.manifest.connectors[0].class.clone();
        found.packages.iter().map(class).collect()
    }

    fn reason<'a>(found: &'a Found, location: &Path) -> &'a str {
        let bad = found.bad.iter().find(|bad| bad.location == location);
        &bad.unwrap_or_else(|| panic!("{} is not bad: {found:?}", location.display()))
            .reason
    }

    #[test]
    fn a_bad_package_hides_no_other() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        package(root, "a-good", "Good", "1");
        let missing = package(root, "b-missing", "Missing", "1");
        fs::remove_file(missing.join("connector.wasm")).unwrap();
        let unknown = package(root, "c-unknown", "Unknown", "1");
        let text = fs::read_to_string(unknown.join(MANIFEST_FILE)).unwrap();
        fs::write(unknown.join(MANIFEST_FILE), format!("{text}colour = \"red\"\n")).unwrap();
        let duplicate = package(root, "d-duplicate", "Good", "1");
        let no_manifest = root.join("e-empty");
        fs::create_dir(&no_manifest).unwrap();
        let binary = package(root, "f-binary", "Binary", "1");
        fs::write(binary.join(MANIFEST_FILE), b"\xff\xfe").unwrap();
        let outside = package(root, "g-outside", "Outside", "1");
        fs::remove_file(outside.join("connector.wasm")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", outside.join("connector.wasm")).unwrap();
        package(root, "h-other-version", "Good", "2");
        package(root, ".hidden", "Hidden", "1");
        fs::write(root.join("README.md"), "files beside packages are no packages").unwrap();

        let found = scan(&[root.to_owned()]);
        assert_eq!(classes(&found), ["Good", "Good"]);
        assert_eq!(found.bad.len(), 6, "{:#?}", found.bad);
        assert!(reason(&found, &missing).contains("artifact connector.wasm cannot be read"));
        assert!(reason(&found, &unknown).contains("unknown field `colour`"));
        assert!(reason(&found, &duplicate).contains("class Good version 1 is already in"));
        assert!(reason(&found, &duplicate).contains("a-good"));
        assert!(reason(&found, &no_manifest).contains("no plugin.toml"));
        assert!(reason(&found, &binary).contains("cannot be read"));
        assert!(reason(&found, &outside).contains("lies outside of the package"));
    }

    #[test]
    fn a_root_may_be_missing_or_be_a_package_itself() {
        let root = tempfile::tempdir().unwrap();
        let single = package(root.path(), "single", "Single", "1");
        let missing = root.path().join("missing");
        let found = scan(&[missing.clone(), single.clone(), single]);
        assert_eq!(classes(&found), ["Single"]);
        assert_eq!(found.bad.len(), 1);
        assert!(reason(&found, &missing).contains("correct plugin.path"));
    }
}

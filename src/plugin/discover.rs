//! Finds packages: scans the roots of `plugin.path` one level deep and reads manifests. Runs no plugin code.
//!
//! A bad package is put on a list with its reason and hides no other. Digests are not checked here but when an artifact is
//! loaded, so that start-up does not read megabytes that nobody uses; everything else about an artifact (it is there, it is
//! a file, it lies inside the package, it begins as code does, it was built for this program) is.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use jackfield_api::abi::{ABI_MAJOR, ABI_MINOR};

use crate::{
    BadPackage, artifact,
    manifest::{MANIFEST_FILE, MAX_MANIFEST_BYTES, Manifest, Sha256},
    wasm::CONTRACT,
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
    /// Digest of the manifest, and so of everything it pins: the package is another one when this is.
    pub(crate) digest: Sha256,
    /// Changes with everything that may make a package good or bad.
    pub(crate) stamp: u64,
}

/// Everything found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) packages: Vec<Arc<FoundPackage>>,
    pub(crate) bad: Vec<BadPackage>,
    /// Where something has to happen for another result.
    pub(crate) directories: BTreeSet<PathBuf>,
}

impl Found {
    /// Whether this is the same result, as far as anybody may ask.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let packages = |found: &Self| -> Vec<(PathBuf, Sha256, u64)> {
            let packages = found.packages.iter();
            packages
                .map(|package| (package.directory.clone(), package.digest, package.stamp))
                .collect()
        };
        let bad = |found: &Self| -> Vec<(PathBuf, String)> {
            let bad = found.bad.iter();
            bad.map(|bad| (bad.location.clone(), bad.reason.clone()))
                .collect()
        };
        packages(self) == packages(other) && bad(self) == bad(other) && self.directories == other.directories
    }

    /// Whether there is a package in this directory, good or bad.
    pub(crate) fn has(&self, directory: &Path) -> bool {
        let good = self.packages.iter().any(|package| package.directory == directory);
        good || self.bad.iter().any(|bad| bad.location == directory)
    }
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
    found.directories.insert(root.to_owned());
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
                manifest: None,
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
    found.directories.insert(directory.to_owned());
    let bad = |reason: String, manifest: Option<Manifest>| BadPackage {
        location: directory.to_owned(),
        reason,
        manifest: manifest.map(Box::new),
    };
    let (manifest, digest) = match read_manifest(directory) {
        Ok(read) => read,
        Err(reason) => return found.bad.push(bad(reason, None)),
    };
    for file in manifest.files() {
        // A directory of the package that is not there yet appears in the one above it.
        let file = directory.join(file);
        let between = file.ancestors().skip(1).take_while(|above| *above != directory);
        found
            .directories
            .extend(between.filter(|above| above.is_dir()).map(Path::to_owned));
    }
    let checked = check_files(directory, &manifest).and_then(|()| check_built_for(directory, &manifest));
    if let Err(reason) = checked {
        return found.bad.push(bad(reason, Some(manifest)));
    }
    let stamp = stamp(root, directory, &manifest, digest);
    found.packages.push(Arc::new(FoundPackage {
        directory: directory.to_owned(),
        root: root.to_owned(),
        manifest,
        digest,
        stamp,
    }));
}

fn read_manifest(directory: &Path) -> Result<(Manifest, Sha256), String> {
    let path = directory.join(MANIFEST_FILE);
    let text = read_limited(&path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => format!("no {MANIFEST_FILE}: a package is a directory with one"),
        _ => format!("{MANIFEST_FILE} cannot be read: {cause}"),
    })?;
    let manifest = Manifest::parse(&text).map_err(|reason| format!("{MANIFEST_FILE}: {reason}"))?;
    Ok((manifest, Sha256::of(text.as_bytes())))
}

fn check_files(directory: &Path, manifest: &Manifest) -> Result<(), String> {
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
    let about = |file: &Path, what: String| format!("artifact {}: {what}", file.display());
    if let Some(wasm) = &manifest.artifact.wasm {
        artifact::check_component(&directory.join(&wasm.file)).map_err(|what| about(&wasm.file, what))?;
    }
    if let Some(native) = manifest.native_here() {
        artifact::check_library(&directory.join(&native.file)).map_err(|what| about(&native.file, what))?;
    }
    Ok(())
}

/// A package of which no artifact that could run here was built for this program. Of two artifacts one is enough.
fn check_built_for(directory: &Path, manifest: &Manifest) -> Result<(), String> {
    let abi = format!("{ABI_MAJOR}.{ABI_MINOR}");
    let wasm = manifest
        .artifact
        .wasm
        .as_ref()
        .map(|wasm| (wasm.contract == CONTRACT, &wasm.file, wasm.contract.clone()));
    let native = manifest.native_here().map(|library| {
        let built_for = manifest.artifact.native.as_ref().map(|native| native.abi.clone());
        let built_for = built_for.unwrap_or_default();
        (built_for == abi, &library.file, format!("plugin ABI {built_for}"))
    });
    let supported = [CONTRACT.to_owned(), format!("plugin ABI {abi}")];
    let artifacts = [wasm, native];
    if artifacts.iter().flatten().any(|(fits, ..)| *fits) {
        return Ok(());
    }
    let package = &manifest.package;
    let wrong = artifacts.iter().zip(supported).filter_map(|(artifact, supported)| {
        let (_, file, built_for) = artifact.as_ref()?;
        Some(format!(
            "plugin {} {}, file {}: built for {built_for}, this program supports {supported}: install a package built for \
             it, or use the program version the package was built for",
            package.name,
            package.version,
            directory.join(file).display()
        ))
    });
    let wrong: Vec<String> = wrong.collect();
    if wrong.is_empty() {
        // Libraries of other machines only; whoever asks for a class is told so.
        return Ok(());
    }
    Err(wrong.join("; "))
}

/// What code is pinned, and everything about the files that changes when they do.
fn stamp(root: &Path, directory: &Path, manifest: &Manifest, digest: Sha256) -> u64 {
    let mut hasher = DefaultHasher::new();
    digest.hash(&mut hasher);
    fs::metadata(root).map_or(0, |root| root.mode()).hash(&mut hasher);
    let files = manifest.files().map(|file| directory.join(file));
    for path in std::iter::once(directory.to_owned()).chain(files) {
        let Ok(found) = fs::metadata(&path) else { continue };
        let times = [
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        ];
        (found.dev(), found.ino(), found.size(), found.mode(), times).hash(&mut hasher);
    }
    hasher.finish()
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
    let Found { packages, bad, .. } = found;
    packages.retain(|package| {
        let version = &package.manifest.package.version;
        let key = |class: &String| (class.clone(), version.clone());
        let classes = package.manifest.plugins.iter().map(|connector| &connector.class);
        for class in classes.clone() {
            if let Some(owner) = owners.get(&key(class)) {
                let reason = format!(
                    "class {class} version {version} is already in {}: remove one of the two",
                    owner.display()
                );
                bad.push(BadPackage {
                    location: package.directory.clone(),
                    reason,
                    manifest: Some(Box::new(package.manifest.clone())),
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
    use std::time::{Duration, Instant};

    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn package(root: &Path, directory: &str, class: &str, version: &str) -> PathBuf {
        let at = root.join(directory);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join("connector.wasm"), COMPONENT).unwrap();
        let text = format!(
            "schema = 1\n[package]\nname = \"p\"\nversion = \"{version}\"\n[[plugin]]\nclass = \"{class}\"\nkind = \"source\"\n\
             [artifact.wasm]\nfile = \"connector.wasm\"\nsha256 = \"{}\"\ncontract = \"{CONTRACT}\"\n",
            Sha256::of(COMPONENT)
        );
        fs::write(at.join(MANIFEST_FILE), text).unwrap();
        at
    }

    fn classes(found: &Found) -> Vec<String> {
        let class = |package: &Arc<FoundPackage>| package.manifest.plugins[0].class.clone();
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
        let text_file = package(root, "i-text", "Text", "1");
        fs::write(text_file.join("connector.wasm"), "not code").unwrap();
        let contract = package(root, "j-contract", "Contract", "1");
        let text = fs::read_to_string(contract.join(MANIFEST_FILE)).unwrap();
        fs::write(
            contract.join(MANIFEST_FILE),
            text.replace(CONTRACT, "jackfield:plugin@9.9.9"),
        )
        .unwrap();
        package(root, ".hidden", "Hidden", "1");
        fs::write(root.join("README.md"), "files beside packages are no packages").unwrap();

        let found = scan(&[root.to_owned()]);
        assert_eq!(classes(&found), ["Good", "Good"]);
        assert_eq!(found.bad.len(), 8, "{:#?}", found.bad);
        assert!(reason(&found, &missing).contains("artifact connector.wasm cannot be read"));
        assert!(reason(&found, &unknown).contains("unknown field `colour`"));
        assert!(reason(&found, &duplicate).contains("class Good version 1 is already in"));
        assert!(reason(&found, &duplicate).contains("a-good"));
        assert!(reason(&found, &no_manifest).contains("no plugin.toml"));
        assert!(reason(&found, &binary).contains("cannot be read"));
        assert!(reason(&found, &outside).contains("lies outside of the package"));
        assert!(reason(&found, &text_file).contains("artifact connector.wasm: no WASM component"));
        assert!(
            reason(&found, &contract).contains("built for jackfield:plugin@9.9.9, this program supports")
        );
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

    #[test]
    fn another_result_is_told_from_the_same() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let good = package(root, "good", "Good", "1");
        let look = || scan(&[root.to_owned()]);
        let first = look();
        assert!(look().is_like(&first));
        assert!(first.directories.contains(root) && first.directories.contains(&good));
        // Longer, so that it differs however coarse the file system's clock is.
        fs::write(good.join("connector.wasm"), [COMPONENT, b"more"].concat()).unwrap();
        let second = look();
        assert!(!second.is_like(&first));
        assert_eq!(second.packages[0].digest, first.packages[0].digest);
        fs::create_dir(root.join("empty")).unwrap();
        assert!(!look().is_like(&second));
        assert!(look().has(&root.join("empty")) && !second.has(&root.join("empty")));
    }

    #[test]
    fn a_hundred_packages_are_found_in_less_than_100_ms() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..100 {
            package(root.path(), &format!("p{number}"), &format!("Class{number}"), "1");
        }
        // The best of several: the machine has other work, too.
        let rounds = (0..10).map(|_| {
            let started = Instant::now();
            let found = scan(&[root.path().to_owned()]);
            assert_eq!((found.packages.len(), found.bad.len()), (100, 0));
            started.elapsed()
        });
        let best = rounds.min().unwrap();
        assert!(best < Duration::from_millis(100), "{best:?}");
    }
}

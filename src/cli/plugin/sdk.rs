//! The SDK inside the program: the sources of its crates and headers, as they are written into projects.
//!
//! A project's `sdk/` is a cargo workspace of its own, so that the manifests of the crates stay as they are and the author's
//! manifest says nothing about them but a path. `sdk/VERSION` says which program wrote it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use include_dir::{Dir, DirEntry, include_dir};
use jackfield_plugin::{CONTRACT, abi, compare_versions, manifest::Sha256};
use toml_edit::{Array, DocumentMut, Item};

use super::project::Language;

/// Put together by `build.rs`.
static EMBEDDED: Dir<'_> = include_dir!("$OUT_DIR/sdk");
/// Where it is in a project.
pub(super) const DIRECTORY: &str = "sdk";
const VERSION_FILE: &str = "VERSION";
const HEADERS: &str = "api/include";
const UPDATE: &str = "`jackfield plugin build --update-sdk`";

/// What the SDK of a program is, and what `sdk/VERSION` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    program: String,
    contract: String,
    abi: String,
    /// Of all files, to tell programs of one version apart.
    digest: String,
}

impl Version {
    /// Of this program.
    pub(super) fn here(language: Language) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for (path, content) in files(language)? {
            all.extend_from_slice(path.to_string_lossy().as_bytes());
            all.push(0);
            all.extend_from_slice(&content);
        }
        Ok(Self {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            contract: CONTRACT.to_owned(),
            abi: abi(),
            digest: Sha256::of(&all).to_string(),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let mut lines = text.lines();
            let found = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            found.map(|value| value.trim().to_owned())
        };
        Some(Self {
            program: value("jackfield")?,
            contract: value("contract")?,
            abi: value("abi")?,
            digest: value("sha256")?,
        })
    }

    fn text(&self) -> String {
        format!(
            "jackfield {}\ncontract {}\nabi {}\nsha256 {}\n",
            self.program, self.contract, self.abi, self.digest
        )
    }

    fn shown(&self) -> String {
        format!(
            "{} ({}, ABI {}, {})",
            self.program,
            self.contract,
            self.abi,
            self.digest.get(..8).unwrap_or(&self.digest)
        )
    }

    /// What to tell somebody whose project has this SDK, with this program.
    fn warning(&self, program: &Self) -> Option<String> {
        if self == program {
            return None;
        }
        let (found, here) = (self.shown(), program.shown());
        let order = compare_versions(&self.program, &program.program)
            .then_with(|| compare_versions(&self.contract, &program.contract))
            .then_with(|| compare_versions(&self.abi, &program.abi));
        Some(if order.is_gt() {
            format!(
                "{DIRECTORY}/ is of a newer Jackfield, {found}, than this program, {here}: this program may not load \
                 what it builds; use the newer program, or go back with {UPDATE}"
            )
        } else if order.is_lt() {
            format!("{DIRECTORY}/ is older, {found}, than this program, {here}: {UPDATE} replaces it")
        } else {
            format!(
                "{DIRECTORY}/ is another one, {found}, than that of this program, {here}: {UPDATE} replaces it"
            )
        })
    }
}

/// What is to be said of a project's SDK; nothing where it has none of ours, as in a workspace with Jackfield's own crates.
pub(super) fn warning(project: &Path, language: Language) -> anyhow::Result<Option<String>> {
    let directory = project.join(DIRECTORY);
    if !directory.is_dir() {
        return Ok(None);
    }
    let here = Version::here(language)?;
    let text = fs::read_to_string(directory.join(VERSION_FILE)).unwrap_or_default();
    Ok(match Version::parse(&text) {
        Some(found) => found.warning(&here),
        None => Some(format!(
            "{DIRECTORY}/{VERSION_FILE} does not say which SDK this is, the program has {}: {UPDATE} replaces it",
            here.shown()
        )),
    })
}

/// Writes the SDK into a project, in the place of one that is there.
///
/// # Errors
/// Something cannot be written.
pub(super) fn write(project: &Path, language: Language) -> anyhow::Result<()> {
    let (directory, new) = (project.join(DIRECTORY), project.join(".sdk-new"));
    let old = project.join(".sdk-old");
    let failed = |error: std::io::Error| anyhow!("cannot write {}: {error}", directory.display());
    for left in [&new, &old] {
        if left.exists() {
            fs::remove_dir_all(left).map_err(failed)?;
        }
    }
    let version = (
        PathBuf::from(VERSION_FILE),
        Version::here(language)?.text().into(),
    );
    for (path, content) in files(language)?.into_iter().chain([version]) {
        let file = new.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&new)).map_err(failed)?;
        fs::write(file, content).map_err(failed)?;
    }
    if directory.exists() {
        fs::rename(&directory, &old).map_err(failed)?;
    }
    fs::rename(&new, &directory).map_err(failed)?;
    if old.exists() {
        fs::remove_dir_all(&old).map_err(failed)?;
    }
    Ok(())
}

/// The embedded root manifest.
pub(super) fn root_manifest() -> anyhow::Result<DocumentMut> {
    document(Path::new("Cargo.toml"))
}

/// The embedded lock file.
pub(super) fn root_lock() -> anyhow::Result<DocumentMut> {
    document(Path::new("Cargo.lock"))
}

/// Crates that only the SDK's own tests need.
pub(super) fn test_dependencies() -> anyhow::Result<BTreeSet<String>> {
    let mut tests = BTreeSet::new();
    let mut used = BTreeSet::new();
    for directory in EMBEDDED.dirs() {
        let mut manifest = document(&directory.path().join("Cargo.toml"))?;
        let dependencies = manifest.get("dev-dependencies").and_then(Item::as_table_like);
        let names = dependencies.into_iter().flat_map(|table| table.iter());
        tests.extend(names.map(|(name, _)| name.to_owned()));
        adapt_crate(&mut manifest, &mut used);
    }
    Ok(tests.difference(&used).cloned().collect())
}

fn document(path: &Path) -> anyhow::Result<DocumentMut> {
    let text = EMBEDDED.get_file(path).and_then(include_dir::File::contents_utf8);
    text.with_context(|| format!("the program has no {}", path.display()))?
        .parse()
        .with_context(|| format!("the program's {}", path.display()))
}

/// Everything below `sdk/` but the version, sorted.
fn files(language: Language) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = match language {
        Language::Rust => rust_files()?,
        Language::C => headers(),
    };
    files.sort();
    Ok(files)
}

fn rust_files() -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut used = BTreeSet::new();
    let headers = Path::new(HEADERS);
    for file in all_files(&EMBEDDED).filter(|file| !file.path().starts_with(headers)) {
        let path = file.path();
        if path.components().count() < 2 {
            continue;
        }
        let content = if path.ends_with("Cargo.toml") {
            let mut manifest = document(path)?;
            adapt_crate(&mut manifest, &mut used);
            manifest.to_string().into_bytes()
        } else {
            file.contents().to_owned()
        };
        files.push((path.to_owned(), content));
    }
    let root = workspace(&used)?.to_string().into_bytes();
    files.push((PathBuf::from("Cargo.toml"), root));
    Ok(files)
}

fn headers() -> Vec<(PathBuf, Vec<u8>)> {
    let stamp = format!(
        "/* Written by jackfield {}: `jackfield plugin build --update-sdk` replaces it. */\n",
        env!("CARGO_PKG_VERSION")
    );
    let headers = EMBEDDED.get_dir(HEADERS).into_iter().flat_map(all_files);
    headers
        .filter_map(|file| {
            let path = file.path().strip_prefix(HEADERS).ok()?.to_owned();
            Some((path, [stamp.as_bytes(), file.contents()].concat()))
        })
        .collect()
}

fn all_files<'a>(directory: &'a Dir<'a>) -> Box<dyn Iterator<Item = &'a include_dir::File<'a>> + 'a> {
    Box::new(directory.entries().iter().flat_map(|entry| match entry {
        DirEntry::Dir(inner) => all_files(inner),
        DirEntry::File(file) => Box::new(std::iter::once(file)),
    }))
}

/// Takes out what only our own tests need, and notes what the workspace has to provide.
fn adapt_crate(manifest: &mut DocumentMut, used: &mut BTreeSet<String>) {
    for key in ["dev-dependencies", "example", "bench", "test"] {
        manifest.remove(key);
    }
    let mut note = |dependencies: Option<&Item>| {
        let table = dependencies.and_then(Item::as_table_like);
        used.extend(
            table
                .into_iter()
                .flat_map(|table| table.iter().map(|(name, _)| name.to_owned())),
        );
    };
    note(manifest.get("dependencies"));
    note(manifest.get("build-dependencies"));
    let targets = manifest.get("target").and_then(Item::as_table_like);
    for (_, target) in targets.into_iter().flat_map(|targets| targets.iter()) {
        note(target.get("dependencies"));
    }
}

/// The workspace of the SDK: ours, as far as its crates refer to it.
fn workspace(used: &BTreeSet<String>) -> anyhow::Result<DocumentMut> {
    let mut root = root_manifest()?;
    let crates: Vec<_> = EMBEDDED
        .dirs()
        .filter_map(|directory| directory.path().to_str())
        .collect();
    let others: Vec<_> = root
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| key != "workspace")
        .collect();
    for key in others {
        root.remove(&key);
    }
    let workspace = root["workspace"]
        .as_table_mut()
        .context("the program's Cargo.toml has no [workspace]")?;
    workspace.remove("exclude");
    workspace.insert(
        "members",
        toml_edit::value(crates.iter().copied().collect::<Array>()),
    );
    let dependencies = workspace["dependencies"]
        .as_table_mut()
        .context("the program's Cargo.toml has no [workspace.dependencies]")?;
    dependencies.retain(|name, _| used.contains(name));
    for (_, dependency) in dependencies.iter_mut() {
        let path = dependency.get("path").and_then(Item::as_str).map(str::to_owned);
        if let (Some(path), Some(table)) = (path, dependency.as_inline_table_mut()) {
            table.insert("path", path.trim_start_matches("src/").into());
        }
    }
    root.decor_mut().set_prefix(format!(
        "# Jackfield's SDK, written by jackfield {}: {UPDATE} replaces this directory.\n\n",
        env!("CARGO_PKG_VERSION")
    ));
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(program: &str, contract: &str, digest: &str) -> Version {
        Version {
            program: program.to_owned(),
            contract: contract.to_owned(),
            abi: "0.4".to_owned(),
            digest: digest.repeat(64),
        }
    }

    #[test]
    fn both_versions_are_named() {
        let here = version("0.2.0", "jackfield:plugin@0.0.5", "b");
        assert_eq!(here.warning(&here), None);
        let said = |found: Version| found.warning(&here).unwrap();
        let older = said(version("0.1.0", "jackfield:plugin@0.0.4", "a"));
        assert!(
            older.contains(
                "older, 0.1.0 (jackfield:plugin@0.0.4, ABI 0.4, aaaaaaaa), than this program, 0.2.0"
            ),
            "{older}"
        );
        assert!(older.ends_with("--update-sdk` replaces it"), "{older}");
        assert!(said(version("0.2.0", "jackfield:plugin@0.0.4", "a")).contains("is older"));
        assert!(said(version("0.10.0", "jackfield:plugin@0.0.5", "a")).contains("of a newer Jackfield"));
        assert!(said(version("0.2.0", "jackfield:plugin@0.0.5", "a")).contains("is another one"));
        let text = here.text();
        assert_eq!(Version::parse(&text), Some(here));
        assert_eq!(Version::parse("0.1.0"), None);
    }

    #[test]
    fn the_workspace_has_what_the_crates_refer_to_and_nothing_else() {
        let files = files(Language::Rust).unwrap();
        let text = |name: &str| {
            let (_, content) = files.iter().find(|(path, _)| path == Path::new(name)).unwrap();
            String::from_utf8(content.clone()).unwrap()
        };
        let root: toml::Table = toml::from_str(&text("Cargo.toml")).unwrap();
        let workspace = &root["workspace"];
        assert!(
            workspace["members"]
                .as_array()
                .unwrap()
                .iter()
                .any(|name| name.as_str() == Some("api"))
        );
        assert_eq!(
            workspace["dependencies"]["jackfield-batch"]["path"].as_str(),
            Some("batch")
        );
        let dependencies = workspace["dependencies"].as_table().unwrap();
        assert!(dependencies.contains_key("wit-bindgen") && !dependencies.contains_key("tokio"));
        assert_eq!(root.len(), 1, "{root:?}");
        let api: toml::Table = toml::from_str(&text("api/Cargo.toml")).unwrap();
        assert!(!api.contains_key("example"), "{api:?}");
        assert!(text("api/wit/plugin.wit").contains(CONTRACT));
    }

    #[test]
    fn an_sdk_is_replaced_as_a_whole() {
        let project = tempfile::tempdir().unwrap();
        let directory = project.path().join(DIRECTORY);
        assert_eq!(
            warning(project.path(), Language::Rust).unwrap(),
            None,
            "there is none"
        );
        write(project.path(), Language::Rust).unwrap();
        assert_eq!(warning(project.path(), Language::Rust).unwrap(), None);
        fs::write(directory.join("api/left.rs"), "").unwrap();
        fs::write(directory.join(VERSION_FILE), "").unwrap();
        let said = warning(project.path(), Language::Rust).unwrap().unwrap();
        assert!(said.contains("does not say which SDK this is"), "{said}");
        write(project.path(), Language::Rust).unwrap();
        assert!(!directory.join("api/left.rs").exists());
        let left: Vec<_> = fs::read_dir(project.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

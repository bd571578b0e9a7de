//! A plugin's project: a directory with a `plugin.toml` without artifacts, and sources in a language that can be built.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use jackfield_plugin::{
    Form,
    manifest::{MANIFEST_FILE, Manifest},
};

use super::stamp;
use crate::exit::CannotRead;

/// Config of the kit's runs, in a project.
pub(super) const CONFORMANCE_FILE: &str = "conformance.toml";

/// What a project is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    C,
}

/// See the file's header.
#[derive(Debug, Clone)]
pub(super) struct Project {
    /// Absolute.
    pub(super) directory: PathBuf,
    /// The manifest as the author wrote it.
    pub(super) text: String,
    /// What it says; its artifacts are placeholders.
    pub(super) manifest: Manifest,
    pub(super) language: Language,
}

/// Whether the text of a `plugin.toml` is that of a package that was built.
pub(super) fn has_artifacts(text: &str) -> bool {
    toml::from_str::<toml::Table>(text).is_ok_and(|table| table.contains_key("artifact"))
}

impl Project {
    /// Reads a project.
    ///
    /// # Errors
    /// There is none, its manifest is wrong, or nothing says how it is built.
    pub(super) fn read(directory: &Path) -> anyhow::Result<Self> {
        let directory =
            std::path::absolute(directory).with_context(|| format!("directory {}", directory.display()))?;
        let file = directory.join(MANIFEST_FILE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(CannotRead(format!(
                "{} is no project of a plugin: it has no {MANIFEST_FILE}; `jackfield plugin new` writes one",
                directory.display()
            ))),
            Err(error) => return Err(CannotRead::named(file.display(), &error).into()),
        };
        if has_artifacts(&text) {
            bail!(
                "{} has [artifact], as packages have: in a project that part is left to `jackfield plugin build`; \
                 remove it, or name the project's directory",
                file.display()
            );
        }
        let manifest = Manifest::parse(&stamp::with_placeholder(&text))
            .map_err(|reason| anyhow!("{}: {reason}", file.display()))?;
        let language = language(&directory)?;
        let project = Self {
            directory,
            text,
            manifest,
            language,
        };
        project.check_version()?;
        Ok(project)
    }

    /// Name and version, as directories and archives are called.
    pub(super) fn full_name(&self) -> String {
        full_name(&self.manifest)
    }

    /// Where everything that is built goes.
    pub(super) fn output(&self) -> PathBuf {
        self.directory.join(match self.language {
            Language::Rust => "target",
            Language::C => "build",
        })
    }

    /// Where its package is put.
    pub(super) fn package(&self) -> PathBuf {
        self.output().join("package").join(self.full_name())
    }

    /// The forms its language has, the usual one first.
    pub(super) fn forms(&self) -> &'static [Form] {
        match self.language {
            Language::Rust => &[Form::Wasm, Form::Native],
            Language::C => &[Form::Native],
        }
    }

    /// `conformance.toml`, when it has one.
    pub(super) fn conformance(&self) -> Option<PathBuf> {
        Some(self.directory.join(CONFORMANCE_FILE)).filter(|file| file.is_file())
    }

    /// The version of the crate is what the code says of itself, so the manifest has to say the same.
    fn check_version(&self) -> anyhow::Result<()> {
        let file = self.directory.join("Cargo.toml");
        let Ok(text) = fs::read_to_string(&file) else {
            return Ok(());
        };
        let table: toml::Table =
            toml::from_str(&text).map_err(|error| anyhow!("{}: {error}", file.display()))?;
        let version = table.get("package").and_then(|package| package.get("version"));
        let here = &self.manifest.package.version;
        match version.and_then(toml::Value::as_str) {
            Some(version) if version != here => bail!(
                "the version is {here} in {MANIFEST_FILE} and {version} in Cargo.toml of {}: make them the same",
                self.directory.display()
            ),
            _ => Ok(()),
        }
    }
}

/// Name and version of a package.
pub(super) fn full_name(manifest: &Manifest) -> String {
    format!("{}-{}", manifest.package.name, manifest.package.version)
}

/// The name of a package as identifiers have it.
pub(super) fn identifier(name: &str) -> String {
    name.replace('-', "_")
}

fn language(directory: &Path) -> anyhow::Result<Language> {
    if directory.join("Cargo.toml").is_file() {
        return Ok(Language::Rust);
    }
    if directory.join("Makefile").is_file() {
        return Ok(Language::C);
    }
    bail!(
        "nothing says how {} is built: there is neither a Cargo.toml nor a Makefile beside {MANIFEST_FILE}",
        directory.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "schema = 1\n[package]\nname = \"x\"\nversion = \"0.1.0\"\n\
        [[plugin]]\nclass = \"X\"\nkind = \"source\"\n";

    /// A project of these files must be refused with a message that contains `wanted`.
    fn check(files: &[(&str, &str)], wanted: &str) {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let error = Project::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error:?} does not say {wanted:?}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cargo = "[package]\nname = \"x\"\nversion = \"0.2.0\"\n";
        check(&[], "it has no plugin.toml; `jackfield plugin new` writes one");
        check(
            &[("plugin.toml", MANIFEST)],
            "neither a Cargo.toml nor a Makefile",
        );
        check(
            &[("plugin.toml", MANIFEST), ("Cargo.toml", cargo)],
            "the version is 0.1.0 in plugin.toml and 0.2.0 in Cargo.toml",
        );
        check(
            &[("plugin.toml", &MANIFEST.replace("kind =", "kin ="))],
            "unknown field `kin`",
        );
        let built = stamp::with_placeholder(MANIFEST);
        check(&[("plugin.toml", &built)], "has [artifact], as packages have");
    }

    #[test]
    fn languages() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("plugin.toml"), MANIFEST).unwrap();
        fs::write(directory.path().join("Makefile"), "").unwrap();
        let project = Project::read(directory.path()).unwrap();
        assert_eq!(project.language, Language::C);
        assert!(project.package().ends_with("build/package/x-0.1.0"));
        fs::write(
            directory.path().join("Cargo.toml"),
            "[package]\nversion.workspace = true\n",
        )
        .unwrap();
        let project = Project::read(directory.path()).unwrap();
        assert_eq!(project.language, Language::Rust);
        assert!(project.package().ends_with("target/package/x-0.1.0"));
    }
}

//! `plugin.toml`: what a package says about itself. Read without running any of its code.
//!
//! A package is one directory: the manifest and the artifacts it names. The directory's name is not significant.
//!
//! ```text
//! jackfield-file-0.1.0/
//!   plugin.toml
//!   connector.wasm
//!   x86_64-unknown-linux-gnu/libconnector.so
//! ```
//!
//! ```toml
//! schema = 1                          # version of this file's format
//!
//! [package]
//! name = "jackfield-file"             # lower case letters, digits, '-'; "jackfield-" is kept for shipped packages
//! version = "0.1.0"                   # of the package and of all its classes
//! license = "Apache-2.0"              # optional
//! description = "Lines of a file to a topic and back"   # optional
//! default-form = "native"             # optional, "native" or "wasm": obeyed where native code is allowed
//!
//! [[plugin]]                          # one per class; all are in every artifact
//! class = "org.apache.kafka.connect.file.FileStreamSourceConnector"
//! aliases = ["FileStreamSource"]      # optional; the last part of the class name is found anyway
//! kind = "source"                     # "sink" or "transform"
//!
//! [artifact.wasm]                     # optional, at least one artifact must be there
//! file = "connector.wasm"             # relative, inside the package
//! sha256 = "<64 hex digits>"
//! contract = "jackfield:plugin@0.0.4" # WIT package it was built for
//!
//! [artifact.native]                   # optional
//! abi = "0.4"                         # ABI_MAJOR.ABI_MINOR it was built for
//!
//! [artifact.native.targets.x86_64-unknown-linux-gnu]    # one per target triple
//! file = "x86_64-unknown-linux-gnu/libconnector.so"
//! sha256 = "<64 hex digits>"
//!
//! [capabilities]                      # optional: what the WASM form asks for; the worker's config and policy file grant
//! directories = "read-write"          # "none" (default), "read" or "read-write": those that are granted
//! http = ["https://api.example.com", "{config:url}"]    # hosts of HTTP requests; "*" = every host
//! tcp = ["{config:db.host}:5432"]     # hosts of TCP connections
//! environment = ["ACME_REGION"]       # environment variables
//! clock = true                        # the time
//! ```
//!
//! How hosts are written is told in `hosts.rs`, what `{config:…}` means in `capabilities.rs`.
//!
//! An unknown key is an error: a typo must not silently become a default.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use serde::Deserialize;

pub(crate) use crate::capabilities::check_variable;
pub use crate::capabilities::{Capabilities, DirectoryAccess};
use crate::{Form, Kind};

/// File name of the manifest in a package directory.
pub const MANIFEST_FILE: &str = "plugin.toml";
/// The `schema` this host reads.
pub const MANIFEST_SCHEMA: u32 = 1;
/// Manifests beyond this size are refused.
pub const MAX_MANIFEST_BYTES: u64 = 256 * 1024;

/// A manifest that passed its checks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_SCHEMA`].
    pub schema: u32,
    /// The package as a whole.
    pub package: Package,
    /// Its classes: connectors and transforms.
    #[serde(rename = "plugin")]
    pub plugins: Vec<PluginClass>,
    /// Its artifacts.
    pub artifact: Artifacts,
    /// What the WASM form asks for.
    #[serde(default)]
    pub capabilities: Capabilities,
}

/// `[package]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Package {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// SPDX expression.
    #[serde(default)]
    pub license: Option<String>,
    /// One line.
    #[serde(default)]
    pub description: Option<String>,
    /// Form to take when the connector config does not say and native code is allowed.
    #[serde(default)]
    pub default_form: Option<Form>,
}

/// `[[plugin]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginClass {
    /// Full class name.
    pub class: String,
    /// Other names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Source, sink or transform.
    pub kind: Kind,
}

/// `[artifact]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifacts {
    /// The component.
    #[serde(default)]
    pub wasm: Option<WasmArtifact>,
    /// The native libraries.
    #[serde(default)]
    pub native: Option<NativeArtifact>,
}

/// `[artifact.wasm]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WasmArtifact {
    /// Path inside the package.
    pub file: PathBuf,
    /// Digest of the file.
    pub sha256: Sha256,
    /// WIT package it was built for.
    pub contract: String,
}

/// `[artifact.native]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NativeArtifact {
    /// `ABI_MAJOR.ABI_MINOR` it was built for.
    pub abi: String,
    /// One library per target triple.
    pub targets: BTreeMap<String, ArtifactFile>,
}

/// A file of the package, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactFile {
    /// Path inside the package.
    pub file: PathBuf,
    /// Digest of the file.
    pub sha256: Sha256,
}

/// A SHA-256 digest, written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Sha256(pub [u8; 32]);

impl Manifest {
    /// Reads and checks the text of a `plugin.toml`. The error says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct SchemaOnly {
            schema: Option<u32>,
        }
        // First, so that a manifest of a later schema is told apart from a broken one.
        if let Ok(SchemaOnly { schema: Some(found) }) = toml::from_str(text)
            && found != MANIFEST_SCHEMA
        {
            return Err(format!(
                "schema {found} of {MANIFEST_FILE} is not supported, this program reads schema {MANIFEST_SCHEMA}: \
                 install a package built for this version"
            ));
        }
        let manifest: Self = toml::from_str(text).map_err(|cause| cause.to_string().trim().to_owned())?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The library for the machine this program runs on.
    pub fn native_here(&self) -> Option<&ArtifactFile> {
        self.artifact.native.as_ref()?.targets.get(HOST_TARGET)
    }

    /// All artifact files it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let native = self
            .artifact
            .native
            .iter()
            .flat_map(|native| native.targets.values());
        let wasm = self.artifact.wasm.iter().map(|wasm| wasm.file.as_path());
        wasm.chain(native.map(|artifact| artifact.file.as_path()))
    }

    fn check(&self) -> Result<(), String> {
        let name = &self.package.name;
        check_name(name).map_err(|why| format!("package.name {name:?}: {why}"))?;
        let version = &self.package.version;
        let version_byte = |byte: u8| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte);
        if version.is_empty() || version.len() > 100 || !version.bytes().all(version_byte) {
            return Err(format!(
                "package.version {version:?}: letters, digits and . - + _ are allowed"
            ));
        }
        if self.plugins.is_empty() {
            return Err("no [[plugin]]: a package has at least one class".to_owned());
        }
        let mut classes = std::collections::BTreeSet::new();
        for connector in &self.plugins {
            for name in std::iter::once(&connector.class).chain(&connector.aliases) {
                check_class(name)?;
            }
            if !classes.insert(&connector.class) {
                return Err(format!("class {} is there twice", connector.class));
            }
        }
        let libraries = self
            .artifact
            .native
            .as_ref()
            .map_or(0, |native| native.targets.len());
        if self.artifact.wasm.is_none() && libraries == 0 {
            return Err(
                "no artifact: [artifact.wasm] or [artifact.native.targets.<triple>] is needed".to_owned(),
            );
        }
        self.capabilities.check()?;
        self.files().try_for_each(check_file)
    }
}

/// Whether this can be the name of a package.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 100 || !name.bytes().all(allowed) {
        return Err("lower case letters, digits and '-' are allowed".to_owned());
    }
    Ok(())
}

/// The target triple native libraries are looked up under.
pub const HOST_TARGET: &str = if cfg!(all(
    target_arch = "x86_64",
    target_os = "linux",
    target_env = "gnu"
)) {
    "x86_64-unknown-linux-gnu"
} else if cfg!(all(
    target_arch = "x86_64",
    target_os = "linux",
    target_env = "musl"
)) {
    "x86_64-unknown-linux-musl"
} else if cfg!(all(
    target_arch = "aarch64",
    target_os = "linux",
    target_env = "gnu"
)) {
    "aarch64-unknown-linux-gnu"
} else if cfg!(all(
    target_arch = "aarch64",
    target_os = "linux",
    target_env = "musl"
)) {
    "aarch64-unknown-linux-musl"
} else if cfg!(all(target_arch = "aarch64", target_os = "macos")) {
    "aarch64-apple-darwin"
} else if cfg!(all(target_arch = "x86_64", target_os = "macos")) {
    "x86_64-apple-darwin"
} else {
    "unknown"
};

fn check_class(name: &str) -> Result<(), String> {
    let class_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-$".contains(&byte);
    if name.is_empty() || name.len() > 255 || !name.bytes().all(class_byte) {
        return Err(format!(
            "class or alias {name:?}: letters, digits and . _ - $ are allowed"
        ));
    }
    Ok(())
}

fn check_file(file: &Path) -> Result<(), String> {
    let plain = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    // "." has no name: it is the package itself.
    if file.file_name().is_none() || !file.components().all(plain) {
        return Err(format!(
            "artifact file {}: a relative path inside the package is wanted",
            file.display()
        ));
    }
    Ok(())
}

impl Sha256 {
    /// The digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl TryFrom<String> for Sha256 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("sha256 {text:?}: 64 hex digits are wanted");
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut digest = [0; 32];
        for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(digest))
    }
}

impl std::fmt::Display for Sha256 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn example() -> String {
        format!(
            r#"
schema = 1

[package]
name = "jackfield-file"
version = "0.1.0"
license = "Apache-2.0"
description = "Lines of a file to a topic and back"
default-form = "native"

[[plugin]]
class = "org.apache.kafka.connect.file.FileStreamSourceConnector"
aliases = ["FileStreamSource"]
kind = "source"

[[plugin]]
class = "org.apache.kafka.connect.file.FileStreamSinkConnector"
kind = "sink"

[artifact.wasm]
file = "connector.wasm"
sha256 = "{DIGEST}"
contract = "jackfield:plugin@0.0.4"

[artifact.native]
abi = "0.4"

[artifact.native.targets.x86_64-unknown-linux-gnu]
file = "x86_64-unknown-linux-gnu/libconnector.so"
sha256 = "{DIGEST}"

[capabilities]
directories = "read-write"
http = ["https://api.example.com", "{{config:url}}"]
tcp = ["{{config:db.host}}:5432"]
environment = ["ACME_REGION"]
clock = true
"#
        )
    }

    #[test]
    fn the_example_is_read() {
        let manifest = Manifest::parse(&example()).unwrap();
        assert_eq!(manifest.package.name, "jackfield-file");
        assert_eq!(manifest.package.default_form, Some(Form::Native));
        assert_eq!(manifest.plugins[0].aliases, ["FileStreamSource"]);
        assert_eq!(manifest.plugins[1].kind, Kind::Sink);
        let asked = &manifest.capabilities;
        assert_eq!(asked.directories, DirectoryAccess::ReadWrite);
        assert_eq!(asked.http, ["https://api.example.com", "{config:url}"]);
        assert_eq!(asked.tcp, ["{config:db.host}:5432"]);
        assert_eq!(asked.environment, ["ACME_REGION"]);
        assert!(asked.clock);
        let wasm = manifest.artifact.wasm.as_ref().unwrap();
        assert_eq!(wasm.sha256, Sha256::of(b""));
        assert_eq!(wasm.sha256.to_string(), DIGEST);
        assert_eq!(manifest.files().count(), 2);
    }

    /// The example with one text replaced must be refused with a message that contains `wanted`.
    fn check(from: &str, to: &str, wanted: &str) {
        let text = example();
        assert!(text.contains(from), "{from:?} is not in the example");
        let reason = Manifest::parse(&text.replace(from, to)).unwrap_err();
        assert!(reason.contains(wanted), "{reason:?} does not say {wanted:?}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        check(
            "schema = 1",
            "schema = 2",
            "schema 2 of plugin.toml is not supported",
        );
        check("schema = 1", "", "missing field `schema`");
        check("license =", "licence =", "unknown field `licence`");
        check("directories =", "network =", "unknown field `network`");
        check("\"read-write\"", "\"all\"", "unknown variant `all`");
        check(
            "{config:url}",
            "{config:url",
            "capabilities.http: \"{config:url\"",
        );
        check("\"ACME_REGION\"", "\"A=B\"", "capabilities.environment: \"A=B\"");
        check("\"jackfield-file\"", "\"Jackfield File\"", "package.name");
        check("\"0.1.0\"", "\"0.1 beta\"", "package.version");
        check(
            "kind = \"sink\"",
            "kind = \"converter\"",
            "unknown variant `converter`",
        );
        check(
            "default-form = \"native\"",
            "default-form = \"jar\"",
            "unknown variant `jar`",
        );
        check(
            "FileStreamSinkConnector",
            "FileStreamSourceConnector",
            "is there twice",
        );
        check(
            "[\"FileStreamSource\"]",
            "[\"File Source\"]",
            "class or alias \"File Source\"",
        );
        check(DIGEST, "e3b0", "64 hex digits");
        check(
            "\"connector.wasm\"",
            "\"../connector.wasm\"",
            "a relative path inside the package",
        );
        check(
            "\"connector.wasm\"",
            "\"/tmp/connector.wasm\"",
            "a relative path inside the package",
        );
        check(
            "\"connector.wasm\"",
            "\".\"",
            "a relative path inside the package",
        );
        check("schema = 1", "schema = ", "expected");
    }

    #[test]
    fn a_package_without_classes_or_artifacts_is_refused() {
        let package = "schema = 1\n[package]\nname = \"a\"\nversion = \"1\"\n";
        let reason = Manifest::parse(&format!(
            "{package}[artifact]\n[[plugin]]\nclass=\"A\"\nkind=\"sink\""
        ))
        .unwrap_err();
        assert!(reason.contains("no artifact"), "{reason}");
        let reason = Manifest::parse(&format!("plugin = []\n{package}[artifact]")).unwrap_err();
        assert!(reason.contains("no [[plugin]]"), "{reason}");
    }
}

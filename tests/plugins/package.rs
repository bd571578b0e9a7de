//! Packages made of the shipped file connectors: of any version, and with one of their classes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sha2::{Digest, Sha256};

use crate::harness::{program::Standalone, scratch::Scratch};

pub(crate) const SOURCE: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";
pub(crate) const SINK: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";

/// The version of the shipped package.
const SHIPPED: &str = env!("CARGO_PKG_VERSION");

/// The directory of a package of this build.
pub(crate) fn installed(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("plugins/{name}-{SHIPPED}"));
    assert!(
        directory.exists(),
        "{}: `make build` makes it",
        directory.display()
    );
    directory
}

/// A worker with a `plugin.path` of its own, not started yet.
pub(crate) fn worker(scratch: &Scratch) -> (Standalone, PathBuf) {
    let plugins = scratch.join("plugins");
    fs::create_dir_all(&plugins).unwrap();
    let mut worker = Standalone::new(scratch);
    worker.property("plugin.path", &plugins.display().to_string());
    worker.property("plugin.native.allow", "*");
    (worker, plugins)
}

/// A package to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package<'a> {
    pub(crate) class: &'a str,
    pub(crate) version: &'a str,
}

impl Package<'_> {
    /// Writes the files of the package one after the other, as copying them would.
    pub(crate) fn write(&self, directory: &Path) {
        let shipped = installed("jackfield-file");
        let manifest = fs::read_to_string(shipped.join("plugin.toml")).unwrap();
        let kind = if self.class == SINK { "sink" } else { "source" };
        let mut text = format!(
            "schema = 1\n[package]\nname = \"file-{kind}\"\nversion = \"{}\"\n[[plugin]]\nclass = \"{}\"\n\
             aliases = [\"{}\"]\nkind = \"{kind}\"\n",
            self.version,
            self.class,
            self.class
                .rsplit('.')
                .next()
                .unwrap()
                .trim_end_matches("Connector")
        );
        let artifacts = manifest.find("\n[artifact").expect("the manifest has artifacts");
        for line in manifest[artifacts..].lines() {
            let value = |key: &str| {
                let value = line.strip_prefix(key)?.trim_start().strip_prefix('=')?;
                Some(value.trim().trim_matches('"').to_owned())
            };
            if let Some(file) = value("file") {
                let content = as_version(&fs::read(shipped.join(&file)).unwrap(), self.version);
                let path = directory.join(&file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &content).unwrap();
                let digest: String = Sha256::digest(&content)
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                text.push_str(&format!("{line}\nsha256 = \"{digest}\"\n"));
            } else if value("sha256").is_none() {
                text.push_str(&format!("{line}\n"));
            }
        }
        fs::write(directory.join("plugin.toml"), text).unwrap();
    }

    /// Puts the package in the place of one that is there (or of none), at once.
    pub(crate) fn swap(&self, directory: &Path) {
        let parent = directory.parent().unwrap();
        let new = parent.with_file_name("new-package");
        fs::remove_dir_all(&new).ok();
        self.write(&new);
        if directory.exists() {
            renameat_with(CWD, &new, CWD, directory, RenameFlags::EXCHANGE).unwrap();
        } else {
            fs::rename(&new, directory).unwrap();
        }
    }
}

/// The code as another version: the text is as long, so everything else stays where it is.
fn as_version(content: &[u8], version: &str) -> Vec<u8> {
    assert_eq!(version.len(), SHIPPED.len());
    let places: Vec<usize> = content
        .windows(SHIPPED.len())
        .enumerate()
        .filter_map(|(at, bytes)| (bytes == SHIPPED.as_bytes()).then_some(at))
        .collect();
    assert!(!places.is_empty(), "the code says its version");
    let mut content = content.to_vec();
    for at in places {
        content[at..at + version.len()].copy_from_slice(version.as_bytes());
    }
    content
}

//! The directories a component may use: those of `plugin.wasm.directories`, and those its package is granted by the policy.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::{manifest::DirectoryAccess, reach::Reach};

/// Granted directories, absolute.
#[derive(Debug)]
pub(crate) struct Directories {
    granted: BTreeMap<PathBuf, Granted>,
    /// The worker's current directory, when it is granted: relative paths mean the same inside as outside.
    current: Option<PathBuf>,
}

#[derive(Debug, Clone)]
struct Granted {
    access: DirectoryAccess,
    /// Where it is written.
    source: String,
}

impl Directories {
    /// Those of `plugin.wasm.directories`; checks that they are there. The error names the config key.
    pub(crate) fn new(configured: &[PathBuf], current: Option<&Path>) -> Result<Self, String> {
        let mut granted = BTreeMap::new();
        for directory in configured {
            let source = "plugin.wasm.directories".to_owned();
            let directory = checked(directory, &source, "correct the key")?;
            let access = DirectoryAccess::ReadWrite;
            granted.insert(directory, Granted { access, source });
        }
        Ok(Self::with_current(granted, current))
    }

    /// These and those of the policy, as far as the package asks for directories.
    pub(super) fn of(&self, reach: &Reach, current: Option<&Path>) -> Result<Self, String> {
        let asked = reach.directories();
        let mut granted = BTreeMap::new();
        if asked == DirectoryAccess::None {
            return Ok(Self::with_current(granted, None));
        }
        granted.clone_from(&self.granted);
        for (directory, file) in reach.granted_directories() {
            let source = format!("plugin.policy: {}, line {}", file.display(), directory.line);
            let path = checked(&directory.path, &source, "correct the line")?;
            let access = directory.access;
            let found = granted.entry(path).or_insert(Granted { access, source });
            found.access = found.access.max(access);
        }
        for directory in granted.values_mut() {
            directory.access = directory.access.min(asked);
        }
        Ok(Self::with_current(granted, current))
    }

    fn with_current(granted: BTreeMap<PathBuf, Granted>, current: Option<&Path>) -> Self {
        // Under the name of the granted directory, which may be a link.
        let current = current.and_then(|current| {
            let current = current.canonicalize().ok()?;
            granted.keys().find_map(|directory| {
                let below = current.strip_prefix(directory.canonicalize().ok()?).ok()?;
                Some(if below.as_os_str().is_empty() {
                    directory.clone()
                } else {
                    directory.join(below)
                })
            })
        });
        Self { granted, current }
    }

    /// Opens them to the component, at the same paths inside. Links that lead out of them do not work there.
    pub(super) fn open(&self, wasi: &mut WasiCtxBuilder) -> Result<(), String> {
        for (directory, granted) in &self.granted {
            let permissions = match granted.access {
                DirectoryAccess::None => continue,
                DirectoryAccess::Read => FsPerms::ReadOnly,
                DirectoryAccess::ReadWrite => FsPerms::ReadWrite,
            };
            wasi.preopened_dir(directory, directory.display().to_string(), permissions)
                .map_err(|cause| {
                    let directory = directory.display();
                    format!("{}: {directory} cannot be opened: {cause:#}", granted.source)
                })?;
        }
        Ok(())
    }

    /// The absolute path when it lies in a granted directory.
    pub(super) fn grant(&self, path: &Path) -> Option<PathBuf> {
        if path.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        if path.is_relative() {
            return Some(self.current.as_ref()?.join(path));
        }
        self.granted
            .keys()
            .any(|directory| path.starts_with(directory))
            .then(|| path.to_owned())
    }

    pub(super) fn current(&self) -> Option<&Path> {
        self.current.as_deref()
    }

    /// For messages.
    pub(super) fn describe(&self) -> String {
        if self.granted.is_empty() {
            return "none".to_owned();
        }
        let names: Vec<_> = self
            .granted
            .keys()
            .map(|directory| directory.display().to_string())
            .collect();
        names.join(", ")
    }
}

/// The directory, absolute, when it is there.
fn checked(directory: &Path, source: &str, remedy: &str) -> Result<PathBuf, String> {
    let wrong = |what: &dyn std::fmt::Display| {
        format!(
            "{source}: {}: {what}; create the directory or {remedy}",
            directory.display()
        )
    };
    let metadata = std::fs::metadata(directory).map_err(|cause| wrong(&cause))?;
    if !metadata.is_dir() {
        return Err(wrong(&"not a directory"));
    }
    std::path::absolute(directory).map_err(|cause| wrong(&cause))
}

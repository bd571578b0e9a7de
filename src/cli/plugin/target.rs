//! What a command is pointed at: a project, a package, or an archive of one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use jackfield_plugin::manifest::MANIFEST_FILE;
use tempfile::TempDir;

use super::{
    archive,
    build::{self, Wish},
    project::{Project, has_artifacts},
};
use crate::exit::CannotRead;

/// A package on disk, wherever it came from.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) directory: PathBuf,
    /// The project it was built from.
    pub(super) project: Option<Project>,
    /// Compiled code goes here.
    pub(super) cache: PathBuf,
    /// Gone with this.
    _unpacked: TempDir,
}

/// Finds the package; a project is built, an archive unpacked.
///
/// # Errors
/// There is none, or the build fails.
pub(super) async fn package(path: &Path, wish: &Wish) -> anyhow::Result<Package> {
    let temporary = tempfile::tempdir().context("no temporary directory can be made")?;
    let found = |directory: PathBuf, temporary: TempDir| Package {
        directory,
        project: None,
        cache: temporary.path().join("cache"),
        _unpacked: temporary,
    };
    let metadata = fs::metadata(path).map_err(|error| CannotRead::named(path.display(), &error))?;
    if metadata.is_file() {
        let directory = archive::unpack(path, &temporary.path().join("package"))
            .with_context(|| format!("cannot unpack {}", path.display()))?;
        return Ok(found(directory, temporary));
    }
    let path = std::path::absolute(path)?;
    let text = fs::read_to_string(path.join(MANIFEST_FILE)).unwrap_or_default();
    if has_artifacts(&text) {
        return Ok(found(path, temporary));
    }
    if !path.join(MANIFEST_FILE).is_file() {
        bail!(CannotRead(format!(
            "{} is neither a project nor a package of a plugin: it has no {MANIFEST_FILE}",
            path.display()
        )));
    }
    let project = Project::read(&path)?;
    build::project(&project, wish).await?;
    Ok(Package {
        directory: project.package(),
        cache: project.output().join("plugin-cache"),
        project: Some(project),
        _unpacked: temporary,
    })
}

//! Loads a native library, pinned by its digest, and has it say what it is (`descriptor.rs`), before any function of a
//! connector runs.
//!
//! Libraries are never unloaded: destructors of thread-locals would crash, or keep the code anyway. What is loaded is a
//! copy named by its content in a directory of our own: the package's file may be overwritten while its code runs, which
//! would crash this process, and under a path it knows the dynamic linker would answer with the old library.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jackfield_api::abi::{ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL, EntryFn};
use libloading::os::unix::{Library as OsLibrary, RTLD_LOCAL, RTLD_NOW};

use super::{
    descriptor::{Classes, read_classes, unsupported},
    host::HOST,
};
use crate::{
    code_store::CodeStore,
    discover::FoundPackage,
    manifest::{ArtifactFile, Sha256},
};

/// Every library of this process, by content.
static LOADED: Mutex<Option<HashMap<Sha256, Arc<Classes>>>> = Mutex::new(None);

/// Loads the library of a package once per content. The error names the plugin, the file and what to do.
pub(super) fn load(
    package: &FoundPackage,
    artifact: &ArtifactFile,
    cache_dir: &Path,
) -> Result<Arc<Classes>, String> {
    let file = package.directory.join(&artifact.file);
    let about = |what: String| {
        let package = &package.manifest.package;
        format!(
            "plugin {} {}, file {}: {what}",
            package.name,
            package.version,
            file.display()
        )
    };
    check_abi(package).map_err(about)?;
    check_permissions(package, &file).map_err(about)?;
    let content = fs::read(&file).map_err(|cause| about(format!("cannot be read: {cause}")))?;
    let found = Sha256::of(&content);
    if found != artifact.sha256 {
        return Err(about(format!(
            "sha256 is {found}, the manifest says {}: the file was changed, install the package again",
            artifact.sha256
        )));
    }
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let loaded = loaded.get_or_insert_default();
    if let Some(classes) = loaded.get(&found) {
        return Ok(Arc::clone(classes));
    }
    let library = match copy(&content, found, cache_dir).and_then(|path| open_library(&path)) {
        Ok(library) => library,
        Err(cause) => {
            // Perhaps the directory is full, or mounted so that code cannot be run from it.
            tracing::warn!(path = %file.display(), error = %cause, "no copy of a native plugin, loading the file itself");
            open_library(&file).map_err(about)?
        }
    };
    let classes = Arc::new(read_library(library).map_err(about)?);
    loaded.insert(found, Arc::clone(&classes));
    Ok(classes)
}

/// What the manifest says is looked at before the library's code is mapped.
fn check_abi(package: &FoundPackage) -> Result<(), String> {
    let declared = package
        .manifest
        .artifact
        .native
        .as_ref()
        .map_or("", |native| &native.abi);
    if declared == format!("{ABI_MAJOR}.{ABI_MINOR}") {
        return Ok(());
    }
    Err(unsupported(&format!("built for plugin ABI {declared}")))
}

/// Code that others may change is not loaded.
fn check_permissions(package: &FoundPackage, file: &Path) -> Result<(), String> {
    let real = |path: &Path| {
        path.canonicalize()
            .map_err(|cause| format!("{} cannot be read: {cause}", path.display()))
    };
    let (file, directory, root) = (real(file)?, real(&package.directory)?, real(&package.root)?);
    let inside = file.ancestors().take_while(|path| path.starts_with(&directory));
    for path in inside.chain([root.as_path()]) {
        let metadata =
            fs::metadata(path).map_err(|cause| format!("{} cannot be read: {cause}", path.display()))?;
        if metadata.mode() & 0o002 != 0 {
            return Err(format!(
                "{} is writable by everyone, native code from there is not loaded: chmod o-w it",
                path.display()
            ));
        }
    }
    Ok(())
}

fn copy(content: &[u8], digest: Sha256, cache_dir: &Path) -> Result<PathBuf, String> {
    let store = CodeStore::new(cache_dir.join("native"), "so");
    let name = digest.to_string();
    let path = store.path(&name);
    let there = store
        .read(&name)
        .is_ok_and(|found| found.as_deref() == Some(content));
    if !there {
        store
            .write(&name, content)
            .map_err(|cause| format!("{}: {cause}", path.display()))?;
    }
    Ok(path)
}

fn open_library(path: &Path) -> Result<OsLibrary, String> {
    // SAFETY: loading runs the library's initializers: native plugins are trusted code, allowed by the operator's policy
    // and pinned by digest.
    unsafe { OsLibrary::open(Some(path), RTLD_NOW | RTLD_LOCAL) }
        .map_err(|cause| format!("cannot be loaded: {cause}"))
}

fn read_library(library: OsLibrary) -> Result<Classes, String> {
    // SAFETY: the symbol's type is what the ABI says; everything it returns is checked below.
    let entry = unsafe { library.get::<EntryFn>(ENTRY_SYMBOL) }
        .map(|symbol| *symbol)
        .map_err(|_| "not a Jackfield plugin: it does not export jf_plugin_entry".to_owned());
    // Never unloaded, not even when it is refused.
    std::mem::forget(library);
    // SAFETY: the table lives as long as the process.
    let descriptor = unsafe { entry?(ABI_MAJOR, &raw const HOST) };
    if descriptor.is_null() {
        return Err(unsupported("the library refuses this program"));
    }
    // SAFETY: not null, and the plugin's promise is that it is a descriptor that stays; it is read field by field.
    unsafe { read_classes(descriptor) }
}

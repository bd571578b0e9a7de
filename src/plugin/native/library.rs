//! Loads a native library and checks what it says about itself, before any function of a connector runs.
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

use jackfield_api::abi::{
    self, ABI_MAJOR, ABI_MINOR, ClassDesc, ConnectorVTable, ENTRY_SYMBOL, EntryFn, MAGIC, PluginDesc,
    SinkVTable, Slice, SourceVTable, TransformVTable,
};
use libloading::os::unix::{Library as OsLibrary, RTLD_LOCAL, RTLD_NOW};

use super::{boundary, host::HOST};
use crate::{
    Kind,
    code_store::CodeStore,
    discover::FoundPackage,
    manifest::{ArtifactFile, Sha256},
};

/// Classes one library may have.
const MAX_CLASSES: u32 = 1_000;

/// A class of a loaded library, checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct NativeClass {
    /// Handed back to the plugin as it is.
    pub(super) descriptor: *const ClassDesc,
    pub(super) connector: ConnectorVTable,
    pub(super) tasks: TaskTable,
}

/// How tasks of the class are run.
#[derive(Debug, Clone, Copy)]
pub(super) enum TaskTable {
    Source(SourceVTable),
    Sink(SinkVTable),
    Transform(TransformVTable),
}

// SAFETY: descriptors live and stay unchanged as long as the process; the ABI lets any thread call their functions.
unsafe impl Send for NativeClass {}
// SAFETY: as above.
unsafe impl Sync for NativeClass {}

/// The classes of a library by name.
pub(super) type Classes = HashMap<String, (String, NativeClass)>;

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

fn unsupported(found: &str) -> String {
    format!(
        "{found}, this program supports plugin ABI {ABI_MAJOR}.{ABI_MINOR}: install a package built for it, or use the \
         program version the package was built for"
    )
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

/// # Safety
/// `descriptor` points to a [`PluginDesc`] of some version, alive and unchanged as long as the process.
unsafe fn read_classes(descriptor: *const PluginDesc) -> Result<Classes, String> {
    if !descriptor.is_aligned() {
        return Err("its descriptor is not aligned".to_owned());
    }
    // SAFETY: every version starts with these fields; nothing beyond them is read before the size is known.
    let (magic, major, minor, size) = unsafe {
        (
            (&raw const (*descriptor).magic).read(),
            (&raw const (*descriptor).abi_major).read(),
            (&raw const (*descriptor).abi_minor).read(),
            (&raw const (*descriptor).struct_size).read(),
        )
    };
    if magic != MAGIC {
        return Err(format!(
            "not a Jackfield plugin: its descriptor starts with {magic:#018x} instead of {MAGIC:#018x}"
        ));
    }
    if (major, minor) != (ABI_MAJOR, ABI_MINOR) {
        return Err(unsupported(&format!(
            "the library speaks plugin ABI {major}.{minor}"
        )));
    }
    if (size as usize) < size_of::<PluginDesc>() {
        return Err(format!(
            "its descriptor has {size} bytes, {} are needed",
            size_of::<PluginDesc>()
        ));
    }
    // SAFETY: the size was checked.
    let descriptor = unsafe { descriptor.read() };
    let (min, max, ours) = (
        descriptor.batch_major_min,
        descriptor.batch_major_max,
        u16::from(jackfield_batch::MAJOR),
    );
    if !(min..=max).contains(&ours) {
        return Err(format!(
            "it speaks record batch format {min} to {max}, this program speaks {ours}"
        ));
    }
    if descriptor.class_count == 0 || descriptor.class_count > MAX_CLASSES || descriptor.classes.is_null() {
        return Err(format!(
            "it has {} classes, 1 to {MAX_CLASSES} are supported",
            descriptor.class_count
        ));
    }
    let mut classes = Classes::new();
    for index in 0..descriptor.class_count as usize {
        // SAFETY: the array has `class_count` entries.
        let class = unsafe { descriptor.classes.add(index).read() };
        // SAFETY: each entry is null or points to a class descriptor that stays.
        let (name, version, class) =
            unsafe { read_class(class) }.map_err(|what| format!("class {index}: {what}"))?;
        classes.insert(name, (version, class));
    }
    Ok(classes)
}

/// # Safety
/// `class` is null or points to a [`ClassDesc`], alive and unchanged as long as the process.
unsafe fn read_class(class: *const ClassDesc) -> Result<(String, String, NativeClass), String> {
    if class.is_null() || !class.is_aligned() {
        return Err("no descriptor".to_owned());
    }
    // SAFETY: every version starts with its size.
    let size = unsafe { (&raw const (*class).struct_size).read() } as usize;
    if size < size_of::<ClassDesc>() {
        return Err(format!(
            "its descriptor has {size} bytes, {} are needed",
            size_of::<ClassDesc>()
        ));
    }
    // SAFETY: the size was checked.
    let found = unsafe { class.read() };
    let text = |slice: Slice| {
        // SAFETY: texts of a descriptor live as long as it.
        std::str::from_utf8(unsafe { boundary::bytes_of(slice) })
            .map(str::to_owned)
            .map_err(|_| "its name is not UTF-8".to_owned())
    };
    let (name, version) = (text(found.name)?, text(found.version)?);
    // SAFETY: tables of a descriptor live as long as it.
    let connector = unsafe { boundary::table("connector table", found.connector) }?;
    let tasks = match found.kind {
        // SAFETY: as above.
        abi::KIND_SOURCE => TaskTable::Source(unsafe { boundary::table("source table", found.source) }?),
        // SAFETY: as above.
        abi::KIND_SINK => TaskTable::Sink(unsafe { boundary::table("sink table", found.sink) }?),
        abi::KIND_TRANSFORM => {
            // SAFETY: as above.
            TaskTable::Transform(unsafe { boundary::table("transform table", found.transform) }?)
        }
        kind => return Err(format!("kind {kind}, which the plugin ABI does not know")),
    };
    Ok((
        name,
        version,
        NativeClass {
            descriptor: class,
            connector,
            tasks,
        },
    ))
}

impl NativeClass {
    pub(super) fn kind(&self) -> Kind {
        match self.tasks {
            TaskTable::Source(_) => Kind::Source,
            TaskTable::Sink(_) => Kind::Sink,
            TaskTable::Transform(_) => Kind::Transform,
        }
    }
}

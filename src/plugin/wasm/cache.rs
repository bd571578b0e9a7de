//! Compiled components, kept on disk: reading one back takes milliseconds where compiling takes up to seconds.
//!
//! A file belongs to one component (by digest) and one engine (version, settings and CPU, by wasmtime's compatibility
//! hash). Compiled code is native code, so only files this program wrote are read: the directory is ours alone, and every
//! file starts with a digest of the rest, which tells damage before wasmtime sees it. A cache that cannot be used costs time
//! and nothing else.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use wasmtime::{Engine, component::Component};

use crate::manifest::Sha256;

const MAGIC: &[u8; 8] = b"JFCWASM1";
const HEADER_BYTES: usize = MAGIC.len() + 32;
/// More files than this are thinned out, oldest first.
const MAX_FILES: usize = 64;

/// The directory of compiled components.
#[derive(Debug)]
pub(super) struct CodeCache {
    directory: PathBuf,
}

impl CodeCache {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The compiled component: from the cache, or compiled and put there.
    pub(super) fn compile(
        &self,
        engine: &Engine,
        digest: Sha256,
        component: &[u8],
    ) -> Result<Component, String> {
        let path = self.directory.join(file_name(engine, digest));
        match self.read(engine, &path) {
            Ok(Some(component)) => return Ok(component),
            Ok(None) => {}
            Err(cause) => {
                tracing::warn!(path = %path.display(), error = %cause, "compiled plugin code not used, compiling again");
            }
        }
        let compiled = Component::from_binary(engine, component)
            .map_err(|cause| format!("not a component this program can run: {cause:#}"))?;
        if let Err(cause) = self.write(&path, &compiled) {
            tracing::warn!(path = %path.display(), error = %cause, "compiled plugin code cannot be kept");
        }
        Ok(compiled)
    }

    fn read(&self, engine: &Engine, path: &Path) -> Result<Option<Component>, String> {
        let content = match fs::read(path) {
            Ok(content) => content,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause.to_string()),
        };
        self.check_directory().map_err(|cause| cause.to_string())?;
        let (header, code) = content
            .split_at_checked(HEADER_BYTES)
            .ok_or("the file is too short")?;
        let (magic, digest) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err("the file is not one of this cache".to_owned());
        }
        if Sha256::of(code).0 != digest {
            return Err("the file is damaged: its digest does not fit".to_owned());
        }
        deserialize(engine, code).map(Some)
    }

    fn write(&self, path: &Path, component: &Component) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        self.check_directory()?;
        let code = component
            .serialize()
            .map_err(|cause| io::Error::other(format!("{cause:#}")))?;
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut content = Vec::with_capacity(HEADER_BYTES + code.len());
        content.extend_from_slice(MAGIC);
        content.extend_from_slice(&Sha256::of(&code).0);
        content.extend_from_slice(&code);
        fs::write(&temporary, content)?;
        fs::rename(&temporary, path)?;
        self.thin_out(path)
    }

    /// Nobody else may put code there.
    fn check_directory(&self) -> io::Result<()> {
        let metadata = fs::metadata(&self.directory)?;
        let ours = rustix::process::geteuid().as_raw();
        if metadata.uid() != ours {
            return Err(io::Error::other(format!(
                "{} belongs to user {}, not to this program's user {ours}",
                self.directory.display(),
                metadata.uid()
            )));
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(&self.directory, fs::Permissions::from_mode(0o700))?;
            if metadata.mode() & 0o022 != 0 {
                // Somebody may have been there already.
                fs::read_dir(&self.directory)?.try_for_each(|entry| match entry?.path() {
                    path if path.extension().is_some_and(|extension| extension == "cwasm") => {
                        fs::remove_file(path)
                    }
                    _ => Ok(()),
                })?;
                return Err(io::Error::other(format!(
                    "{} was writable by others: emptied",
                    self.directory.display()
                )));
            }
        }
        Ok(())
    }

    fn thin_out(&self, newest: &Path) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "cwasm") && path != newest {
                files.push((entry.metadata()?.modified()?, path));
            }
        }
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(MAX_FILES);
        files
            .iter()
            .take(surplus)
            .try_for_each(|(_, path)| fs::remove_file(path))
    }
}

fn file_name(engine: &Engine, digest: Sha256) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}.cwasm", hasher.finish())
}

#[allow(unsafe_code, reason = "wasmtime cannot prove that compiled code is its own")]
fn deserialize(engine: &Engine, code: &[u8]) -> Result<Component, String> {
    // SAFETY: `code` is what `Component::serialize` of this program gave: its digest was checked, and it comes from a
    // directory that only this program's user can write to.
    unsafe { Component::deserialize(engine, code) }.map_err(|cause| format!("{cause:#}"))
}

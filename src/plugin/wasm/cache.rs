//! Compiled components, kept on disk: reading one back takes milliseconds where compiling takes up to seconds.
//!
//! A file belongs to one component (by digest) and one engine (version, settings and CPU, by wasmtime's compatibility
//! hash). Compiled code is native code, so only files this program wrote are read: the directory is ours alone, and every
//! file starts with a digest of the rest, which tells damage before wasmtime sees it. A cache that cannot be used costs time
//! and nothing else.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
};

use wasmtime::{Engine, component::Component};

use crate::{code_store::CodeStore, manifest::Sha256};

const MAGIC: &[u8; 8] = b"JFCWASM1";
const HEADER_BYTES: usize = MAGIC.len() + 32;

/// The directory of compiled components.
#[derive(Debug)]
pub(super) struct CodeCache {
    store: CodeStore,
}

impl CodeCache {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            store: CodeStore::new(directory, "cwasm"),
        }
    }

    /// The compiled component: from the cache, or compiled and put there.
    pub(super) fn compile(
        &self,
        engine: &Engine,
        digest: Sha256,
        component: &[u8],
    ) -> Result<Component, String> {
        let name = file_name(engine, digest);
        match self.read(engine, &name) {
            Ok(Some(component)) => return Ok(component),
            Ok(None) => {}
            Err(cause) => {
                let path = self.store.path(&name);
                tracing::warn!(path = %path.display(), error = %cause, "compiled plugin code not used, compiling again");
            }
        }
        let compiled = Component::from_binary(engine, component)
            .map_err(|cause| format!("not a component this program can run: {cause:#}"))?;
        if let Err(cause) = self.write(&name, &compiled) {
            let path = self.store.path(&name);
            tracing::warn!(path = %path.display(), error = %cause, "compiled plugin code cannot be kept");
        }
        Ok(compiled)
    }

    fn read(&self, engine: &Engine, name: &str) -> Result<Option<Component>, String> {
        let Some(content) = self.store.read(name).map_err(|cause| cause.to_string())? else {
            return Ok(None);
        };
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

    fn write(&self, name: &str, component: &Component) -> Result<(), String> {
        let code = component.serialize().map_err(|cause| format!("{cause:#}"))?;
        let content = [MAGIC.as_slice(), &Sha256::of(&code).0, &code].concat();
        self.store
            .write(name, &content)
            .map_err(|cause| cause.to_string())
    }
}

fn file_name(engine: &Engine, digest: Sha256) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}", hasher.finish())
}

#[allow(unsafe_code, reason = "wasmtime cannot prove that compiled code is its own")]
fn deserialize(engine: &Engine, code: &[u8]) -> Result<Component, String> {
    // SAFETY: `code` is what `Component::serialize` of this program gave: its digest was checked, and it comes from a
    // directory that only this program's user can write to.
    unsafe { Component::deserialize(engine, code) }.map_err(|cause| format!("{cause:#}"))
}

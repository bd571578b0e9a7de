//! Letting go of compiled code that nobody runs any more: its memory is given back.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError},
};

use super::WasmHost;
use crate::manifest::Sha256;

impl WasmHost {
    /// Drops the components that no loaded class uses, except for these.
    pub(crate) fn forget_unused(&self, keep: &HashSet<Sha256>) {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.retain(|digest, cell| {
            let loading = Arc::strong_count(cell) > 1;
            let used = cell.get().is_some_and(|compiled| Arc::strong_count(compiled) > 1);
            loading || used || keep.contains(digest)
        });
    }

    /// How many components are compiled and kept.
    #[cfg(test)]
    pub(crate) fn compiled_count(&self) -> usize {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

//! What is compared where we have to look for changes ourselves.

use std::{
    fs::Metadata,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// What changes when a file changes, or any entry of a directory; `None` = there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp(Option<u64>);

impl Stamp {
    /// As it is now. Links are followed.
    pub(super) fn of(path: &Path) -> Self {
        let Ok(found) = path.metadata() else {
            return Self(None);
        };
        let own = digest(&found, "".as_ref());
        if !found.is_dir() {
            return Self(Some(own));
        }
        // The order of entries is the file system's own affair: a sum does not depend on it.
        let entries = path.read_dir().into_iter().flatten().flatten();
        let digests = entries.map(|entry| {
            let path = entry.path();
            // What cannot be asked (a link to nowhere) still has its name.
            let found = path.metadata().or_else(|_| path.symlink_metadata());
            found.map_or(0, |found| digest(&found, &entry.file_name()))
        });
        Self(Some(digests.fold(own, u64::wrapping_add)))
    }
}

fn digest(found: &Metadata, name: &std::ffi::OsStr) -> u64 {
    let mut hasher = DefaultHasher::new();
    let times = (
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    );
    (name, found.dev(), found.ino(), found.size(), times).hash(&mut hasher);
    hasher.finish()
}

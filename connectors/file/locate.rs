//! Finds a file again that was known by its identity: it may have another name now, be a copy, or be compressed.

use std::path::PathBuf;

use crate::{
    identity::{Fingerprint, Identity, Seen},
    reader::{content_bytes, is_gzip, read_head},
    siblings::{Entry, EntryKind},
};

/// Where a file lies now.
#[derive(Debug)]
pub(crate) enum Located {
    /// Here, under whatever name.
    At(Entry),
    /// It is there, but is shorter than what was read of it.
    Shorter(Seen),
    /// Nowhere, or what is there under its identity begins differently.
    Gone,
    /// There are several that begin like it, and none has its inode.
    Ambiguous(Vec<PathBuf>),
}

/// Looks for the file among `entries`, which are all files of its directory.
pub(crate) fn locate(entries: &[Entry], identity: &Identity, position: u64) -> std::io::Result<Located> {
    let mut found = None;
    for entry in entries
        .iter()
        .filter(|entry| entry.seen.key.same_inode(identity.key))
    {
        let same_device = entry.seen.key == identity.key;
        if begins_like(entry, identity.fingerprint)? && (same_device || found.is_none()) {
            found = Some(entry);
        }
    }
    if let Some(entry) = found
        && (is_gzip(&entry.path) || entry.seen.size >= position)
    {
        return Ok(Located::At(entry.clone()));
    }
    let copies = copies(entries, identity, position)?;
    match copies.as_slice() {
        [] => {}
        [one] => return Ok(Located::At((*one).clone())),
        several => {
            let paths = several.iter().map(|entry| entry.path.clone());
            return Ok(Located::Ambiguous(paths.collect()));
        }
    }
    // Too short to tell whether it is the same.
    let cut = |entry: &&Entry| entry.seen.key == identity.key && entry.seen.size < position;
    let too_short_to_tell = |entry: &&Entry| entry.seen.size < identity.fingerprint.bytes() as u64;
    let shorter = entries.iter().find(cut);
    Ok(
        match shorter.filter(|entry| found.is_some() || too_short_to_tell(entry)) {
            Some(entry) => Located::Shorter(entry.seen),
            None => Located::Gone,
        },
    )
}

/// Files that begin like it and have another inode. Copies that are older than what was read cannot be meant.
pub(crate) fn copies<'a>(
    entries: &'a [Entry],
    identity: &Identity,
    position: u64,
) -> std::io::Result<Vec<&'a Entry>> {
    let mut found = Vec::new();
    for entry in entries {
        let relevant = entry.kind != EntryKind::Other
            && entry.seen.key != identity.key
            && (is_gzip(&entry.path) || entry.seen.size >= position);
        if relevant && begins_like(entry, identity.fingerprint)? {
            found.push(entry);
        }
    }
    if found.len() > 1 {
        // gzip and rotation keep the time of the last write, if only to the second.
        let since = identity.modified_ms / 1_000 * 1_000;
        found.retain(|entry| entry.seen.modified_ns / 1_000_000 >= since);
    }
    Ok(found)
}

fn begins_like(entry: &Entry, fingerprint: Fingerprint) -> std::io::Result<bool> {
    match read_head(&entry.path) {
        Ok(head) => Ok(fingerprint.matches(&head)),
        // Gone meanwhile, or somebody else's.
        Err(cause)
            if matches!(
                cause.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(false)
        }
        Err(cause) => Err(cause),
    }
}

/// A file that was read, or is: nobody reads its copies.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) head: Vec<u8>,
    pub(crate) bytes: u64,
}

impl Known {
    /// Whether the entry is a whole copy of it, compressed or not. What has the name itself was made anew, maybe with the
    /// same content.
    pub(crate) fn is(&self, entry: &Entry) -> std::io::Result<bool> {
        if entry.kind == EntryKind::Named || !begins_like(entry, Fingerprint::of(&self.head))? {
            return Ok(false);
        }
        let bytes = match content_bytes(&entry.path, entry.seen.size) {
            Ok(bytes) => bytes,
            Err(_) => return Ok(false),
        };
        Ok(if is_gzip(&entry.path) {
            bytes == self.bytes & u64::from(u32::MAX)
        } else {
            bytes == self.bytes
        })
    }
}

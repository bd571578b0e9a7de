//! What a start may remove: directories that hold nothing but what a log made itself. Anything else in a log directory
//! belongs to somebody else and is left alone.

use std::{io, path::Path};

use jackfield_env::Files;

use crate::{checkpoint, manager::DELETE_SUFFIX, recovery, segment};

/// Files of a segment, by their suffix.
const SEGMENT_SUFFIXES: [&str; 5] = ["log", "index", "timeindex", "snapshot", "txnindex"];

/// Whether this is the name of a deleted partition's directory: `<topic>-<partition>.<32 hex digits>-delete`.
pub(crate) fn is_deleted_name(name: &str) -> bool {
    let parts = name
        .strip_suffix(DELETE_SUFFIX)
        .and_then(|rest| rest.rsplit_once('.'));
    parts.is_some_and(|(partition, unique)| {
        let is_hex = unique.len() == 32 && unique.bytes().all(|byte| byte.is_ascii_hexdigit());
        // Of a long topic name nothing may be left.
        is_hex && (recovery::parse_directory(partition).is_some() || partition.starts_with('-'))
    })
}

/// Removes a directory when every file in it is a log's; otherwise says so and leaves it. Returns whether it is gone.
///
/// # Errors
/// The directory cannot be read or removed.
pub(crate) fn remove(files: &dyn Files, dir: &Path, why: &str) -> io::Result<bool> {
    let entries = files.read_dir(dir)?;
    if let Some(foreign) = entries.iter().find(|entry| entry.is_dir || !is_ours(&entry.name)) {
        tracing::warn!(directory = %dir.display(), foreign = foreign.name, "looks like a partition, but holds something else; left as it is: move it out of log.dirs");
        return Ok(false);
    }
    tracing::info!(directory = %dir.display(), why, "removing a directory");
    files.remove_dir_all(dir)?;
    Ok(true)
}

fn is_ours(name: &str) -> bool {
    // Bytes that a recovery cut off and kept.
    let name = name.split_once(".cut-").map_or(name, |(file, _)| file);
    let name = [".deleted", ".cleaned", ".tmp"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .unwrap_or(name);
    let of_segment = SEGMENT_SUFFIXES
        .iter()
        .any(|suffix| segment::base_offset_of(name, suffix).is_some());
    of_segment || [checkpoint::LEADER_EPOCH, checkpoint::PARTITION_METADATA].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_deleted_partitions() {
        let unique = "0123456789abcdef0123456789abcdef";
        for (name, expected) in [
            (format!("orders-3.{unique}-delete"), true),
            (format!("a.b-c-0.{unique}-delete"), true),
            (format!("orders-3.{unique}"), false),
            (format!("orders.{unique}-delete"), false),
            ("orders-3.0123-delete".to_owned(), false),
            ("to-delete".to_owned(), false),
        ] {
            assert_eq!(is_deleted_name(&name), expected, "{name}");
        }
    }

    #[test]
    fn files_of_a_log() {
        for name in [
            "00000000000000000000.log",
            "00000000000000000012.timeindex",
            "00000000000000000012.log.deleted",
            "leader-epoch-checkpoint",
            "partition.metadata.tmp",
            "00000000000000000012.log.cut-4711",
        ] {
            assert!(is_ours(name), "{name}");
        }
        for name in ["photo.jpg", "0.log", "debug.log", "notes.tmp"] {
            assert!(!is_ours(name), "{name}");
        }
    }
}

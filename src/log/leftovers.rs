//! Which directories in a log directory may be removed: only what can be nothing but an unfinished or deleted partition.
//! Everything else belongs to somebody, whatever its name looks like.

use std::{io, path::Path};

use jackfield_env::{Entry, Files};

use crate::{checkpoint, recovery};

/// Suffix of a partition directory that is being deleted.
pub(crate) const DELETE_SUFFIX: &str = "-delete";
/// Hexadecimal digits that make the name of a deleted directory unique.
const UNIQUE_DIGITS: usize = 32;
/// Stem of the first segment's files.
const FIRST_SEGMENT: &str = "00000000000000000000.";

/// Whether the name is that of a deleted partition, `<topic>-<partition>.<32 hex digits>-delete`.
pub(crate) fn is_deleted_partition(name: &str) -> bool {
    let parts = name
        .strip_suffix(DELETE_SUFFIX)
        .and_then(|rest| rest.rsplit_once('.'));
    parts.is_some_and(|(partition, unique)| {
        unique.len() == UNIQUE_DIGITS
            && unique.bytes().all(|byte| byte.is_ascii_hexdigit())
            && recovery::parse_directory(partition).is_some()
    })
}

/// Whether the directory holds nothing but the files of a partition that never had a record.
pub(crate) fn is_unused_partition(files: &dyn Files, dir: &Path) -> io::Result<bool> {
    Ok(files.read_dir(dir)?.iter().all(is_of_unused_partition))
}

fn is_of_unused_partition(entry: &Entry) -> bool {
    if entry.is_dir {
        return false;
    }
    let name = entry.name.strip_suffix(".tmp").unwrap_or(&entry.name);
    match name.strip_prefix(FIRST_SEGMENT) {
        Some("log") => entry.len == 0,
        Some(suffix) => matches!(suffix, "index" | "timeindex" | "txnindex" | "snapshot"),
        None => matches!(name, checkpoint::LEADER_EPOCH | checkpoint::PARTITION_METADATA),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_names_are_of_deleted_partitions() {
        let hex = "0123456789abcdef0123456789abcdef";
        assert!(is_deleted_partition(&format!("a.b-c-7.{hex}-delete")));
        for other in [
            "photos-delete".to_owned(),
            "photos-2023-delete".to_owned(),
            format!("photos.{hex}-delete"),
            format!("photos-x.{hex}-delete"),
            format!("photos-1.{}-delete", &hex[1..]),
            format!("photos-1.{hex}-stray"),
            format!("-1.{hex}-delete"),
            format!("photos-1.{}g-delete", &hex[1..]),
        ] {
            assert!(!is_deleted_partition(&other), "{other}");
        }
    }
}

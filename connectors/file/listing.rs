//! What lies in a directory that changes while it is read.

use std::{
    fs::{DirEntry, read_dir},
    io::{Error, ErrorKind, Result},
    path::Path,
};

/// How often a directory is read again before it is given up.
const MOST_ATTEMPTS: usize = 100;

/// All entries; `NotFound` = there is no such directory. Where connectors are components, reading a directory fails when an
/// entry is deleted at that moment; it is read again then.
pub(crate) fn entries(directory: &Path) -> Result<Vec<DirEntry>> {
    for _ in 0..MOST_ATTEMPTS {
        match read_dir(directory)?.collect::<Result<_>>() {
            Err(cause) if cause.kind() == ErrorKind::NotFound => {}
            listed => return listed,
        }
    }
    Err(Error::new(
        ErrorKind::ResourceBusy,
        "files are deleted faster than the directory can be read",
    ))
}

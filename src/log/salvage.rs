//! Looking for what is good behind damage, so that recovery deletes nothing that could be read.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use jackfield_env::{File, Files};
use jackfield_protocol::records::{BATCH_HEADER_BYTES, BatchHeader};

use crate::{
    batches::{self, Check},
    segment::{self, Segment},
};

/// How much is searched at once.
const SEARCH_BYTES: usize = 256 * 1024;
/// Offset of the magic byte in a batch.
const MAGIC_AT: usize = 16;

/// Position and base offset of the first whole batch with a right CRC in `bytes`, at offset `least` or above. None is found
/// any more when `left` bytes were read for it: each byte could begin something long that looks like a batch.
pub(crate) fn next_good_batch(
    file: &dyn File,
    bytes: Range<u64>,
    least: i64,
    left: &mut u64,
) -> io::Result<Option<(u64, i64)>> {
    let Range { start: mut at, end } = bytes;
    let mut buffer = Vec::new();
    while end.saturating_sub(at) >= BATCH_HEADER_BYTES as u64 {
        let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(SEARCH_BYTES);
        batches::fill(file, &mut buffer, at, len)?;
        let Some(last) = buffer.len().checked_sub(BATCH_HEADER_BYTES) else {
            return Ok(None);
        };
        for start in 0..=last {
            if buffer[start + MAGIC_AT] != 2 {
                continue;
            }
            let position = at + start as u64;
            let Some(header) = plausible(&buffer[start..], end - position, least) else {
                continue;
            };
            let Some(rest) = left.checked_sub(header.size_bytes() as u64) else {
                return Ok(None);
            };
            *left = rest;
            if is_good(file, position, &header)? {
                return Ok(Some((position, header.base_offset)));
            }
        }
        at += last as u64 + 1;
    }
    Ok(None)
}

fn plausible(data: &[u8], available: u64, least: i64) -> Option<BatchHeader> {
    let header = BatchHeader::parse(data).ok()?;
    let near = least..=least.saturating_add(i64::from(i32::MAX));
    (near.contains(&header.base_offset)
        && header.base_offset <= batches::LAST_POSSIBLE_OFFSET
        && header.last_offset_delta >= 0
        && header.size_bytes() as u64 <= available)
        .then_some(header)
}

fn is_good(file: &dyn File, position: u64, header: &BatchHeader) -> io::Result<bool> {
    let end = position + header.size_bytes() as u64;
    match batches::walk(file, position, end, Check::Crc, |_, _| false) {
        Ok(()) => Ok(true),
        Err(error) => error.of_content().map(|_| false),
    }
}

/// Copies bytes `from..end` into a file beside the segment; returns its path.
pub(crate) fn set_aside(files: &dyn Files, file: &dyn File, from: u64, end: u64) -> io::Result<PathBuf> {
    let mut name = file.path().as_os_str().to_owned();
    name.push(format!(".cut-{from}"));
    let path = PathBuf::from(name);
    let copy: Arc<dyn File> = files.open(&path, true)?;
    let mut buffer = Vec::new();
    let mut at = from;
    while at < end {
        let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(SEARCH_BYTES);
        batches::fill(file, &mut buffer, at, len)?;
        if buffer.is_empty() {
            break;
        }
        copy.write_all_at(&buffer, at - from)?;
        at += buffer.len() as u64;
    }
    copy.sync_data()?;
    Ok(path)
}

/// Takes segments out of the log that lie behind its end `end`: their files get a suffix that recovery passes over. Empty
/// ones and indexes go.
pub(crate) fn set_segments_aside(
    files: &dyn Files,
    dir: &Path,
    segments: impl Iterator<Item = Segment>,
    end: i64,
) -> io::Result<()> {
    for segment in segments {
        let path = |suffix| segment::path(dir, segment.base_offset, suffix);
        for suffix in ["index", "timeindex", "snapshot"] {
            files.remove_file(&path(suffix))?;
        }
        if segment.file.is_empty()? {
            files.remove_file(&path("log"))?;
            continue;
        }
        let kept = unused_name(files, &path("log"));
        files.rename(&path("log"), &kept)?;
        tracing::error!(kept = %kept.display(), base_offset = segment.base_offset, log_end_offset = end, "a segment lies behind records that were lost before they were acknowledged; it was kept aside");
    }
    Ok(())
}

/// `<path>.cut`, with a number when that is taken.
fn unused_name(files: &dyn Files, path: &Path) -> PathBuf {
    let mut kept = path.with_extension("log.cut");
    let mut number = 1;
    while files.exists(&kept) {
        kept = path.with_extension(format!("log.cut.{number}"));
        number += 1;
    }
    kept
}

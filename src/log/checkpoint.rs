//! The small text files of a log directory: offset checkpoints, leader epochs, partition metadata, `meta.properties`.
//!
//! Formats are Kafka's (`CheckpointFileWithFailureHandler`, `PartitionMetadataFile`): version line, entry count, entries.

use std::{collections::BTreeMap, io, path::Path};

use jackfield_env::Files;

use crate::TopicId;

/// Where recovery starts, per partition.
pub(crate) const RECOVERY_POINT: &str = "recovery-point-offset-checkpoint";
/// First offset kept, per partition, where it is not a segment's base offset.
pub(crate) const LOG_START: &str = "log-start-offset-checkpoint";
/// High watermark, per partition.
pub(crate) const HIGH_WATERMARK: &str = "replication-offset-checkpoint";
/// Leader epochs of one partition.
pub(crate) const LEADER_EPOCH: &str = "leader-epoch-checkpoint";
/// Topic id of one partition.
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";
/// Present after an orderly shutdown.
pub(crate) const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// Identity of a log directory.
pub(crate) const META_PROPERTIES: &str = "meta.properties";

fn invalid(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()))
}

/// Whether an error is about what is in a file, or that there is none; not about reaching it.
pub(crate) fn is_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound)
}

/// Offsets by topic and partition.
pub(crate) type Offsets = BTreeMap<(String, i32), i64>;

/// What is wrong with the content of a file, without its path.
pub(crate) fn what(path: &Path, error: &io::Error) -> String {
    let text = error.to_string();
    let prefix = format!("{}: ", path.display());
    text.strip_prefix(&prefix).unwrap_or(&text).to_owned()
}

/// The entry lines of a checkpoint.
fn parse_lines(path: &Path, content: Vec<u8>) -> io::Result<Vec<String>> {
    let text = String::from_utf8(content).map_err(|_| invalid(path, "is not text"))?;
    let mut lines = text.lines();
    if lines.next() != Some("0") {
        return Err(invalid(path, "does not start with version 0"));
    }
    let count: usize = lines
        .next()
        .and_then(|line| line.parse().ok())
        .ok_or_else(|| invalid(path, "has no entry count"))?;
    let entries: Vec<String> = lines.map(ToOwned::to_owned).collect();
    if entries.len() != count {
        return Err(invalid(
            path,
            &format!("has {} entries instead of {count}", entries.len()),
        ));
    }
    Ok(entries)
}

fn render(lines: &[String]) -> Vec<u8> {
    let mut text = format!("0\n{}\n", lines.len());
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text.into_bytes()
}

/// The offsets in a checkpoint.
pub(crate) fn parse_offsets(path: &Path, content: Vec<u8>) -> io::Result<Offsets> {
    let mut offsets = Offsets::new();
    for line in parse_lines(path, content)? {
        let entry = (|| {
            let (rest, offset) = line.rsplit_once(' ')?;
            let (topic, partition) = rest.rsplit_once(' ')?;
            Some(((topic.to_owned(), partition.parse().ok()?), offset.parse().ok()?))
        })();
        let (key, offset) = entry.ok_or_else(|| invalid(path, &format!("malformed entry '{line}'")))?;
        offsets.insert(key, offset);
    }
    Ok(offsets)
}

/// Reads an offset checkpoint; a missing file is empty.
pub(crate) fn read_offsets(files: &dyn Files, path: &Path) -> io::Result<Offsets> {
    match files.read(path) {
        Ok(content) => parse_offsets(path, content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Offsets::new()),
        Err(error) => Err(error),
    }
}

/// Reads an offset checkpoint that recovery can do without: damage is reported, and counts as an empty file.
pub(crate) fn read_offsets_or_none(files: &dyn Files, path: &Path) -> io::Result<Offsets> {
    match read_offsets(files, path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::error!(%error, "checkpoint is damaged; everything it spoke of is checked");
            Ok(Offsets::new())
        }
        other => other,
    }
}

/// Replaces an offset checkpoint durably.
pub(crate) fn write_offsets(files: &dyn Files, path: &Path, offsets: &Offsets) -> io::Result<()> {
    let lines: Vec<_> = offsets
        .iter()
        .map(|((topic, partition), offset)| format!("{topic} {partition} {offset}"))
        .collect();
    files.write_atomic(path, &render(&lines))
}

/// The leader epochs of a checkpoint, with their start offsets.
pub(crate) fn parse_epochs(path: &Path, content: Vec<u8>) -> io::Result<Vec<(i32, i64)>> {
    parse_lines(path, content)?
        .iter()
        .map(|line| {
            let (epoch, start) = line.split_once(' ')?;
            Some((epoch.parse().ok()?, start.parse().ok()?))
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| invalid(path, "malformed entry"))
}

/// Reads the leader epochs of a partition.
pub(crate) fn read_epochs(files: &dyn Files, dir: &Path) -> io::Result<Vec<(i32, i64)>> {
    let path = dir.join(LEADER_EPOCH);
    parse_epochs(&path, files.read(&path)?)
}

/// Text of a leader epoch checkpoint.
pub(crate) fn render_epochs(epochs: &[(i32, i64)]) -> Vec<u8> {
    render(
        &epochs
            .iter()
            .map(|(epoch, start)| format!("{epoch} {start}"))
            .collect::<Vec<_>>(),
    )
}

const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl TopicId {
    /// Kafka's text form of a UUID: 22 characters of URL-safe base64.
    pub fn to_base64(self) -> String {
        let mut out = String::with_capacity(22);
        for chunk in self.0.chunks(3) {
            let mut word = 0_u32;
            for (index, byte) in chunk.iter().enumerate() {
                word |= u32::from(*byte) << (16 - 8 * index);
            }
            for index in 0..=chunk.len() {
                out.push(char::from(BASE64_URL[(word >> (18 - 6 * index)) as usize & 63]));
            }
        }
        out
    }

    /// Parses Kafka's text form; `None` when it is not one.
    pub fn from_base64(text: &str) -> Option<Self> {
        if text.len() != 22 {
            return None;
        }
        let mut bits = 0_u32;
        let mut count = 0;
        let mut out = Vec::with_capacity(16);
        for character in text.bytes() {
            let value = BASE64_URL.iter().position(|candidate| *candidate == character)?;
            bits = (bits << 6) | u32::try_from(value).ok()?;
            count += 6;
            if count >= 8 {
                count -= 8;
                out.push(u8::try_from((bits >> count) & 0xff).ok()?);
            }
        }
        Some(Self(out.try_into().ok()?))
    }
}

/// Text of `partition.metadata`.
pub(crate) fn render_partition_metadata(id: TopicId) -> Vec<u8> {
    format!("version: 0\ntopic_id: {}", id.to_base64()).into_bytes()
}

/// The topic id in `partition.metadata`.
pub(crate) fn parse_partition_metadata(path: &Path, content: Vec<u8>) -> io::Result<TopicId> {
    let text = String::from_utf8(content).map_err(|_| invalid(path, "is not text"))?;
    text.lines()
        .find_map(|line| TopicId::from_base64(line.strip_prefix("topic_id:")?.trim()))
        .ok_or_else(|| invalid(path, "has no topic_id"))
}

/// Reads the topic id of a partition directory.
pub(crate) fn read_partition_metadata(files: &dyn Files, dir: &Path) -> io::Result<TopicId> {
    let path = dir.join(PARTITION_METADATA);
    parse_partition_metadata(&path, files.read(&path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_round_trip() {
        let id = TopicId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0xff]);
        assert_eq!(id.to_base64(), "AQIDBAUGBwgJCgsMDQ4P_w");
        assert_eq!(TopicId::from_base64(&id.to_base64()), Some(id));
        assert_eq!(TopicId::from_base64("short"), None);
    }

    #[test]
    fn offsets_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RECOVERY_POINT);
        let files = jackfield_env::RealFiles;
        assert!(read_offsets(&files, &path).unwrap().is_empty());
        let offsets = Offsets::from([(("a".to_owned(), 0), 7), (("b".to_owned(), 12), 0)]);
        write_offsets(&files, &path, &offsets).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0\n2\na 0 7\nb 12 0\n");
        assert_eq!(read_offsets(&files, &path).unwrap(), offsets);
        std::fs::write(&path, "0\n3\na 0 7\n").unwrap();
        assert!(
            read_offsets(&files, &path)
                .unwrap_err()
                .to_string()
                .contains("1 entries instead of 3")
        );
    }
}

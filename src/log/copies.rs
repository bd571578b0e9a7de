//! `jackfield-checkpoint`: a copy, with checksums, of what Kafka's small files say and cannot prove.
//!
//! A changed digit in Kafka's log-start checkpoint would hide good records, one in `partition.metadata` would make another
//! topic of a partition, and neither format has room for a checksum. Nothing else on disk tells what was right. So each log
//! directory has this file, one line per partition, each line with a CRC-32C of its own. It is written before the files it
//! copies: where they differ it is the newer one, or they are damaged, and it is right both times. Kafka's tools do not
//! know it and pass over it.

use std::{collections::BTreeMap, io, path::Path};

use jackfield_env::Files;

use crate::{
    TopicId,
    checkpoint::{self, CLEAN_SHUTDOWN},
};

/// Name of the file in a log directory.
pub(crate) const COPIES: &str = "jackfield-checkpoint";
/// Bytes of a topic id that damage may have changed.
const ID_BYTES_DAMAGED: usize = 8;
/// No offset.
const NONE: &str = "-";

/// What the files of one partition say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionCopy {
    pub(crate) topic_id: TopicId,
    /// Log start offset, where it is not the first segment's.
    pub(crate) log_start_offset: Option<i64>,
    /// Leader epochs with their start offsets.
    pub(crate) epochs: Vec<(i32, i64)>,
}

impl PartitionCopy {
    /// Whether this is the id of a topic that was made later, under the same name. Damage leaves most of an id as it was.
    pub(crate) fn is_of_other_topic(&self, id: TopicId) -> bool {
        let bytes = self.topic_id.0.iter().zip(id.0);
        bytes.filter(|(ours, other)| **ours != *other).count() > ID_BYTES_DAMAGED
    }

    /// Whether there are other epochs by now. Damage changes their figures, not how many lines there are.
    pub(crate) fn is_before(&self, epochs: &[(i32, i64)]) -> bool {
        !epochs.is_empty() && epochs.len() != self.epochs.len()
    }
}

/// What the files of a log directory say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Copies {
    /// Node, directory and cluster of `meta.properties`.
    pub(crate) identity: Option<String>,
    pub(crate) partitions: BTreeMap<(String, i32), PartitionCopy>,
}

impl Copies {
    /// Text of the file.
    pub(crate) fn render(&self) -> String {
        let identity = self.identity.iter().map(|identity| format!("meta {identity}"));
        let partitions = self.partitions.iter().map(|((topic, partition), copy)| {
            let start = copy
                .log_start_offset
                .map_or(NONE.to_owned(), |start| start.to_string());
            let epochs: Vec<_> = copy
                .epochs
                .iter()
                .map(|(epoch, start)| format!("{epoch}:{start}"))
                .collect();
            let id = copy.topic_id.to_base64();
            format!("partition {topic} {partition} {id} {start} {}", epochs.join(","))
        });
        identity
            .chain(partitions)
            .map(|line| format!("{:08x} {line}\n", crc32c::crc32c(line.as_bytes())))
            .collect()
    }

    /// Reads the text of a file, and which of its lines are damaged, from 1 on.
    pub(crate) fn parse(content: &[u8]) -> (Self, Vec<usize>) {
        let mut copies = Self::default();
        let mut damaged = Vec::new();
        for (index, line) in content.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if copies.add(line).is_none() {
                damaged.push(index + 1);
            }
        }
        (copies, damaged)
    }

    fn add(&mut self, line: &[u8]) -> Option<()> {
        let line = str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let (crc, line) = line.split_once(' ')?;
        if crc != format!("{:08x}", crc32c::crc32c(line.as_bytes())) {
            return None;
        }
        if let Some(identity) = line.strip_prefix("meta ") {
            self.identity = Some(identity.to_owned());
            return Some(());
        }
        let [topic, partition, id, start, epochs] =
            line.strip_prefix("partition ")?.split(' ').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let epoch = |pair: &str| {
            let (epoch, start) = pair.split_once(':')?;
            Some((epoch.parse().ok()?, start.parse().ok()?))
        };
        let log_start_offset = if start == NONE {
            None
        } else {
            Some(start.parse().ok()?)
        };
        let pairs = epochs.split(',').filter(|pair| !pair.is_empty());
        let copy = PartitionCopy {
            topic_id: TopicId::from_base64(id)?,
            log_start_offset,
            epochs: pairs.map(epoch).collect::<Option<_>>()?,
        };
        self.partitions
            .insert((topic.to_owned(), partition.parse().ok()?), copy);
        Some(())
    }
}

/// Reads the file of a log directory; damaged lines are reported and left out. After Apache Kafka has used the directory
/// nothing in it counts.
pub(crate) fn read(files: &dyn Files, log_dir: &Path) -> io::Result<Copies> {
    let path = log_dir.join(COPIES);
    let content = match files.read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Copies::default()),
        Err(error) => return Err(error),
    };
    if closed_by_kafka(files, log_dir) {
        tracing::info!(directory = %log_dir.display(), "Apache Kafka used this log directory last; its files count");
        return Ok(Copies::default());
    }
    let (copies, damaged) = Copies::parse(&content);
    for line in damaged {
        tracing::error!(file = %path.display(), line, "line is damaged; the files it copies are taken as they are");
    }
    Ok(copies)
}

/// Whether the clean shutdown marker is one of Apache Kafka's, which names the epoch of its broker. Ours has -1.
pub(crate) fn closed_by_kafka(files: &dyn Files, log_dir: &Path) -> bool {
    let Ok(marker) = files.read(&log_dir.join(CLEAN_SHUTDOWN)) else {
        return false;
    };
    let text = String::from_utf8_lossy(&marker);
    text.split_once("\"brokerEpoch\":").is_some_and(|(_, epoch)| {
        epoch
            .trim_start()
            .starts_with(|first: char| first.is_ascii_digit())
    })
}

/// Chooses between what a small file says and its copy. A file that is wrong is written anew as `right` renders it.
pub(crate) fn settle<T: PartialEq + Clone>(
    files: &dyn Files,
    path: &Path,
    read: io::Result<T>,
    copy: Option<&T>,
    render: impl Fn(&T) -> Vec<u8>,
) -> io::Result<T> {
    let wrong = match (&read, copy) {
        (Ok(value), Some(copy)) if value != copy => "differs from its copy".to_owned(),
        (Err(error), Some(_)) if checkpoint::is_content(error) => error.to_string(),
        _ => return read,
    };
    let Some(copy) = copy else { return read };
    tracing::error!(file = %path.display(), error = wrong, copy = COPIES, "file is damaged; written anew from its copy");
    files.write_atomic(path, &render(copy))?;
    Ok(copy.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copies() -> Copies {
        let copy = |id, log_start_offset, epochs: &[(i32, i64)]| PartitionCopy {
            topic_id: TopicId([id; 16]),
            log_start_offset,
            epochs: epochs.to_vec(),
        };
        Copies {
            identity: Some("1 abc def".to_owned()),
            partitions: BTreeMap::from([
                (("a".to_owned(), 0), copy(1, None, &[(0, 0)])),
                (("b-c.d_e".to_owned(), 12), copy(2, Some(77), &[(0, 0), (5, 100)])),
                (("none".to_owned(), 1), copy(3, Some(0), &[])),
            ]),
        }
    }

    #[test]
    fn copies_round_trip() {
        let text = copies().render();
        assert_eq!(text.lines().count(), 4);
        assert_eq!(Copies::parse(text.as_bytes()), (copies(), vec![]));
    }

    /// Any flipped bit costs its line, and the next when it joins the two.
    #[test]
    fn every_flip_is_found() {
        let text = copies().render();
        for bit in 0..text.len() * 8 {
            let mut content = text.clone().into_bytes();
            content[bit / 8] ^= 1 << (bit % 8);
            let (read, damaged) = Copies::parse(&content);
            assert!(!damaged.is_empty() && read != copies(), "bit {bit}");
            let right = |(key, copy)| copies().partitions.get(key) == Some(copy);
            assert!(read.partitions.iter().all(right), "bit {bit}");
        }
    }
}

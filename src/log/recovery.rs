//! Opening a partition's directory: trusting it after an orderly shutdown, checking it after any other end.
//!
//! After an unclean stop every batch from the recovery point on is verified. A bad batch in the last segment is the torn
//! tail of a write nobody was told of: it and what follows is cut. A bad batch anywhere else is damage: it is reported and
//! nothing is cut, so that what is good on both sides stays.

use std::{io, path::PathBuf};

use jackfield_env::Files;

use crate::{
    LogConfig, TopicId, checkpoint,
    partition_log::{PartitionLog, Shared},
    producer_state::ProducerStates,
    segment::{self, Check, Segment},
    state::{End, State},
};

/// What the directory's checkpoints say about one partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// The last shutdown was orderly.
    pub(crate) clean: bool,
    /// Everything before is on disk and indexed.
    pub(crate) recovery_point: i64,
    /// First offset kept, when a checkpoint names one.
    pub(crate) log_start_offset: Option<i64>,
}

/// Splits a partition directory's name into topic and partition.
pub(crate) fn parse_directory(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let partition: i32 = partition.parse().ok()?;
    (partition >= 0 && !topic.is_empty()).then_some((topic, partition))
}

/// Opens and recovers the log in `dir`.
pub(crate) fn open(
    dir: PathBuf,
    topic: &str,
    partition: i32,
    shared: Shared,
    config: LogConfig,
    known: Known,
) -> io::Result<std::sync::Arc<PartitionLog>> {
    let files = std::sync::Arc::clone(&shared.env.files);
    let now_ms = shared.env.clock.now_ms();
    let topic_id = checkpoint::read_partition_metadata(&*files, &dir)?;
    let epochs = checkpoint::read_epochs(&*files, &dir)?;
    let bases = clean_directory(&*files, &dir)?;
    let mut segments = Vec::with_capacity(bases.len().max(1));
    for base_offset in &bases {
        segments.push(Segment::open(&*files, &dir, *base_offset, now_ms)?);
    }
    if segments.is_empty() {
        segments.push(Segment::open(
            &*files,
            &dir,
            known.log_start_offset.unwrap_or(0),
            now_ms,
        )?);
    }
    let end = load_segments(&*files, &dir, &mut segments, known, config.index_interval_bytes)?;
    let producers = load_producers(&*files, &dir, &segments, end)?;
    #[cfg(feature = "planted-bugs")]
    let producers = if crate::planted::is("forget-producer-state") {
        ProducerStates::default()
    } else {
        producers
    };
    let first = segments[0].base_offset;
    let log_start_offset = known.log_start_offset.unwrap_or(first).max(first).min(end);
    let active = segments.last().expect("pushed above");
    let committed = End {
        offset: end,
        segment: active.base_offset,
        position: active.size,
    };
    let state = State {
        dir,
        config,
        segments,
        producers,
        epochs,
        unsynced: Vec::new(),
        queued: false,
        committed,
        log_start_offset,
        log_end_offset: end,
        hints: Vec::new(),
        deleted: false,
    };
    Ok(PartitionLog::new(topic, partition, topic_id, shared, state))
}

/// A new, empty log; `dir` holds its metadata already.
pub(crate) fn create(
    dir: PathBuf,
    topic: &str,
    partition: i32,
    topic_id: TopicId,
    shared: Shared,
    config: LogConfig,
) -> io::Result<std::sync::Arc<PartitionLog>> {
    let now_ms = shared.env.clock.now_ms();
    let segment = Segment::open(&*shared.env.files, &dir, 0, now_ms)?;
    let state = State {
        dir,
        config,
        segments: vec![segment],
        producers: ProducerStates::default(),
        epochs: vec![(0, 0)],
        unsynced: Vec::new(),
        queued: false,
        committed: End {
            offset: 0,
            segment: 0,
            position: 0,
        },
        log_start_offset: 0,
        log_end_offset: 0,
        hints: Vec::new(),
        deleted: false,
    };
    Ok(PartitionLog::new(topic, partition, topic_id, shared, state))
}

/// Removes leftovers of deletions and replacements; returns the base offsets of the segments in order.
fn clean_directory(files: &dyn Files, dir: &std::path::Path) -> io::Result<Vec<i64>> {
    let mut bases = Vec::new();
    for entry in files.read_dir(dir)? {
        if [".deleted", ".cleaned", ".tmp"]
            .iter()
            .any(|suffix| entry.name.ends_with(suffix))
        {
            files.remove_file(&dir.join(&entry.name))?;
        } else if let Some(base) = segment::base_offset_of(&entry.name, "log") {
            bases.push(base);
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Loads or rebuilds every segment's indexes; returns the log end offset.
fn load_segments(
    files: &dyn Files,
    dir: &std::path::Path,
    segments: &mut [Segment],
    known: Known,
    index_interval_bytes: u64,
) -> io::Result<i64> {
    let next_bases: Vec<Option<i64>> = (0..segments.len())
        .map(|index| segments.get(index + 1).map(|next| next.base_offset))
        .collect();
    let mut end = segments[0].base_offset;
    for (segment, next_base) in segments.iter_mut().zip(next_bases) {
        let behind = next_base.is_some_and(|next| next <= known.recovery_point);
        if (known.clean || behind)
            && segment.load_indexes(files, dir)
            && let Ok(next) = segment.load_tail()
        {
            end = next;
            continue;
        }
        end = rebuild(segment, next_base.is_none(), index_interval_bytes)?;
        if next_base.is_some() {
            for file in segment.write_indexes(files, dir)? {
                file.sync_data()?;
            }
        }
    }
    Ok(end)
}

/// Verifies a segment from its start and rebuilds its indexes; cuts a torn tail of the last one.
fn rebuild(segment: &mut Segment, last: bool, index_interval_bytes: u64) -> io::Result<i64> {
    let file = std::sync::Arc::clone(&segment.file);
    let length = segment.size;
    segment.size = 0;
    segment.indexes = crate::index::Indexes::default();
    let mut next = segment.base_offset;
    let mut misplaced = None;
    let walked = segment::walk(&*file, 0, length, Check::Crc, |position, header| {
        if header.base_offset < next {
            misplaced = Some((position, header.base_offset));
            return false;
        }
        segment.account(header, index_interval_bytes);
        next = header.last_offset() + 1;
        true
    });
    let fault = match (walked, misplaced) {
        (Ok(()), None) => None,
        (Ok(()), Some((position, offset))) => {
            Some((position, format!("base offset {offset} where {next} is expected")))
        }
        (Err(error), _) => Some((error.position, error.message)),
    };
    let path = file.path().display();
    match fault {
        Some((position, error)) if last => {
            tracing::warn!(file = %path, position, cut_bytes = length - position, %error, "cut the torn tail of an unacknowledged write");
            file.set_len(position)?;
        }
        Some((position, error)) => {
            tracing::error!(file = %path, position, %error, "segment is damaged: records behind this position cannot be read; restore the file from a copy");
            segment.size = length;
        }
        None => {}
    }
    // What is served from here on is on disk, whatever the page cache held when the process died.
    file.sync_data()?;
    Ok(next)
}

/// Producer state at `end`: the newest good snapshot, and the headers behind it.
fn load_producers(
    files: &dyn Files,
    dir: &std::path::Path,
    segments: &[Segment],
    end: i64,
) -> io::Result<ProducerStates> {
    let mut snapshots: Vec<i64> = files
        .read_dir(dir)?
        .iter()
        .filter_map(|entry| segment::base_offset_of(&entry.name, "snapshot"))
        .collect();
    snapshots.sort_unstable_by(|a, b| b.cmp(a));
    let mut states = ProducerStates::default();
    let mut from = segments[0].base_offset;
    for offset in snapshots {
        let path = segment::path(dir, offset, "snapshot");
        if offset > end {
            files.remove_file(&path)?;
            continue;
        }
        match ProducerStates::decode(&files.read(&path)?) {
            Some(decoded) => {
                states = decoded;
                from = offset;
                break;
            }
            None => {
                tracing::error!(file = %path.display(), "producer snapshot is damaged; using an older one");
                files.remove_file(&path)?;
            }
        }
    }
    for segment in segments {
        let start = if segment.base_offset >= from {
            0
        } else {
            segment.indexes.position_before(from - 1)
        };
        let walked = segment::walk(&*segment.file, start, segment.size, Check::Header, |_, header| {
            if header.base_offset >= from {
                states.record(header);
            }
            true
        });
        if let Err(error) = walked {
            tracing::error!(file = %segment.file.path().display(), position = error.position, error = %error.message, "segment is damaged: producer state behind this position is lost");
        }
    }
    Ok(states)
}

//! Opening a partition's directory: trusting it after an orderly shutdown, checking it after any other end.
//!
//! After an unclean stop every batch from the recovery point on is verified. A bad batch there is the torn tail of a write:
//! it is cut, and segments behind it, which a loss of power can leave without it, are set aside. A bad batch that was
//! acknowledged is damage: it is reported and nothing is cut, so that what is good on both sides stays readable, and no
//! offset is given out twice. What is trusted here is verified when it is first read.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jackfield_env::{File, Files};

use crate::{
    LogConfig, TopicId, checkpoint, copies, epochs,
    examine::{self, Bounds, Examined, Torn},
    known::Known,
    partition_log::{PartitionLog, Shared},
    producer_state::ProducerStates,
    salvage,
    segment::{self, Segment},
    snapshots,
    state::{End, State},
};

/// Splits a partition directory's name into topic and partition.
pub(crate) fn parse_directory(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let partition: i32 = partition.parse().ok()?;
    (partition >= 0 && !topic.is_empty()).then_some((topic, partition))
}

/// Whether a partition directory was created to its end: its metadata can be read, or there are records, whose owner must
/// then be told of.
pub(crate) fn is_complete(files: &dyn Files, dir: &Path) -> io::Result<bool> {
    if checkpoint::read_partition_metadata(files, dir).is_ok() {
        return Ok(true);
    }
    let entries = files.read_dir(dir)?;
    Ok(entries
        .iter()
        .any(|entry| segment::base_offset_of(&entry.name, "log").is_some() && entry.len > 0))
}

/// Opens and recovers the log in `dir`. Files whose content was checked but may not be on disk are added to `unsynced`:
/// nothing of the log may be served before they are synced.
pub(crate) fn open(
    dir: PathBuf,
    topic: &str,
    partition: i32,
    shared: Shared,
    config: LogConfig,
    known: Known,
    unsynced: &mut Vec<Arc<dyn File>>,
) -> io::Result<Arc<PartitionLog>> {
    let files = Arc::clone(&shared.env.files);
    let now_ms = shared.env.clock.now_ms();
    let copy = known.copy.as_ref();
    let topic_id = copies::settle(
        &*files,
        &dir.join(checkpoint::PARTITION_METADATA),
        checkpoint::read_partition_metadata(&*files, &dir),
        copy.map(|copy| &copy.topic_id),
        |id| checkpoint::render_partition_metadata(*id),
    )?;
    let epochs = copies::settle(
        &*files,
        &dir.join(checkpoint::LEADER_EPOCH),
        checkpoint::read_epochs(&*files, &dir),
        copy.map(|copy| &copy.epochs),
        |epochs| checkpoint::render_epochs(epochs),
    );
    let unknown = epochs
        .as_ref()
        .err()
        .filter(|error| checkpoint::is_content(error));
    let (mut lost_epochs, mut epochs) = match unknown {
        Some(error) => (Some(error.to_string()), Vec::new()),
        None => (None, epochs?),
    };
    let mut segments = open_segments(&files, &dir, &known, now_ms)?;
    if copy.is_none() && !epochs::fit(&epochs, &segments) {
        lost_epochs = Some("differs from the batches".to_owned());
        epochs.clear();
    }
    let end = Loader {
        files: &files,
        dir: &dir,
        known: &known,
        index_interval_bytes: config.index_interval_bytes,
        epochs: &epochs,
        unsynced,
    }
    .load(&mut segments)?;
    let epochs = match lost_epochs {
        Some(error) => epochs::rebuild(&*files, &dir, &segments, &error)?,
        None => epochs,
    };
    if !known.clean {
        make_names_durable(&*files, &dir, end, unsynced)?;
    }
    let may_be_torn = if known.clean {
        i64::MAX
    } else {
        known.recovery_point
    };
    let (producers, recalled_from) = snapshots::load(&*files, &dir, &segments, end, may_be_torn, now_ms)?;
    #[cfg(feature = "planted-bugs")]
    let (producers, recalled_from) = if crate::planted::is("forget-producer-state") {
        (ProducerStates::default(), None)
    } else {
        (producers, recalled_from)
    };
    let first = segments[0].base_offset;
    let mut state = new_state(dir, config, segments, epochs, end);
    state.producers = producers;
    state.recalled_from = recalled_from;
    state.log_start_offset = known.log_start_offset.unwrap_or(first).max(first).min(end);
    Ok(PartitionLog::new(topic, partition, topic_id, shared, state))
}

/// What was found may be in the page cache only: a process that died between two steps of a creation, a roll or a deletion
/// left names, and a new partition its metadata, that nobody synced.
fn make_names_durable(
    files: &dyn Files,
    dir: &Path,
    end: i64,
    unsynced: &mut Vec<Arc<dyn File>>,
) -> io::Result<()> {
    unsynced.push(files.open_dir(dir)?);
    if end == 0 {
        for name in [checkpoint::LEADER_EPOCH, checkpoint::PARTITION_METADATA] {
            let path = dir.join(name);
            if files.exists(&path) {
                unsynced.push(files.open(&path, false)?);
            }
        }
    }
    Ok(())
}

/// A new, empty log; `dir` holds its metadata already.
pub(crate) fn create(
    dir: PathBuf,
    topic: &str,
    partition: i32,
    topic_id: TopicId,
    shared: Shared,
    config: LogConfig,
) -> io::Result<Arc<PartitionLog>> {
    let now_ms = shared.env.clock.now_ms();
    let segment = Segment::open(&*shared.env.files, &dir, 0, now_ms)?;
    let state = new_state(dir, config, vec![segment], vec![(0, 0)], 0);
    Ok(PartitionLog::new(topic, partition, topic_id, shared, state))
}

/// State of a log of which everything is on disk.
pub(crate) fn new_state(
    dir: PathBuf,
    config: LogConfig,
    segments: Vec<Segment>,
    epochs: Vec<(i32, i64)>,
    end: i64,
) -> State {
    let active = segments.last().expect("a log has at least one segment");
    let committed = End {
        offset: end,
        segment: active.base_offset,
        position: active.size,
    };
    State {
        log_start_offset: segments[0].base_offset,
        dir,
        config,
        segments,
        producers: ProducerStates::default(),
        recalled_from: None,
        marks: Vec::new(),
        epochs,
        unsynced: Vec::new(),
        queued: false,
        rolled: false,
        recovery_point: end,
        committed,
        log_end_offset: end,
        hints: Vec::new(),
        deleted: false,
        closed: false,
    }
}

/// Opens the segment files, or a first one where there is none.
fn open_segments(files: &Arc<dyn Files>, dir: &Path, known: &Known, now_ms: i64) -> io::Result<Vec<Segment>> {
    let mut segments: Vec<Segment> = clean_directory(&**files, dir)?
        .into_iter()
        .map(|(base_offset, size)| Segment::lazily(files, dir, base_offset, size, now_ms))
        .collect();
    if segments.is_empty() {
        // Offsets that were given out once are not given out again.
        let base_offset = known.log_start_offset.unwrap_or(0).max(known.recovery_point);
        if base_offset > 0 {
            tracing::error!(directory = %dir.display(), base_offset, "no segment is left of this partition: its records are lost; restore the directory from a copy");
        }
        segments.push(Segment::open(&**files, dir, base_offset, now_ms)?);
    }
    Ok(segments)
}

/// Removes leftovers of deletions and replacements; returns base offsets and sizes of the segments in order.
fn clean_directory(files: &dyn Files, dir: &Path) -> io::Result<Vec<(i64, u64)>> {
    let mut bases = Vec::new();
    for entry in files.read_dir(dir)? {
        if [".deleted", ".cleaned", ".tmp"]
            .iter()
            .any(|suffix| entry.name.ends_with(suffix))
        {
            files.remove_file(&dir.join(&entry.name))?;
        } else if let Some(base) = segment::base_offset_of(&entry.name, "log") {
            bases.push((base, entry.len));
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

/// Loads or rebuilds the indexes of one log's segments.
struct Loader<'a> {
    files: &'a Arc<dyn Files>,
    dir: &'a Path,
    known: &'a Known,
    index_interval_bytes: u64,
    epochs: &'a [(i32, i64)],
    unsynced: &'a mut Vec<Arc<dyn File>>,
}

impl Loader<'_> {
    /// Returns the log end offset. Segments that cannot belong to the log any more are taken out.
    fn load(&mut self, segments: &mut Vec<Segment>) -> io::Result<i64> {
        let mut end = segments[0].base_offset;
        let mut index = 0;
        while index < segments.len() {
            let next = segments.get(index + 1).map(|next| (next.base_offset, next.size));
            let loaded = self.load_segment(&mut segments[index], next.map(|(base, _)| base))?;
            end = loaded.end;
            match next {
                Some((base, 0)) if base < end => {
                    // Left by a roll that failed: the records behind its start are in this segment.
                    self.remove_empty(&segments.remove(index + 1))?;
                    continue;
                }
                Some(_) if loaded.ends_log => {
                    let later = segments.drain(index + 1..);
                    salvage::set_segments_aside(&**self.files, self.dir, later, end)?;
                    self.unsynced.push(self.files.open_dir(self.dir)?);
                }
                Some(_) => {
                    let written = segments[index].write_indexes(self.files, self.dir)?;
                    self.unsynced.extend(written);
                    segments[index].close_unused(self.files);
                }
                None => segments[index].spill_indexes(self.files, self.dir),
            }
            index += 1;
        }
        self.go_on_behind_damage(segments, end)?;
        Ok(end)
    }

    /// Nothing is appended to a segment that ends in damage: new bytes could make something else of the old ones.
    fn go_on_behind_damage(&mut self, segments: &mut Vec<Segment>, end: i64) -> io::Result<()> {
        let last = segments.last().expect("a log has at least one segment");
        let Some(hole) = last.holes.last().filter(|hole| hole.end == last.size) else {
            return Ok(());
        };
        tracing::error!(file = %last.file.path().display(), first_lost_offset = hole.first_offset, log_end_offset = end, "acknowledged records are missing at the end of the log; restore the directory from a copy");
        if end > last.base_offset {
            let fresh = Segment::open(&**self.files, self.dir, end, last.created_ms)?;
            self.unsynced.push(Arc::clone(&fresh.file));
            self.unsynced.push(self.files.open_dir(self.dir)?);
            segments.push(fresh);
        }
        Ok(())
    }

    fn load_segment(&mut self, segment: &mut Segment, next_base: Option<i64>) -> io::Result<Examined> {
        let behind = next_base.is_some_and(|next| next <= self.known.recovery_point);
        let at_end = self.known.ends_there.then_some(self.known.recovery_point);
        if (self.known.clean || behind)
            && segment.load_indexes(self.files, self.dir)
            // Those of closed segments are looked through when they are first used.
            && (next_base.is_some() || segment.indexes.are_in_order())
            && let Ok(end) = segment.load_tail()
            && next_base.or(at_end).is_none_or(|expected| expected == end)
        {
            return Ok(Examined {
                end,
                ends_log: false,
                torn: None,
            });
        }
        segment.size = segment.file.len()?;
        self.rebuild(segment, next_base)
    }

    /// The newest mark in the last segment before the recovery point: what is in front of it is on disk, index entries
    /// included.
    fn mark_in(&self, segment: &Segment) -> io::Result<Option<i64>> {
        let marks = segment.base_offset + 1..=self.known.recovery_point;
        if self.known.clean || marks.is_empty() {
            return Ok(None);
        }
        let entries = self.files.read_dir(self.dir)?;
        Ok(entries
            .iter()
            .filter_map(|entry| segment::base_offset_of(&entry.name, "snapshot"))
            .filter(|offset| marks.contains(offset))
            .max())
    }

    /// Removes the files of a segment without records.
    fn remove_empty(&mut self, segment: &Segment) -> io::Result<()> {
        tracing::warn!(file = %segment.file.path().display(), "removed an empty segment that lies inside the one before");
        for suffix in ["log", "index", "timeindex"] {
            let path = segment::path(self.dir, segment.base_offset, suffix);
            self.files.remove_file(&path)?;
        }
        self.unsynced.push(self.files.open_dir(self.dir)?);
        Ok(())
    }

    /// Verifies a segment and rebuilds its indexes. `next_base` is the base offset of the segment behind it, if any.
    /// Batches of the last one that were acknowledged and synced are not verified now, unless everything was.
    fn rebuild(&mut self, segment: &mut Segment, next_base: Option<i64>) -> io::Result<Examined> {
        let recovery_point = self.known.recovery_point;
        let length = segment.size;
        let unclean_tail = next_base.is_none() && !self.known.clean;
        let mark = if next_base.is_none() {
            self.mark_in(segment)?
        } else {
            None
        };
        let resumed_at = mark.and_then(|mark| segment.resume(self.files, self.dir, mark));
        let bounds = Bounds {
            is_last: next_base.is_none(),
            end: next_base.unwrap_or(recovery_point),
            end_is_exact: next_base.is_some() || self.known.ends_there,
            torn_from: if self.known.clean {
                i64::MAX
            } else {
                recovery_point
            },
            verify_from: if unclean_tail { recovery_point } else { 0 },
            epochs: self.epochs,
            index_interval_bytes: self.index_interval_bytes,
            resumed_at,
        };
        let examined = examine::examine(segment, length, &bounds)?;
        examine::report(segment);
        if let Some(torn) = &examined.torn {
            self.cut(&*segment.file, torn, length)?;
        }
        if length > 0 {
            // What is served from here on is on disk, whatever the page cache held when the process died.
            self.unsynced.push(Arc::clone(&segment.file));
        }
        Ok(examined)
    }

    /// Cuts a segment behind its last good batch.
    fn cut(&mut self, file: &dyn File, torn: &Torn, length: u64) -> io::Result<()> {
        let (path, position, error) = (file.path().display(), torn.position, &torn.message);
        let cut_bytes = length - position;
        if torn.has_batches {
            let kept = salvage::set_aside(&**self.files, file, position, length)?;
            tracing::error!(file = %path, position, cut_bytes, %error, kept = %kept.display(), "cut a bad batch and what followed it; the bytes were kept aside");
        } else {
            tracing::warn!(file = %path, position, cut_bytes, %error, "cut the torn tail of a write");
        }
        file.set_len(position)
    }
}

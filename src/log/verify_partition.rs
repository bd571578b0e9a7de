//! Verifying one partition's directory: its small files, its segments, and the indexes against the segments.

use std::{io, path::Path};

use jackfield_protocol::records::BatchHeader;

use crate::{
    batches::{self, Check},
    checkpoint, examine,
    examine::{Bounds, Examined},
    index::{OffsetEntry, TimeEntry},
    known::Known,
    producer_state::ProducerStates,
    segment::{self, Segment},
    stored_index::Entry,
    verify::{FileKind, Run, VerifyError},
};

/// The interval of index entries does not matter: those on disk are compared with the batches they name.
const NO_INDEX: u64 = u64::MAX;

/// Verifies everything in a partition's directory.
pub(crate) fn verify(run: &mut Run<'_>, dir: &Path, known: &Known) -> Result<(), VerifyError> {
    let known = &known.clone().unless_stale(run.files, dir);
    metadata(run, dir, known)?;
    let epochs = epochs(run, dir, known)?;
    let entries = run.files.read_dir(dir).map_err(VerifyError::io(dir))?;
    let mut bases = Vec::new();
    for entry in &entries {
        let file = dir.join(&entry.name);
        if segment::base_offset_of(&entry.name, "snapshot").is_some() {
            snapshot(run, &file)?;
        } else if entry.name.contains(".log.cut") {
            let message = format!("{} bytes that a recovery put aside", entry.len);
            run.note(
                FileKind::Segment,
                &file,
                message,
                "keep it, or remove it once nobody misses it",
            );
        }
        bases.extend(segment::base_offset_of(&entry.name, "log").map(|base| (base, entry.len)));
    }
    bases.sort_unstable();
    for (index, (base, _)) in bases.iter().enumerate() {
        let bounds = bounds(run, known, bases.get(index + 1).copied(), &epochs);
        verify_segment(run, dir, *base, &bounds)?;
    }
    Ok(())
}

fn bounds<'a>(
    run: &Run<'_>,
    known: &Known,
    next: Option<(i64, u64)>,
    epochs: &'a [(i32, i64)],
) -> Bounds<'a> {
    let end = next.map_or(known.recovery_point, |(base, _)| base);
    Bounds {
        is_last: next.is_none(),
        end,
        end_is_exact: next.is_some_and(|(_, size)| size > 0)
            || known.ends_there && end == known.recovery_point && !run.found.in_use,
        // Damage in a closed segment is damage, whatever the next start would make of it.
        torn_from: if known.clean || next.is_some() {
            i64::MAX
        } else {
            known.recovery_point
        },
        verify_from: 0,
        epochs,
        index_interval_bytes: NO_INDEX,
        resumed_at: None,
    }
}

fn metadata(run: &mut Run<'_>, dir: &Path, known: &Known) -> Result<(), VerifyError> {
    let (kind, path) = (
        FileKind::PartitionMetadata,
        dir.join(checkpoint::PARTITION_METADATA),
    );
    let Some(content) = run.read(kind, &path)? else {
        run.find(kind, &path, "is missing");
        return Ok(());
    };
    let copied = known.copy.as_ref().map(|copy| copy.topic_id);
    let written = content.trim_ascii_end().to_vec();
    match (checkpoint::parse_partition_metadata(&path, content), copied) {
        (Err(error), _) => {
            run.find(kind, &path, checkpoint::what(&path, &error));
        }
        (Ok(id), Some(copied)) if id != copied => {
            let message = format!(
                "names topic id {}, and its copy {}",
                id.to_base64(),
                copied.to_base64()
            );
            run.find(kind, &path, message);
        }
        (Ok(id), _) if checkpoint::render_partition_metadata(id) != written => {
            run.find(kind, &path, "is not what a broker writes");
        }
        _ => {}
    }
    Ok(())
}

/// Leader epochs as far as they are known.
fn epochs(run: &mut Run<'_>, dir: &Path, known: &Known) -> Result<Vec<(i32, i64)>, VerifyError> {
    let (kind, path) = (FileKind::LeaderEpochs, dir.join(checkpoint::LEADER_EPOCH));
    let copied = known.copy.as_ref().map(|copy| copy.epochs.clone());
    let Some(content) = run.read(kind, &path)? else {
        run.find(kind, &path, "is missing");
        return Ok(copied.unwrap_or_default());
    };
    match checkpoint::parse_epochs(&path, content) {
        Err(error) => {
            run.find(kind, &path, checkpoint::what(&path, &error));
            Ok(copied.unwrap_or_default())
        }
        Ok(epochs) => {
            if copied.as_ref().is_some_and(|copied| *copied != epochs) {
                run.find(kind, &path, "differs from its copy");
            }
            Ok(copied.unwrap_or(epochs))
        }
    }
}

fn snapshot(run: &mut Run<'_>, path: &Path) -> Result<(), VerifyError> {
    let kind = FileKind::ProducerSnapshot;
    if let Some(content) = run.read(kind, path)?
        && ProducerStates::decode(&content, 0).is_none()
    {
        run.find(kind, path, "does not match its checksum");
    }
    Ok(())
}

fn verify_segment(run: &mut Run<'_>, dir: &Path, base: i64, bounds: &Bounds<'_>) -> Result<(), VerifyError> {
    let path = segment::path(dir, base, "log");
    let file = match run.files.open_read(&path) {
        Ok(file) => file,
        // Retention was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(VerifyError::io(&path)(error)),
    };
    let failed = VerifyError::io(&path);
    let mut found = Segment::over(file, base, 0);
    let examined = found
        .file
        .len()
        .and_then(|length| Ok((length, examine::examine(&mut found, length, bounds)?)));
    let (length, examined) = examined.map_err(failed)?;
    damage(run, &path, &found, &examined);
    let mut indexed = Indexed::read(run, dir, base, length)?;
    let (mut batches, mut records) = (0, 0);
    for (from, end) in found.good_ranges(0) {
        let walked = batches::walk(&*found.file, from, end, Check::Header, |position, header| {
            batches += 1;
            records += u64::try_from(header.record_count).unwrap_or(0);
            indexed.compare(position, header);
            true
        });
        if let Err(error) = walked {
            let error = error.of_content().map_err(VerifyError::io(&path))?;
            run.find(FileKind::Segment, &path, error.message).position = Some(error.position);
        }
    }
    let totals = run.count(FileKind::Segment, length);
    totals.batches += batches;
    totals.records += records;
    // The index of the segment that is written to is the one of the last orderly shutdown.
    let is_whole = (!bounds.is_last || bounds.end_is_exact) && !found.is_damaged();
    indexed.finish(run, dir, base, is_whole.then_some(found.max_timestamp));
    run.advance(length);
    Ok(())
}

fn damage(run: &mut Run<'_>, path: &Path, found: &Segment, examined: &Examined) {
    for hole in &found.holes {
        let next = hole.next_offset;
        let finding = run.find(
            FileKind::Segment,
            path,
            format!("{}; the next good offset is {next}", hole.cause),
        );
        finding.position = Some(hole.start);
        finding.offsets = Some((hole.first_offset, next - 1));
    }
    if let Some(torn) = &examined.torn {
        let message = format!("unfinished write at byte {}: {}", torn.position, torn.message);
        run.note(
            FileKind::Segment,
            path,
            message,
            "none: a running broker finishes it, the next start cuts it",
        );
    }
}

/// The index files of a segment, compared with its batches while these pass by.
struct Indexed {
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
    /// Both files are there.
    is_complete: bool,
    offsets_seen: usize,
    times_seen: usize,
    wrong_offsets: Option<String>,
    wrong_times: Option<String>,
}

/// The entries of an index file; `None` when they cannot be those of this segment.
fn entries<E: Entry>(content: &[u8], base: i64, length: u64) -> Option<Vec<E>> {
    let entry_bytes = size_of::<E::Bytes>();
    if !content.len().is_multiple_of(entry_bytes) {
        return None;
    }
    // A running Kafka broker leaves room behind the entries.
    let end = content
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let used = &content[..end.next_multiple_of(entry_bytes)];
    let decode = |bytes| E::decode(E::Bytes::try_from(bytes).ok()?, base);
    let entries: Vec<E> = used
        .chunks_exact(entry_bytes)
        .map(decode)
        .collect::<Option<_>>()?;
    let ascend = entries.windows(2).all(|pair| pair[1].follows(&pair[0]));
    let fit = entries.iter().all(|entry| entry.fits(base, length));
    (ascend && fit).then_some(entries)
}

impl Indexed {
    fn read(run: &mut Run<'_>, dir: &Path, base: i64, length: u64) -> Result<Self, VerifyError> {
        let path = |suffix| segment::path(dir, base, suffix);
        let offsets = run.read(FileKind::OffsetIndex, &path("index"))?;
        let times = run.read(FileKind::TimeIndex, &path("timeindex"))?;
        let is_complete = offsets.is_some() && times.is_some();
        let wrong = "entries do not ascend, or lie outside the segment";
        let offsets = entries(&offsets.unwrap_or_default(), base, length);
        let times = entries(&times.unwrap_or_default(), base, length);
        Ok(Self {
            wrong_offsets: offsets.is_none().then(|| wrong.to_owned()),
            wrong_times: times.is_none().then(|| wrong.to_owned()),
            offsets: offsets.unwrap_or_default(),
            times: times.unwrap_or_default(),
            is_complete,
            offsets_seen: 0,
            times_seen: 0,
        })
    }

    fn compare(&mut self, position: u64, header: &BatchHeader) {
        while let Some(entry) = self.offsets.get(self.offsets_seen) {
            if entry.position > position {
                break;
            }
            self.offsets_seen += 1;
            if entry.position < position || entry.offset != header.last_offset() {
                self.wrong_offsets.get_or_insert_with(|| {
                    format!(
                        "no batch at byte {} ends with offset {}",
                        entry.position, entry.offset
                    )
                });
            }
        }
        while let Some(entry) = self.times.get(self.times_seen) {
            if entry.offset > header.last_offset() {
                break;
            }
            self.times_seen += 1;
            if !entry.is_of(header) {
                self.wrong_times.get_or_insert_with(|| {
                    format!(
                        "no batch with offset {} has timestamp {}",
                        entry.offset, entry.timestamp
                    )
                });
            }
        }
    }

    /// `newest` is the largest timestamp of a closed segment.
    fn finish(mut self, run: &mut Run<'_>, dir: &Path, base: i64, newest: Option<i64>) {
        if let (true, Some(newest)) = (self.is_complete, newest) {
            let behind = "entries lie behind the last batch";
            if self.offsets_seen < self.offsets.len() {
                self.wrong_offsets.get_or_insert_with(|| behind.to_owned());
            }
            if self.times_seen < self.times.len() {
                self.wrong_times.get_or_insert_with(|| behind.to_owned());
            } else if self.times.last().map_or(-1, |entry| entry.timestamp) != newest {
                self.wrong_times
                    .get_or_insert_with(|| format!("the largest timestamp, {newest}, is not the last entry"));
            }
        }
        for (kind, suffix, wrong) in [
            (FileKind::OffsetIndex, "index", self.wrong_offsets),
            (FileKind::TimeIndex, "timeindex", self.wrong_times),
        ] {
            if let Some(message) = wrong {
                run.find(kind, &segment::path(dir, base, suffix), message);
            }
        }
    }
}

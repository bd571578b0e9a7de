//! What must be true of a disk after any end of a history.

use std::sync::Arc;

use jackfield_env::disk::{Cut, Disk};
use jackfield_protocol::records;

use super::{
    super::rig::decode,
    history::{Batch, End, Expected, History, Presence, Topic, wrong},
};
use crate::{AppendOrigin, LogManager, PartitionLog};

/// Compares what a manager found with what must be there, and takes over what it found: from here on it may be read, so it
/// must stay.
pub(super) fn found(manager: &LogManager, topics: &mut [Topic]) -> Result<(), End> {
    for log in manager.logs() {
        let mut known = topics.iter();
        if !known.any(|topic| topic.name == log.topic() && topic.id == log.topic_id()) {
            return wrong(format!("{}-{} was never created", log.topic(), log.partition()));
        }
    }
    for topic in topics {
        for partition in 0..topic.partitions.len() {
            let log = topic.log(manager, partition);
            let name = format!("{}-{partition} ({:?})", topic.name, topic.id.0[0]);
            let expected = &mut topic.partitions[partition];
            expected.presence = match (expected.presence, log) {
                (Presence::There, None) => return wrong(format!("{name} is gone")),
                (Presence::Gone, Some(_)) => return wrong(format!("{name} was deleted and is back")),
                (_, None) => Presence::Gone,
                (_, Some(log)) => {
                    take_over(&log, expected).map_err(|error| match error {
                        End::Wrong(message) => End::Wrong(format!("{name}: {message}")),
                        refused @ End::Refused(_) => refused,
                    })?;
                    Presence::There
                }
            };
        }
    }
    Ok(())
}

fn take_over(log: &Arc<PartitionLog>, expected: &mut Expected) -> Result<(), End> {
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    if log.high_watermark() != end {
        return wrong(format!("high watermark {} of {end}", log.high_watermark()));
    }
    if start > expected.start {
        return wrong(format!("log start {start}, but {} was kept", expected.start));
    }
    if end < expected.acknowledged {
        return wrong(format!(
            "log end {end}, but {} was acknowledged",
            expected.acknowledged
        ));
    }
    read(log, expected)?;
    expected.batches.retain(|batch| batch.base_offset < end);
    if expected.batches.last().is_some_and(|batch| batch.end() > end) {
        return wrong(format!("the log ends at {end}, inside a batch"));
    }
    expected.acknowledged = end;
    expected.start = start;
    Ok(())
}

/// Reads everything a consumer can.
fn read(log: &PartitionLog, expected: &Expected) -> Result<(), End> {
    let written: Vec<&String> = expected.batches.iter().flat_map(|batch| &batch.values).collect();
    let (start, end) = (log.log_start_offset(), log.high_watermark());
    let mut offset = start;
    while offset < end {
        let slice = match log.read(offset, 1 << 16, true) {
            Ok(fetched) => fetched.slice,
            Err(error) => return wrong(format!("offset {offset} cannot be read: {error}")),
        };
        let Some(slice) = slice else {
            return wrong(format!("nothing at offset {offset}, below the end {end}"));
        };
        let bytes = slice.read().map_err(|error| End::Refused(error.to_string()))?;
        if let Some(error) =
            records::split_batches(bytes.clone()).find_map(|batch| records::verify(&batch).err())
        {
            let (file, position) = (slice.file.path().display(), slice.position);
            return wrong(format!(
                "a bad batch is served at {offset} of {end}: {file} from {position}: {error}"
            ));
        }
        for (at, value) in decode(&bytes) {
            if at < offset {
                continue;
            }
            let known = usize::try_from(at).ok().and_then(|at| written.get(at));
            if at != offset || known != Some(&&value) {
                let known = known.map_or("nothing", |known| known.split(' ').next().unwrap_or_default());
                return wrong(format!(
                    "offset {at} holds '{value:.20}', not '{known}', where {offset} is due"
                ));
            }
            offset += 1;
        }
    }
    Ok(())
}

/// Whether everything acknowledged can be read while the log is at work.
pub(super) fn readable(history: &History) -> Result<(), End> {
    for topic in &history.topics {
        for (partition, expected) in topic.partitions.iter().enumerate() {
            if let Some(log) = topic.log(history.manager(), partition)
                // A deletion that is refused can be tried again; nothing is read meanwhile.
                && !log.is_deleted()
            {
                if log.high_watermark() < expected.acknowledged {
                    return wrong(format!("{}-{partition} ends too early", topic.name));
                }
                read(&log, expected)?;
            }
        }
    }
    Ok(())
}

/// Batches of producers that a client may send again: the last five of each.
fn repeatable(expected: &Expected) -> Vec<Batch> {
    let mut kept = Vec::new();
    for producer in 1..4 {
        let of = |batch: &&Batch| batch.producer.is_some_and(|(id, _)| id == producer);
        let mut last: Vec<Batch> = expected.batches.iter().filter(of).cloned().collect();
        last.drain(..last.len().saturating_sub(5));
        kept.extend(last);
    }
    kept.sort_by_key(|batch| batch.base_offset);
    kept
}

/// Clients send again what they are not sure of, then new records. `before` knows what they sent, `history` what was found.
fn goes_on(history: &mut History, before: &[Topic]) -> Result<(), End> {
    let manager = Arc::clone(history.manager());
    for (number, sent) in before.iter().enumerate() {
        for partition in 0..sent.partitions.len() {
            let Some(log) = sent.log(&manager, partition) else {
                continue;
            };
            let found = &mut history.topics[number].partitions[partition];
            repeat(&log, &repeatable(&sent.partitions[partition]), found)?;
            let (name, id) = (sent.name, sent.id);
            let partition = i32::try_from(partition).unwrap();
            history.append(
                name,
                id,
                partition,
                0,
                vec![format!("more of {name}-{partition}")],
            )?;
        }
    }
    history.commit();
    for topic in &history.topics {
        for (partition, expected) in topic.partitions.iter().enumerate() {
            let end = expected.batches.last().map_or(0, Batch::end);
            if topic.log(&manager, partition).is_some() && expected.acknowledged != end {
                return wrong(format!(
                    "{}-{partition} acknowledges {} of {end}",
                    topic.name, expected.acknowledged
                ));
            }
        }
    }
    Ok(())
}

/// Each batch is in the log once, however often it is sent.
fn repeat(log: &PartitionLog, sent: &[Batch], found: &mut Expected) -> Result<(), End> {
    for batch in sent {
        let end = log.log_end_offset();
        let is_known = |known: &&Batch| known.producer == batch.producer && known.values == batch.values;
        let due = found.batches.iter().find(is_known).map(|known| known.base_offset);
        if due.is_some_and(|base_offset| base_offset < found.start) {
            // What retention deleted may be forgotten.
            continue;
        }
        match log.append(batch.bytes(), AppendOrigin::Client) {
            Ok(appended) if appended.base_offset == due.unwrap_or(end) => {}
            other => {
                return wrong(format!(
                    "{}-{}: repeating the batch of {:?} at {due:?}, log end {end}: {other:?}",
                    log.topic(),
                    log.partition(),
                    batch.producer
                ));
            }
        }
        if due.is_none() {
            found.batches.push(Batch {
                base_offset: end,
                ..batch.clone()
            });
        }
    }
    Ok(())
}

/// Opens the disk and checks everything: what is found, that it stays, and that it goes on. Returns how many operations the
/// start asked for.
pub(super) fn after_start(disk: &Disk, before: &[Topic]) -> Result<usize, End> {
    let asked = disk.asked().len();
    let mut history = opened(disk, before)?;
    let operations = disk.asked().len() - asked;
    // Whatever was found is on disk by now.
    stays(&history)?;
    goes_on(&mut history, before)?;
    stays(&history)?;
    history.stop();
    Ok(operations)
}

/// A loss of power keeps what can be read now.
fn stays(history: &History) -> Result<(), End> {
    let left = history.disk.after_power_cut(Cut::Nothing);
    let mut again = opened(&left, &history.topics).map_err(|error| match error {
        End::Wrong(message) => End::Wrong(format!("at the second start: {message}")),
        refused @ End::Refused(_) => refused,
    })?;
    again.stop();
    Ok(())
}

fn opened(disk: &Disk, topics: &[Topic]) -> Result<History, End> {
    let mut history = History::on(disk.clone(), topics.to_vec());
    if let Err(error) = history.start() {
        return wrong(format!("does not start: {error}"));
    }
    let manager = Arc::clone(history.manager());
    let mut topics = std::mem::take(&mut history.topics);
    found(&manager, &mut topics)?;
    history.topics = topics;
    Ok(history)
}

/// As [`after_start`], after a start that died at operation `at`, `bytes` bytes into it when it is a write.
pub(super) fn after_dying_start(
    disk: &Disk,
    before: &[Topic],
    (at, bytes): (usize, usize),
    cut: Cut,
) -> Result<(), End> {
    let first = disk.asked().len();
    disk.die_at(first + at, bytes);
    let mut history = History::on(disk.clone(), before.to_vec());
    if history.start().is_ok() {
        return wrong(format!("a start that died at operation {at} succeeded"));
    }
    history.stop();
    after_start(&disk.after_power_cut(cut), before).map(|_| ())
}

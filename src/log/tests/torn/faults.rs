//! Syncs that fail and disks that are full, at every operation of the scripted history.

use std::{path::Path, sync::Arc};

use jackfield_env::{
    Files,
    disk::{Asked, Cut, Disk, Operation},
};

use super::{
    check,
    history::{End, History, LOG_DIRS, Presence, Step, wrong},
    operations, script,
};
use crate::{AppendError, AppendOrigin, ReadError, TopicId, checkpoint};

const EIO: i32 = 5;

/// Everything that may be left of a disk: nothing of what was not synced, all of it, or some.
const CUTS: [Cut; 4] = [
    Cut::Nothing,
    Cut::Everything,
    Cut::Journaled(1),
    Cut::Scattered(2),
];

fn said(end: End) -> String {
    match end {
        End::Refused(message) | End::Wrong(message) => message,
    }
}

/// The log directory a path lies in.
fn log_dir_of(path: &Path) -> Option<&'static str> {
    LOG_DIRS.into_iter().find(|log_dir| path.starts_with(log_dir))
}

fn starts_after_any_cut(history: &History) -> Result<(), End> {
    for cut in CUTS {
        let left = history.disk.after_power_cut(cut);
        left.make_room();
        check::after_start(&left, &history.topics)
            .map_err(|end| End::Wrong(format!("{cut:?}: {}", said(end))))?;
    }
    Ok(())
}

/// Runs the history with one failing sync and looks at what the process does from then on.
fn fail_sync(steps: &[Step], at: usize, failing: &Asked) -> Result<(), End> {
    let disk = Disk::default();
    disk.fail_at(at, EIO);
    let mut history = History::on(disk, Vec::new());
    for step in steps {
        let result = history.step(*step);
        if !history.disk.has_failed() {
            result?;
            continue;
        }
        return match (step, result) {
            (_, Err(End::Wrong(message))) => wrong(message),
            (Step::Open, Err(End::Refused(message))) => {
                let path = failing.path.parent().unwrap_or(Path::new("/"));
                if !message.contains(&*path.to_string_lossy()) {
                    return wrong(format!("refused to start with '{message}'"));
                }
                let offline = LOG_DIRS
                    .iter()
                    .filter(|log_dir| history.is_running() && history.offline(log_dir).is_some());
                if offline.count() > 1 {
                    return wrong("the other directory is offline, too".to_owned());
                }
                history.stop();
                starts_after_any_cut(&history)
            }
            (Step::Open, Ok(())) => wrong("started all the same".to_owned()),
            (Step::Close, _) => closed(&history, at, failing),
            (step, result) => goes_on_beside(&mut history, failing)
                .map_err(|end| End::Wrong(format!("{step:?} {result:?}: {}", said(end)))),
        };
    }
    wrong("the sync was not asked for".to_owned())
}

/// An orderly shutdown that could not sync says so by leaving no marker, and tries nothing twice.
fn closed(history: &History, at: usize, failing: &Asked) -> Result<(), End> {
    not_retried(history, at, failing)?;
    marked_clean(
        history,
        log_dir_of(&failing.path).expect("of a log directory"),
        at,
    )?;
    starts_after_any_cut(history)
}

/// What failed to be synced is not synced again, but by the same round, which may hold two handles of a directory. A
/// temporary is removed.
fn not_retried(history: &History, at: usize, failing: &Asked) -> Result<(), End> {
    let asked = history.disk.asked();
    let later = asked[at + 1..].iter();
    let again = later
        .skip_while(|asked| asked.operation.is_sync())
        .find(|asked| asked.path == failing.path && asked.operation != Operation::Remove);
    again.map_or(Ok(()), |again| wrong(format!("{again:?} after the failed sync")))
}

/// One directory is offline and stays so; the other one works.
fn goes_on_beside(history: &mut History, failing: &Asked) -> Result<(), End> {
    let broken = log_dir_of(&failing.path).expect("of a log directory");
    let Some(reason) = history.offline(broken) else {
        return wrong("the directory is still online".to_owned());
    };
    if !reason.contains(failing.path.to_string_lossy().trim_end_matches(".tmp"))
        || !reason.contains("error 5")
    {
        return wrong(format!("the reason is '{reason}'"));
    }
    let other = LOG_DIRS
        .into_iter()
        .find(|log_dir| *log_dir != broken)
        .expect("two");
    if let Some(reason) = history.offline(other) {
        return wrong(format!("the other directory is offline, too: {reason}"));
    }
    let since = history.disk.asked().len();
    use_logs(history, broken)?;
    // New topics go where it works.
    let id = TopicId([9; 16]);
    let created = history
        .manager()
        .create("new", id, 0..2, super::history::small_segments());
    match created {
        Ok(logs) if logs.iter().all(|log| log.log_dir == Path::new(other)) => {}
        other => return wrong(format!("creation of a topic: {other:?}")),
    }
    history
        .manager()
        .delete("new", id)
        .map_err(|error| End::Wrong(error.to_string()))?;
    history.step(Step::Retain(0))?;
    history.step(Step::Unlink)?;
    history.step(Step::Checkpoint)?;
    history.step(Step::Close)?;
    let asked = history.disk.asked();
    let mut touched = asked[since..].iter();
    if let Some(again) = touched.find(|asked| asked.path.starts_with(broken)) {
        return wrong(format!("{again:?} after the directory went offline"));
    }
    marked_clean(history, broken, since)?;
    starts_after_any_cut(history)
}

/// The other directory is marked clean at a shutdown; the broken one is not after operation `at`, unless the marker is what
/// failed.
fn marked_clean(history: &History, broken: &str, at: usize) -> Result<(), End> {
    let marker = |log_dir: &str| Path::new(log_dir).join(checkpoint::CLEAN_SHUTDOWN);
    let other = LOG_DIRS
        .into_iter()
        .find(|log_dir| *log_dir != broken)
        .expect("two");
    if !history.disk.exists(&marker(other)) {
        return wrong(format!("{other} is not marked clean"));
    }
    let asked = history.disk.asked();
    let is_marker = |asked: &Asked| {
        asked.operation == Operation::Create
            && asked.path.starts_with(broken)
            && asked.path.to_string_lossy().contains(checkpoint::CLEAN_SHUTDOWN)
    };
    if asked[at..].iter().any(is_marker) {
        return wrong(format!("{broken} is marked clean"));
    }
    Ok(())
}

/// What is in the broken directory is refused, what is in the other one is acknowledged.
fn use_logs(history: &mut History, broken: &str) -> Result<(), End> {
    let manager = Arc::clone(history.manager());
    for number in 0..history.topics.len() {
        for partition in 0..2 {
            let topic = &history.topics[number];
            let Some(log) = topic.log(&manager, partition) else {
                continue;
            };
            let (name, id) = (topic.name, topic.id);
            if log.log_dir == Path::new(broken) {
                let refused = log.append(super::super::rig::batch(&["refused"]), AppendOrigin::Client);
                let read = log.read(log.log_start_offset(), 100, true);
                if !matches!(refused, Err(AppendError::Storage(_)))
                    || !matches!(read, Err(ReadError::Storage(_)))
                {
                    return wrong(format!("{name}-{partition} goes on: {refused:?}, {read:?}"));
                }
            } else if topic.partitions[partition].presence == Presence::There {
                let values = vec!["beside".to_owned()];
                history.append(name, id, i32::try_from(partition).unwrap(), 0, values)?;
                history.commit();
                if log.high_watermark() != log.log_end_offset() {
                    return wrong(format!("{name}-{partition} acknowledges nothing"));
                }
            }
        }
    }
    Ok(())
}

/// Whatever is synced, a failure takes its directory offline, once and for all; nothing it concerns is acknowledged, and the
/// other directory goes on.
#[test]
fn any_sync_that_fails_takes_its_directory_offline() {
    let steps = script();
    let mut tried = 0;
    for (at, asked) in operations(&steps).iter().enumerate() {
        if asked.operation.is_sync() {
            tried += 1;
            if let Err(end) = fail_sync(&steps, at, asked) {
                panic!("operation {at} {asked:?} failed: {}", said(end));
            }
        }
    }
    println!("{tried} syncs failed");
    assert!(tried > 100);
}

/// Runs the history on a disk that is full from an operation on, until the step that found out has been refused.
fn fill(steps: &[Step], at: usize, bytes: usize) -> Result<(), End> {
    let disk = Disk::default();
    disk.fill_at(at, bytes);
    let mut history = History::on(disk, Vec::new());
    for step in steps {
        let result = history.step(*step);
        if !history.disk.has_failed() {
            result?;
            continue;
        }
        let named = |end: End| End::Wrong(format!("{step:?}: {}", said(end)));
        if matches!(result, Err(End::Wrong(_))) {
            return result;
        }
        if matches!(step, Step::Close | Step::Open) {
            history.stop();
        } else {
            for log_dir in LOG_DIRS {
                if let Some(reason) = history.offline(log_dir) {
                    return Err(named(End::Wrong(format!("{log_dir} is offline: {reason}"))));
                }
            }
            check::readable(&history).map_err(named)?;
        }
        starts_after_any_cut(&history).map_err(named)?;
        history.disk.make_room();
        if result.is_err() || matches!(step, Step::Retain(_)) {
            history.step(*step).map_err(named)?;
        }
    }
    if let Some(reason) = LOG_DIRS.iter().find_map(|log_dir| history.offline(log_dir)) {
        return wrong(format!("offline in the end: {reason}"));
    }
    check::readable(&history)?;
    history.stop();
    starts_after_any_cut(&history)
}

/// However little room is left, and wherever it ends: the step is refused, readers go on, and with room again so does
/// everything.
#[test]
fn a_disk_that_is_full_anywhere_is_survived() {
    let steps = script();
    let mut tried = 0;
    for (at, asked) in operations(&steps).iter().enumerate() {
        if asked.operation.needs_room() {
            let mut torn = vec![0, asked.bytes / 2, asked.bytes.saturating_sub(1)];
            torn.dedup();
            for bytes in torn {
                tried += 1;
                if let Err(end) = fill(&steps, at, bytes) {
                    panic!(
                        "full at operation {at} {asked:?} after {bytes} bytes: {}",
                        said(end)
                    );
                }
            }
        }
    }
    println!("full at {tried} points");
    assert!(tried > 300);
}

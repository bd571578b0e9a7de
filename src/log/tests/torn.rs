//! The process dies, or the power goes, at every operation and in the middle of every write; and what is found then.

mod check;
mod faults;
mod history;

use std::collections::BTreeMap;

use jackfield_env::disk::{Asked, Cut, Disk, Operation};

use self::history::{End, History, Step};

/// Old and new topic of one name, and another one.
const OLD: (&str, u8) = ("t", 1);
const NEW: (&str, u8) = ("t", 2);
const OTHER: (&str, u8) = ("other", 3);

/// Everything a log does: creation, appends of several producers, rolls, commit rounds, checkpoints, retention, an orderly
/// shutdown, a kill, a loss of power, deletion, and the same name again.
fn script() -> Vec<Step> {
    use Step::{Append, Checkpoint, Close, Commit, Create, Delete, Kill, Open, Retain, Unlink};
    vec![
        Open,
        Create(OLD.0, OLD.1),
        Append(OLD, 0, 1, 2, 20),
        Commit,
        Append(OLD, 0, 1, 1, 600),
        Append(OLD, 1, 2, 1, 30),
        Append(OLD, 0, 2, 3, 100),
        Commit,
        Append(OLD, 0, 1, 1, 700),
        Append(OLD, 0, 0, 2, 10),
        Append(OLD, 1, 2, 2, 500),
        Commit,
        Checkpoint,
        Append(OLD, 0, 1, 1, 1_000),
        Append(OLD, 0, 2, 1, 1_000),
        Append(OLD, 0, 3, 1, 50),
        Commit,
        Create(OTHER.0, OTHER.1),
        Append(OTHER, 0, 1, 1, 30),
        Append(OLD, 1, 1, 1, 1_200),
        Commit,
        Retain(1_500),
        Append(OLD, 0, 3, 1, 40),
        Commit,
        Checkpoint,
        Unlink,
        Append(OLD, 0, 3, 1, 900),
        Append(OLD, 1, 1, 1, 20),
        Close,
        Open,
        Append(OLD, 0, 1, 1, 40),
        Append(OLD, 0, 1, 1, 900),
        Commit,
        Append(OLD, 0, 1, 1, 40),
        Append(OLD, 1, 1, 1, 40),
        Kill(Cut::Everything),
        Open,
        Append(OLD, 0, 2, 1, 40),
        Commit,
        Delete(OLD.0, OLD.1),
        Create(NEW.0, NEW.1),
        Append(NEW, 0, 1, 1, 40),
        Append(NEW, 1, 2, 1, 400),
        Commit,
        Append(NEW, 0, 1, 1, 1_100),
        Append(NEW, 0, 1, 1, 400),
        Append(NEW, 0, 2, 1, 900),
        Kill(Cut::Journaled(7)),
        Open,
        Append(NEW, 0, 3, 1, 1_000),
        Append(NEW, 0, 3, 1, 1_000),
        Commit,
        Retain(0),
        Commit,
        Retain(0),
        Append(NEW, 0, 3, 2, 40),
        Commit,
        Delete(OTHER.0, OTHER.1),
        Checkpoint,
        Unlink,
        Close,
        Open,
        Append(NEW, 0, 3, 1, 40),
        Commit,
    ]
}

/// The operations of the undisturbed history.
fn operations(steps: &[Step]) -> Vec<Asked> {
    let mut history = History::on(Disk::default(), Vec::new());
    if let Err(end) = history.run(steps) {
        panic!("undisturbed, and all the same: {end:?}");
    }
    history.stop();
    history.disk.asked()
}

/// A disk that a history may leave, and what must be found on it.
struct Left {
    disk: Disk,
    topics: Vec<history::Topic>,
}

/// Runs the history until the disk dies at an operation.
fn die(steps: &[Step], at: usize, bytes: usize, disk: Disk) -> Result<Left, String> {
    disk.die_at(at, bytes);
    let mut history = History::on(disk, Vec::new());
    let end = history.run(steps);
    if let Err(End::Wrong(message)) = end {
        return Err(message);
    }
    history.stop();
    assert!(history.disk.is_dead(), "operation {at} did not come");
    Ok(Left {
        disk: history.disk,
        topics: history.topics,
    })
}

/// How many bytes of a write are made when the process dies in it.
fn torn(asked: &Asked) -> Vec<usize> {
    if asked.operation != Operation::Write {
        return vec![0];
    }
    let mut torn = vec![0, 1, asked.bytes / 3, asked.bytes.saturating_sub(1), asked.bytes];
    torn.dedup();
    torn
}

/// What was tried.
#[derive(Default)]
struct Tried {
    points: usize,
    starts: usize,
    dying_starts: usize,
}

/// Dies at every operation, with `seeds` random disks of each kind left behind; the first broken promise ends it.
fn die_everywhere(steps: &[Step], seeds: u64, new_disk: impl Fn() -> Disk) -> Result<Tried, String> {
    let all = operations(steps);
    let mut tried = Tried::default();
    for (at, asked) in all.iter().enumerate() {
        for bytes in torn(asked) {
            let here = |message: String| format!("operation {at} {asked:?} after {bytes} bytes: {message}");
            let left = die(steps, at, bytes, new_disk()).map_err(here)?;
            tried.points += 1;
            let seed = (at * 31 + bytes) as u64 * 1_000;
            let random = (0..seeds).flat_map(|n| [Cut::Journaled(seed + n), Cut::Scattered(seed + n)]);
            for cut in [Cut::Nothing, Cut::Everything].into_iter().chain(random) {
                start(&left, cut, seeds, &mut tried)
                    .map_err(|message| here(format!("{cut:?}: {message}")))?;
            }
        }
    }
    Ok(tried)
}

/// Starts on what is left: once undisturbed, and again dying on the way.
fn start(left: &Left, cut: Cut, seeds: u64, tried: &mut Tried) -> Result<(), String> {
    let disk = || left.disk.after_power_cut(cut);
    let said = |end: End| match end {
        End::Refused(message) | End::Wrong(message) => message,
    };
    let undisturbed = disk();
    let first = undisturbed.asked().len();
    let operations = check::after_start(&undisturbed, &left.topics).map_err(said)?;
    tried.starts += 1;
    let asked = undisturbed.asked();
    let every = usize::try_from(seeds).unwrap_or(1).clamp(1, operations.max(1));
    for n in 0..every {
        // Another place at each point of the history.
        let at = (tried.starts * 7 + n * operations / every) % operations.max(1);
        let bytes = asked[first + at].bytes / 2;
        let second = [Cut::Nothing, Cut::Everything, Cut::Scattered(tried.starts as u64)][tried.starts % 3];
        check::after_dying_start(&disk(), &left.topics, (at, bytes), second)
            .map_err(|end| format!("start that died at its operation {at}, {second:?}: {}", said(end)))?;
        tried.dying_starts += 1;
    }
    Ok(())
}

/// Random disks of each kind at each point; many in the long form.
#[allow(
    clippy::disallowed_methods,
    reason = "how much is tried, outside the program's configuration"
)]
fn seeds() -> u64 {
    std::env::var("TORN_SEEDS").map_or(1, |text| text.parse().expect("TORN_SEEDS is a number"))
}

#[test]
fn dying_at_any_operation_loses_nothing() {
    let tried =
        die_everywhere(&script(), seeds(), Disk::default).unwrap_or_else(|message| panic!("{message}"));
    let mut kinds: BTreeMap<Operation, usize> = BTreeMap::new();
    for asked in operations(&script()) {
        *kinds.entry(asked.operation).or_default() += 1;
    }
    println!(
        "{} points of death, {} starts, {} starts that died; operations: {kinds:?}",
        tried.points, tried.starts, tried.dying_starts
    );
    assert_eq!(kinds.len(), 8, "the history asks for every operation");
}

/// The check sees what it should: each of these lies loses something.
#[test]
fn a_disk_that_lies_is_found_out() {
    let steps = script();
    let all = operations(&steps);
    let first = |operation: Operation, end: &str| {
        let is_first =
            |asked: &Asked| asked.operation == operation && asked.path.to_string_lossy().ends_with(end);
        all.iter().position(is_first).expect("the history asks for it")
    };
    let rolled = first(Operation::Create, ".snapshot");
    let deleted = first(Operation::Rename, "t-1");
    for (from, operation, end) in [
        (0, Operation::SyncDirectory, "/disk"),
        (0, Operation::SyncDirectory, "/a"),
        (0, Operation::SyncDirectory, "t-0"),
        (0, Operation::SyncData, ".log"),
        (0, Operation::SyncData, "partition.metadata"),
        (rolled, Operation::SyncDirectory, "t-0"),
        (rolled, Operation::SyncData, ".log"),
        (deleted, Operation::SyncDirectory, "/b"),
    ] {
        let lying = || {
            let disk = Disk::default();
            disk.ignore_syncs(from, operation, end);
            disk
        };
        let found = die_everywhere(&steps, 1, lying).err();
        println!("{operation:?} of *{end} ignored from operation {from} on: {found:?}");
        assert!(
            found.is_some(),
            "{operation:?} of *{end} ignored from operation {from} on"
        );
    }
}

/// A process died between renaming a partition and syncing the name: until that is on disk the partition is whole.
#[test]
fn a_deletion_is_on_disk_before_it_is_carried_out() {
    use Step::{Append, Commit, Create, Delete, Open};
    let steps = [
        Open,
        Create(OLD.0, OLD.1),
        Append(OLD, 0, 1, 1, 20),
        Commit,
        Delete(OLD.0, OLD.1),
    ];
    let all = operations(&steps);
    let renamed = all
        .iter()
        .position(|asked| asked.operation == Operation::Rename && asked.path.ends_with("t-0"))
        .expect("it is deleted");
    let log_dir = all[renamed].path.parent().expect("a log directory").to_owned();
    let left = die(&steps, renamed + 1, 0, Disk::default()).unwrap();
    let disk = left.disk.after_power_cut(Cut::Everything);
    let first = disk.asked().len();
    check::after_start(&disk, &left.topics).unwrap();
    let asked = disk.asked();
    let start = &asked[first..];
    let removed = start
        .iter()
        .position(|asked| asked.path.to_string_lossy().contains("-delete"))
        .expect("it is removed");
    let is_sync = |asked: &Asked| asked.operation == Operation::SyncDirectory && asked.path == log_dir;
    assert!(start[..removed].iter().any(is_sync), "{:?}", &start[..=removed]);
}

//! Damage at rest: single flipped bits in files of every kind. What is served is what was written, whoever asks for what is
//! lost hears of it, its neighbours stay readable, and `verify` finds it.
//!
//! `DAMAGE_FLIPS=n` flips more than usual; the seed that is printed repeats a run with `DAMAGE_SEED`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use jackfield_env::RealFiles;
use jackfield_protocol::records;

use super::{
    rig::{Rig, copy, reset},
    sample::{Truth, Truths, build, fill, id_of, time_of, topic_config},
};
use crate::{AppendOrigin, PartitionLog, ReadError, verify};

const FLIPS: u64 = 500;
/// Records of the largest batch.
const MOST_RECORDS: usize = 3;

/// Every file below a directory that has content.
fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else if fs::metadata(&path).unwrap().len() > 0 {
            found.push(path);
        }
    }
}

fn kind_of(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    match name.split_once('.') {
        Some((stem, suffix)) if stem.len() == 20 => format!(".{suffix}"),
        _ => name.to_owned(),
    }
}

/// Pseudo-random numbers that can be repeated (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}

/// What the log wrote about itself.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

/// How one flip came out.
#[derive(Debug, Default)]
struct Outcome {
    at_start: bool,
    on_read: bool,
    wrong: Vec<String>,
    missing: Vec<String>,
}

impl Outcome {
    fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }
}

/// Reads a partition as a consumer does that goes on behind what is lost; returns what it was told is lost.
fn read_all(log: &PartitionLog, truth: &Truth, outcome: &mut Outcome) -> BTreeSet<i64> {
    let (mut offset, mut told, mut seen) = (log.log_start_offset(), BTreeSet::new(), BTreeSet::new());
    let end = log.high_watermark();
    while offset < end {
        match log.read(offset, 400, true) {
            Ok(fetched) => {
                let Some(slice) = fetched.slice else {
                    outcome.missing.push(format!("nothing at {offset} of {end}"));
                    break;
                };
                let before = offset;
                for batch in records::split_batches(slice.read().unwrap()) {
                    let header = records::verify(&batch).expect("only whole batches are served");
                    if header.partition_leader_epoch != 0 {
                        outcome.wrong(format!("leader epoch {}", header.partition_leader_epoch));
                    }
                    for record in records::records(&batch, 1 << 20).unwrap() {
                        let record = record.unwrap();
                        let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                        let expected = truth.records.get(&record.offset);
                        if expected != Some(&(record.timestamp, value)) {
                            outcome.wrong(format!("at {}: {expected:?} expected", record.offset));
                        }
                        if record.offset >= before {
                            seen.insert(record.offset);
                        }
                        offset = record.offset + 1;
                    }
                }
                assert!(offset > before, "a read makes progress");
            }
            Err(ReadError::Damaged(error)) => {
                outcome.on_read = true;
                let (_, next) = error.split_once("the next good offset is ").expect("it is named");
                let next: i64 = next.split(':').next().unwrap().parse().unwrap();
                told.extend(offset..next);
                assert!(next > offset, "{error}");
                offset = next;
            }
            Err(error) => panic!("{error}"),
        }
    }
    if let Some(deleted) = seen.iter().find(|offset| **offset < truth.start) {
        outcome.wrong(format!("{deleted} was deleted"));
    }
    let expected = truth.records.keys().filter(|offset| **offset >= truth.start);
    for offset in expected.filter(|offset| !seen.contains(offset) && !told.contains(offset)) {
        outcome.missing.push(format!("offset {offset}"));
    }
    if told.len() > MOST_RECORDS {
        outcome.missing.push(format!("neighbours of damage: {told:?}"));
    }
    told
}

/// What lookups by time answer, as they are while nobody has read anything yet.
type Times = (Vec<(i64, Option<i64>)>, Option<i64>);

fn look_up_times(log: &PartitionLog) -> Times {
    let found = |wanted| {
        log.offset_for_timestamp(wanted)
            .unwrap()
            .map(|found| found.offset)
    };
    let times = [0, 9, 20, 33, 43]
        .map(|n| (time_of(n), found(time_of(n))))
        .to_vec();
    (
        times,
        log.offset_of_max_timestamp()
            .unwrap()
            .map(|found| found.timestamp),
    )
}

/// Lookups answer for all records but those that are lost.
fn check_times(times: &Times, truth: &Truth, lost: &BTreeSet<i64>, outcome: &mut Outcome) {
    let kept = || {
        truth
            .records
            .range(truth.start..)
            .filter(|(offset, _)| !lost.contains(offset))
    };
    for (wanted, found) in &times.0 {
        let expected = kept()
            .find(|(_, (at, _))| at >= wanted)
            .map(|(offset, _)| *offset);
        if *found != expected {
            outcome.wrong(format!("time {wanted}: {found:?} where {expected:?} is expected"));
        }
    }
    let newest = kept().map(|(_, (at, _))| *at).max();
    if times.1 != newest {
        outcome.wrong(format!("newest: {:?} where {newest:?} is expected", times.1));
    }
}

/// A client that did not hear of its last batch repeats it.
fn repeat_last(log: &PartitionLog, truth: &Truth, lost: &BTreeSet<i64>, outcome: &mut Outcome) {
    for (id, (sequence, count, base_offset)) in &truth.producers {
        let batch = build(43, log.topic(), *count, Some((*id, *sequence)));
        match log.append(batch, AppendOrigin::Client) {
            Ok(appended) if appended.base_offset == *base_offset => {}
            _ if lost.contains(base_offset) => {}
            other => outcome.wrong(format!(
                "repeat of producer {id}: {other:?} where {base_offset} is expected"
            )),
        }
    }
}

/// Opens what a flip left, and compares all of it with the truth.
fn attempt(rig: &mut Rig, truths: &Truths, flipped: &Path, clean: bool, lines: &Lines) -> Outcome {
    let mut outcome = Outcome::default();
    let name = flipped.file_name().unwrap().to_str().unwrap();
    if let Err(error) = rig.try_open() {
        outcome.at_start = true;
        let error = error.to_string();
        if name != "meta.properties" || !error.contains(name) {
            outcome.missing.push(format!("refused: {error}"));
        }
        return outcome;
    }
    let said = lines.take();
    outcome.at_start = said.contains(name) || said.contains(flipped.parent().unwrap().to_str().unwrap());
    for ((topic, partition), truth) in truths {
        let Some(log) = rig.manager().get(topic, *partition) else {
            outcome.missing.push(format!("{topic}-{partition}"));
            continue;
        };
        log.set_config(topic_config(topic));
        if log.topic_id() != id_of(topic) {
            outcome.wrong(format!("topic id of {topic}-{partition}"));
        }
        let mut own = Outcome::default();
        let times = look_up_times(&log);
        let told = read_all(&log, truth, &mut own);
        check_times(&times, truth, &told, &mut own);
        let is_here = flipped.starts_with(&log.lock().dir);
        if !is_here && own.on_read {
            own.wrong("damage of another partition".to_owned());
        }
        let end = truth.records.last_key_value().map_or(0, |(offset, _)| offset + 1);
        let cut = log.log_end_offset() < end;
        if cut && !clean && is_here && outcome.at_start {
            // The end of a log that nobody closed cannot be told from a torn write; the log says which file it cut.
            own.missing.clear();
            own.wrong.clear();
        } else {
            repeat_last(&log, truth, &told, &mut own);
        }
        outcome.on_read |= own.on_read;
        let named = |what: Vec<String>| {
            what.into_iter()
                .map(|what| format!("{topic}-{partition}: {what}"))
        };
        outcome.wrong.extend(named(own.wrong).collect::<Vec<_>>());
        outcome.missing.extend(named(own.missing).collect::<Vec<_>>());
    }
    rig.kill();
    outcome
}

/// What a flip in these may do without being found: a digit that is not used, or that costs time only. The marker counts by
/// being there; checkpoints of a log that was not closed are a lower bound; comments in `meta.properties` are nobody's.
fn is_harmless_by_construction(kind: &str, clean: bool) -> bool {
    matches!(kind, ".kafka_cleanshutdown" | "meta.properties")
        || !clean && kind.ends_with("-offset-checkpoint")
}

#[derive(Debug, Default)]
struct Row {
    flips: u64,
    at_start: u64,
    on_read: u64,
    harmless: u64,
    wrong: u64,
    missing: u64,
    verified: u64,
}

fn variable(name: &str) -> Option<u64> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a switch of the test, outside the program's configuration"
    )]
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Flips and what came of them.
struct Campaign {
    seed: u64,
    numbers: Numbers,
    rows: BTreeMap<String, Row>,
    faults: Vec<String>,
    lines: Lines,
}

impl Campaign {
    /// Flips bits in copies of what a broker left when it was closed, or killed.
    fn run(&mut self, clean: bool, flips: u64) {
        let mut rig = Rig::new();
        let truths = fill(&mut rig);
        rig.manager().write_checkpoints().unwrap();
        if clean {
            rig.close();
        } else {
            rig.kill();
        }
        let saved = super::rig::scratch();
        copy(rig.dir.path(), saved.path());
        let mut files = Vec::new();
        files_below(rig.dir.path(), &mut files);
        let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for file in files {
            kinds.entry(kind_of(&file)).or_default().push(file);
        }
        assert!(kinds.len() >= 11, "{:?}", kinds.keys());
        for n in 0..flips {
            reset(&rig, saved.path());
            // Every second one in a segment: there is most to be lost.
            let all: Vec<_> = kinds.keys().collect();
            let kind = if n % 2 == 0 {
                ".log"
            } else {
                all[self.numbers.below(all.len())]
            };
            let candidates = &kinds[kind];
            let file = &candidates[self.numbers.below(candidates.len())];
            self.flip(&mut rig, &truths, clean, kind, file);
        }
    }

    fn flip(&mut self, rig: &mut Rig, truths: &Truths, clean: bool, kind: &str, file: &Path) {
        let mut content = fs::read(file).unwrap();
        let bit = self.numbers.below(content.len() * 8);
        content[bit / 8] ^= 1 << (bit % 8);
        fs::write(file, content).unwrap();
        let found = rig.log_dirs().iter().any(|dir| {
            let verified = verify(&RealFiles, dir, &mut |_, _| {}).unwrap();
            !verified.findings.is_empty() || !clean && !verified.notes.is_empty()
        });
        self.lines.take();
        let outcome = attempt(rig, truths, file, clean, &self.lines);
        let what = format!("seed {}, clean {clean}, {} bit {bit}", self.seed, file.display());
        let row = self.rows.entry(kind.to_owned()).or_default();
        row.flips += 1;
        row.at_start += u64::from(outcome.at_start);
        row.on_read += u64::from(outcome.on_read && !outcome.at_start);
        row.harmless += u64::from(!outcome.at_start && !outcome.on_read);
        row.wrong += u64::from(!outcome.wrong.is_empty());
        row.missing += u64::from(!outcome.missing.is_empty());
        row.verified += u64::from(found);
        if !outcome.wrong.is_empty() || !outcome.missing.is_empty() {
            self.faults.push(format!("{what}: {outcome:?}"));
        }
        // A time index may name any offset of the right batch.
        let same_batch = kind == ".timeindex" && !outcome.at_start && !outcome.on_read;
        if !found && !same_batch && !is_harmless_by_construction(kind, clean) {
            self.faults
                .push(format!("{what}: verify finds nothing; {outcome:?}"));
        }
    }

    fn print(&self) {
        println!("seed {}", self.seed);
        println!(
            "{:34} {:>6} {:>9} {:>8} {:>9} {:>6} {:>8} {:>7}",
            "file", "flips", "at start", "on read", "harmless", "wrong", "missing", "verify"
        );
        for (kind, row) in &self.rows {
            println!(
                "{kind:34} {:>6} {:>9} {:>8} {:>9} {:>6} {:>8} {:>7}",
                row.flips, row.at_start, row.on_read, row.harmless, row.wrong, row.missing, row.verified
            );
        }
    }
}

#[test]
fn flipped_bits_are_never_served() {
    let flips = variable("DAMAGE_FLIPS").unwrap_or(FLIPS);
    let seed = variable("DAMAGE_SEED").unwrap_or(1);
    let mut campaign = Campaign {
        seed,
        numbers: Numbers(seed),
        rows: BTreeMap::new(),
        faults: Vec::new(),
        lines: Lines::default(),
    };
    let lines = campaign.lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_writer(move || lines.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        for clean in [true, false] {
            campaign.run(clean, flips / 2);
        }
    });
    campaign.print();
    let faults = &campaign.faults;
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// A batch that says it reaches behind the log's end, with a checksum that is right: the index leads around it at a start, a
/// reader finds it. The log's end is the same before and after, and the batches behind it stay readable.
#[test]
fn a_batch_that_reaches_too_far_does_not_move_the_end() {
    let mut config = super::rig::config();
    config.index_interval_bytes = 100;
    let mut rig = Rig::with(config);
    for n in 0..6 {
        rig.append(super::rig::batch(&[&format!("value {n}")]));
    }
    rig.close();
    let path = rig.file("00000000000000000000.log");
    let mut segment = fs::read(&path).unwrap();
    let size = records::BatchHeader::parse(&segment).unwrap().size_bytes();
    // The last offset delta of the first batch.
    segment[26] = 50;
    let crc = crc32c::crc32c(&segment[records::CRC_FROM..size]);
    segment[17..21].copy_from_slice(&crc.to_be_bytes());
    fs::write(&path, segment).unwrap();
    for appended in 0..2 {
        rig.open();
        assert!(matches!(rig.log().read(0, 1, true), Err(ReadError::Damaged(_))));
        assert_eq!(rig.log().log_end_offset(), 6 + appended);
        assert_eq!(rig.consume(1)[0], (1, "value 1".to_owned()));
        assert_eq!(rig.append(super::rig::batch(&["on"])).base_offset, 6 + appended);
        rig.close();
    }
}

//! Numbered lines: every line can be told from its number, so that a line that is torn, lost, repeated or out of order is
//! seen wherever the lines arrive.

use std::{fs, path::Path, time::Duration};

use super::pipeline::{Pipeline, TOPIC};
use crate::harness::{batches, wait};

/// How long lines may take to arrive after the last one was written, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The line of a number, without its newline: about 500 bytes, some of them not ASCII.
pub(crate) fn line(number: u64) -> String {
    let length = 20 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 960;
    let fill = if number.is_multiple_of(7) {
        'é'
    } else {
        char::from(b'a' + u8::try_from(number % 26).unwrap())
    };
    let fill = String::from_iter(std::iter::repeat_n(fill, usize::try_from(length).unwrap()));
    format!("{number:010} {fill}")
}

/// The number of a line, which must be a whole one.
pub(crate) fn number_of(text: &str) -> u64 {
    let number = text.get(..10).and_then(|number| number.parse().ok());
    let number = number.unwrap_or_else(|| panic!("no numbered line: {:?}", shortened(text)));
    let whole = line(number);
    assert!(text == whole, "line {number} is torn: {:?}", shortened(text));
    number
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// The numbers in a text, line by line.
pub(crate) fn numbers_in(text: &str) -> Vec<u64> {
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line at the end");
    text.lines().map(number_of).collect()
}

/// The numbers in the topic, in its order.
pub(crate) fn in_topic(pipeline: &Pipeline) -> Vec<u64> {
    let records = pipeline.worker.wire().read_all(TOPIC, 0);
    records.iter().map(|record| number_of(&record.text())).collect()
}

/// The numbers in the sink file, in its order.
pub(crate) fn in_sink(pipeline: &Pipeline) -> Vec<u64> {
    numbers_in(&pipeline.sink())
}

/// Waits until this line is the last one of the sink file.
pub(crate) fn wait_for_line(pipeline: &Pipeline, number: u64) {
    let path = pipeline.scratch.join("test.sink.txt");
    let wanted = format!("{}\n", line(number));
    wait::within(
        &format!("line {number} at the end of the sink file"),
        PATIENCE,
        || (tail(&path, wanted.len())? == wanted.as_bytes()).then_some(()),
    );
}

fn tail(path: &Path, length: usize) -> Option<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let file = fs::File::open(path).ok()?;
    let start = file.metadata().ok()?.len().checked_sub(length as u64)?;
    let mut tail = vec![0; length];
    file.read_exact_at(&mut tail, start).ok()?;
    Some(tail)
}

/// Every line from the first to the last, once and in order.
pub(crate) fn assert_each_once(what: &str, numbers: &[u64], total: u64) {
    for (expected, &number) in (0..).zip(numbers) {
        assert!(
            number == expected,
            "{what}: line {number} where line {expected} should be"
        );
    }
    assert_eq!(numbers.len() as u64, total, "{what}: number of lines");
}

/// As after one crash: lines in order from the first one, then in order from `resumed` to the last. Gives how many there
/// were before it resumed.
pub(crate) fn assert_resumed(what: &str, numbers: &[u64], total: u64, resumed: u64) -> u64 {
    let in_order = (0..)
        .zip(numbers)
        .take_while(|(expected, number)| expected == *number);
    let before = in_order.count();
    let after = &numbers[before..];
    if after.is_empty() {
        // It resumed exactly where it was.
        assert_eq!(before as u64, total, "{what}: number of lines");
        return resumed;
    }
    assert_eq!(
        after.first(),
        Some(&resumed),
        "{what}: the first line that is not in order, after {before} lines"
    );
    for (expected, &number) in (resumed..).zip(after) {
        assert!(
            number == expected,
            "{what}: line {number} where line {expected} should be"
        );
    }
    assert_eq!(resumed + after.len() as u64, total, "{what}: the last line");
    println!("{what}: {before} lines, then from line {resumed} to line {total}");
    before as u64
}

/// The newest source offset in the files of the offset topic, of a program that does not run.
pub(crate) fn stored_offset(pipeline: &Pipeline) -> serde_json::Value {
    let mut newest = None;
    for directory in fs::read_dir(pipeline.scratch.join("data/broker")).unwrap() {
        let directory = directory.unwrap();
        if !directory
            .file_name()
            .to_str()
            .unwrap()
            .starts_with("connect-offsets-")
        {
            continue;
        }
        let mut segments: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        segments.sort();
        for segment in segments {
            let data = fs::read(segment).unwrap();
            for record in batches::split(&data)
                .into_iter()
                .flat_map(|batch| batches::read(batch).unwrap())
            {
                newest = record.value;
            }
        }
    }
    serde_json::from_slice(&newest.expect("a stored source offset")).unwrap()
}

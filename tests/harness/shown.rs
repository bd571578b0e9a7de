//! What the tests of other people's clients and tools showed, for `docs/compatibility.md`: a row for each test that passed.

use std::{fs, path::PathBuf, thread};

use super::program;

/// A row of the document.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) client: String,
    pub(crate) version: String,
    pub(crate) what: String,
    pub(crate) test: String,
}

/// Where the rows of a run are; `scripts/test.sh` empties it before.
fn directory() -> PathBuf {
    program::target_directory().join("shown")
}

/// Says at the end of the calling test what it showed.
pub(crate) fn shown(client: &str, version: &str, what: &str) {
    let test = thread::current().name().expect("a test's thread").to_owned();
    let row = [client, version, what, &test].join("\t");
    fs::create_dir_all(directory()).unwrap();
    let name = format!("{test} {client} {version}").replace(['/', ':', ' '], "-");
    fs::write(directory().join(name), row).unwrap();
}

/// All rows, sorted.
pub(crate) fn rows() -> Vec<Row> {
    let entries = fs::read_dir(directory()).map_or_else(|_| Vec::new(), Iterator::collect);
    let mut rows: Vec<_> = entries
        .into_iter()
        .map(|entry| {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let mut fields = text.split('\t').map(ToOwned::to_owned);
            let mut next = || fields.next().expect("four fields");
            Row {
                client: next(),
                version: next(),
                what: next(),
                test: next(),
            }
        })
        .collect();
    rows.sort();
    rows
}

//! `jackfield log verify`: reads log directories and says whether everything in them is what was written.

use std::{collections::BTreeMap, io::Write as _, path::Path};

use anyhow::bail;
use jackfield_env::RealFiles;
use jackfield_log::{FileKind, Finding, Totals, Verification};
use serde_json::{Value, json};

use crate::{arguments::LogVerifyArguments, exit::CannotRead, output, progress::Progress};

/// Verifies every directory, prints what is found, and fails when that is damage.
pub(crate) fn run(arguments: &LogVerifyArguments) -> anyhow::Result<()> {
    let mut verified = Vec::new();
    for dir in &arguments.dirs {
        let mut progress = Progress::new(true);
        let found = jackfield_log::verify(&RealFiles, dir, &mut |done, total| {
            let percent = (done * 100).checked_div(total).unwrap_or(100);
            progress.show(|| format!("{}: {percent} % of {} MiB", dir.display(), total >> 20));
        });
        progress.end();
        verified.push((dir, found.map_err(|error| CannotRead(error.to_string()))?));
    }
    let damage: usize = verified.iter().map(|(_, found)| found.findings.len()).sum();
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let all: Vec<_> = verified.iter().map(|(dir, found)| document(dir, found)).collect();
        writeln!(out, "{:#}", json!({"clean": damage == 0, "directories": all}))?;
    } else {
        for (dir, found) in &verified {
            out.write_all(report(dir, found).as_bytes())?;
        }
    }
    if damage > 0 {
        bail!("damage found, see above");
    }
    Ok(())
}

fn line(finding: &Finding) -> String {
    let mut text = finding.file.display().to_string();
    if let Some(position) = finding.position {
        text += &format!(" at byte {position}");
    }
    text += &format!(": {}", finding.message);
    match finding.offsets {
        Some((first, last)) if first == last => text += &format!(" (offset {first} is lost)"),
        Some((first, last)) if first < last => text += &format!(" (offsets {first} to {last} are lost)"),
        _ => {}
    }
    text + &format!("\n    {}\n", finding.advice)
}

fn report(dir: &Path, found: &Verification) -> String {
    let mut text = String::new();
    for finding in &found.findings {
        text += &format!("damaged: {}", line(finding));
    }
    for note in &found.notes {
        text += &format!("note: {}", line(note));
    }
    if found.in_use {
        text += "note: a broker is running on this directory; its newest bytes may still move\n";
    }
    let result = match found.findings.len() {
        0 => "clean".to_owned(),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    };
    text += &format!("{}: {result}\n", dir.display());
    text + &table(&found.totals)
}

fn table(totals: &BTreeMap<FileKind, Totals>) -> String {
    let row = |(kind, totals): (&FileKind, &Totals)| {
        let numbers = [
            totals.files,
            totals.bytes,
            totals.batches,
            totals.records,
            totals.findings,
        ];
        std::iter::once(kind.name().to_owned())
            .chain(numbers.map(|number| number.to_string()))
            .collect()
    };
    let rows: Vec<_> = totals.iter().map(row).collect();
    output::table(
        &["KIND", "FILES", "BYTES", "BATCHES", "RECORDS", "FINDINGS"],
        &rows,
        None,
    )
}

fn document(dir: &Path, found: &Verification) -> Value {
    let finding = |finding: &Finding| {
        json!({
            "kind": finding.kind.name(),
            "file": finding.file.display().to_string(),
            "position": finding.position,
            "first_offset": finding.offsets.map(|(first, _)| first),
            "last_offset": finding.offsets.map(|(_, last)| last),
            "message": finding.message,
            "advice": finding.advice,
        })
    };
    let kinds: Vec<_> = found
        .totals
        .iter()
        .map(|(kind, totals)| {
            json!({
                "kind": kind.name(),
                "files": totals.files,
                "bytes": totals.bytes,
                "batches": totals.batches,
                "records": totals.records,
                "findings": totals.findings,
            })
        })
        .collect();
    json!({
        "directory": dir.display().to_string(),
        "clean": found.findings.is_empty(),
        "in_use": found.in_use,
        "findings": found.findings.iter().map(finding).collect::<Vec<_>>(),
        "notes": found.notes.iter().map(finding).collect::<Vec<_>>(),
        "kinds": kinds,
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn found() -> Verification {
        let mut found = Verification::default();
        found.findings.push(Finding {
            kind: FileKind::Segment,
            file: "/data/t-0/00000000000000000000.log".into(),
            position: Some(612),
            offsets: Some((13, 18)),
            message: "crc mismatch; the next good offset is 19".to_owned(),
            advice: "restore it",
        });
        found.totals.insert(
            FileKind::Segment,
            Totals {
                files: 2,
                bytes: 1234,
                batches: 9,
                records: 20,
                findings: 1,
            },
        );
        found
    }

    #[test]
    fn reports() {
        expect![[r#"
            damaged: /data/t-0/00000000000000000000.log at byte 612: crc mismatch; the next good offset is 19 (offsets 13 to 18 are lost)
                restore it
            /data: 1 finding
            KIND     FILES  BYTES  BATCHES  RECORDS  FINDINGS
            segment      2   1234        9       20         1
        "#]]
        .assert_eq(&report(Path::new("/data"), &found()));
    }

    #[test]
    fn documents() {
        let document = document(Path::new("/data"), &found());
        assert_eq!(document["clean"], false);
        assert_eq!(document["findings"][0]["position"], 612);
        assert_eq!(document["findings"][0]["last_offset"], 18);
        assert_eq!(document["kinds"][0]["records"], 20);
    }

    /// 0 for what is clean, 1 for damage, 2 for what cannot be read.
    #[test]
    fn exit_codes() {
        let dir = tempfile::tempdir().unwrap();
        let verify = |dir: &Path| {
            let arguments = LogVerifyArguments {
                dirs: vec![dir.to_owned()],
                json: true,
            };
            crate::exit::code(&run(&arguments))
        };
        assert_eq!(verify(&dir.path().join("nowhere")), 2);
        std::fs::write(dir.path().join("photo.jpg"), "x").unwrap();
        assert_eq!(verify(dir.path()), 2, "somebody else's directory");
        std::fs::write(dir.path().join("meta.properties"), "node.id=1\n").unwrap();
        assert_eq!(verify(dir.path()), 0);
        std::fs::write(dir.path().join("recovery-point-offset-checkpoint"), "0\n1\nx").unwrap();
        assert_eq!(verify(dir.path()), 1);
    }
}

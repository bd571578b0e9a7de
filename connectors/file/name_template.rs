//! Names of the sink's rolling files: a template with the topic, the partition and the offset of the first record.

use std::path::{Path, PathBuf};

use jackfield_api::ConnectError;

/// Directory and template go into the metadata of commits, where Kafka allows 4,096 bytes, and JSON may write a byte in two.
pub(crate) const MAX_NAME_BYTES: usize = 1_800;

/// Around the name of a file that is not finished. The dot hides it.
const IN_PROGRESS: (&str, &str) = (".", ".part");
/// Digits of an offset.
const OFFSET_DIGITS: usize = 20;

/// A checked template.
#[derive(Debug, Clone)]
pub(crate) struct NameTemplate {
    directory: String,
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Topic,
    Partition,
    Offset,
}

/// Names of the files of one partition.
#[derive(Debug, Clone)]
pub(crate) struct PartitionNames {
    directory: PathBuf,
    before_offset: String,
    after_offset: String,
}

impl NameTemplate {
    /// Checks a template of names below `directory`.
    pub(crate) fn parse(directory: &str, text: &str) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("{text:?} {what}"));
        let length = directory.len() + text.len();
        if length > MAX_NAME_BYTES {
            return Err(format!(
                "file.directory and file.name.template have {length} bytes, at most {MAX_NAME_BYTES} fit"
            ));
        }
        if text.contains(['\\', '\0', '\n']) {
            return wrong("has a character that file names should not have");
        }
        if text.split('/').any(|name| matches!(name, "" | "." | "..")) {
            return wrong("must be a path below file.directory, without empty names, . and ..");
        }
        let parts = parts(text)?;
        for (name, part) in [("{topic}", Part::Topic), ("{partition}", Part::Partition)] {
            if !parts.contains(&part) {
                return Err(format!(
                    "{text:?} needs {name}, so that each partition has files of its own"
                ));
            }
        }
        let file_name = text.rsplit('/').next().unwrap_or_default();
        if file_name.matches("{offset}").count() != 1 || text.matches("{offset}").count() != 1 {
            return wrong("needs {offset} once, in the file name");
        }
        let is_text = |part: &Part| matches!(part, Part::Text(_));
        let joined = parts.windows(2).any(|pair| !pair.iter().any(is_text));
        let only_digits =
            |part: &Part| matches!(part, Part::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()));
        let between = parts.get(1..parts.len() - 1).unwrap_or_default();
        if joined || between.iter().any(only_digits) {
            return wrong(
                "needs more than digits between its placeholders, or two partitions could share a file",
            );
        }
        Ok(Self {
            directory: directory.to_owned(),
            text: text.to_owned(),
            parts,
        })
    }

    /// The directory above all files.
    pub(crate) fn directory(&self) -> &str {
        &self.directory
    }

    /// The template.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The names of a partition's files.
    pub(crate) fn of(&self, topic: &str, partition: i32) -> Result<PartitionNames, ConnectError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if topic.is_empty() || !topic.bytes().all(legal) || matches!(topic, "." | "..") {
            return Err(ConnectError::fatal(format!(
                "topic name {topic:?} cannot be part of a file name"
            )));
        }
        let mut before = String::new();
        let mut after = None;
        for part in &self.parts {
            let text = after.as_mut().unwrap_or(&mut before);
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Topic => text.push_str(topic),
                Part::Partition => text.push_str(&partition.to_string()),
                Part::Offset => after = Some(String::new()),
            }
        }
        let mut directory = PathBuf::from(&self.directory);
        let before_offset = match before.rsplit_once('/') {
            Some((directories, name)) => {
                directory.push(directories);
                name.to_owned()
            }
            None => before,
        };
        Ok(PartitionNames {
            directory,
            before_offset,
            after_offset: after.unwrap_or_default(),
        })
    }
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find(['{', '}']) {
        if open > 0 {
            parts.push(Part::Text(rest[..open].to_owned()));
        }
        let (part, length) = if rest[open..].starts_with("{topic}") {
            (Part::Topic, "{topic}".len())
        } else if rest[open..].starts_with("{partition}") {
            (Part::Partition, "{partition}".len())
        } else if rest[open..].starts_with("{offset}") {
            (Part::Offset, "{offset}".len())
        } else {
            return Err(format!(
                "{text:?} has a brace that is not part of {{topic}}, {{partition}} or {{offset}}"
            ));
        };
        parts.push(part);
        rest = &rest[open + length..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

impl PartitionNames {
    /// Where the files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file that begins with this offset, when it is finished.
    pub(crate) fn finished(&self, first: i64) -> PathBuf {
        self.directory.join(self.name(first))
    }

    /// The file that begins with this offset, until it is finished.
    pub(crate) fn in_progress(&self, first: i64) -> PathBuf {
        let name = self.name(first);
        self.directory
            .join(format!("{}{name}{}", IN_PROGRESS.0, IN_PROGRESS.1))
    }

    /// A name for a file in progress of which nobody knows how far it is good.
    pub(crate) fn set_aside(&self, first: i64, number: u32) -> PathBuf {
        let name = self.name(first);
        self.directory.join(format!(".{name}.unknown-{number}"))
    }

    /// First offset of a file in progress of this partition, from its name.
    pub(crate) fn first_of(&self, file_name: &str) -> Option<i64> {
        let name = file_name
            .strip_prefix(IN_PROGRESS.0)?
            .strip_suffix(IN_PROGRESS.1)?;
        let digits = name
            .strip_prefix(&*self.before_offset)?
            .strip_suffix(&*self.after_offset)?;
        if digits.len() != OFFSET_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok()
    }

    fn name(&self, first: i64) -> String {
        format!(
            "{}{first:0OFFSET_DIGITS$}{}",
            self.before_offset, self.after_offset
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_name_each_partitions_files() {
        for (template, finished, in_progress) in [
            (
                "{topic}/{partition}/{offset}.jsonl.gz",
                "out/a.b-c_1/7/00000000000000000042.jsonl.gz",
                "out/a.b-c_1/7/.00000000000000000042.jsonl.gz.part",
            ),
            (
                "x/{topic}-{partition}-{offset}",
                "out/x/a.b-c_1-7-00000000000000000042",
                "out/x/.a.b-c_1-7-00000000000000000042.part",
            ),
            (
                "p{partition}/{offset}_{topic}",
                "out/p7/00000000000000000042_a.b-c_1",
                "out/p7/.00000000000000000042_a.b-c_1.part",
            ),
        ] {
            let names = NameTemplate::parse("out", template)
                .unwrap()
                .of("a.b-c_1", 7)
                .unwrap();
            assert_eq!(names.finished(42), Path::new(finished));
            assert_eq!(names.in_progress(42), Path::new(in_progress));
            let name = names
                .in_progress(42)
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            assert_eq!(names.first_of(&name), Some(42));
            let name = names
                .finished(42)
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            assert_eq!(names.first_of(&name), None, "finished");
        }
    }

    #[test]
    fn files_of_other_partitions_are_not_ours() {
        let template = NameTemplate::parse("out", "{topic}-{partition}-{offset}.txt").unwrap();
        let names = template.of("a", 1).unwrap();
        for (topic, partition) in [("a", 11), ("a-1", 1), ("b", 1), ("a-1-1", 0)] {
            let other = template.of(topic, partition).unwrap().in_progress(5);
            let name = other.file_name().unwrap().to_str().unwrap();
            assert_eq!(names.first_of(name), None, "{name}");
        }
        for name in [
            "",
            ".part",
            ".a-1-.txt.part",
            ".a-1-0000000000000000000x.txt.part",
        ] {
            assert_eq!(names.first_of(name), None, "{name}");
        }
    }

    #[test]
    fn what_could_mix_partitions_or_leave_the_directory_is_refused() {
        for (template, expected) in [
            ("/{topic}/{partition}/{offset}", "below file.directory"),
            ("../{topic}/{partition}/{offset}", "below file.directory"),
            ("{topic}//{partition}/{offset}", "below file.directory"),
            ("{partition}/{offset}", "needs {topic}"),
            ("{topic}/{offset}", "needs {partition}"),
            ("{topic}/{partition}", "needs {offset} once"),
            ("{topic}/{partition}/{offset}/x", "needs {offset} once"),
            ("{topic}/{partition}/{offset}-{offset}", "needs {offset} once"),
            ("{topic}{partition}/{offset}", "needs more than digits"),
            ("{topic}1{partition}/{offset}", "needs more than digits"),
            ("{topic}/{partition}/{offset}{time}", "a brace"),
            ("{topic}/{partition}/{offset", "a brace"),
            ("{topic}\\{partition}/{offset}", "a character"),
        ] {
            let error = NameTemplate::parse("out", template).unwrap_err();
            assert!(error.contains(expected), "{template}: {error}");
        }
        let long = format!("{{topic}}/{{partition}}/{}{{offset}}", "x".repeat(2_000));
        assert!(
            NameTemplate::parse("out", &long)
                .unwrap_err()
                .contains("at most 1800")
        );
        let template = NameTemplate::parse("out", "{topic}/{partition}/{offset}").unwrap();
        for topic in ["", ".", "..", "a/b", "../x", "é", "a b"] {
            let error = template.of(topic, 0).unwrap_err();
            assert!(error.message.contains("cannot be part of a file name"), "{error}");
        }
    }
}

//! What `jackfield produce` reads: lines, JSON objects or values behind their lengths become records.

use std::io::{BufRead, ErrorKind, Read as _};

use anyhow::{Context as _, bail};
use serde_json::{Value, de::IoRead};

use crate::{
    arguments::InputOptions,
    codec::Codec,
    envelope::Envelope,
    exit::{CannotRead, Usage},
};

/// What a length in front of a value may be; librdkafka takes no more.
const MOST_BYTES: u64 = 1_000_000_000;

/// How the input becomes records.
#[derive(Debug)]
pub(crate) struct Format {
    delimiter: Vec<u8>,
    /// Lines end with `\n` or `\r\n`.
    is_line: bool,
    key_separator: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    tombstone: bool,
    key_format: Codec,
    value_format: Codec,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Delimited,
    Json { keep_partitions: bool },
    LengthPrefixed,
}

impl Format {
    /// Reads the options.
    ///
    /// # Errors
    /// When a separator is empty, or the key is of another type.
    pub(crate) fn new(options: &InputOptions) -> anyhow::Result<Self> {
        let bytes = |flag: &str, text: &Option<String>| match text.as_deref() {
            Some("") => Err(Usage(format!("--{flag}: must not be empty"))),
            text => Ok(text.map(|text| unescape(text).into_bytes())),
        };
        let delimiter = bytes("delimiter", &options.delimiter)?;
        let key = options
            .key
            .as_ref()
            .map(|key| options.key_format.read(key.as_bytes()));
        let shape = if options.json {
            Shape::Json {
                keep_partitions: options.keep_partitions,
            }
        } else if options.length_prefixed {
            Shape::LengthPrefixed
        } else {
            Shape::Delimited
        };
        Ok(Self {
            is_line: delimiter.is_none(),
            delimiter: delimiter.unwrap_or_else(|| b"\n".to_vec()),
            key_separator: bytes("key-separator", &options.key_separator)?,
            key: key
                .transpose()
                .map_err(|error| Usage(format!("--key: {error:#}")))?
                .map(std::borrow::Cow::into_owned),
            tombstone: options.tombstone,
            key_format: options.key_format,
            value_format: options.value_format,
            shape,
        })
    }

    /// Hands every record of `input` to `each`, until it says that it is enough.
    ///
    /// # Errors
    /// With the number of the record that cannot be read or sent.
    pub(crate) fn read(
        &self,
        input: impl BufRead,
        each: &mut impl FnMut(Envelope) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        match self.shape {
            Shape::Delimited => self.read_delimited(input, each),
            Shape::Json { keep_partitions } => read_json(input, keep_partitions, each),
            Shape::LengthPrefixed => self.read_length_prefixed(input, each),
        }
    }

    /// The record that an input without any stands for: the removal of a key.
    pub(crate) fn of_nothing(&self) -> Option<Envelope> {
        let key = self.key.clone().filter(|_| self.tombstone)?;
        Some(Envelope {
            key: Some(key),
            ..Envelope::default()
        })
    }

    fn read_delimited(
        &self,
        mut input: impl BufRead,
        each: &mut impl FnMut(Envelope) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let what = if self.is_line { "line" } else { "record" };
        let last = *self.delimiter.last().expect("not empty");
        let mut piece = Vec::new();
        for number in 1_u64.. {
            piece.clear();
            while input.read_until(last, &mut piece).map_err(unreadable)? > 0
                && !piece.ends_with(&self.delimiter)
            {}
            if piece.is_empty() {
                break;
            }
            let content = self.without_end(&piece);
            let record = self.record(content).with_context(|| format!("{what} {number}"))?;
            if !each(record).with_context(|| format!("{what} {number}"))? {
                break;
            }
        }
        Ok(())
    }

    /// A line as Java's `readLine` returns it.
    fn without_end<'a>(&self, piece: &'a [u8]) -> &'a [u8] {
        let piece = piece.strip_suffix(&self.delimiter[..]).unwrap_or(piece);
        if self.is_line {
            piece.strip_suffix(b"\r").unwrap_or(piece)
        } else {
            piece
        }
    }

    fn record(&self, content: &[u8]) -> anyhow::Result<Envelope> {
        let (key, value) = match &self.key_separator {
            Some(separator) => {
                let Some(at) = content
                    .windows(separator.len())
                    .position(|window| window == separator)
                else {
                    bail!("has no key separator '{}'", String::from_utf8_lossy(separator));
                };
                let key = self.key_format.read(&content[..at]).context("the key")?;
                (Some(key.into_owned()), &content[at + separator.len()..])
            }
            None => (self.key.clone(), content),
        };
        let value = if self.tombstone && value.is_empty() {
            None
        } else {
            Some(self.value_format.read(value).context("the value")?.into_owned())
        };
        Ok(Envelope {
            key,
            value,
            ..Envelope::default()
        })
    }

    fn read_length_prefixed(
        &self,
        mut input: impl BufRead,
        each: &mut impl FnMut(Envelope) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        for number in 1_u64.. {
            if input.fill_buf().map_err(unreadable)?.is_empty() {
                break;
            }
            let value = length_prefixed(&mut input).with_context(|| format!("record {number}"))?;
            let value = value.filter(|value| !(self.tombstone && value.is_empty()));
            let record = Envelope {
                key: self.key.clone(),
                value,
                ..Envelope::default()
            };
            if !each(record).with_context(|| format!("record {number}"))? {
                break;
            }
        }
        Ok(())
    }
}

fn unreadable(error: std::io::Error) -> CannotRead {
    CannotRead(format!("cannot be read: {error}"))
}

fn length_prefixed(input: &mut impl BufRead) -> anyhow::Result<Option<Vec<u8>>> {
    let cut = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => anyhow::anyhow!("is cut off"),
        _ => error.into(),
    };
    let mut length = [0; 4];
    input.read_exact(&mut length).map_err(cut)?;
    let length = i32::from_be_bytes(length);
    if length == -1 {
        return Ok(None);
    }
    let Some(length) = u64::try_from(length).ok().filter(|length| *length <= MOST_BYTES) else {
        bail!("has the length {length}; it must be between -1 and {MOST_BYTES}");
    };
    let mut value = Vec::new();
    input.take(length).read_to_end(&mut value)?;
    if u64::try_from(value.len()) != Ok(length) {
        bail!("is cut off");
    }
    Ok(Some(value))
}

fn read_json(
    input: impl BufRead,
    keep_partitions: bool,
    each: &mut impl FnMut(Envelope) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let objects = serde_json::StreamDeserializer::<_, Value>::new(IoRead::new(input));
    for (index, object) in objects.enumerate() {
        let number = index + 1;
        let object = match object {
            Err(error) if error.is_io() => return Err(unreadable(error.into()).into()),
            object => object.with_context(|| format!("record {number} is no JSON"))?,
        };
        let mut record = Envelope::read(&object).with_context(|| format!("record {number}"))?;
        record.partition = record.partition.filter(|_| keep_partitions);
        if !each(record).with_context(|| format!("record {number}"))? {
            break;
        }
    }
    Ok(())
}

/// Separators that shells make hard to type.
fn unescape(text: &str) -> String {
    text.replace("\\t", "\t")
        .replace("\\n", "\n")
        .replace("\\0", "\0")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn format(flags: &[&str]) -> anyhow::Result<Format> {
        let line = ["jackfield", "produce", "t"].iter().chain(flags);
        let arguments = Arguments::try_parse_from(line).unwrap();
        let Command::Produce(arguments) = arguments.command else {
            panic!("not produce")
        };
        Format::new(&arguments.input)
    }

    /// Keys and values as text; `-` is none.
    fn read(flags: &[&str], input: &[u8]) -> Result<Vec<String>, String> {
        let mut records = Vec::new();
        let format = format(flags).unwrap();
        let text = |bytes: Option<Vec<u8>>| {
            bytes.map_or_else(
                || "-".to_owned(),
                |bytes| format!("{:?}", String::from_utf8_lossy(&bytes)),
            )
        };
        let mut each = |record: Envelope| {
            records.push(format!("{} {}", text(record.key), text(record.value)));
            Ok(true)
        };
        format
            .read(input, &mut each)
            .map_err(|error| format!("{error:#}"))?;
        Ok(records)
    }

    fn check(flags: &[&str], input: &[u8], expected: &[&str]) {
        assert_eq!(read(flags, input).unwrap(), expected, "{flags:?}");
    }

    #[test]
    fn lines() {
        check(
            &[],
            b"a\nb\r\n\n\r\r\nc",
            &[r#"- "a""#, r#"- "b""#, r#"- """#, r#"- "\r""#, r#"- "c""#],
        );
        check(&["-K", ":"], b"k:v:w\n:v\n", &[r#""k" "v:w""#, r#""" "v""#]);
        check(&["-K", "->"], b"k->v", &[r#""k" "v""#]);
        check(&["-K", "\\t"], b"k\tv", &[r#""k" "v""#]);
        check(&["--key", "k"], b"v\n", &[r#""k" "v""#]);
        check(
            &["-D", "--", "-K", ":"],
            b"a:b\n--c:-d--",
            &[r#""a" "b\n""#, r#""c" "-d""#],
        );
        check(&["-Z", "-K", ":"], b"k:\nk:v\n", &[r#""k" -"#, r#""k" "v""#]);
        check(&["--value-format", "hex"], b"6162\n", &[r#"- "ab""#]);
        assert_eq!(
            read(&["-K", ":"], b"k:v\nv\n").unwrap_err(),
            "line 2: has no key separator ':'"
        );
        let error = read(&["--value-format", "int32"], b"1\nx\n").unwrap_err();
        assert!(
            error.starts_with("line 2: the value: is no int32: \"x\""),
            "{error}"
        );
    }

    #[test]
    fn lengths() {
        check(
            &["--length-prefixed"],
            b"\0\0\0\x02ab\0\0\0\0\xff\xff\xff\xff",
            &[r#"- "ab""#, r#"- """#, "- -"],
        );
        assert_eq!(
            read(&["--length-prefixed"], b"\0\0\0\x02a").unwrap_err(),
            "record 1: is cut off"
        );
        assert_eq!(
            read(&["--length-prefixed"], b"\0\0\0").unwrap_err(),
            "record 1: is cut off"
        );
        let error = read(&["--length-prefixed"], b"\xff\xff\xff\xfe").unwrap_err();
        assert!(error.starts_with("record 1: has the length -2"), "{error}");
    }

    #[test]
    fn objects() {
        check(
            &["--json"],
            b"{\"key\":\"k\",\"value\":\"v\"}\n{\n \"value\": [1]\n}{}",
            &[r#""k" "v""#, r#"- "[1]""#, "- -"],
        );
        let error = read(&["--json"], b"{}\nhello\n").unwrap_err();
        assert!(
            error.starts_with("record 2 is no JSON: expected value at line 2"),
            "{error}"
        );
        assert!(
            read(&["--json"], b"{}\n7")
                .unwrap_err()
                .starts_with("record 2: must be an object")
        );
    }

    #[test]
    fn a_key_is_removed_without_input() {
        let removal = format(&["--key", "k", "-Z"]).unwrap().of_nothing().unwrap();
        assert_eq!((removal.key.as_deref(), removal.value), (Some(&b"k"[..]), None));
        assert_eq!(format(&["--key", "k"]).unwrap().of_nothing(), None);
        assert_eq!(format(&["-Z"]).unwrap().of_nothing(), None);
        let empty = format(&["-K", ""]).unwrap_err().to_string();
        assert_eq!(empty, "--key-separator: must not be empty");
    }
}

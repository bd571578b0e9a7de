//! How `jackfield consume` prints a record: as a line, in a format of the user's, as JSON, or as it is.

use std::io::Write;

use anyhow::{Context as _, bail};
use rdkafka::{Message, message::Headers as _};

use crate::{arguments::PrintOptions, codec::Codec, envelope, exit::Usage, times};

/// A record's looks.
#[derive(Debug)]
pub(crate) struct Printer {
    style: Style,
    key: Codec,
    value: Codec,
}

#[derive(Debug)]
enum Style {
    Parts(Vec<Part>),
    Json,
}

/// One piece of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Date,
    Headers,
    Key,
    KeyLength,
    Value,
    ValueLength,
    ValueLengthBytes,
    /// As `Key` and `Value`, with a word for what is not there.
    KeyOrNull,
    ValueOrNull,
}

impl Printer {
    /// Reads the options.
    ///
    /// # Errors
    /// When a format has something that no record has.
    pub(crate) fn new(options: &PrintOptions) -> anyhow::Result<Self> {
        let style = if options.json {
            Style::Json
        } else if options.raw {
            Style::Parts(vec![Part::Value])
        } else if let Some(format) = &options.format {
            Style::Parts(parse(format).map_err(|error| Usage(format!("--format {format}: {error:#}")))?)
        } else {
            Style::Parts(line(options))
        };
        Ok(Self {
            style,
            key: options.key_format,
            value: options.value_format,
        })
    }

    /// Prints one record.
    ///
    /// # Errors
    /// When key or value are of another type, and when nobody reads the output any more.
    pub(crate) fn print(&self, message: &impl Message, out: &mut impl Write) -> anyhow::Result<()> {
        match &self.style {
            Style::Json => {
                let object = envelope::write(message, self.key, self.value)?;
                serde_json::to_writer(&mut *out, &object).map_err(std::io::Error::from)?;
                out.write_all(b"\n")?;
            }
            Style::Parts(parts) => {
                for part in parts {
                    self.part(part, message, out)?;
                }
            }
        }
        Ok(())
    }

    fn part(&self, part: &Part, message: &impl Message, out: &mut impl Write) -> anyhow::Result<()> {
        let length =
            |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        let timestamp = message.timestamp().to_millis().unwrap_or(-1);
        match part {
            Part::Literal(text) => out.write_all(text)?,
            Part::Topic => out.write_all(message.topic().as_bytes())?,
            Part::Partition => write!(out, "{}", message.partition())?,
            Part::Offset => write!(out, "{}", message.offset())?,
            Part::Timestamp => write!(out, "{timestamp}")?,
            Part::Date => out.write_all(times::show(timestamp).as_bytes())?,
            Part::Headers => headers(message, out)?,
            Part::Key => out.write_all(
                &self
                    .key
                    .show(message.key().unwrap_or_default())
                    .context("the key")?,
            )?,
            Part::KeyLength => write!(out, "{}", length(message.key()))?,
            Part::Value if message.payload().is_none() => {}
            Part::Value => {
                let value = message.payload().unwrap_or_default();
                out.write_all(&self.value.show(value).context("the value")?)?;
            }
            Part::ValueLength => write!(out, "{}", length(message.payload()))?,
            Part::ValueLengthBytes => out.write_all(&length(message.payload()).to_be_bytes())?,
            Part::KeyOrNull => match message.key() {
                Some(_) => self.part(&Part::Key, message, out)?,
                None => out.write_all(b"null")?,
            },
            Part::ValueOrNull => match message.payload() {
                Some(_) => self.part(&Part::Value, message, out)?,
                None => out.write_all(b"null")?,
            },
        }
        Ok(())
    }
}

/// One record as one line: the parts asked for, then the value.
fn line(options: &PrintOptions) -> Vec<Part> {
    let literal = |text: &str| Part::Literal(text.as_bytes().to_vec());
    let mut parts = Vec::new();
    if options.timestamp {
        parts.extend([Part::Timestamp, literal(&options.separator)]);
    }
    if options.position {
        parts.extend([
            Part::Partition,
            literal("@"),
            Part::Offset,
            literal(&options.separator),
        ]);
    }
    if options.headers {
        parts.extend([Part::Headers, literal(&options.separator)]);
    }
    if options.key {
        parts.extend([Part::KeyOrNull, literal(&options.separator)]);
    }
    parts.extend([Part::ValueOrNull, literal("\n")]);
    parts
}

fn headers(message: &impl Message, out: &mut impl Write) -> std::io::Result<()> {
    let Some(headers) = message.headers() else {
        return Ok(());
    };
    for (index, header) in headers.iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(header.key.as_bytes())?;
        out.write_all(b"=")?;
        out.write_all(header.value.unwrap_or(b"null"))?;
    }
    Ok(())
}

/// Reads a format string.
fn parse(format: &str) -> anyhow::Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut literal = Vec::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => {
                let Some(part) = token(letters.next())? else {
                    literal.push(b'%');
                    continue;
                };
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(part);
            }
            '\\' => literal.push(escape(&mut letters)?),
            other => literal.extend(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

fn token(letter: Option<char>) -> anyhow::Result<Option<Part>> {
    Ok(Some(match letter {
        Some('s') => Part::Value,
        Some('S') => Part::ValueLength,
        Some('R') => Part::ValueLengthBytes,
        Some('k') => Part::Key,
        Some('K') => Part::KeyLength,
        Some('t') => Part::Topic,
        Some('p') => Part::Partition,
        Some('o') => Part::Offset,
        Some('T') => Part::Timestamp,
        Some('D') => Part::Date,
        Some('h') => Part::Headers,
        Some('%') => return Ok(None),
        Some(other) => {
            bail!("%{other} is nothing a record has; there are %s %S %R %k %K %t %p %o %T %D %h and %%")
        }
        None => bail!("ends with a single %; write %%"),
    }))
}

fn escape(letters: &mut std::str::Chars<'_>) -> anyhow::Result<u8> {
    Ok(match letters.next() {
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some('x') => {
            let digits: String = letters.take(2).collect();
            u8::from_str_radix(&digits, 16)
                .ok()
                .filter(|_| digits.len() == 2)
                .with_context(|| format!("\\x{digits} is no byte; write \\x0a"))?
        }
        Some(other) => bail!("\\{other} is unknown; there are \\n \\r \\t \\0 \\xHH and \\\\"),
        None => bail!("ends with a single backslash; write \\\\"),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use rdkafka::{
        Timestamp,
        message::{Header, OwnedHeaders, OwnedMessage},
    };

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn printer(flags: &[&str]) -> anyhow::Result<Printer> {
        let line = ["jackfield", "consume", "t"].iter().chain(flags);
        let arguments = Arguments::try_parse_from(line).unwrap();
        let Command::Consume(arguments) = arguments.command else {
            panic!("not consume")
        };
        Printer::new(&arguments.print)
    }

    fn check(flags: &[&str], key: Option<&[u8]>, value: Option<&[u8]>, expected: &[u8]) {
        let headers = OwnedHeaders::new()
            .insert(Header {
                key: "a",
                value: Some("1"),
            })
            .insert(Header::<&str> {
                key: "b",
                value: None,
            });
        let message = OwnedMessage::new(
            value.map(<[u8]>::to_vec),
            key.map(<[u8]>::to_vec),
            "t".to_owned(),
            Timestamp::CreateTime(17),
            2,
            40,
            Some(headers),
        );
        let mut out = Vec::new();
        printer(flags).unwrap().print(&message, &mut out).unwrap();
        assert_eq!(out, expected, "{flags:?}: {}", String::from_utf8_lossy(&out));
    }

    #[test]
    fn records_as_lines() {
        check(&[], Some(b"k"), Some(b"v"), b"v\n");
        check(&["--key", "--timestamp"], Some(b"k"), Some(b"v"), b"17\tk\tv\n");
        let all = ["--key", "--position", "--headers", "--separator", "|"];
        check(&all, None, None, b"2@40|a=1,b=null|null|null\n");
        check(&["--value-format", "hex"], None, Some(b"\x00v"), b"0076\n");
        check(
            &["--key", "--key-format", "int16"],
            Some(&[1, 0]),
            Some(b"v"),
            b"256\tv\n",
        );
        check(&["--raw"], Some(b"k"), Some(b"v\xff"), b"v\xff");
    }

    #[test]
    fn formats() {
        let all = r"%t|%p|%o|%T|%D|%h|%k|%K|%s|%S|100%%\t\x41\\\n";
        check(
            &["-f", all],
            Some(b"k"),
            Some(b"value"),
            b"t|2|40|17|1970-01-01T00:00:00.017Z|a=1,b=null|k|1|value|5|100%\tA\\\n",
        );
        check(&["-f", "%k%K%s%S\\0"], None, None, b"-1-1\0");
        check(&["-f", "%R%s"], None, Some(b"ab"), b"\0\0\0\x02ab");
        check(&["-f", "%R%s"], None, None, b"\xff\xff\xff\xff");
        for (format, expected) in [
            ("%s %q", "--format %s %q: %q is nothing a record has"),
            ("%", "--format %: ends with a single %"),
            (r"\q", r"--format \q: \q is unknown"),
            (r"\xg1", r"--format \xg1: \xg1 is no byte"),
            ("\\", "--format \\: ends with a single backslash"),
        ] {
            let error = format!("{:#}", printer(&["-f", format]).unwrap_err());
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn records_as_json() {
        check(
            &["--json"],
            None,
            Some(b"v"),
            br#"{"topic":"t","partition":2,"offset":40,"timestamp":17,"headers":[{"key":"a","value":"1"},{"key":"b","value":null}],"key":null,"value":"v"}
"#,
        );
    }
}

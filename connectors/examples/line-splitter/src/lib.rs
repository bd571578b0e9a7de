//! A transform that makes one record of each line of a value: 1→N, and 1→0 for values without lines.
//!
//! ```properties
//! transforms=split
//! transforms.split.type=jackfield.examples.LineSplitter
//! ```
//!
//! The lines keep the record's topic, key, headers and timestamp, and its sequence: its source offset is stored when all of
//! them are durable. Values that are neither text nor bytes, null among them, go on as they are.

use jackfield_api::{
    Config, ConfigDef, ConnectError, Connector, Options, TaskContext, Transform, TransformOutput,
    batch::{Batch, Draft, Value},
};

/// The options.
#[derive(Debug, Options)]
pub struct Settings {
    /// What lies between two lines; without it "\n" and "\r\n".
    separator: Option<String>,
    /// Whether lines without text are left out.
    #[option(default = true)]
    skip_empty: bool,
    /// Header to be added with the number of the line in its value, from 1 on.
    number_header: Option<String>,
}

/// The transform.
#[derive(Debug)]
pub struct LineSplitter {
    settings: Settings,
}

impl Connector for LineSplitter {
    const CLASS: &'static str = "jackfield.examples.LineSplitter";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn config_def() -> ConfigDef {
        Settings::config_def()
    }
}

impl Transform for LineSplitter {
    fn start(config: &Config, _context: TaskContext) -> Result<Self, ConnectError> {
        let mut settings = Settings::read(config)?;
        settings.separator = settings.separator.filter(|separator| !separator.is_empty());
        Ok(Self { settings })
    }

    fn apply(&mut self, batch: &Batch<&[u8]>, output: &mut TransformOutput<'_>) -> Result<(), ConnectError> {
        for found in batch.records() {
            let (text, is_text) = match found.record.value {
                Value::Utf8(text) => (Ok(text), true),
                Value::Bytes(bytes) => (std::str::from_utf8(bytes), false),
                _ => {
                    output.keep(batch, &found)?;
                    continue;
                }
            };
            let text = match text {
                Ok(text) => text,
                Err(cause) => {
                    output.reject(&found, format!("the value is not UTF-8: {cause}"));
                    continue;
                }
            };
            for (index, line) in self.lines(text).enumerate() {
                if line.is_empty() && self.settings.skip_empty {
                    continue;
                }
                let number = (index + 1).to_string();
                let mut record = Draft::of(batch, &found);
                record = if is_text {
                    record.value(line)
                } else {
                    record.value(line.as_bytes())
                };
                if let Some(header) = &self.settings.number_header {
                    record = record.header(header, number.as_str());
                }
                output.push(record)?;
            }
        }
        Ok(())
    }
}

impl LineSplitter {
    fn lines<'a>(&'a self, text: &'a str) -> Box<dyn Iterator<Item = &'a str> + 'a> {
        match &self.settings.separator {
            Some(separator) => Box::new(text.split(separator.as_str())),
            None => Box::new(text.lines()),
        }
    }
}

jackfield_api::export_transform!(LineSplitter);

#[cfg(test)]
mod tests {
    use jackfield_api::{
        LocalHost,
        batch::{BatchBuilder, DraftValue},
    };

    use super::*;

    /// What becomes of values: sequence, value and headers of each record, and the rejected sequences.
    fn split(config: &[(&str, &str)], values: &[DraftValue<'_>]) -> (Vec<(u32, String, usize)>, Vec<u32>) {
        let config = config
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::resolve(&LineSplitter::config_def(), config.collect()).unwrap();
        let mut transform = LineSplitter::start(&config, LocalHost::new().task_context()).unwrap();
        let mut given = BatchBuilder::new();
        for value in values {
            given
                .record("t")
                .key("k")
                .value(*value)
                .header("h", "x")
                .push()
                .unwrap();
        }
        let (given, mut made) = (given.finish(), BatchBuilder::new());
        let mut output = TransformOutput::new(&mut made);
        transform
            .apply(&Batch::parse(given.as_slice()).unwrap(), &mut output)
            .unwrap();
        let rejected = output
            .into_rejected()
            .into_iter()
            .map(|error| error.sequence)
            .collect();
        let made = Batch::parse(made.finish()).unwrap();
        let shown = made.records().map(|found| {
            let value = match found.record.value {
                Value::Utf8(text) => text.to_owned(),
                other => format!("{other:?}"),
            };
            (found.record.sequence, value, found.header_count())
        });
        (shown.collect(), rejected)
    }

    fn texts(made: &[(u32, String, usize)]) -> Vec<(u32, &str)> {
        made.iter()
            .map(|(sequence, value, _)| (*sequence, value.as_str()))
            .collect()
    }

    #[test]
    fn lines_become_records() {
        let values = ["a\r\nb\n\nc\n", "", "d"].map(DraftValue::Utf8);
        let (made, rejected) = split(&[], &values);
        assert_eq!(texts(&made), [(0, "a"), (0, "b"), (0, "c"), (2, "d")]);
        assert!(rejected.is_empty() && made.iter().all(|(.., headers)| *headers == 1));
    }

    #[test]
    fn separator_empty_lines_and_numbers() {
        let config = [
            ("separator", ";"),
            ("skip.empty", "false"),
            ("number.header", "line"),
        ];
        let (made, _) = split(&config, &[DraftValue::Utf8("a;;b")]);
        assert_eq!(texts(&made), [(0, "a"), (0, ""), (0, "b")]);
        assert!(made.iter().all(|(.., headers)| *headers == 2));
    }

    #[test]
    fn other_values_go_on_and_broken_ones_are_rejected() {
        let values = [
            DraftValue::Null,
            DraftValue::Bytes(&[0xff]),
            DraftValue::Json("1"),
            DraftValue::Bytes(b"x\ny"),
        ];
        let (made, rejected) = split(&[], &values);
        let sequences: Vec<_> = made.iter().map(|(sequence, ..)| *sequence).collect();
        assert_eq!((sequences, rejected), (vec![0, 2, 3, 3], vec![1]));
    }
}

//! @class@: a transform that upper-cases text values, and drops records without a value.
//!
//! A transform changes records between a source and its topics, or between topics and a sink. A connector's config names it:
//! `transforms=it` and `transforms.it.type=@class@`; its options are `transforms.it.<option>`. It accounts for no offsets:
//! the worker does, also for records that are dropped here, or become several.

use jackfield_api::{
    Config, ConfigDef, ConnectError, Connector, Options, TaskContext, Transform, TransformOutput,
    batch::{Batch, Draft, Value},
};

/// The options. Types, defaults and checks hold before a task sees them, and everything that users are shown about the options
/// is made of this: messages, forms, `jackfield plugin inspect`. A field's comment is the option's documentation.
#[derive(Debug, Options)]
pub struct Settings {
    /// Whether keys are changed, too
    #[option(default = false, importance = low)]
    keys: bool,
}

/// One runs in each task of the connector that names it.
#[derive(Debug)]
pub struct @class@ {
    settings: Settings,
}

/// What the class is and how it is configured. None of this touches a task.
impl Connector for @class@ {
    /// As in plugin.toml, and in `transforms.<alias>.type` of a connector's config.
    const CLASS: &'static str = "@class@";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn config_def() -> ConfigDef {
        Settings::config_def()
    }
}

impl Transform for @class@ {
    /// Starts the transform. The kind of an error says what becomes of it: `retriable` is tried again after a while, `config`
    /// waits for another config, `fatal` fails the task.
    fn start(config: &Config, _context: TaskContext) -> Result<Self, ConnectError> {
        Ok(Self {
            settings: Settings::read(config)?,
        })
    }

    /// Transforms a batch. What is to go on is put into the output: as it came (`keep`) or made of what came (`Draft::of` and
    /// `push`). A record that is not put there is dropped, one that is put there twice becomes two, and one that cannot be
    /// transformed is rejected (`reject`): the user's `errors.tolerance` decides what becomes of it.
    fn apply(&mut self, batch: &Batch<&[u8]>, output: &mut TransformOutput<'_>) -> Result<(), ConnectError> {
        for found in batch.records() {
            let value = match found.record.value {
                Value::Null => continue,
                Value::Utf8(text) => text.to_uppercase(),
                _ => {
                    output.keep(batch, &found)?;
                    continue;
                }
            };
            let key = match found.record.key {
                Value::Utf8(text) if self.settings.keys => Some(text.to_uppercase()),
                _ => None,
            };
            let mut record = Draft::of(batch, &found).value(&value);
            if let Some(key) = &key {
                record = record.key(key);
            }
            output.push(record)?;
        }
        Ok(())
    }
}

// One source, two forms: a WASM component (the default of `jackfield plugin build`) and a native library (--form native).
jackfield_api::export_transform!(@class@);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jackfield_api::{LocalHost, batch::BatchBuilder};

    use super::*;

    fn start(pairs: &[(&str, &str)]) -> Result<@class@, ConnectError> {
        let pairs = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let config = Config::resolve(&@class@::config_def(), pairs.collect::<BTreeMap<_, _>>())?;
        // A worker in memory.
        @class@::start(&config, LocalHost::new().task_context())
    }

    fn apply(pairs: &[(&str, &str)]) -> String {
        let mut builder = BatchBuilder::new();
        builder.record("t").key("k").value("one").push().unwrap();
        builder.record("t").key("dropped").push().unwrap();
        builder.record("t").value(&b"raw"[..]).push().unwrap();
        let batch = builder.finish();
        let mut task = start(pairs).unwrap();
        let mut output = TransformOutput::new(&mut builder);
        task.apply(&Batch::parse(batch.as_slice()).unwrap(), &mut output).unwrap();
        assert_eq!(output.into_rejected(), []);
        let batch = Batch::parse(builder.finish()).unwrap();
        let records = batch.records().map(|found| match (found.record.key, found.record.value) {
            (Value::Utf8(key), Value::Utf8(value)) => format!("{key}:{value} "),
            (Value::Null, Value::Bytes(value)) => String::from_utf8_lossy(value).into_owned(),
            other => panic!("{other:?}"),
        });
        records.collect()
    }

    #[test]
    fn text_is_upper_cased_and_tombstones_are_dropped() {
        assert_eq!(apply(&[]), "k:ONE raw");
        assert_eq!(apply(&[("keys", "true")]), "K:ONE raw");
    }

    #[test]
    fn wrong_options_are_refused() {
        assert!(start(&[("keys", "perhaps")]).unwrap_err().message.contains("keys"));
    }
}

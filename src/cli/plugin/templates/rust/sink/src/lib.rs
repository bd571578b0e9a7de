//! @class@: a sink that appends the value of each record to a file, a line for each.
//!
//! A sink takes records out of topics. The worker hands it batches (`put`), and asks it from time to time to make everything
//! durable (`pre_commit`); what it returns there is committed, and everything behind that comes again after a crash. So a
//! record is never lost, and may be there twice. Whoever wants it once remembers with each commit how far the file was
//! (`SinkPosition::metadata`) and cuts it there when it opens, as Jackfield's own file sink does.

use std::{
    fs::{File, OpenOptions},
    io::Write,
};

use jackfield_api::{
    Config, ConfigDef, ConnectError, Connector, Options, RecordError, Sink, SinkContext, SinkPosition,
    batch::{Batch, Value},
};

/// The options. Types, defaults and checks hold before a task sees them, and everything that users are shown about the options
/// is made of this: messages, forms, `jackfield plugin inspect`. A field's comment is the option's documentation.
#[derive(Debug, Options)]
pub struct Settings {
    /// File to append to
    #[option(importance = high, non_empty)]
    file: String,
}

/// A task. It is given some partitions of the topics, alone or together with other tasks.
#[derive(Debug)]
pub struct @class@ {
    /// For messages.
    name: String,
    file: File,
}

/// What the class is and how it is configured. None of this touches a task.
impl Connector for @class@ {
    /// As in plugin.toml, and in `connector.class` of a connector's config.
    const CLASS: &'static str = "@class@";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn config_def() -> ConfigDef {
        Settings::config_def()
    }
}

impl Sink for @class@ {
    /// Starts a task. It has no partitions yet: `open` tells them, `close` takes them away.
    ///
    /// The kind of an error says what becomes of it: `retriable` is tried again after a while, `config` waits for another
    /// config, `data` is about one record, `fatal` fails the task. A file that cannot be opened may be there later.
    fn start(config: &Config, _context: SinkContext) -> Result<Self, ConnectError> {
        let name = Settings::read(config)?.file;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&name)
            .map_err(|error| ConnectError::retriable(format!("file {name} cannot be opened: {error}")))?;
        Ok(Self { name, file })
    }

    /// Takes a batch, which may be empty. Records that it cannot take are returned, each with its reason: the user's
    /// `errors.tolerance` decides what becomes of them. After a retriable error the same batch comes again.
    fn put(&mut self, batch: &Batch<&[u8]>) -> Result<Vec<RecordError>, ConnectError> {
        let mut lines = Vec::new();
        let mut rejected = Vec::new();
        for found in batch.records() {
            match found.record.value {
                Value::Utf8(text) | Value::Json(text) => lines.extend_from_slice(text.as_bytes()),
                Value::Bytes(bytes) => lines.extend_from_slice(bytes),
                // A tombstone: there is nothing to append.
                Value::Null => continue,
                Value::Typed { .. } => {
                    rejected.push(RecordError {
                        sequence: found.record.sequence,
                        message: "a value with a schema: use StringConverter".to_owned(),
                    });
                    continue;
                }
            }
            lines.push(b'\n');
        }
        self.file
            .write_all(&lines)
            .map_err(|error| ConnectError::retriable(format!("file {} cannot be written: {error}", self.name)))?;
        Ok(rejected)
    }

    /// Makes everything durable, and only then says which positions may be committed: all of them.
    fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError> {
        self.file
            .sync_all()
            .map_err(|error| ConnectError::retriable(format!("file {} cannot be synced: {error}", self.name)))?;
        Ok(current.to_vec())
    }
}

// One source, two forms: a WASM component (the default of `jackfield plugin build`) and a native library (--form native).
jackfield_api::export_sink!(@class@);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jackfield_api::{LocalHost, batch::BatchBuilder};

    use super::*;

    fn start(pairs: &[(&str, &str)]) -> Result<@class@, ConnectError> {
        let pairs = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let config = Config::resolve(&@class@::config_def(), pairs.collect::<BTreeMap<_, _>>())?;
        // A worker in memory.
        @class@::start(&config, LocalHost::new().sink_context())
    }

    #[test]
    fn each_value_is_a_line() {
        let path = std::env::temp_dir().join(format!("@ident@-{}.txt", std::process::id()));
        let mut task = start(&[("file", path.to_str().unwrap())]).unwrap();
        let mut builder = BatchBuilder::new();
        builder.record("t").value("one").push().unwrap();
        builder.record("t").push().unwrap();
        builder.record("t").value(&b"two"[..]).push().unwrap();
        let batch = builder.finish();
        let rejected = task.put(&Batch::parse(batch.as_slice()).unwrap()).unwrap();
        assert_eq!(rejected, []);
        let position = SinkPosition {
            topic: "t".to_owned(),
            partition: 0,
            offset: 3,
            metadata: String::new(),
        };
        let positions = std::slice::from_ref(&position);
        assert_eq!(task.pre_commit(positions).unwrap(), positions);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn wrong_options_are_refused() {
        assert!(start(&[]).unwrap_err().message.contains("file"));
        let error = start(&[("file", "/nowhere/at/all.txt")]).unwrap_err();
        assert!(error.message.contains("/nowhere/at/all.txt"), "{error}");
    }
}

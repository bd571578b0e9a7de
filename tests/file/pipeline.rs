//! file → topic `connect-test` → file, as in Kafka's quickstart, in one plugin form.

use std::{fs, io::Write};

use crate::harness::{program::Standalone, scratch::Scratch, wait};

/// A standalone worker with `local-file-source` and `local-file-sink` in a directory of its own.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) worker: Standalone,
    pub(crate) scratch: Scratch,
    connectors: [String; 2],
}

pub(crate) const TOPIC: &str = "connect-test";

impl Pipeline {
    /// Not started yet. `source` are further properties of the source connector.
    pub(crate) fn new(name: &str, form: &str, source: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new(&format!("{name}-{form}"));
        let worker = Standalone::new(&scratch);
        let mut properties = vec![
            ("connector.class", "FileStreamSource"),
            ("tasks.max", "1"),
            ("file", "test.txt"),
            ("topic", TOPIC),
            ("plugin.form", form),
        ];
        properties.extend(source);
        let source = worker.connector("local-file-source", &properties);
        let sink = worker.connector(
            "local-file-sink",
            &[
                ("connector.class", "FileStreamSink"),
                ("tasks.max", "1"),
                ("file", "test.sink.txt"),
                ("topics", TOPIC),
                ("plugin.form", form),
            ],
        );
        Self {
            worker,
            scratch,
            connectors: [source, sink],
        }
    }

    pub(crate) fn start(&mut self) {
        let [source, sink] = &self.connectors;
        self.worker.start(&[source, sink]);
    }

    /// Appends to the source file, creating it when missing.
    pub(crate) fn append(&self, text: &str) {
        let path = self.scratch.join("test.txt");
        fs::File::options()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    /// What the sink file holds now.
    pub(crate) fn sink(&self) -> String {
        fs::read_to_string(self.scratch.join("test.sink.txt")).unwrap_or_default()
    }

    /// Waits until the sink file is exactly this.
    pub(crate) fn expect_sink(&self, expected: &str) {
        let mut last = String::new();
        wait::until(&format!("{} bytes in the sink file", expected.len()), || {
            last = self.sink();
            if last.len() > expected.len() {
                assert_eq!(
                    last.get(..2_000).unwrap_or(&last),
                    expected.get(..2_000).unwrap_or(expected)
                );
                panic!(
                    "the sink file has {} bytes instead of {}",
                    last.len(),
                    expected.len()
                );
            }
            (last.len() == expected.len()).then_some(())
        });
        assert!(last == expected, "the sink file differs in content");
    }

    /// The payloads of the topic, in order.
    pub(crate) fn topic(&self) -> Vec<String> {
        let records = self.worker.wire().read_all(TOPIC, 0);
        records
            .iter()
            .map(|record| {
                let value: serde_json::Value = serde_json::from_str(&record.text()).unwrap();
                assert_eq!(
                    value["schema"],
                    serde_json::json!({"type": "string", "optional": false})
                );
                value["payload"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    /// Waits until the source's stored position is `position`.
    pub(crate) fn expect_position(&self, position: usize) {
        wait::until(&format!("source offset {position}"), || {
            let mut wire = self.worker.wire();
            let partitions = *wire.topics().get("connect-offsets")?;
            let stored = (0..partitions)
                .flat_map(|partition| wire.read_all("connect-offsets", i32::try_from(partition).unwrap()))
                .last()?;
            assert_eq!(
                stored.key.as_deref(),
                Some(br#"["local-file-source",{"filename":"test.txt"}]"#.as_slice())
            );
            let offset: serde_json::Value = serde_json::from_str(&stored.text()).unwrap();
            (offset["position"] == position).then_some(())
        });
    }
}

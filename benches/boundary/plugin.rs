//! The connector that `benches/boundary.rs` measures: a source whose records are ready, and a sink that looks at every byte's
//! length and keeps none. It is part of the program that measures, and is built as a native library and as a component.

use jackfield_api::{
    Config, ConfigDef, ConfigKey, ConfigType, ConnectError, Connector, Importance, PollLimits, Polled,
    RecordError, Sink, SinkContext, SinkPosition, Source, SourceContext,
    batch::{
        Batch, BatchBuilder, Header, Record, Value,
        typed::{self, Datum, Field, Schema, Type},
    },
};

/// Bytes of the smaller and of the larger value.
const SMALL: usize = 100;
const LARGE: usize = 1024;
/// Ten fields, as Connect's JsonConverter writes their schema.
const STRUCT: &str = r#"{"type":"struct","optional":false,"fields":[
{"field":"a","type":"int32","optional":false},{"field":"b","type":"int64","optional":false},
{"field":"c","type":"double","optional":false},{"field":"d","type":"boolean","optional":false},
{"field":"e","type":"string","optional":false},{"field":"f","type":"string","optional":false},
{"field":"g","type":"int32","optional":false},{"field":"h","type":"int64","optional":false},
{"field":"i","type":"string","optional":false},{"field":"j","type":"string","optional":true}]}"#;

/// Has as many records as are asked for; option `shape` is `100`, `1024` or `struct`.
#[derive(Debug)]
pub struct Ready {
    typed: bool,
    value: Vec<u8>,
}

/// Takes them.
#[derive(Debug)]
pub struct Taken {
    bytes: u64,
}

fn config_def() -> ConfigDef {
    let shape = ConfigKey::new(
        "shape",
        ConfigType::String,
        Importance::Low,
        "what the values are",
    );
    ConfigDef {
        keys: vec![shape.default("100")],
    }
}

impl Connector for Ready {
    const CLASS: &'static str = "jackfield.bench.ReadySource";
    const VERSION: &'static str = "1.0.0";

    fn config_def() -> ConfigDef {
        config_def()
    }
}

impl Connector for Taken {
    const CLASS: &'static str = "jackfield.bench.TakenSink";
    const VERSION: &'static str = "1.0.0";

    fn config_def() -> ConfigDef {
        config_def()
    }
}

fn structure() -> Result<Vec<u8>, ConnectError> {
    let kinds = [
        ("a", Type::Int32, Datum::Int32(1_234)),
        ("b", Type::Int64, Datum::Int64(1_234_567_890_123)),
        ("c", Type::Float64, Datum::Float64(2.5)),
        ("d", Type::Boolean, Datum::Boolean(true)),
        ("e", Type::String, Datum::String("a name of someone".to_owned())),
        (
            "f",
            Type::String,
            Datum::String("a street and a number".to_owned()),
        ),
        ("g", Type::Int32, Datum::Int32(-7)),
        ("h", Type::Int64, Datum::Int64(1_700_000_000_000)),
        ("i", Type::String, Datum::String("open".to_owned())),
        ("j", Type::String, Datum::String("a remark".to_owned())),
    ];
    let field = |(name, kind, _): &(&str, Type, Datum)| {
        let schema = Schema::new(*kind);
        Field {
            name: (*name).to_owned(),
            schema: if *name == "j" { schema.optional() } else { schema },
        }
    };
    let schema = Schema::structure(kinds.iter().map(field).collect());
    let datum = Datum::Struct(kinds.into_iter().map(|(_, _, datum)| datum).collect());
    let mut encoded = Vec::new();
    typed::encode(&schema, &datum, &mut encoded).map_err(|cause| ConnectError::fatal(cause.message))?;
    Ok(encoded)
}

impl Source for Ready {
    fn start(config: &Config, _context: SourceContext) -> Result<Self, ConnectError> {
        let (typed, value) = match config.string("shape")? {
            "struct" => (true, structure()?),
            "1024" => (false, vec![b'x'; LARGE]),
            _ => (false, vec![b'x'; SMALL]),
        };
        Ok(Self { typed, value })
    }

    fn poll(&mut self, limits: PollLimits, batch: &mut BatchBuilder) -> Result<Polled, ConnectError> {
        let topic = batch.topic("topic")?;
        let partition = batch.source_partition(r#"{"table":"orders"}"#)?;
        let value = if self.typed {
            let schema = batch.schema(STRUCT)?;
            Value::Typed {
                schema,
                data: &self.value,
            }
        } else {
            Value::Bytes(&self.value)
        };
        let header = |key, value| Header {
            key,
            value: Value::Utf8(value),
        };
        let headers = [header("origin", "orders"), header("trace", "0123456789abcdef")];
        for sequence in 0..limits.max_records {
            let record = Record {
                topic,
                source_partition: Some(partition),
                partition: None,
                timestamp: Some(1_700_000_000_000),
                offset: -1,
                sequence,
                key: Value::Utf8("key-1234"),
                value,
                source_offset: Some(r#"{"position":1234567}"#),
            };
            batch.push(&record, &headers)?;
        }
        Ok(Polled::Records)
    }
}

impl Sink for Taken {
    fn start(_config: &Config, _context: SinkContext) -> Result<Self, ConnectError> {
        Ok(Self { bytes: 0 })
    }

    fn put(&mut self, batch: &Batch<&[u8]>) -> Result<Vec<RecordError>, ConnectError> {
        let len = |value: Value<'_>| match value {
            Value::Null => 0,
            Value::Bytes(data) | Value::Typed { data, .. } => data.len() as u64,
            Value::Utf8(text) | Value::Json(text) => text.len() as u64,
        };
        for found in batch.records() {
            let headers = found
                .headers()
                .map(|header| header.key.len() as u64 + len(header.value));
            self.bytes += len(found.record.key) + len(found.record.value) + headers.sum::<u64>();
        }
        std::hint::black_box(self.bytes);
        Ok(Vec::new())
    }

    fn pre_commit(&mut self, current: &[SinkPosition]) -> Result<Vec<SinkPosition>, ConnectError> {
        Ok(current.to_vec())
    }
}

jackfield_api::export_plugin!(sources: [Ready], sinks: [Taken]);

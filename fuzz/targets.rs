//! What is fuzzed, one function per decoder: any bytes must be refused or read, never panic, never allocate what only a length
//! promises. The fuzz targets and an ordinary property test (`tests/decoders.rs`) call the same functions.

use bytes::Bytes;
use jackfield_batch::{
    Batch, BatchBuilder, Header, Record, Value,
    typed::{self, Field, Schema, Type},
};
use jackfield_protocol::records::{self, BatchHeader};

/// Decompressed bytes allowed per batch.
const MOST_DECOMPRESSED: usize = 1 << 20;

/// The flat batch of the plugin boundary, from any bytes and from a good batch with bytes replaced.
pub fn batch_reader(data: &[u8]) {
    read_batch(data);
    read_batch(&patched(good_batch(), data));
}

/// Three records with tables of every kind, to be damaged.
fn good_batch() -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let topic = builder.topic("topic").expect("a short name");
    let partition = builder
        .source_partition(r#"{"file":"a"}"#)
        .expect("a small object");
    let schema = builder.schema(r#"{"type":"int32"}"#).expect("a small schema");
    let values = [
        Value::Utf8("text"),
        Value::Typed { schema, data: &[2] },
        Value::Null,
    ];
    for (sequence, value) in (0..).zip(values) {
        let record = Record {
            topic,
            source_partition: Some(partition),
            partition: (sequence == 1).then_some(3),
            timestamp: (sequence != 2).then_some(1_700_000_000_000),
            offset: -1,
            sequence,
            key: Value::Bytes(b"key"),
            value,
            source_offset: Some(r#"{"position":7}"#),
        };
        let headers = [Header {
            key: "h",
            value: Value::Json("{}"),
        }];
        builder
            .push(&record, &headers[..usize::from(sequence == 1)])
            .expect("a good record");
    }
    builder.finish()
}

/// Replaces bytes of `good`: each three bytes of `data` are a position and a value; a rest of one byte cuts the end.
fn patched(mut good: Vec<u8>, data: &[u8]) -> Vec<u8> {
    for patch in data.chunks(3) {
        if let [high, low, value] = *patch {
            let at = usize::from(u16::from_be_bytes([high, low])) % good.len();
            good[at] = value;
        } else {
            let cut = usize::from(patch[0]) % good.len();
            good.truncate(good.len() - cut);
        }
    }
    good
}

/// What parses can be read to its end.
fn read_batch(data: &[u8]) {
    let Ok(batch) = Batch::parse(data) else { return };
    let topics = batch.topics().count();
    let schemas = batch.schemas().count();
    let mut seen = 0;
    for entry in batch.records() {
        seen += 1;
        assert!(usize::from(entry.record.topic) < topics);
        for value in [entry.record.key, entry.record.value] {
            if let Value::Typed { schema, .. } = value {
                assert!(usize::from(schema) < schemas);
            }
        }
        assert_eq!(entry.headers().count(), entry.header_count());
    }
    assert_eq!(seen, batch.len());
}

/// Typed values: validation and decoding agree, and what was decoded encodes to something that decodes to the same.
pub fn typed_decode(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else {
        return;
    };
    let schemas = typed_schemas();
    let schema = &schemas[usize::from(*choice) % schemas.len()];
    let decoded = typed::decode(schema, data);
    assert_eq!(
        decoded.is_ok(),
        typed::validate(schema, data).is_ok(),
        "validate and decode agree on {data:?}"
    );
    let Ok(datum) = decoded else { return };
    let mut encoded = Vec::new();
    typed::encode(schema, &datum, &mut encoded).expect("what was decoded can be encoded");
    let again = typed::decode(schema, &encoded).expect("what was encoded can be decoded");
    // Not a number is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{datum:?}"));
}

fn typed_schemas() -> Vec<Schema> {
    let field = |name: &str, schema: Schema| Field {
        name: name.to_owned(),
        schema,
    };
    let structure = Schema::structure(vec![
        field("id", Schema::new(Type::Int32)),
        field("name", Schema::new(Type::String).optional()),
        field("tags", Schema::array(Schema::new(Type::Int64))),
        field(
            "attributes",
            Schema::map(Schema::new(Type::String), Schema::new(Type::Float64).optional()),
        ),
    ]);
    let mut schemas: Vec<Schema> = [
        Type::Int8,
        Type::Int16,
        Type::Int32,
        Type::Int64,
        Type::Float32,
        Type::Float64,
        Type::Boolean,
        Type::String,
        Type::Bytes,
    ]
    .into_iter()
    .map(Schema::new)
    .collect();
    schemas.push(Schema::array(structure.clone()).optional());
    schemas.push(structure);
    schemas
}

/// A record batch: header, verification and every record, compressed or not.
pub fn record_batch(data: &[u8]) {
    let Ok(header) = BatchHeader::parse(data) else {
        return;
    };
    assert!(header.size_bytes() >= records::BATCH_HEADER_BYTES);
    let verified = records::verify(data).is_ok();
    let bytes = Bytes::copy_from_slice(&data[..header.size_bytes().min(data.len())]);
    let mut read = 0;
    if let Ok(all) = records::records(&bytes, MOST_DECOMPRESSED) {
        for record in all {
            let Ok(record) = record else { break };
            let size = record.key.map_or(0, |key| key.len()) + record.value.map_or(0, |value| value.len());
            read += size;
            assert!(
                read <= MOST_DECOMPRESSED.max(data.len()),
                "records larger than what holds them"
            );
        }
    }
    let batches = records::split_batches(Bytes::copy_from_slice(data))
        .map(|batch| batch.len())
        .sum::<usize>();
    assert!(batches <= data.len());
    if verified {
        assert!(header.size_bytes() <= data.len());
    }
}

//! What is fuzzed, one function per decoder: any bytes must be refused or read, never panic, never allocate what only a length
//! promises. The fuzz targets and an ordinary property test (`tests/decoders.rs`) call the same functions.

use bytes::Bytes;
use jackfield_batch::{
    Batch, Value,
    typed::{self, Field, Schema, Type},
};
use jackfield_protocol::records::{self, BatchHeader};

/// Decompressed bytes allowed per batch.
const MOST_DECOMPRESSED: usize = 1 << 20;

/// The flat batch of the plugin boundary: what parses can be read to its end.
pub fn batch_reader(data: &[u8]) {
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
    let Some((choice, data)) = data.split_first() else { return };
    let schemas = typed_schemas();
    let schema = &schemas[usize::from(*choice) % schemas.len()];
    let decoded = typed::decode(schema, data);
    assert_eq!(decoded.is_ok(), typed::validate(schema, data).is_ok(), "validate and decode agree on {data:?}");
    let Ok(datum) = decoded else { return };
    let mut encoded = Vec::new();
    typed::encode(schema, &datum, &mut encoded).expect("what was decoded can be encoded");
    let again = typed::decode(schema, &encoded).expect("what was encoded can be decoded");
    // Not a number is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{datum:?}"));
}

fn typed_schemas() -> Vec<Schema> {
    let field = |name: &str, schema: Schema| Field { name: name.to_owned(), schema };
    let structure = Schema::structure(vec![
        field("id", Schema::new(Type::Int32)),
        field("name", Schema::new(Type::String).optional()),
        field("tags", Schema::array(Schema::new(Type::Int64))),
        field("attributes", Schema::map(Schema::new(Type::String), Schema::new(Type::Float64).optional())),
    ]);
    let mut schemas: Vec<Schema> = [
        Type::Int8, Type::Int16, Type::Int32, Type::Int64, Type::Float32, Type::Float64, Type::Boolean, Type::String,
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
    let Ok(header) = BatchHeader::parse(data) else { return };
    assert!(header.size_bytes() >= records::BATCH_HEADER_BYTES);
    let verified = records::verify(data).is_ok();
    let bytes = Bytes::copy_from_slice(&data[..header.size_bytes().min(data.len())]);
    let mut read = 0;
    if let Ok(all) = records::records(&bytes, MOST_DECOMPRESSED) {
        for record in all {
            let Ok(record) = record else { break };
            let size = record.key.map_or(0, |key| key.len()) + record.value.map_or(0, |value| value.len());
            read += size;
            assert!(read <= MOST_DECOMPRESSED.max(data.len()), "records larger than what holds them");
        }
    }
    let batches = records::split_batches(Bytes::copy_from_slice(data)).map(|batch| batch.len()).sum::<usize>();
    assert!(batches <= data.len());
    if verified {
        assert!(header.size_bytes() <= data.len());
    }
}

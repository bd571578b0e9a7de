//! Writes a value in Avro's binary encoding of its schema.

use super::{Datum, MAX_DEPTH, MAX_EMPTY_ITEMS, Schema, Type, TypedError, model::Failure};

/// Encodes `datum` under `schema`. After an error `out` is as before.
pub fn encode(schema: &Schema, datum: &Datum, out: &mut Vec<u8>) -> Result<(), TypedError> {
    let start = out.len();
    let mut encoder = Encoder { out, empty_items: 0 };
    let result = encoder.value(schema, datum, 0);
    if result.is_err() {
        out.truncate(start);
    }
    Ok(result?)
}

struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    empty_items: u64,
}

impl Encoder<'_> {
    fn value(&mut self, schema: &Schema, datum: &Datum, depth: usize) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::new(format!("nested deeper than {MAX_DEPTH}")));
        }
        if schema.optional {
            if *datum == Datum::Null {
                self.long(0);
                return Ok(());
            }
            self.long(1);
        }
        match (schema.kind, datum) {
            (Type::Int8, Datum::Int8(number)) => self.long(i64::from(*number)),
            (Type::Int16, Datum::Int16(number)) => self.long(i64::from(*number)),
            (Type::Int32, Datum::Int32(number)) => self.long(i64::from(*number)),
            (Type::Int64, Datum::Int64(number)) => self.long(*number),
            (Type::Float32, Datum::Float32(number)) => self.out.extend_from_slice(&number.to_le_bytes()),
            (Type::Float64, Datum::Float64(number)) => self.out.extend_from_slice(&number.to_le_bytes()),
            (Type::Boolean, Datum::Boolean(flag)) => self.out.push(u8::from(*flag)),
            (Type::String, Datum::String(text)) => self.bytes(text.as_bytes())?,
            (Type::Bytes, Datum::Bytes(bytes)) => self.bytes(bytes)?,
            (Type::Array, Datum::Array(items)) => self.array(schema.values()?, items, depth + 1)?,
            (Type::Map, Datum::Map(entries)) => self.map(schema, entries, depth + 1)?,
            (Type::Struct, Datum::Struct(values)) => self.structure(schema, values, depth + 1)?,
            (kind, Datum::Null) => {
                return Err(Failure::new(format!("null for a {kind} that is not optional")));
            }
            (kind, other) => {
                return Err(Failure::new(format!(
                    "{} where the schema says {kind}",
                    other.type_name()
                )));
            }
        }
        Ok(())
    }

    fn array(&mut self, schema: &Schema, items: &[Datum], depth: usize) -> Result<(), Failure> {
        self.count(items.len(), schema.takes_no_bytes())?;
        for (index, item) in items.iter().enumerate() {
            self.value(schema, item, depth)
                .map_err(|failure| failure.inside(|| format!("[{index}]")))?;
        }
        self.long(0);
        Ok(())
    }

    fn map(&mut self, schema: &Schema, entries: &[(Datum, Datum)], depth: usize) -> Result<(), Failure> {
        let (keys, values) = (schema.keys()?, schema.values()?);
        self.count(entries.len(), keys.takes_no_bytes() && values.takes_no_bytes())?;
        for (index, (key, value)) in entries.iter().enumerate() {
            self.value(keys, key, depth)
                .map_err(|failure| failure.inside(|| format!("[key {index}]")))?;
            self.value(values, value, depth)
                .map_err(|failure| failure.inside(|| format!("[value {index}]")))?;
        }
        self.long(0);
        Ok(())
    }

    fn structure(&mut self, schema: &Schema, values: &[Datum], depth: usize) -> Result<(), Failure> {
        if values.len() != schema.fields.len() {
            return Err(Failure::new(format!(
                "{} values for a struct of {} fields",
                values.len(),
                schema.fields.len()
            )));
        }
        for (field, value) in schema.fields.iter().zip(values) {
            self.value(&field.schema, value, depth)
                .map_err(|failure| failure.inside(|| format!(".{}", field.name)))?;
        }
        Ok(())
    }

    fn count(&mut self, count: usize, empty_items: bool) -> Result<(), Failure> {
        let number = i64::try_from(count).map_err(|_| Failure::new(format!("{count} items are too many")))?;
        if empty_items {
            self.empty_items += count as u64;
            if self.empty_items > MAX_EMPTY_ITEMS {
                return Err(Failure::new(format!(
                    "more than {MAX_EMPTY_ITEMS} items without any bytes"
                )));
            }
        }
        if count > 0 {
            self.long(number);
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let len = i64::try_from(bytes.len())
            .map_err(|_| Failure::new(format!("{} bytes are too many", bytes.len())))?;
        self.long(len);
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// Zigzag, then seven bits per byte, low ones first.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "each byte takes the low seven bits on purpose"
    )]
    fn long(&mut self, number: i64) {
        let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.out.push((rest as u8) | 0x80);
            rest >>= 7;
        }
        self.out.push(rest as u8);
    }
}

//! Reads Avro's binary encoding of a value: into a [`Datum`], or only checking it.

use super::{Datum, MAX_DEPTH, MAX_EMPTY_ITEMS, Schema, Type, TypedError, model::Failure};

/// Decodes the whole of `data`.
pub fn decode(schema: &Schema, data: &[u8]) -> Result<Datum, TypedError> {
    let mut decoder = Decoder::new(data);
    let datum = decoder.value(schema, &mut Build, 0)?;
    decoder.end()?;
    Ok(datum)
}

/// Checks `data` against `schema` in one pass without allocating.
pub fn validate(schema: &Schema, data: &[u8]) -> Result<(), TypedError> {
    let mut decoder = Decoder::new(data);
    decoder.value(schema, &mut Check, 0)?;
    Ok(decoder.end()?)
}

/// What becomes of the parts: one walk serves decoding and checking.
trait Visit {
    type Out;
    type List: Default;
    fn leaf(&mut self, leaf: Leaf<'_>) -> Self::Out;
    fn item(&mut self, list: &mut Self::List, item: Self::Out);
    fn array(&mut self, list: Self::List) -> Self::Out;
    fn map(&mut self, list: Self::List) -> Self::Out;
    fn structure(&mut self, list: Self::List) -> Self::Out;
}

enum Leaf<'a> {
    Null,
    Boolean(bool),
    Int8(i8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float32(f32),
    Float64(f64),
    String(&'a str),
    Bytes(&'a [u8]),
}

struct Build;

impl Visit for Build {
    type Out = Datum;
    type List = Vec<Datum>;

    fn leaf(&mut self, leaf: Leaf<'_>) -> Datum {
        match leaf {
            Leaf::Null => Datum::Null,
            Leaf::Boolean(flag) => Datum::Boolean(flag),
            Leaf::Int8(number) => Datum::Int8(number),
            Leaf::Int16(number) => Datum::Int16(number),
            Leaf::Int32(number) => Datum::Int32(number),
            Leaf::Int64(number) => Datum::Int64(number),
            Leaf::Float32(number) => Datum::Float32(number),
            Leaf::Float64(number) => Datum::Float64(number),
            Leaf::String(text) => Datum::String(text.to_owned()),
            Leaf::Bytes(bytes) => Datum::Bytes(bytes.to_vec()),
        }
    }

    fn item(&mut self, list: &mut Vec<Datum>, item: Datum) {
        list.push(item);
    }

    fn array(&mut self, list: Vec<Datum>) -> Datum {
        Datum::Array(list)
    }

    fn map(&mut self, list: Vec<Datum>) -> Datum {
        let mut entries = Vec::with_capacity(list.len() / 2);
        let mut parts = list.into_iter();
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            entries.push((key, value));
        }
        Datum::Map(entries)
    }

    fn structure(&mut self, list: Vec<Datum>) -> Datum {
        Datum::Struct(list)
    }
}

struct Check;

impl Visit for Check {
    type Out = ();
    type List = ();

    fn leaf(&mut self, _leaf: Leaf<'_>) {}
    fn item(&mut self, _list: &mut (), _item: ()) {}
    fn array(&mut self, _list: ()) {}
    fn map(&mut self, _list: ()) {}
    fn structure(&mut self, _list: ()) {}
}

struct Decoder<'a> {
    data: &'a [u8],
    position: usize,
    empty_items: u64,
}

impl<'a> Decoder<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            position: 0,
            empty_items: 0,
        }
    }

    fn end(&self) -> Result<(), Failure> {
        match self.left() {
            0 => Ok(()),
            left => Err(Failure::new(format!(
                "{left} bytes after the value, at byte {}",
                self.position
            ))),
        }
    }

    fn left(&self) -> usize {
        self.data.len() - self.position
    }

    fn value<V: Visit>(&mut self, schema: &Schema, visit: &mut V, depth: usize) -> Result<V::Out, Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::new(format!("nested deeper than {MAX_DEPTH}")));
        }
        if schema.optional {
            match self.long()? {
                0 => return Ok(visit.leaf(Leaf::Null)),
                1 => {}
                branch => return Err(Failure::new(format!("union branch {branch}, there are 0 and 1"))),
            }
        }
        let leaf = match schema.kind {
            Type::Int8 => Leaf::Int8(self.int("int8")?),
            Type::Int16 => Leaf::Int16(self.int("int16")?),
            Type::Int32 => Leaf::Int32(self.int("int32")?),
            Type::Int64 => Leaf::Int64(self.long()?),
            Type::Float32 => Leaf::Float32(f32::from_le_bytes(self.array()?)),
            Type::Float64 => Leaf::Float64(f64::from_le_bytes(self.array()?)),
            Type::Boolean => match self.array()? {
                [0] => Leaf::Boolean(false),
                [1] => Leaf::Boolean(true),
                [byte] => return Err(Failure::new(format!("boolean of {byte}, there are 0 and 1"))),
            },
            Type::String => match std::str::from_utf8(self.bytes()?) {
                Ok(text) => Leaf::String(text),
                Err(cause) => return Err(Failure::new(format!("string is not UTF-8: {cause}"))),
            },
            Type::Bytes => Leaf::Bytes(self.bytes()?),
            Type::Array => return self.list(schema, visit, depth + 1),
            Type::Map => return self.map(schema, visit, depth + 1),
            Type::Struct => return self.structure(schema, visit, depth + 1),
        };
        Ok(visit.leaf(leaf))
    }

    fn list<V: Visit>(&mut self, schema: &Schema, visit: &mut V, depth: usize) -> Result<V::Out, Failure> {
        let items = schema.values()?;
        let empty = items.takes_no_bytes();
        let mut list = V::List::default();
        let mut index = 0_u64;
        while let Some(block) = self.block(empty)? {
            for _ in 0..block.count {
                let item = self
                    .value(items, visit, depth)
                    .map_err(|failure| failure.inside(|| format!("[{index}]")))?;
                visit.item(&mut list, item);
                index += 1;
            }
            self.end_block(&block)?;
        }
        Ok(visit.array(list))
    }

    fn map<V: Visit>(&mut self, schema: &Schema, visit: &mut V, depth: usize) -> Result<V::Out, Failure> {
        let (keys, values) = (schema.keys()?, schema.values()?);
        let empty = keys.takes_no_bytes() && values.takes_no_bytes();
        let mut list = V::List::default();
        let mut index = 0_u64;
        while let Some(block) = self.block(empty)? {
            for _ in 0..block.count {
                let key = self
                    .value(keys, visit, depth)
                    .map_err(|failure| failure.inside(|| format!("[key {index}]")))?;
                visit.item(&mut list, key);
                let value = self
                    .value(values, visit, depth)
                    .map_err(|failure| failure.inside(|| format!("[value {index}]")))?;
                visit.item(&mut list, value);
                index += 1;
            }
            self.end_block(&block)?;
        }
        Ok(visit.map(list))
    }

    fn structure<V: Visit>(
        &mut self,
        schema: &Schema,
        visit: &mut V,
        depth: usize,
    ) -> Result<V::Out, Failure> {
        let mut list = V::List::default();
        for field in &schema.fields {
            let value = self
                .value(&field.schema, visit, depth)
                .map_err(|failure| failure.inside(|| format!(".{}", field.name)))?;
            visit.item(&mut list, value);
        }
        Ok(visit.structure(list))
    }

    /// The next block of an array or map; `None` at its end.
    fn block(&mut self, empty: bool) -> Result<Option<Block>, Failure> {
        let declared = self.long()?;
        if declared == 0 {
            return Ok(None);
        }
        let count = declared.unsigned_abs();
        let end = if declared < 0 {
            let bytes = self.long()?;
            match usize::try_from(bytes) {
                Ok(bytes) if bytes <= self.left() => Some(self.position + bytes),
                _ => {
                    return Err(Failure::new(format!(
                        "block of {bytes} bytes, {} left",
                        self.left()
                    )));
                }
            }
        } else {
            None
        };
        if empty {
            self.empty_items = self.empty_items.saturating_add(count);
            if self.empty_items > MAX_EMPTY_ITEMS {
                return Err(Failure::new(format!(
                    "more than {MAX_EMPTY_ITEMS} items without any bytes"
                )));
            }
        } else if count > self.left() as u64 {
            return Err(Failure::new(format!(
                "{count} items do not fit in {} bytes",
                self.left()
            )));
        }
        Ok(Some(Block { count, end }))
    }

    fn end_block(&self, block: &Block) -> Result<(), Failure> {
        match block.end {
            Some(end) if end != self.position => Err(Failure::new(format!(
                "block ends at byte {}, its size says {end}",
                self.position
            ))),
            _ => Ok(()),
        }
    }

    fn int<T: TryFrom<i64>>(&mut self, what: &str) -> Result<T, Failure> {
        let number = self.long()?;
        T::try_from(number).map_err(|_| Failure::new(format!("{number} is out of range for {what}")))
    }

    fn long(&mut self) -> Result<i64, Failure> {
        let mut number = 0_u64;
        for shift in (0..).step_by(7) {
            let [byte] = self.array()?;
            if shift == 63 && byte > 1 {
                return Err(Failure::new(format!(
                    "number longer than 64 bits at byte {}",
                    self.position - 1
                )));
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Failure> {
        let len = self.long()?;
        match usize::try_from(len) {
            Ok(len) => self.take(len),
            Err(_) => Err(Failure::new(format!("length {len}"))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        Ok(self
            .take(N)?
            .try_into()
            .expect("take returns the count asked for"))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Failure> {
        if count > self.left() {
            return Err(Failure::new(format!(
                "{count} bytes wanted at byte {}, {} left",
                self.position,
                self.left()
            )));
        }
        let taken = &self.data[self.position..self.position + count];
        self.position += count;
        Ok(taken)
    }
}

struct Block {
    count: u64,
    /// Where the block must end, when its size was declared.
    end: Option<usize>,
}

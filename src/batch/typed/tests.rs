//! Tests of encoding and decoding together.

use proptest::prelude::*;

use super::{Datum, Field, MAX_DEPTH, Schema, Type, decode, encode, validate};

fn field(name: &str, schema: Schema) -> Field {
    Field {
        name: name.to_owned(),
        schema,
    }
}

#[track_caller]
fn check(schema: &Schema, datum: &Datum, bytes: &[u8]) {
    let mut out = vec![0xaa];
    encode(schema, datum, &mut out).unwrap();
    assert_eq!(&out[1..], bytes);
    assert_eq!(decode(schema, bytes).unwrap(), *datum);
    validate(schema, bytes).unwrap();
}

/// Bytes from the examples of the Avro specification, and what follows from its rules.
#[test]
fn golden_bytes() {
    let new = Schema::new;
    check(&new(Type::Int8), &Datum::Int8(-1), &[1]);
    check(&new(Type::Int8), &Datum::Int8(i8::MIN), &[0xff, 0x01]);
    check(&new(Type::Int16), &Datum::Int16(-64), &[0x7f]);
    check(&new(Type::Int32), &Datum::Int32(64), &[0x80, 0x01]);
    check(
        &new(Type::Int32),
        &Datum::Int32(i32::MIN),
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
    );
    check(
        &new(Type::Int64),
        &Datum::Int64(i64::MIN),
        &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
    );
    check(
        &new(Type::Int64),
        &Datum::Int64(i64::MAX),
        &[254, 255, 255, 255, 255, 255, 255, 255, 255, 1],
    );
    check(&new(Type::Float32), &Datum::Float32(1.0), &[0, 0, 0x80, 0x3f]);
    check(
        &new(Type::Float64),
        &Datum::Float64(-2.0),
        &[0, 0, 0, 0, 0, 0, 0, 0xc0],
    );
    check(&new(Type::Boolean), &Datum::Boolean(true), &[1]);
    check(
        &new(Type::String),
        &Datum::String("foo".into()),
        &[6, 0x66, 0x6f, 0x6f],
    );
    check(&new(Type::Bytes), &Datum::Bytes(vec![0, 255]), &[4, 0, 255]);
    check(&new(Type::String).optional(), &Datum::Null, &[0]);
    check(
        &new(Type::String).optional(),
        &Datum::String("a".into()),
        &[2, 2, 0x61],
    );
    let longs = Schema::array(new(Type::Int64));
    check(
        &longs,
        &Datum::Array(vec![Datum::Int64(3), Datum::Int64(27)]),
        &[4, 6, 0x36, 0],
    );
    check(&longs, &Datum::Array(vec![]), &[0]);
    let map = Schema::map(new(Type::String), new(Type::Int32));
    check(
        &map,
        &Datum::Map(vec![(Datum::String("a".into()), Datum::Int32(1))]),
        &[2, 2, 0x61, 2, 0],
    );
    let map = Schema::map(new(Type::Int32), new(Type::Int32));
    check(
        &map,
        &Datum::Map(vec![(Datum::Int32(5), Datum::Int32(1))]),
        &[2, 10, 2, 0],
    );
    let record = Schema::structure(vec![field("a", new(Type::Int64)), field("b", new(Type::String))]);
    check(
        &record,
        &Datum::Struct(vec![Datum::Int64(27), Datum::String("foo".into())]),
        &[0x36, 6, 0x66, 0x6f, 0x6f],
    );
    check(&Schema::structure(vec![]), &Datum::Struct(vec![]), &[]);
}

#[test]
fn blocks_of_other_writers_are_read() {
    let longs = Schema::array(Schema::new(Type::Int64));
    let datum = Datum::Array(vec![Datum::Int64(3), Datum::Int64(27), Datum::Int64(1)]);
    // Two items in a block with its size, one in a block without.
    assert_eq!(decode(&longs, &[3, 4, 6, 0x36, 2, 2, 0]).unwrap(), datum);
    assert!(
        decode(&longs, &[3, 6, 6, 0x36, 2, 2, 0])
            .unwrap_err()
            .message
            .contains("its size says")
    );
    assert!(
        decode(&longs, &[3, 200, 1, 6, 0x36])
            .unwrap_err()
            .message
            .contains("block of 100 bytes, 2 left")
    );
}

#[track_caller]
fn refused(schema: &Schema, bytes: &[u8], message: &str) {
    let error = decode(schema, bytes).unwrap_err();
    assert!(error.message.contains(message), "{error}");
    assert_eq!(validate(schema, bytes).unwrap_err(), error);
}

#[test]
fn bad_data_is_named_with_its_path() {
    let new = Schema::new;
    refused(&new(Type::Int8), &[0x80, 0x02], "128 is out of range for int8");
    refused(
        &new(Type::Int16),
        &[0x80, 0x80, 0x04],
        "32768 is out of range for int16",
    );
    refused(
        &new(Type::Int32),
        &[0x80, 0x80, 0x80, 0x80, 0x10],
        "2147483648 is out of range for int32",
    );
    refused(
        &new(Type::Int64),
        &[255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
        "longer than 64 bits",
    );
    refused(&new(Type::Int64), &[0x80], "1 bytes wanted at byte 1, 0 left");
    refused(&new(Type::Boolean), &[2], "boolean of 2");
    refused(&new(Type::String), &[2, 0xff], "not UTF-8");
    refused(&new(Type::String), &[20, 0x61], "10 bytes wanted");
    refused(&new(Type::Bytes), &[1], "length -1");
    refused(&new(Type::Bytes).optional(), &[4], "union branch 2");
    refused(&new(Type::Boolean), &[1, 1], "1 bytes after the value");
    refused(&Schema::new(Type::Array), &[0], "array schema without its items");
    refused(&Schema::new(Type::Map), &[0], "map schema without its keys");
    let nested = Schema::structure(vec![field(
        "order",
        Schema::structure(vec![field("items", Schema::array(new(Type::Int8)))]),
    )]);
    refused(
        &nested,
        &[4, 2, 0x80, 0x04, 0],
        "order.items[1]: 256 is out of range for int8",
    );
}

#[test]
fn a_value_must_fit_its_schema() {
    #[track_caller]
    fn check(schema: &Schema, datum: &Datum, message: &str) {
        let mut out = vec![7];
        let error = encode(schema, datum, &mut out).unwrap_err();
        assert!(error.message.contains(message), "{error}");
        assert_eq!(out, [7], "nothing stays behind");
    }
    let record = Schema::structure(vec![
        field("a", Schema::new(Type::Int32)),
        field("b", Schema::new(Type::Int8)),
    ]);
    check(
        &record,
        &Datum::Struct(vec![Datum::Int32(1), Datum::String("x".into())]),
        "b: string where the schema says int8",
    );
    check(
        &record,
        &Datum::Struct(vec![Datum::Int32(1)]),
        "1 values for a struct of 2 fields",
    );
    check(
        &Schema::new(Type::Int64),
        &Datum::Null,
        "null for a int64 that is not optional",
    );
    check(
        &Schema::new(Type::Int64),
        &Datum::Int32(1),
        "int32 where the schema says int64",
    );
    let map = Schema::map(Schema::new(Type::String), Schema::new(Type::Int8));
    check(
        &map,
        &Datum::Map(vec![(Datum::Null, Datum::Int8(1))]),
        "[key 0]: null for a string",
    );
}

#[test]
fn depth_is_limited() {
    let nested = |depth| (0..depth).fold(Schema::new(Type::Int8), |schema, _| Schema::array(schema));
    let data = |depth| (0..depth).fold(Datum::Int8(1), |datum, _| Datum::Array(vec![datum]));
    let mut out = Vec::new();
    encode(&nested(MAX_DEPTH), &data(MAX_DEPTH), &mut out).unwrap();
    assert_eq!(decode(&nested(MAX_DEPTH), &out).unwrap(), data(MAX_DEPTH));
    let error = encode(&nested(MAX_DEPTH + 1), &data(MAX_DEPTH + 1), &mut Vec::new()).unwrap_err();
    assert!(error.message.contains("nested deeper than 64"), "{error}");
    let bytes = [&vec![2_u8; MAX_DEPTH + 2][..], &[0; MAX_DEPTH + 1]].concat();
    refused(&nested(MAX_DEPTH + 1), &bytes, "nested deeper than 64");
}

#[test]
fn counts_do_not_make_work_or_memory() {
    let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    refused(
        &Schema::array(Schema::new(Type::Int8)),
        &huge,
        "items do not fit in 0 bytes",
    );
    // Structs without fields take no bytes: only a count limits them, also when spread over many arrays.
    let empties = Schema::array(Schema::structure(vec![]));
    refused(&empties, &huge, "more than 65536 items without any bytes");
    let mut bytes = vec![8];
    for _ in 0..4 {
        bytes.extend_from_slice(&[0xc0, 0xb8, 0x02, 0]); // 20,000 items
    }
    bytes.push(0);
    refused(
        &Schema::array(empties.clone()),
        &bytes,
        "more than 65536 items without any bytes",
    );
    let three = Datum::Array(vec![Datum::Struct(vec![]); 3]);
    let mut out = Vec::new();
    encode(&empties, &three, &mut out).unwrap();
    assert_eq!(decode(&empties, &out).unwrap(), three);
    let many = Datum::Array(vec![Datum::Struct(vec![]); 65_537]);
    assert!(encode(&empties, &many, &mut Vec::new()).is_err());
}

/// A schema and a value of it.
fn any_typed() -> impl Strategy<Value = (Schema, Datum)> {
    let leaf = prop_oneof![
        any::<i8>().prop_map(|number| (Schema::new(Type::Int8), Datum::Int8(number))),
        any::<i16>().prop_map(|number| (Schema::new(Type::Int16), Datum::Int16(number))),
        any::<i32>().prop_map(|number| (Schema::new(Type::Int32), Datum::Int32(number))),
        any::<i64>().prop_map(|number| (Schema::new(Type::Int64), Datum::Int64(number))),
        (-1e30_f32..1e30).prop_map(|number| (Schema::new(Type::Float32), Datum::Float32(number))),
        (-1e300_f64..1e300).prop_map(|number| (Schema::new(Type::Float64), Datum::Float64(number))),
        any::<bool>().prop_map(|flag| (Schema::new(Type::Boolean), Datum::Boolean(flag))),
        ".{0,12}".prop_map(|text| (Schema::new(Type::String), Datum::String(text))),
        proptest::collection::vec(any::<u8>(), 0..12)
            .prop_map(|bytes| (Schema::new(Type::Bytes), Datum::Bytes(bytes))),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            (inner.clone(), 0..5_usize).prop_map(|((schema, datum), count)| {
                (Schema::array(schema), Datum::Array(vec![datum; count]))
            }),
            (inner.clone(), inner.clone(), 0..4_usize).prop_map(|((keys, key), (values, value), count)| {
                (Schema::map(keys, values), Datum::Map(vec![(key, value); count]))
            }),
            proptest::collection::vec(inner.clone(), 0..5).prop_map(|fields| {
                let (schemas, data): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
                let fields = schemas.into_iter().map(|schema| field("f", schema)).collect();
                (Schema::structure(fields), Datum::Struct(data))
            }),
            (inner, any::<bool>()).prop_map(|((schema, datum), null)| {
                (schema.optional(), if null { Datum::Null } else { datum })
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded((schema, datum) in any_typed()) {
        let mut bytes = Vec::new();
        encode(&schema, &datum, &mut bytes).unwrap();
        prop_assert_eq!(decode(&schema, &bytes).unwrap(), datum);
        prop_assert!(validate(&schema, &bytes).is_ok());
    }

    #[test]
    fn damage_never_panics((schema, datum) in any_typed(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = Vec::new();
        encode(&schema, &datum, &mut bytes).unwrap();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert_eq!(decode(&schema, &bytes).is_ok(), validate(&schema, &bytes).is_ok());
        bytes.truncate(bytes.len() / 2);
        prop_assert_eq!(decode(&schema, &bytes).is_ok(), validate(&schema, &bytes).is_ok());
    }

    #[test]
    fn noise_never_panics((schema, _) in any_typed(), noise in proptest::collection::vec(any::<u8>(), 0..60)) {
        prop_assert_eq!(decode(&schema, &noise).is_ok(), validate(&schema, &noise).is_ok());
    }
}

//! Our converters against what Kafka's own wrote (testdata/json_converter.golden, see JsonConverterGolden.java there).
//! The cases are built here in the order in which the Java program builds them.

use std::{collections::BTreeMap, sync::Arc};

use jackfield_batch::typed::{Datum, Field, Schema, Type, decode, encode};

use super::{ConnectedValue, Converter, KnownSchema, ResolvedValue};

const GOLDEN: &str = include_str!("../testdata/json_converter.golden");

#[derive(Debug)]
enum Input {
    Typed(Box<Schema>, Datum),
    Json(&'static str),
    Bytes(Vec<u8>),
    Utf8(&'static str),
    Null,
}

#[derive(Debug)]
struct Case {
    input: Input,
    numeric: bool,
    keep_null: bool,
}

fn typed(schema: Schema, datum: Datum) -> Case {
    Case {
        input: Input::Typed(Box::new(schema), datum),
        numeric: false,
        keep_null: false,
    }
}

fn other(input: Input) -> Case {
    Case {
        input,
        numeric: false,
        keep_null: false,
    }
}

fn plain(kind: Type) -> Schema {
    Schema {
        kind,
        optional: false,
        name: None,
        version: None,
        doc: None,
        parameters: Vec::new(),
        default: None,
        fields: Vec::new(),
        keys: None,
        values: None,
    }
}

fn optional(kind: Type) -> Schema {
    Schema {
        optional: true,
        ..plain(kind)
    }
}

fn array(values: Schema) -> Schema {
    Schema {
        values: Some(Box::new(values)),
        ..plain(Type::Array)
    }
}

fn map(keys: Schema, values: Schema) -> Schema {
    Schema {
        keys: Some(Box::new(keys)),
        values: Some(Box::new(values)),
        ..plain(Type::Map)
    }
}

fn field(name: &str, schema: Schema) -> Field {
    Field {
        name: name.to_owned(),
        schema,
    }
}

fn text(value: &str) -> Datum {
    Datum::String(value.to_owned())
}

fn primitives(cases: &mut Vec<Case>) {
    cases.extend([
        other(Input::Null),
        typed(plain(Type::Boolean), Datum::Boolean(true)),
        typed(plain(Type::Int8), Datum::Int8(-128)),
        typed(plain(Type::Int16), Datum::Int16(32767)),
        typed(plain(Type::Int32), Datum::Int32(i32::MIN)),
        typed(plain(Type::Int64), Datum::Int64(i64::MAX)),
        typed(plain(Type::Float32), Datum::Float32(1.1)),
        typed(plain(Type::Float64), Datum::Float64(1.1)),
        other(Input::Utf8("hello")),
        other(Input::Bytes(vec![0, 1, 2, 0xff])),
        typed(optional(Type::String), Datum::Null),
        typed(optional(Type::Int64), Datum::Int64(5)),
        typed(plain(Type::Int32), Datum::Null),
    ]);
}

fn strings(cases: &mut Vec<Case>) {
    for value in [
        "",
        "quote \" backslash \\ slash /",
        "\u{8}\t\n\u{c}\r",
        "\u{0}\u{1}\u{b}\u{1f}\u{7f}\u{80}\u{9f}",
        "h\u{e9}llo w\u{f6}rld \u{20ac}",
        "\u{2028}\u{2029}\u{feff}\u{ffff}",
        "emoji \u{1f600} clef \u{1d11e}",
        "<>&'",
    ] {
        cases.push(other(Input::Utf8(value)));
    }
}

fn numbers(cases: &mut Vec<Case>) {
    for value in [
        0.0,
        -0.0,
        1.0,
        -1.5,
        100.0,
        123_456.0,
        1_234_567.0,
        9_999_999.0,
        1.0E7,
        12_345_678.9,
        0.001,
        0.00099,
        1.0E-5,
        123.456E10,
        4.9E-324,
        f64::MAX,
        f64::MIN_POSITIVE,
        0.1,
        1.0 / 3.0,
        2.0E-3,
        9_007_199_254_740_992.0,
        1.0E21,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ] {
        cases.push(typed(plain(Type::Float64), Datum::Float64(value)));
    }
    for value in [
        0.0,
        -0.0,
        1.0,
        1.0E7,
        9_999_999.0,
        0.001,
        1.0E-4,
        f32::MAX,
        1.4E-45,
        0.1,
        16_777_216.0,
        3.3,
        1.0E10,
        f32::NAN,
        f32::NEG_INFINITY,
    ] {
        cases.push(typed(plain(Type::Float32), Datum::Float32(value)));
    }
}

fn schemas(cases: &mut Vec<Case>) {
    let named = Schema {
        name: Some("com.example.Name".to_owned()),
        version: Some(3),
        doc: Some("a \"doc\"".to_owned()),
        ..plain(Type::String)
    };
    cases.push(typed(named, text("x")));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let parameters = Schema {
        parameters: vec![pair("zeta", "1"), pair("alpha", "2")],
        ..plain(Type::Int32)
    };
    cases.push(typed(parameters, Datum::Int32(7)));
    cases.push(typed(
        Schema {
            default: Some(Datum::Int32(42)),
            ..plain(Type::Int32)
        },
        Datum::Null,
    ));
    let dflt = Schema {
        default: Some(text("dflt")),
        ..optional(Type::String)
    };
    cases.push(typed(dflt.clone(), Datum::Null));
    cases.push(Case {
        keep_null: true,
        ..typed(dflt, Datum::Null)
    });
    let ints = vec![Datum::Int32(1), Datum::Int32(2), Datum::Int32(3)];
    cases.push(typed(array(plain(Type::Int32)), Datum::Array(ints)));
    cases.push(typed(array(optional(Type::String)), Datum::Array(vec![])));
    cases.push(typed(
        array(optional(Type::String)),
        Datum::Array(vec![text("a"), Datum::Null]),
    ));
    let entries = vec![(text("a"), Datum::Int32(1)), (text("b"), Datum::Int32(2))];
    cases.push(typed(
        map(plain(Type::String), plain(Type::Int32)),
        Datum::Map(entries),
    ));
    let entries = vec![
        (Datum::Int32(1), Datum::Boolean(true)),
        (Datum::Int32(2), Datum::Boolean(false)),
    ];
    cases.push(typed(
        map(plain(Type::Int32), plain(Type::Boolean)),
        Datum::Map(entries),
    ));
    let nulls = Schema {
        optional: true,
        ..map(plain(Type::String), optional(Type::String))
    };
    let entries = vec![(text("k"), Datum::Null), (text("l"), text("v"))];
    cases.push(typed(nulls, Datum::Map(entries)));
    cases.push(structure());
}

fn structure() -> Case {
    let inner = Schema {
        name: Some("inner".to_owned()),
        optional: true,
        fields: vec![field("x", plain(Type::Int8)), field("y", optional(Type::Float64))],
        ..plain(Type::Struct)
    };
    let level = Schema {
        default: Some(Datum::Int16(9)),
        ..plain(Type::Int16)
    };
    let outer = Schema {
        name: Some("com.example.Outer".to_owned()),
        version: Some(1),
        doc: Some("outer".to_owned()),
        fields: vec![
            field("id", plain(Type::Int64)),
            field("name", optional(Type::String)),
            field("inner", inner.clone()),
            field("none", inner.clone()),
            field("list", array(inner)),
            field("raw", optional(Type::Bytes)),
            field("level", level),
        ],
        ..plain(Type::Struct)
    };
    let first = Datum::Struct(vec![Datum::Int8(1), Datum::Float64(2.5)]);
    let second = Datum::Struct(vec![Datum::Int8(2), Datum::Null]);
    let value = Datum::Struct(vec![
        Datum::Int64(10),
        text("né"),
        first.clone(),
        Datum::Null,
        Datum::Array(vec![first, second]),
        Datum::Null,
        Datum::Int16(3),
    ]);
    typed(outer, value)
}

fn logical(cases: &mut Vec<Case>) {
    let named = |name: &str, kind: Type| Schema {
        name: Some(format!("org.apache.kafka.connect.data.{name}")),
        version: Some(1),
        ..plain(kind)
    };
    let decimal = |scale: i32| Schema {
        parameters: vec![("scale".to_owned(), scale.to_string())],
        ..named("Decimal", Type::Bytes)
    };
    cases.push(typed(named("Date", Type::Int32), Datum::Int32(19000)));
    cases.push(typed(named("Time", Type::Int32), Datum::Int32(86_399_999)));
    cases.push(typed(
        named("Timestamp", Type::Int64),
        Datum::Int64(1_700_000_000_123),
    ));
    let negative = Schema {
        optional: true,
        ..named("Timestamp", Type::Int64)
    };
    cases.push(typed(negative, Datum::Int64(-1)));
    let default = Schema {
        default: Some(Datum::Int32(1)),
        ..named("Date", Type::Int32)
    };
    cases.push(typed(default, Datum::Null));
    for numeric in [false, true] {
        for (unscaled, scale) in [
            ("0", 0),
            ("0", 2),
            ("12345", 2),
            ("-12345", 2),
            ("1000", 0),
            ("-1", 3),
            ("1", 7),
            ("12345678901234567890123", 3),
            ("-128", 0),
            ("128", 0),
            ("12", -3),
        ] {
            let number: num_bigint::BigInt = unscaled.parse().unwrap();
            let datum = Datum::Bytes(number.to_signed_bytes_be());
            cases.push(Case {
                numeric,
                ..typed(decimal(scale), datum)
            });
        }
        let default = Schema {
            default: Some(Datum::Bytes(vec![0, 150])),
            ..decimal(2)
        };
        cases.push(Case {
            numeric,
            ..typed(default, Datum::Null)
        });
    }
}

fn schemaless(cases: &mut Vec<Case>) {
    cases.extend([
        other(Input::Json("\"text\"")),
        other(Input::Json("12")),
        other(Input::Json(" 15000000000.0 ")),
        other(Input::Json("false")),
        other(Input::Json(
            r#"{ "position": 30, "name": "\u00e9\"", "none": null, "list": [1, "a", null] }"#,
        )),
        other(Input::Json(r#"["local-file-source",{"filename":"test.txt"}]"#)),
    ]);
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    primitives(&mut cases);
    strings(&mut cases);
    numbers(&mut cases);
    schemas(&mut cases);
    logical(&mut cases);
    schemaless(&mut cases);
    cases
}

fn json_converter(case: &Case, schemas: bool) -> Converter {
    let options = BTreeMap::from([
        ("schemas.enable".to_owned(), schemas.to_string()),
        (
            "decimal.format".to_owned(),
            if case.numeric { "NUMERIC" } else { "BASE64" }.to_owned(),
        ),
        (
            "replace.null.with.default".to_owned(),
            (!case.keep_null).to_string(),
        ),
    ]);
    Converter::build("JsonConverter", &options).unwrap()
}

fn known(schema: &Schema) -> Arc<KnownSchema> {
    let text = jackfield_api::schema_json::to_json(schema);
    Arc::new(KnownSchema {
        id: 1,
        schema: schema.clone(),
        text,
    })
}

/// What the converter writes, `<null>` for a null, `! message` for an error.
fn written(converter: &mut Converter, case: &Case) -> Option<String> {
    let mut data = Vec::new();
    let schema;
    let value = match &case.input {
        Input::Null => ResolvedValue::Null,
        Input::Utf8(text) => ResolvedValue::Utf8(text),
        Input::Bytes(bytes) => ResolvedValue::Bytes(bytes),
        Input::Json(text) => ResolvedValue::Json(text),
        Input::Typed(plain, datum) => {
            // A null of a required field cannot travel; it is tested at the writer.
            encode(plain, datum, &mut data).ok()?;
            schema = known(plain);
            ResolvedValue::Typed {
                schema: &schema,
                data: &data,
            }
        }
    };
    let mut out = b"before".to_vec();
    Some(match converter.from_connect(value, &mut out) {
        Ok(None) => "<null>".to_owned(),
        Ok(Some(())) => String::from_utf8(out.split_off(6)).unwrap(),
        Err(error) => format!("! {error}"),
    })
}

/// The same through the writer alone, which also knows nulls that cannot travel.
fn written_directly(schema: &Schema, datum: &Datum, case: &Case, envelope: bool) -> String {
    let rules = super::json::Rules {
        decimal_format: if case.numeric {
            super::json::DecimalFormat::Numeric
        } else {
            super::json::DecimalFormat::Base64
        },
        replace_null_with_default: !case.keep_null,
    };
    let mut out = Vec::new();
    if envelope {
        out.extend_from_slice(b"{\"schema\":");
        super::json::write::schema(schema, None, rules, &mut out).unwrap();
        out.extend_from_slice(b",\"payload\":");
    }
    if let Err(error) = super::json::write::value(schema, datum, rules, &mut out) {
        return format!("! {error}");
    }
    if envelope {
        out.push(b'}');
    }
    String::from_utf8(out).unwrap()
}

fn lines() -> Vec<Vec<&'static str>> {
    GOLDEN
        .split_terminator('\n')
        .map(|line| line.split('\t').collect())
        .collect()
}

#[test]
fn json_is_byte_equal_to_kafkas() {
    let (cases, lines) = (cases(), lines());
    assert_eq!(cases.len(), lines.len());
    let mut travelled = 0;
    for (case, line) in cases.iter().zip(&lines) {
        for (schemas, expected) in [(true, line[1]), (false, line[2])] {
            if let Input::Typed(schema, datum) = &case.input {
                assert_eq!(
                    written_directly(schema, datum, case, schemas),
                    expected,
                    "{}",
                    line[0]
                );
            }
            if let Some(written) = written(&mut json_converter(case, schemas), case) {
                assert_eq!(written, expected, "{}", line[0]);
                travelled += 1;
            }
        }
    }
    assert!(travelled > 190, "{travelled}");
}

#[test]
fn json_with_a_schema_reads_back() {
    for (case, line) in cases().iter().zip(&lines()) {
        let Input::Typed(schema, datum) = &case.input else {
            continue;
        };
        if line[1].starts_with('!') || *datum == Datum::Null || format!("{datum:?}").contains("NaN") {
            continue;
        }
        let mut scratch = Vec::new();
        let read = json_converter(case, true).to_connect(Some(line[1].as_bytes()), &mut scratch);
        match read.unwrap() {
            ConnectedValue::Typed(known) => {
                assert_eq!(known.schema, **schema, "{}", line[0]);
                assert_eq!(decode(&known.schema, &scratch).unwrap(), *datum, "{}", line[0]);
            }
            read => panic!("{}: {read:?}", line[0]),
        }
    }
}

#[test]
fn text_is_javas() {
    for (case, line) in cases().iter().zip(&lines()) {
        let mut converter = Converter::build("StringConverter", &BTreeMap::new()).unwrap();
        let Some(written) = written(&mut converter, case) else {
            continue;
        };
        let escaped = written
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('\r', "\\r")
            .replace('\t', "\\t");
        if line[3].contains("[B@") {
            assert!(
                escaped.starts_with("! StringConverter cannot write BYTES"),
                "{}",
                line[0]
            );
        } else {
            assert_eq!(escaped, line[3], "{}", line[0]);
        }
    }
}

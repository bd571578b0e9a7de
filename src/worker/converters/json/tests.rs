//! JSON records against the bytes Kafka writes for them.

use super::*;

fn converter(schemas: bool) -> JsonConverter {
    JsonConverter::configure(&BTreeMap::from([(
        "schemas.enable".to_owned(),
        schemas.to_string(),
    )]))
    .unwrap()
}

/// What a text reads as: the value and, when typed, its datum.
fn check(schemas: bool, text: &str) -> String {
    let mut scratch = Vec::new();
    match converter(schemas).to_connect(text.as_bytes(), &mut scratch) {
        Ok(ConnectedValue::Typed(known)) => format!("{:?}", decode(&known.schema, &scratch).unwrap()),
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("! {error}"),
    }
}

#[test]
fn envelopes_in_any_order_and_spacing() {
    let plain = r#"{"type":"string","optional":false}"#;
    for text in [
        format!(r#"{{"schema":{plain},"payload":"a\nb"}}"#),
        format!(r#"{{"payload":"a\nb","schema":{plain}}}"#),
        format!(" {{ \"schema\" : {plain} , \"payload\" : \"a\\nb\" }} "),
    ] {
        assert_eq!(check(true, &text), "Utf8(\"a\\nb\")");
    }
    assert_eq!(
        check(true, r#"{"schema":null,"payload":{"a":1}}"#),
        "Json(\"{\\\"a\\\":1}\")"
    );
    assert_eq!(check(true, r#"{"schema":null,"payload":null}"#), "Null");
    assert_eq!(
        check(
            true,
            r#"{"schema":{"type":"string","optional":true},"payload":null}"#
        ),
        "Null"
    );
    assert_eq!(
        check(true, r#"{"schema":{"type":"int8","optional":false},"payload":7}"#),
        "Int8(7)"
    );
}

#[test]
fn without_schemas_text_and_null_stand_for_themselves() {
    for (text, value) in [
        ("\"x\"", "Utf8(\"x\")"),
        ("null", "Null"),
        ("", "Null"),
        (" [1, 2] ", "Json(\"[1, 2]\")"),
        ("1.50", "Json(\"1.50\")"),
    ] {
        assert_eq!(check(false, text), value);
    }
}

#[test]
fn errors_are_kafkas() {
    let envelope = "! JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields";
    for text in [
        "\"x\"",
        "",
        "{}",
        r#"{"payload":1}"#,
        r#"{"schema":null}"#,
        r#"{"schema":null,"payload":1,"x":2}"#,
    ] {
        assert!(check(true, text).starts_with(envelope), "{text}");
    }
    for (schema, payload, message) in [
        (
            r#"{"type":"int32","optional":false}"#,
            "null",
            "Invalid null value for required INT32 field",
        ),
        (
            r#"{"type":"int8","optional":false}"#,
            "300",
            "Invalid value for INT8: 300",
        ),
        (
            r#"{"type":"int32","optional":false}"#,
            "\"7\"",
            "Invalid type for INT32: found STRING",
        ),
        (
            r#"{"type":"struct","fields":[{"type":"int8","optional":false,"field":"a"}],"optional":false}"#,
            "{}",
            "field \"a\": Invalid null value for required INT8 field",
        ),
        (
            r#"{"type":"struct","fields":[],"optional":false}"#,
            "[]",
            "Structs should be encoded as JSON objects, but found ARRAY",
        ),
        (
            r#"{"type":"map","keys":{"type":"string"},"values":{"type":"int8"},"optional":false}"#,
            "[]",
            "Maps with string fields should be encoded as JSON objects, but found ARRAY",
        ),
        (
            r#"{"type":"map","keys":{"type":"int8"},"values":{"type":"int8"},"optional":false}"#,
            "[[1]]",
            "Found invalid map entry, expected length 2 but found :1",
        ),
        (
            r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"1"}}"#,
            "1.25",
            "Invalid number 1.25 for Decimal with scale 1: it has more decimals",
        ),
    ] {
        let text = format!(r#"{{"schema":{schema},"payload":{payload}}}"#);
        assert_eq!(check(true, &text), format!("! {message}"));
    }
    assert!(check(false, "{").starts_with("! Converting byte[] to Kafka Connect data failed"));
}

#[test]
fn a_failed_value_leaves_nothing_behind() {
    let mut out = b"kept".to_vec();
    assert!(
        converter(true)
            .from_connect(ResolvedValue::Json("{\"a\":"), &mut out)
            .is_err()
    );
    assert_eq!(out, b"kept");
}

#[test]
fn a_changed_schema_is_noticed() {
    let mut converter = converter(true);
    let mut scratch = Vec::new();
    for (kind, payload, shown) in [
        ("string", "\"1\"", "Utf8"),
        ("int8", "1", "Typed"),
        ("string", "\"1\"", "Utf8"),
    ] {
        let text = format!(r#"{{"schema":{{"type":"{kind}","optional":false}},"payload":{payload}}}"#);
        let value = converter.to_connect(text.as_bytes(), &mut scratch).unwrap();
        assert!(format!("{value:?}").starts_with(shown), "{value:?}");
    }
}

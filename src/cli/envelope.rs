//! Records as JSON objects: what `consume --json` prints and `produce --json` takes.

use anyhow::{Context as _, bail};
use rdkafka::{Message, message::Headers as _};
use serde_json::{Map, Value, json};

use crate::codec::Codec;

/// A record from an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) partition: Option<i32>,
}

/// An object from a record.
///
/// # Errors
/// When key or value are not of the type the user says.
pub(crate) fn write(message: &impl Message, key: Codec, value: Codec) -> anyhow::Result<Value> {
    let mut headers = Vec::new();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        let mut object = Map::new();
        object.insert("key".to_owned(), json!(header.key));
        put(&mut object, "value", header.value, Codec::String)?;
        headers.push(Value::Object(object));
    }
    let mut object = Map::new();
    object.insert("topic".to_owned(), json!(message.topic()));
    object.insert("partition".to_owned(), json!(message.partition()));
    object.insert("offset".to_owned(), json!(message.offset()));
    object.insert("timestamp".to_owned(), json!(message.timestamp().to_millis()));
    object.insert("headers".to_owned(), Value::Array(headers));
    put(&mut object, "key", message.key(), key).context("the key")?;
    put(&mut object, "value", message.payload(), value).context("the value")?;
    Ok(Value::Object(object))
}

/// Text is as it is; anything else says what it is in a field of its own.
fn put(
    object: &mut Map<String, Value>,
    name: &str,
    bytes: Option<&[u8]>,
    codec: Codec,
) -> anyhow::Result<()> {
    let Some(bytes) = bytes else {
        object.insert(name.to_owned(), Value::Null);
        return Ok(());
    };
    let codec = match codec {
        Codec::String if std::str::from_utf8(bytes).is_err() => Codec::Base64,
        codec => codec,
    };
    object.insert(name.to_owned(), codec.value(bytes)?);
    if codec != Codec::String {
        object.insert(format!("{name}_encoding"), json!(codec.name()));
    }
    Ok(())
}

impl Envelope {
    /// Reads an object; what it does not have is absent, and what has no meaning for a new record is passed over.
    ///
    /// # Errors
    /// Names the field that cannot be read.
    pub(crate) fn read(value: &Value) -> anyhow::Result<Self> {
        let Value::Object(object) = value else {
            bail!("must be an object with key, value, headers and timestamp, and is {value}");
        };
        let names = [
            "topic",
            "partition",
            "offset",
            "timestamp",
            "headers",
            "key",
            "key_encoding",
            "value",
            "value_encoding",
        ];
        if let Some(unknown) = object.keys().find(|name| !names.contains(&name.as_str())) {
            bail!("has a field '{unknown}', which a record does not have");
        }
        let mut headers = Vec::new();
        for header in list(object, "headers")? {
            let header = header
                .as_object()
                .context("'headers' must hold objects with key and value")?;
            let Some(Value::String(key)) = header.get("key") else {
                bail!("'headers' must hold objects with key and value");
            };
            headers.push((key.clone(), take(header, "value")?));
        }
        Ok(Self {
            key: take(object, "key")?,
            value: take(object, "value")?,
            headers,
            timestamp: number(object, "timestamp")?,
            partition: number(object, "partition")?.map(i32::try_from).transpose()?,
        })
    }
}

fn list<'a>(object: &'a Map<String, Value>, name: &str) -> anyhow::Result<&'a [Value]> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => bail!("'{name}' must be an array, and is {other}"),
    }
}

fn number(object: &Map<String, Value>, name: &str) -> anyhow::Result<Option<i64>> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            Ok(Some(value.as_i64().with_context(|| {
                format!("'{name}' must be a whole number, and is {value}")
            })?))
        }
    }
}

fn take(object: &Map<String, Value>, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let value = match object.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let codec = match object.get(&format!("{name}_encoding")) {
        None | Some(Value::Null) => None,
        Some(encoding) => Some(
            Codec::named(encoding.as_str().unwrap_or_default())
                .with_context(|| format!("'{name}_encoding' cannot be {encoding}"))?,
        ),
    };
    let bytes = match (value, codec) {
        (value, Some(Codec::Json)) => value.to_string().into_bytes(),
        (Value::String(text), codec) => {
            let read = codec.unwrap_or(Codec::String).read(text.as_bytes());
            read.with_context(|| format!("'{name}'"))?.into_owned()
        }
        (value, None) => value.to_string().into_bytes(),
        (value, Some(codec)) => {
            let read = codec
                .read(value.to_string().as_bytes())
                .map(std::borrow::Cow::into_owned);
            read.with_context(|| format!("'{name}'"))?
        }
    };
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use rdkafka::{
        Timestamp,
        message::{Header, OwnedHeaders, OwnedMessage},
    };

    use super::*;

    fn message(key: Option<&[u8]>, value: Option<&[u8]>) -> OwnedMessage {
        let headers = OwnedHeaders::new()
            .insert(Header {
                key: "a",
                value: Some("1"),
            })
            .insert(Header {
                key: "a",
                value: Some(&[255_u8][..]),
            })
            .insert(Header::<&str> {
                key: "b",
                value: None,
            });
        OwnedMessage::new(
            value.map(<[u8]>::to_vec),
            key.map(<[u8]>::to_vec),
            "t".to_owned(),
            Timestamp::CreateTime(17),
            2,
            40,
            Some(headers),
        )
    }

    fn check(key: Option<&[u8]>, value: Option<&[u8]>, codec: Codec, expected: &str) {
        let written = write(&message(key, value), Codec::String, codec).unwrap();
        let (_, parts) = written
            .to_string()
            .split_once(r#""value_encoding":"base64"},{"key":"b","value":null}],"#)
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert_eq!(parts, expected);
        let read = Envelope::read(&written).unwrap();
        assert_eq!((read.key.as_deref(), read.value.as_deref()), (key, value));
        assert_eq!((read.timestamp, read.partition), (Some(17), Some(2)));
        let headers = [
            ("a".to_owned(), Some(b"1".to_vec())),
            ("a".to_owned(), Some(vec![255])),
            ("b".to_owned(), None),
        ];
        assert_eq!(read.headers, headers);
    }

    #[test]
    fn there_and_back() {
        check(
            Some(b"k"),
            Some(b"v\n"),
            Codec::String,
            r#""key":"k","value":"v\n"}"#,
        );
        check(None, None, Codec::String, r#""key":null,"value":null}"#);
        check(
            Some(&[254]),
            Some(&[255]),
            Codec::String,
            r#""key":"/g==","key_encoding":"base64","value":"/w==","value_encoding":"base64"}"#,
        );
        check(
            Some(b""),
            Some(br#"{"b":1.50,"a":[]}"#),
            Codec::Json,
            r#""key":"","value":{"b":1.50,"a":[]},"value_encoding":"json"}"#,
        );
        check(
            None,
            Some(&[0, 0, 0, 7]),
            Codec::Int32,
            r#""key":null,"value":7,"value_encoding":"int32"}"#,
        );
    }

    #[test]
    fn objects_by_hand() {
        let read = |text: &str| Envelope::read(&serde_json::from_str(text).unwrap());
        let plain = read(r#"{"value":{"amount":3}}"#).unwrap();
        assert_eq!(plain.value.as_deref(), Some(&br#"{"amount":3}"#[..]));
        assert_eq!(read("{}").unwrap(), Envelope::default());
        for (text, expected) in [
            (
                "3",
                "must be an object with key, value, headers and timestamp, and is 3",
            ),
            (
                r#"{"vaule":1}"#,
                "has a field 'vaule', which a record does not have",
            ),
            (
                r#"{"timestamp":"now"}"#,
                "'timestamp' must be a whole number, and is \"now\"",
            ),
            (r#"{"headers":{}}"#, "'headers' must be an array, and is {}"),
            (
                r#"{"headers":[1]}"#,
                "'headers' must hold objects with key and value",
            ),
            (
                r#"{"value":"?","value_encoding":"base64"}"#,
                "'value': is no base64: \"?\": Invalid symbol 63, offset 0.",
            ),
            (
                r#"{"key":"?","key_encoding":"avro"}"#,
                "'key_encoding' cannot be \"avro\": 'avro' is no type of keys and values",
            ),
        ] {
            assert_eq!(format!("{:#}", read(text).unwrap_err()), expected, "{text}");
        }
    }
}

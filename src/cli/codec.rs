//! What the bytes of keys and values mean: printed by `consume`, read by `produce`.

use std::{borrow::Cow, fmt::Write as _};

use anyhow::{Context as _, anyhow, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use serde_json::{Value, json};

/// A type of keys and values. Numbers are big endian, as Kafka's serializers write them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Codec {
    /// The bytes as they are
    String,
    /// JSON, printed over several lines
    Json,
    /// Hexadecimal digits
    Hex,
    /// Base64
    Base64,
    /// 16 bits with sign
    Int16,
    /// 32 bits with sign
    Int32,
    /// 64 bits with sign
    Int64,
    /// 32 bits floating point
    Float,
    /// 64 bits floating point
    Double,
}

impl Codec {
    /// Kafka's name of it.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The codec of a name.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        <Self as ValueEnum>::from_str(name, false)
            .map_err(|_| anyhow!("'{name}' is no type of keys and values"))
    }

    /// Bytes for people.
    ///
    /// # Errors
    /// When the bytes are of another type.
    pub(crate) fn show(self, bytes: &[u8]) -> anyhow::Result<Cow<'_, [u8]>> {
        Ok(match self {
            Self::String => Cow::Borrowed(bytes),
            Self::Json => Cow::Owned(format!("{:#}", self.value(bytes)?).into_bytes()),
            Self::Hex => Cow::Owned(hex(bytes).into_bytes()),
            Self::Base64 => Cow::Owned(STANDARD.encode(bytes).into_bytes()),
            Self::Int16 | Self::Int32 | Self::Int64 | Self::Float | Self::Double => {
                Cow::Owned(self.number(bytes)?.into_bytes())
            }
        })
    }

    /// Bytes as a JSON value.
    ///
    /// # Errors
    /// When the bytes are of another type.
    pub(crate) fn value(self, bytes: &[u8]) -> anyhow::Result<Value> {
        Ok(match self {
            Self::String => json!(std::str::from_utf8(bytes).context("is not UTF-8")?),
            Self::Json => {
                serde_json::from_slice(bytes).with_context(|| format!("is not JSON: {}", excerpt(bytes)))?
            }
            Self::Hex => json!(hex(bytes)),
            Self::Base64 => json!(STANDARD.encode(bytes)),
            Self::Int16 | Self::Int32 | Self::Int64 | Self::Float | Self::Double => {
                let number = self.number(bytes)?;
                // NaN and infinities are no JSON numbers.
                serde_json::from_str(&number).unwrap_or(Value::String(number))
            }
        })
    }

    fn number(self, bytes: &[u8]) -> anyhow::Result<String> {
        let wrong = || {
            let is = bytes.len();
            anyhow!("is {is} bytes long, and no {}: {}", self.name(), excerpt(bytes))
        };
        Ok(match self {
            Self::Int16 => i16::from_be_bytes(bytes.try_into().map_err(|_| wrong())?).to_string(),
            Self::Int32 => i32::from_be_bytes(bytes.try_into().map_err(|_| wrong())?).to_string(),
            Self::Int64 => i64::from_be_bytes(bytes.try_into().map_err(|_| wrong())?).to_string(),
            Self::Float => f32::from_be_bytes(bytes.try_into().map_err(|_| wrong())?).to_string(),
            _ => f64::from_be_bytes(bytes.try_into().map_err(|_| wrong())?).to_string(),
        })
    }

    /// The bytes that a text stands for.
    ///
    /// # Errors
    /// When the text is no value of this type.
    pub(crate) fn read(self, text: &[u8]) -> anyhow::Result<Cow<'_, [u8]>> {
        let wrong = || format!("is no {}: {}", self.name(), excerpt(text));
        let words = || std::str::from_utf8(text).map(str::trim).with_context(wrong);
        Ok(match self {
            Self::String => Cow::Borrowed(text),
            Self::Json => {
                serde_json::from_slice::<Value>(text).with_context(wrong)?;
                Cow::Borrowed(text)
            }
            Self::Hex => Cow::Owned(from_hex(words()?).with_context(wrong)?),
            Self::Base64 => Cow::Owned(STANDARD.decode(words()?).with_context(wrong)?),
            Self::Int16 => Cow::Owned(
                words()?
                    .parse::<i16>()
                    .with_context(wrong)?
                    .to_be_bytes()
                    .to_vec(),
            ),
            Self::Int32 => Cow::Owned(
                words()?
                    .parse::<i32>()
                    .with_context(wrong)?
                    .to_be_bytes()
                    .to_vec(),
            ),
            Self::Int64 => Cow::Owned(
                words()?
                    .parse::<i64>()
                    .with_context(wrong)?
                    .to_be_bytes()
                    .to_vec(),
            ),
            Self::Float => Cow::Owned(
                words()?
                    .parse::<f32>()
                    .with_context(wrong)?
                    .to_be_bytes()
                    .to_vec(),
            ),
            Self::Double => Cow::Owned(
                words()?
                    .parse::<f64>()
                    .with_context(wrong)?
                    .to_be_bytes()
                    .to_vec(),
            ),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn from_hex(text: &str) -> anyhow::Result<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair)?;
        if pair.len() != 2 || pair.starts_with('+') {
            bail!("an odd digit");
        }
        Ok(u8::from_str_radix(pair, 16)?)
    };
    pairs.map(byte).collect()
}

/// The start of something that is wrong, for a message.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const MOST: usize = 40;
    let text: String = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * MOST)])
        .chars()
        .take(MOST)
        .collect();
    let more = if text.len() < bytes.len() { "…" } else { "" };
    format!("{text:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(codec: Codec, bytes: &[u8], shown: &str, value: &Value) {
        assert_eq!(codec.show(bytes).unwrap(), shown.as_bytes(), "{codec:?}");
        assert_eq!(codec.value(bytes).unwrap(), *value, "{codec:?}");
        assert_eq!(codec.read(shown.as_bytes()).unwrap(), bytes, "{codec:?}");
    }

    #[test]
    fn there_and_back() {
        check(Codec::String, b"a\nb", "a\nb", &json!("a\nb"));
        check(Codec::Hex, &[0, 255, 16], "00ff10", &json!("00ff10"));
        check(Codec::Base64, &[0, 255], "AP8=", &json!("AP8="));
        check(Codec::Int16, &[255, 254], "-2", &json!(-2));
        check(Codec::Int32, &[0, 0, 1, 0], "256", &json!(256));
        check(Codec::Int64, &[0, 0, 0, 0, 0, 0, 0, 7], "7", &json!(7));
        check(Codec::Float, &1.5_f32.to_be_bytes(), "1.5", &json!(1.5));
        check(Codec::Double, &f64::NAN.to_be_bytes(), "NaN", &json!("NaN"));
        check(
            Codec::Json,
            b"{\n  \"a\": [\n    1\n  ]\n}",
            "{\n  \"a\": [\n    1\n  ]\n}",
            &json!({"a": [1]}),
        );
    }

    #[test]
    fn what_is_of_another_type_is_named() {
        let error = |result: anyhow::Result<Cow<'_, [u8]>>| result.unwrap_err().to_string();
        assert_eq!(
            error(Codec::Int32.show(b"abc")),
            "is 3 bytes long, and no int32: \"abc\""
        );
        assert_eq!(error(Codec::Json.show(b"{")), "is not JSON: \"{\"");
        assert_eq!(error(Codec::Int16.read(b"70000")), "is no int16: \"70000\"");
        assert_eq!(error(Codec::Hex.read(b"abc")), "is no hex: \"abc\"");
        assert_eq!(error(Codec::Base64.read(b"?")), "is no base64: \"?\"");
        let long = error(Codec::Json.read(&[b'x'; 100]));
        assert_eq!(long, format!("is no json: \"{}\"…", "x".repeat(40)));
    }

    #[test]
    fn names() {
        for codec in Codec::value_variants() {
            assert_eq!(Codec::named(&codec.name()).unwrap(), *codec);
        }
        assert!(Codec::named("avro").is_err());
    }
}

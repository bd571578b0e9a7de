//! Java's properties format, as Kafka's files use it.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use java_properties::PropertiesIter;

/// Reads a properties file. Java reads Latin-1; UTF-8 is what people write, and is read as such where it is valid.
pub(crate) fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&bytes).with_context(|| format!("{} is not a valid properties file", path.display()))
}

/// Parses the content of a properties file. The last value of a repeated key holds.
pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<BTreeMap<String, String>> {
    let escaped;
    let bytes = match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_ascii() => {
            escaped = escape(text);
            escaped.as_bytes()
        }
        _ => bytes,
    };
    let mut properties = BTreeMap::new();
    PropertiesIter::new(bytes).read_into(|key, value| {
        properties.insert(key, value.trim().to_owned());
    })?;
    Ok(properties)
}

/// The same text in ASCII, with the format's own escapes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], expected: &[(&str, &str)]) {
        let expected: BTreeMap<_, _> = expected
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(
            parse(text).unwrap(),
            expected,
            "{}",
            String::from_utf8_lossy(text)
        );
    }

    #[test]
    fn the_format() {
        check(
            b"# c\n! c\na=1\nb : 2\nc 3\n\n  d=4  \n",
            &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")],
        );
        check(
            b"a=1,\\\n   2\nb=x\\=y\\\\z\nc=\n",
            &[("a", "1,2"), ("b", "x=y\\z"), ("c", "")],
        );
        check(b"a=1\r\na=2\r\n", &[("a", "2")]);
        check("file=/tmp/é😀.txt\n".as_bytes(), &[("file", "/tmp/é😀.txt")]);
        check(b"file=\\u00e9\n", &[("file", "é")]);
        check(b"file=\xe9\n", &[("file", "é")]);
    }
}

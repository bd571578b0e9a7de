//! Java's properties format, as Kafka's files use it.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use encoding_rs::{UTF_8, WINDOWS_1252};
use java_properties::PropertiesIter;

use crate::exit::CannotRead;

/// Reads a properties file. Java reads Latin-1; UTF-8 is what people write, and is read as such where it is valid. (The
/// web's Latin-1, Windows-1252, differs from Java's only in control characters.)
pub(crate) fn read(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let bytes = std::fs::read(path).map_err(|error| CannotRead::named(path.display(), &error))?;
    parse(&bytes).with_context(|| format!("{} is not a valid properties file", path.display()))
}

/// Parses the content of a properties file. The last value of a repeated key holds.
pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<BTreeMap<String, String>> {
    let encoding = if std::str::from_utf8(bytes).is_ok() {
        UTF_8
    } else {
        WINDOWS_1252
    };
    let mut properties = BTreeMap::new();
    PropertiesIter::new_with_encoding(bytes, encoding).read_into(|key, value| {
        properties.insert(key, value.trim().to_owned());
    })?;
    Ok(properties)
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

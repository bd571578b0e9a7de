//! A validating reader over one JSON text: no tree, no copies, bounded depth.
//!
//! It is pulled by whoever knows what comes next. Errors are messages with the byte they happened at.

use std::borrow::Cow;

/// Deepest nesting (Jackson's limit).
const MAX_DEPTH: usize = 1000;

/// What the next value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "JSON's names")]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

impl Kind {
    /// Jackson's name of the node type, for messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "OBJECT",
            Self::Array => "ARRAY",
            Self::String => "STRING",
            Self::Number => "NUMBER",
            Self::True | Self::False => "BOOLEAN",
            Self::Null => "NULL",
        }
    }
}

/// The reader; cloning it marks a position to come back to.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// A string between its quotes, escapes still in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawString<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> RawString<'a> {
    /// The raw text when it has no escapes.
    pub(crate) fn plain(&self) -> Option<&'a str> {
        (!self.escaped).then_some(self.raw)
    }

    /// The text.
    pub(crate) fn text(&self) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

impl<'a> Reader<'a> {
    /// A reader of `data`, which must be UTF-8.
    pub(crate) fn new(data: &'a [u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(data)
            .map_err(|error| format!("invalid UTF-8 at byte {}", error.valid_up_to()))?;
        Ok(Self {
            text,
            at: 0,
            depth: 0,
        })
    }

    /// Whether nothing but white space is left.
    pub(crate) fn is_blank(&mut self) -> bool {
        self.space();
        self.at == self.text.len()
    }

    /// Checks that nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        if self.is_blank() {
            Ok(())
        } else {
            Err(self.unexpected("the end"))
        }
    }

    /// Kind of the next value.
    pub(crate) fn peek(&mut self) -> Result<Kind, String> {
        self.space();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Steps into an object.
    pub(crate) fn begin_object(&mut self) -> Result<(), String> {
        self.begin(b'{', "'{'")
    }

    /// Steps into an array.
    pub(crate) fn begin_array(&mut self) -> Result<(), String> {
        self.begin(b'[', "'['")
    }

    /// The next key of the object stepped into, its value following; `None` steps out.
    pub(crate) fn next_key(&mut self, first: bool) -> Result<Option<RawString<'a>>, String> {
        self.space();
        if self.take(b'}') {
            self.depth -= 1;
            return Ok(None);
        }
        if !first {
            self.expect(b',', "',' or '}'")?;
            self.space();
        }
        let key = self.string()?;
        self.space();
        self.expect(b':', "':'")?;
        Ok(Some(key))
    }

    /// Whether another item of the array stepped into follows; `false` steps out.
    pub(crate) fn next_item(&mut self, first: bool) -> Result<bool, String> {
        self.space();
        if self.take(b']') {
            self.depth -= 1;
            return Ok(false);
        }
        if !first {
            self.expect(b',', "',' or ']'")?;
        }
        Ok(true)
    }

    /// A string value.
    pub(crate) fn string(&mut self) -> Result<RawString<'a>, String> {
        self.space();
        self.expect(b'"', "'\"'")?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            self.at += plain_length(&bytes[self.at..]);
            match bytes.get(self.at) {
                Some(b'"') => {
                    let raw = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(RawString { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(format!("unescaped control character at byte {}", self.at)),
                None => return Err(format!("string that begins at byte {} has no end", start - 1)),
            }
        }
    }

    /// A number's text.
    pub(crate) fn number(&mut self) -> Result<&'a str, String> {
        self.space();
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') && self.digits() == 0 {
            return Err(self.unexpected("a digit"));
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(self.unexpected("a digit"));
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return Err(self.unexpected("a digit"));
            }
        }
        Ok(&self.text[start..self.at])
    }

    /// `true`, `false` or `null`.
    pub(crate) fn literal(&mut self) -> Result<&'static str, String> {
        self.space();
        for word in ["true", "false", "null"] {
            if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(word);
            }
        }
        Err(self.unexpected("true, false or null"))
    }

    /// Passes over a value.
    pub(crate) fn skip(&mut self) -> Result<(), String> {
        match self.peek()? {
            Kind::String => self.string().map(drop),
            Kind::Number => self.number().map(drop),
            Kind::True | Kind::False | Kind::Null => self.literal().map(drop),
            Kind::Array => {
                self.begin_array()?;
                let mut first = true;
                while self.next_item(first)? {
                    first = false;
                    self.skip()?;
                }
                Ok(())
            }
            Kind::Object => {
                self.begin_object()?;
                let mut first = true;
                while self.next_key(first)?.is_some() {
                    first = false;
                    self.skip()?;
                }
                Ok(())
            }
        }
    }

    /// Passes over a value and returns its text.
    pub(crate) fn raw(&mut self) -> Result<&'a str, String> {
        self.space();
        let start = self.at;
        self.skip()?;
        Ok(&self.text[start..self.at])
    }

    /// Passes over `known`, the text of a whole object, when it comes next.
    pub(crate) fn skip_known(&mut self, known: &str) -> bool {
        self.space();
        let found = known.ends_with('}') && self.text.as_bytes()[self.at..].starts_with(known.as_bytes());
        if found {
            self.at += known.len();
        }
        found
    }

    fn begin(&mut self, open: u8, what: &str) -> Result<(), String> {
        self.space();
        self.expect(open, what)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let bytes = self.text.as_bytes();
        let length = match bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u')
                if bytes
                    .get(self.at + 2..self.at + 6)
                    .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
            {
                6
            }
            _ => return Err(format!("invalid escape at byte {}", self.at)),
        };
        self.at += length;
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.byte() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), String> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.unexpected(what))
        }
    }

    fn unexpected(&self, wanted: &str) -> String {
        match self.text[self.at..].chars().next() {
            Some(found) => format!("expected {wanted} at byte {}, found {found:?}", self.at),
            None => format!("expected {wanted} at byte {}, found the end", self.at),
        }
    }
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks (in the high bit of each byte) the bytes below 0x20, quotes and backslashes. Marks above the first true
/// one may be wrong, so only the lowest counts.
pub(super) fn special(word: u64) -> u64 {
    let zero = |word: u64| word.wrapping_sub(LOW) & !word;
    let control = word.wrapping_sub(LOW * 0x20) & !word;
    (control | zero(word ^ (LOW * 0x22)) | zero(word ^ (LOW * 0x5c))) & HIGH
}

/// Bytes at the start that need no attention inside a string: eight at a time.
fn plain_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let mark = special(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
        if mark != 0 {
            return at + mark.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = &bytes[at..];
    at + rest
        .iter()
        .position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\')
        .unwrap_or(rest.len())
}

/// Resolves the escapes of a validated string. A lone surrogate becomes U+FFFD.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let code = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        rest = &rest[(at + 2).min(rest.len())..];
        match code {
            b'b' => text.push('\u{8}'),
            b'f' => text.push('\u{c}'),
            b'n' => text.push('\n'),
            b'r' => text.push('\r'),
            b't' => text.push('\t'),
            b'u' => rest = unescape_unicode(rest, &mut text),
            other => text.push(char::from(other)),
        }
    }
    text.push_str(rest);
    text
}

/// Reads the four digits after `\u`, and the second half of a surrogate pair; returns what follows.
fn unescape_unicode<'a>(rest: &'a str, text: &mut String) -> &'a str {
    let hex = |text: &str| {
        text.get(..4)
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    let unit = hex(rest).unwrap_or(0xfffd);
    let rest = rest.get(4..).unwrap_or_default();
    if (0xd800..0xdc00).contains(&unit)
        && let Some(low) = rest.strip_prefix("\\u").and_then(hex)
        && (0xdc00..0xe000).contains(&low)
    {
        let scalar = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        text.push(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER));
        return rest.get(6..).unwrap_or_default();
    }
    text.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<String, String> {
        let mut reader = Reader::new(text.as_bytes())?;
        let raw = reader.raw()?.to_owned();
        reader.end()?;
        Ok(raw)
    }

    #[test]
    fn takes_what_json_allows_and_nothing_else() {
        for good in [
            "0",
            "-1.5e+10",
            "[]",
            "{}",
            " [1 , {\"a\" : null}] ",
            "\"\\u00e9\\n\"",
            "true",
            "[[[]]]",
        ] {
            assert_eq!(check(good).as_deref(), Ok(good.trim()), "{good}");
        }
        for bad in [
            "",
            "01",
            "1.",
            "1e",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{a:1}",
            "\"\\x\"",
            "\"a",
            "tru",
            "nul",
            "1 2",
            "+1",
            "\"\u{1}\"",
            "[",
            "{\"a\":1,}",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(
            check(&"[".repeat(5000))
                .unwrap_err()
                .contains("nested deeper than 1000")
        );
    }

    #[test]
    fn strings_lose_their_escapes() {
        for (raw, text) in [
            (r#""plain""#, "plain"),
            (r#""a\"b\\c\/d""#, "a\"b\\c/d"),
            (r#""\b\f\n\r\t""#, "\u{8}\u{c}\n\r\t"),
            (r#""\u0041\uD83D\uDE00\u00e9!""#, "A😀é!"),
            (r#""\ud800x\udc00""#, "\u{fffd}x\u{fffd}"),
            (r#""\ud800\u0041""#, "\u{fffd}A"),
        ] {
            let mut reader = Reader::new(raw.as_bytes()).unwrap();
            assert_eq!(reader.string().unwrap().text(), text, "{raw}");
        }
    }

    #[test]
    fn finds_the_first_special_byte_wherever_it_is() {
        for special in [b'"', b'\\', 0u8, 0x1f, b'\n'] {
            for at in 0..40 {
                for filler in [b'a', 0x20, 0x21, 0x23, 0x5b, 0x5d, 0x7f, 0xc3, 0xff] {
                    let mut bytes = vec![filler; 40];
                    bytes[at] = special;
                    assert_eq!(plain_length(&bytes), at, "{special} in {filler}");
                }
            }
        }
    }
}

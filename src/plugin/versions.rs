//! Versions of plugins: which is newer, and which ones a config asks for, both as Maven has them and so Kafka.
//!
//! No crate does this; the rules are those of Maven's documents on version order and version ranges.

use std::{cmp::Ordering, fmt, str::FromStr};

/// Compares versions in Maven's order: numbers as numbers, `1` = `1.0`, and `alpha` < `beta` < `milestone` < `rc` <
/// `snapshot` < the release < `sp` < any other word.
pub fn compare_versions(one: &str, other: &str) -> Ordering {
    let (one, other) = (tokens(one), tokens(other));
    (0..one.len().max(other.len()))
        .map(|at| match (one.get(at), other.get(at)) {
            (Some(one), Some(other)) => one.compare(other),
            (Some(one), None) => one.compare(&one.null()),
            (None, Some(other)) => other.null().compare(other),
            (None, None) => Ordering::Equal,
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// A part of a version with what stands before it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    /// Behind a dot; otherwise behind a hyphen, or where letters and digits meet.
    dotted: bool,
    item: Item,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    /// Digits without leading zeros; empty = 0.
    Number(String),
    /// Lower case; empty = the release.
    Word(String),
}

impl Item {
    fn of(text: &str, before_digit: bool) -> Self {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::Number(text.trim_start_matches('0').to_owned());
        }
        let text = text.to_lowercase();
        let word = match text.as_str() {
            "a" if before_digit => "alpha",
            "b" if before_digit => "beta",
            "m" if before_digit => "milestone",
            "cr" => "rc",
            "ga" | "final" | "release" => "",
            word => word,
        };
        Self::Word(word.to_owned())
    }

    fn is_null(&self) -> bool {
        let (Self::Number(text) | Self::Word(text)) = self;
        text.is_empty()
    }
}

impl Token {
    /// What stands for it in a version that has no such part.
    fn null(&self) -> Self {
        let item = match self.item {
            Item::Number(_) => Item::Number(String::new()),
            Item::Word(_) => Item::Word(String::new()),
        };
        Self {
            dotted: self.dotted,
            item,
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let rank = |token: &Self| match token.item {
            Item::Word(_) => 0,
            Item::Number(_) if !token.dotted => 1,
            Item::Number(_) => 2,
        };
        rank(self)
            .cmp(&rank(other))
            .then_with(|| match (&self.item, &other.item) {
                (Item::Number(one), Item::Number(other)) => (one.len(), one).cmp(&(other.len(), other)),
                (Item::Word(one), Item::Word(other)) => {
                    word_rank(one).cmp(&word_rank(other)).then_with(|| one.cmp(other))
                }
                _ => Ordering::Equal,
            })
    }
}

fn word_rank(word: &str) -> usize {
    const KNOWN: [&str; 7] = ["alpha", "beta", "milestone", "rc", "snapshot", "", "sp"];
    let known = KNOWN.iter().position(|known| *known == word);
    known.unwrap_or(KNOWN.len())
}

/// The parts of a version, without what means nothing at its end or before a hyphen.
fn tokens(version: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut text = String::new();
    let mut dotted = true;
    for letter in version.chars() {
        let meets = |last: char| last.is_ascii_digit() != letter.is_ascii_digit();
        if letter == '.' || letter == '-' {
            let item = Item::of(&std::mem::take(&mut text), false);
            tokens.push(Token { dotted, item });
            dotted = letter == '.';
            continue;
        }
        if text.chars().last().is_some_and(meets) {
            let item = Item::of(&std::mem::take(&mut text), letter.is_ascii_digit());
            tokens.push(Token { dotted, item });
            dotted = false;
        }
        text.push(letter);
    }
    let item = Item::of(&text, false);
    tokens.push(Token { dotted, item });
    let mut at_end = true;
    let mut kept = Vec::new();
    for token in tokens.into_iter().rev() {
        if !(at_end && token.item.is_null()) {
            at_end = !token.dotted;
            kept.push(token);
        }
    }
    kept.reverse();
    kept
}

/// The versions a config asks for, as Kafka reads `connector.plugin.version`: `latest` or nothing is any, a version alone
/// is that one, `[1.0,2.0)` has its ends or not, several ranges stand between commas, and an end may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VersionRange {
    /// None = any version.
    sets: Vec<Set>,
}

/// A text that is no version and no range of them; Maven's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {text}")]
pub struct VersionRangeError {
    what: &'static str,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Set {
    least: Option<String>,
    with_least: bool,
    most: Option<String>,
    with_most: bool,
}

impl VersionRange {
    /// Whether a version is one of them.
    pub fn contains(&self, version: &str) -> bool {
        self.sets.is_empty() || self.sets.iter().any(|set| set.contains(version))
    }
}

impl FromStr for VersionRange {
    type Err = VersionRangeError;

    fn from_str(text: &str) -> Result<Self, VersionRangeError> {
        let text = text.trim();
        let wrong = |what| VersionRangeError {
            what,
            text: text.to_owned(),
        };
        if text.is_empty() || text == "latest" {
            return Ok(Self::default());
        }
        let mut sets: Vec<Set> = Vec::new();
        let mut rest = text;
        while rest.starts_with(['[', '(']) {
            let end = rest.find([']', ')']).ok_or_else(|| wrong("Unbounded range"))?;
            let (set, behind) = rest.split_at(end + 1);
            let set: Set = set.parse()?;
            if let Some(Set { most: Some(most), .. }) = sets.last() {
                let apart = |least: &String| compare_versions(least, most).is_ge();
                if !set.least.as_ref().is_some_and(apart) {
                    return Err(wrong("Ranges overlap"));
                }
            }
            sets.push(set);
            rest = behind.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        match (rest.is_empty(), sets.is_empty()) {
            (true, _) => Ok(Self { sets }),
            // Kafka's own: Maven would take any other version, too.
            (false, true) => Ok(Self {
                sets: vec![format!("[{text}]").parse()?],
            }),
            (false, false) => Err(wrong(
                "Only fully-qualified sets allowed in multiple set scenario",
            )),
        }
    }
}

impl FromStr for Set {
    type Err = VersionRangeError;

    /// One set between its brackets.
    fn from_str(text: &str) -> Result<Self, VersionRangeError> {
        let wrong = |what| VersionRangeError {
            what,
            text: text.to_owned(),
        };
        let (with_least, with_most) = (text.starts_with('['), text.ends_with(']'));
        let inner = text.get(1..text.len() - 1).unwrap_or_default().trim();
        let end = |end: &str| Some(end.trim().to_owned()).filter(|end| !end.is_empty());
        let (least, most) = match inner.split_once(',') {
            Some((least, most)) => (end(least), end(most)),
            None if with_least && with_most => (Some(inner.to_owned()), Some(inner.to_owned())),
            None => return Err(wrong("Single version must be surrounded by []")),
        };
        if let (Some(least), Some(most)) = (&least, &most) {
            match compare_versions(least, most) {
                Ordering::Greater => return Err(wrong("Range defies version ordering")),
                Ordering::Equal if !(with_least && with_most) => {
                    return Err(wrong("Range cannot have identical boundaries"));
                }
                _ => {}
            }
        }
        Ok(Self {
            least,
            with_least,
            most,
            with_most,
        })
    }
}

impl Set {
    fn contains(&self, version: &str) -> bool {
        let compare = |end: &Option<String>| end.as_ref().map(|end| compare_versions(version, end));
        let above = match compare(&self.least) {
            Some(Ordering::Equal) => self.with_least,
            order => order != Some(Ordering::Less),
        };
        let below = match compare(&self.most) {
            Some(Ordering::Equal) => self.with_most,
            order => order != Some(Ordering::Greater),
        };
        above && below
    }
}

impl fmt::Display for VersionRange {
    /// As Maven writes it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sets.is_empty() {
            return formatter.write_str("latest");
        }
        let sets: Vec<String> = self.sets.iter().map(ToString::to_string).collect();
        formatter.write_str(&sets.join(","))
    }
}

impl fmt::Display for Set {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = (
            if self.with_least { '[' } else { '(' },
            if self.with_most { ']' } else { ')' },
        );
        let end = |end: &Option<String>| end.clone().unwrap_or_default();
        write!(formatter, "{open}{},{}{close}", end(&self.least), end(&self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ascending; those between `=` are equal. As Maven's own `ComparableVersion` has them.
    const ORDER: &str = "1-alpha2=1a2 < 1-alpha10 < 1.0-alpha.2 < 1-beta < 1-m1=1-milestone-1 < 1-rc1=1-cr1 < 1-SNAPSHOT < \
                         1=1.0=1.0.0=1-ga=1.0-final=1-0 < 1-sp < 1-dev < 1-1 < 1.0.1 < 1.1-rc.1 < 1.1 < 1.2 < 1.10 < \
                         2 < 10.0 < 123456789012345678901234567890";

    #[test]
    fn the_order_is_mavens() {
        let groups: Vec<Vec<&str>> = ORDER
            .split('<')
            .map(|group| group.split('=').map(str::trim).collect())
            .collect();
        for (at, group) in groups.iter().enumerate() {
            for (other_at, other_group) in groups.iter().enumerate() {
                for one in group {
                    for other in other_group {
                        assert_eq!(compare_versions(one, other), at.cmp(&other_at), "{one} {other}");
                    }
                }
            }
        }
    }

    #[test]
    fn ranges_are_read_as_maven_writes_them() {
        for (range, expected) in [
            ("1.2.0", true),
            ("1.2", true),
            ("1.2.1", false),
            (" latest ", true),
            ("", true),
            ("[1.2.0]", true),
            ("[1.0,2.0)", true),
            ("(1.2.0,2.0)", false),
            ("[1.0,1.2.0)", false),
            ("(,1.2.0]", true),
            ("[2.0,)", false),
            ("(,1.0],[1.1,2.0)", true),
            ("(,1.0], [1.3,2.0)", false),
        ] {
            let range: VersionRange = range.parse().unwrap();
            assert_eq!(range.contains("1.2.0"), expected, "{range}");
        }
    }

    #[test]
    fn what_is_no_range_is_said_in_mavens_words() {
        for (range, expected) in [
            ("[1.0", "Unbounded range: [1.0"),
            ("(1.0)", "Single version must be surrounded by []: (1.0)"),
            ("[2.0,1.0]", "Range defies version ordering: [2.0,1.0]"),
            ("[1.0,1.0)", "Range cannot have identical boundaries: [1.0,1.0)"),
            ("[3.0,4.0],[1.0,2.0]", "Ranges overlap: [3.0,4.0],[1.0,2.0]"),
            (
                "[1.0,2.0]x",
                "Only fully-qualified sets allowed in multiple set scenario: [1.0,2.0]x",
            ),
        ] {
            let error = range.parse::<VersionRange>().unwrap_err().to_string();
            assert_eq!(error, expected);
        }
        let written = |text: &str| text.parse::<VersionRange>().unwrap().to_string();
        assert_eq!(written("1.2.3"), "[1.2.3,1.2.3]");
        assert_eq!(written("(, 1.0],[1.1,)"), "(,1.0],[1.1,)");
    }
}

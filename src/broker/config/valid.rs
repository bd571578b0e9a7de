//! Types of options and their valid values, checked by Kafka's rules and refused in its words, which its tools show.

use super::definition::split_list;

/// Type of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    /// A secret.
    Password,
}

/// Valid values of an option, beyond its type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Valid {
    Any,
    /// Numbers, both ends included.
    Between(f64, f64),
    /// One of these words.
    OneOf(Vec<&'static str>),
    /// One of these words, in upper or lower case.
    OneOfInAnyCase(Vec<&'static str>),
    /// Words of these; any words when there are none here.
    List {
        words: Vec<&'static str>,
        may_be_empty: bool,
    },
    NotEmpty,
    /// 1 to 9, or -1.
    GzipLevel,
    /// `*`, or partitions with brokers.
    ThrottledReplicas,
    /// Where a share group begins.
    OffsetReset,
}

fn refuse(name: &str, value: &str, problem: &str) -> Result<(), String> {
    Err(format!(
        "Invalid value {value} for configuration {name}: {problem}"
    ))
}

impl Kind {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "boolean" => Self::Boolean,
            "string" => Self::String,
            "int" => Self::Int,
            "short" => Self::Short,
            "long" => Self::Long,
            "double" => Self::Double,
            "list" => Self::List,
            "class" => Self::Class,
            "password" => Self::Password,
            _ => return None,
        })
    }

    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }

    /// Kafka's number in DescribeConfigs.
    pub(crate) fn number(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// What is wrong with a value.
    pub(super) fn check(self, name: &str, value: &str) -> Result<(), String> {
        let is_number = match self {
            Self::Int => value.trim().parse::<i32>().is_ok(),
            Self::Short => value.trim().parse::<i16>().is_ok(),
            Self::Long => value.trim().parse::<i64>().is_ok(),
            Self::Double => value.trim().parse::<f64>().is_ok(),
            Self::Boolean if !is_flag(value) => {
                return refuse(name, value, "Expected value to be either true or false");
            }
            _ => true,
        };
        if is_number {
            return Ok(());
        }
        refuse(name, value, &format!("Not a number of type {}", self.name()))
    }

    /// A checked value as it is after parsing.
    pub(super) fn normalized(self, value: &str) -> String {
        let value = value.trim();
        match self {
            Self::Boolean => value.to_ascii_lowercase(),
            Self::Int | Self::Short | Self::Long => value
                .parse::<i64>()
                .map_or_else(|_| value.to_owned(), |number| number.to_string()),
            Self::Double => match value.parse::<f64>() {
                // Beyond these Java writes an exponent.
                Ok(number) if number == 0.0 || (1e-3..1e7).contains(&number.abs()) => format!("{number:?}"),
                _ => value.to_owned(),
            },
            Self::List => {
                let mut words: Vec<_> = Vec::new();
                for word in value.split(',').map(str::trim) {
                    // Kafka drops what is said again.
                    if !words.contains(&word) {
                        words.push(word);
                    }
                }
                words.join(",")
            }
            Self::String | Self::Class | Self::Password => value.to_owned(),
        }
    }
}

/// Whether it is `true` or `false`, in any case as in Kafka.
fn is_flag(value: &str) -> bool {
    ["true", "false"]
        .iter()
        .any(|word| value.trim().eq_ignore_ascii_case(word))
}

impl Valid {
    pub(super) fn parse(text: &'static str) -> Option<Self> {
        let words = |text: &'static str| text.split(' ').collect();
        let list = |text: &'static str, may_be_empty| Self::List {
            words: text
                .strip_prefix(" of ")
                .map_or_else(Vec::new, |text| text.split(' ').collect()),
            may_be_empty,
        };
        Some(match text {
            "any" => Self::Any,
            "not empty" => Self::NotEmpty,
            "1..9 or -1" => Self::GzipLevel,
            "throttled replicas" => Self::ThrottledReplicas,
            "offset reset" => Self::OffsetReset,
            _ => {
                if let Some(text) = text.strip_prefix("one of, in any case ") {
                    Self::OneOfInAnyCase(words(text))
                } else if let Some(text) = text.strip_prefix("one of ") {
                    Self::OneOf(words(text))
                } else if let Some(text) = text.strip_prefix("not empty list") {
                    list(text, false)
                } else if let Some(text) = text.strip_prefix("list") {
                    list(text, true)
                } else {
                    let (low, high) = text.split_once("..")?;
                    let high = if high.is_empty() {
                        f64::INFINITY
                    } else {
                        high.parse().ok()?
                    };
                    Self::Between(low.parse().ok()?, high)
                }
            }
        })
    }

    /// What is wrong with a value of the right type.
    pub(super) fn check(&self, name: &str, kind: Kind, value: &str) -> Result<(), String> {
        let value = value.trim();
        let shown = kind.normalized(value);
        let refuse = |problem: &str| refuse(name, &shown, problem);
        match self {
            Self::Any => Ok(()),
            Self::Between(low, high) => match value.parse::<f64>() {
                Ok(number) if number < *low => refuse(&format!("Value must be at least {low}")),
                Ok(number) if number > *high => refuse(&format!("Value must be no more than {high}")),
                _ => Ok(()),
            },
            Self::OneOf(words) if words.contains(&value) => Ok(()),
            Self::OneOf(words) => refuse(&format!("String must be one of: {}", words.join(", "))),
            Self::OneOfInAnyCase(words) if words.iter().any(|word| word.eq_ignore_ascii_case(value)) => {
                Ok(())
            }
            Self::OneOfInAnyCase(words) => refuse(&format!(
                "String must be one of (case insensitive): {}",
                words.join(", ")
            )),
            Self::List { words, may_be_empty } => check_list(name, words, *may_be_empty, value),
            Self::NotEmpty if value.is_empty() => refuse("String must be non-empty"),
            Self::NotEmpty => Ok(()),
            Self::GzipLevel => match value.parse::<i32>() {
                Ok(-1 | 1..=9) => Ok(()),
                _ => refuse("Value must be between 1 and 9 or equal to -1"),
            },
            Self::ThrottledReplicas if are_replicas(value) => Ok(()),
            Self::ThrottledReplicas => Err(format!(
                "Invalid value [{}] for configuration {name}: {name} must be the literal '*' or a list of replicas in \
                 the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                split_list(value).collect::<Vec<_>>().join(", ")
            )),
            Self::OffsetReset if is_offset_reset(value) => Ok(()),
            Self::OffsetReset => refuse(&format!(
                "Invalid value `{value}` for configuration {name}. The value must be either 'earliest', 'latest' or of \
                 the format 'by_duration:<PnDTnHnMn.nS>'."
            )),
        }
    }

    /// As it stands in the reference page.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Any => String::new(),
            Self::Between(low, high) if high.is_finite() => format!("{low} to {high}"),
            Self::Between(low, _) => format!("{low} or more"),
            Self::OneOf(words) | Self::OneOfInAnyCase(words) => words.join(", "),
            Self::List { words, may_be_empty } => {
                let words = words.join(", ");
                match (words.is_empty(), may_be_empty) {
                    (false, true) => format!("{words}, or none"),
                    (true, false) => "not empty".to_owned(),
                    _ => words,
                }
            }
            Self::NotEmpty => "not empty".to_owned(),
            Self::GzipLevel => "1 to 9, or -1".to_owned(),
            Self::ThrottledReplicas => "partition:broker, or *".to_owned(),
            Self::OffsetReset => "earliest, latest, by_duration:PnDTnHnMn.nS".to_owned(),
        }
    }
}

fn check_list(name: &str, words: &[&str], may_be_empty: bool, value: &str) -> Result<(), String> {
    if value.is_empty() {
        if may_be_empty {
            return Ok(());
        }
        let valid = if words.is_empty() {
            "any non-empty value".to_owned()
        } else {
            format!("[{}]", words.join(", "))
        };
        return Err(format!(
            "Configuration '{name}' must not be empty. Valid values include: {valid}"
        ));
    }
    for word in value.split(',').map(str::trim) {
        if word.is_empty() {
            return Err(format!("Configuration '{name}' values must not be empty."));
        }
        if !words.is_empty() && !words.contains(&word) {
            return refuse(
                name,
                word,
                &format!("String must be one of: {}", words.join(", ")),
            );
        }
    }
    Ok(())
}

fn are_replicas(value: &str) -> bool {
    let is_pair = |pair: &str| {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        pair.split_once(':')
            .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    value.is_empty() || value == "*" || value.split(',').map(str::trim).all(is_pair)
}

fn is_offset_reset(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    match value.strip_prefix("by_duration:") {
        Some(duration) => is_duration(duration),
        None => value == "earliest" || value == "latest",
    }
}

/// Whether it is a duration of ISO 8601 in days to seconds that is not negative.
fn is_duration(text: &str) -> bool {
    let Some(text) = text.strip_prefix('p') else {
        return false;
    };
    let (days, time) = text
        .split_once('t')
        .map_or((text, None), |(days, time)| (days, Some(time)));
    let mut any = false;
    let mut all_of = |mut text: &str, units: &[char]| {
        for unit in units {
            if let Some((number, rest)) = text.split_once(*unit) {
                let whole = *unit == 's' && number.parse::<f64>().is_ok_and(|seconds| seconds >= 0.0);
                if !whole && number.parse::<u64>().is_err() {
                    return false;
                }
                (any, text) = (true, rest);
            }
        }
        text.is_empty()
    };
    let is_time = time.is_none_or(|time| !time.is_empty() && all_of(time, &['h', 'm', 's']));
    is_time && all_of(days, &['d']) && any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &'static str, valid: &'static str, value: &str) -> String {
        let (kind, valid) = (Kind::parse(kind).unwrap(), Valid::parse(valid).unwrap());
        let checked = kind
            .check("k", value)
            .and_then(|()| valid.check("k", kind, value));
        checked.err().unwrap_or_default()
    }

    /// Type, valid values, a value, and what is said of it.
    #[rustfmt::skip]
    const CASES: [(&str, &str, &str, &str); 23] = [
        ("boolean", "any", "TRUE", ""),
        (
            "boolean",
            "any",
            "yes",
            "Invalid value yes for configuration k: Expected value to be either true or false",
        ),
        ("int", "1..", " 5 ", ""),
        (
            "int",
            "1..",
            "0",
            "Invalid value 0 for configuration k: Value must be at least 1",
        ),
        (
            "int",
            "any",
            "2147483648",
            "Invalid value 2147483648 for configuration k: Not a number of type INT",
        ),
        (
            "short",
            "any",
            "70000",
            "Invalid value 70000 for configuration k: Not a number of type SHORT",
        ),
        (
            "long",
            "-1..",
            "-2",
            "Invalid value -2 for configuration k: Value must be at least -1",
        ),
        (
            "double",
            "0..0.5",
            "2",
            "Invalid value 2.0 for configuration k: Value must be no more than 0.5",
        ),
        ("string", "one of a b", "b", ""),
        (
            "string",
            "one of a b",
            "c",
            "Invalid value c for configuration k: String must be one of: a, b",
        ),
        ("string", "one of, in any case A B", "b", ""),
        (
            "string",
            "not empty",
            "",
            "Invalid value  for configuration k: String must be non-empty",
        ),
        ("list", "list of a b", "a, b,a", ""),
        ("list", "list of a b", "", ""),
        (
            "list",
            "list of a b",
            "c",
            "Invalid value c for configuration k: String must be one of: a, b",
        ),
        (
            "list",
            "list",
            "a,,b",
            "Configuration 'k' values must not be empty.",
        ),
        (
            "list",
            "not empty list",
            "",
            "Configuration 'k' must not be empty. Valid values include: any non-empty value",
        ),
        ("int", "1..9 or -1", "-1", ""),
        (
            "int",
            "1..9 or -1",
            "0",
            "Invalid value 0 for configuration k: Value must be between 1 and 9 or equal to -1",
        ),
        ("list", "throttled replicas", "0:1,1:1", ""),
        ("list", "throttled replicas", "*", ""),
        ("string", "offset reset", "by_duration:PT1H", ""),
        ("string", "offset reset", "by_duration:P1DT2M0.5S", ""),
    ];

    #[test]
    fn values_are_refused_in_kafkas_words() {
        for (kind, valid, value, words) in CASES {
            assert_eq!(problem(kind, valid, value), words, "{kind} {valid} {value}");
        }
        assert!(problem("list", "throttled replicas", "x").starts_with("Invalid value [x] for"));
        for wrong in [
            "x",
            "by_duration:1H",
            "by_duration:P",
            "by_duration:PT",
            "by_duration:PT-1H",
        ] {
            assert!(!problem("string", "offset reset", wrong).is_empty(), "{wrong}");
        }
    }

    #[test]
    fn values_are_shown_as_java_has_them() {
        for (kind, value, shown) in [
            (Kind::Int, " +5", "5"),
            (Kind::Double, "2", "2.0"),
            (Kind::Double, "1.7976931348623157E308", "1.7976931348623157E308"),
            (Kind::Boolean, "TRUE", "true"),
            (Kind::List, "a, b,a", "a,b"),
        ] {
            assert_eq!(kind.normalized(value), shown);
        }
    }
}

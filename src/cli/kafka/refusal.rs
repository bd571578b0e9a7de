//! What a broker refuses, in words.

use std::fmt;

use kafka_protocol::{error::ResponseError, protocol::StrBytes};
use serde_json::{Value, json};

const INVALID_TOPIC: i16 = 17;

/// An error code, with the broker's words or ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Kafka's number.
    pub(crate) code: i16,
    /// Kafka's name of it.
    pub(crate) name: String,
    /// For people.
    pub(crate) message: String,
}

impl Refusal {
    /// `None` for success.
    pub(crate) fn from_code(code: i16, message: Option<&StrBytes>) -> Option<Self> {
        let error = ResponseError::try_from_code(code)?;
        let name = screaming(&error.to_string());
        let said = message
            .map(|message| message.trim_end_matches('.'))
            .filter(|said| !said.is_empty());
        let message = match (own_words(code), said) {
            // A name may also be one that collides with another, which only the broker says.
            (Some(_), Some(said)) if code == INVALID_TOPIC => format!("{said} ({name})"),
            (Some(words), _) => words.to_owned(),
            (None, Some(said)) => format!("{said} ({name})"),
            (None, None) => name.clone(),
        };
        Some(Self { code, name, message })
    }

    /// One that no broker gave.
    pub(crate) fn new(name: &str, message: String) -> Self {
        Self {
            code: -1,
            name: name.to_owned(),
            message,
        }
    }

    /// As JSON.
    pub(crate) fn document(&self) -> Value {
        json!({"code": self.name, "message": self.message})
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// Where Kafka's words say nothing about what to do, or nothing that was not known.
fn own_words(code: i16) -> Option<&'static str> {
    Some(match code {
        3 | 69 => "does not exist",
        5 => "has no leader at the moment",
        7 => "the broker did not finish in time; it may still do it",
        14..=16 => "the group's coordinator is not ready; try again",
        17 => "is not a legal name (letters, digits, '.', '_' and '-', at most 249 characters)",
        24 => "is not a legal name of a group",
        29..=31 => "you are not authorised",
        36 => "already exists",
        68 => "has active members; stop them first",
        86 => "a member of the group is subscribed to it; stop it first",
        _ => return None,
    })
}

/// `TopicAlreadyExists` as `TOPIC_ALREADY_EXISTS`.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    for letter in name.strip_suffix("Exception").unwrap_or(name).chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() && !text.ends_with(' ') {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let words = |code, said: Option<&'static str>| {
            Refusal::from_code(code, said.map(StrBytes::from_static_str).as_ref())
                .map(|refusal| refusal.message)
        };
        assert_eq!(words(0, None), None);
        assert_eq!(
            words(36, Some("Topic 'a' already exists.")).unwrap(),
            "already exists"
        );
        assert_eq!(
            words(
                40,
                Some("Invalid value x for configuration retention.ms: Not a number")
            )
            .unwrap(),
            "Invalid value x for configuration retention.ms: Not a number (INVALID_CONFIG)"
        );
        assert_eq!(words(40, None).unwrap(), "INVALID_CONFIG");
        assert_eq!(
            words(17, Some("Topic 'a_b' collides with existing topics: a.b")).unwrap(),
            "Topic 'a_b' collides with existing topics: a.b (INVALID_TOPIC)"
        );
        assert_eq!(words(17, None).unwrap().split(' ').next(), Some("is"));
        assert_eq!(words(3000, None).unwrap(), "UNKNOWN ERROR CODE: 3000");
        assert_eq!(Refusal::from_code(17, None).unwrap().name, "INVALID_TOPIC");
    }
}

//! Offsets that an operator sets: whether a source can go on from them.

use jackfield_api::{ConnectError, OffsetChange};
use serde_json::Value;

use crate::identity::Stored;

/// What Kafka's file source demands, and an identity of the file that can be read where there is one. An offset that is
/// taken out may have been anything.
pub(crate) fn check(change: &OffsetChange) -> Result<(), ConnectError> {
    let Some(text) = &change.offset else {
        return Ok(());
    };
    let refuse = |why: &str| Err(ConnectError::config(why));
    let offset = parse(text)?;
    let Some(position) = offset.get("position") else {
        return refuse("Offset objects should either be null or contain the key 'position'");
    };
    match position.as_i64() {
        None => {
            return refuse("The value for the 'position' key in the offset is expected to be a Long value");
        }
        Some(..0) => {
            return refuse("The value for the 'position' key in the offset should be a non-negative value");
        }
        Some(_) => {}
    }
    let partition = parse(&change.partition)?;
    if partition.is_null() {
        return refuse("Partition objects cannot be null");
    }
    if partition.get("filename").is_none() {
        return refuse("Partition objects should contain the key 'filename'");
    }
    Stored::parse(&change.partition, text).map(drop)
}

fn parse(text: &str) -> Result<Value, ConnectError> {
    serde_json::from_str(text).map_err(|cause| ConnectError::fatal(format!("{text} is not JSON: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_source_can_go_on_from_is_let_in() {
        let file = r#"{"filename":"a.log"}"#;
        for (partition, offset, refused) in [
            (file, Some(r#"{"position":4}"#), None),
            (file, None, None),
            ("null", None, None),
            (
                file,
                Some(r#"{"position":"4"}"#),
                Some("is expected to be a Long value"),
            ),
            (
                file,
                Some(r#"{"position":4.5}"#),
                Some("is expected to be a Long value"),
            ),
            (
                file,
                Some(r#"{"position":-4}"#),
                Some("should be a non-negative value"),
            ),
            (file, Some("{}"), Some("contain the key 'position'")),
            (
                "{}",
                Some(r#"{"position":4}"#),
                Some("should contain the key 'filename'"),
            ),
            ("null", Some(r#"{"position":4}"#), Some("cannot be null")),
            (
                file,
                Some(r#"{"position":4,"fingerprint":"x"}"#),
                Some("no valid fingerprint"),
            ),
        ] {
            let change = OffsetChange {
                partition: partition.to_owned(),
                offset: offset.map(str::to_owned),
            };
            let checked = check(&change).map_err(|error| error.message);
            match refused {
                None => assert_eq!(checked, Ok(()), "{change:?}"),
                Some(part) => assert!(checked.clone().unwrap_err().contains(part), "{checked:?}"),
            }
        }
    }
}

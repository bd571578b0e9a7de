//! The records that sinks and transforms are given. Each value has a token of its own by which it is found again.

use bytes::Bytes;
use jackfield_batch::BatchBuilder;

use crate::{conformance::Values, stage::TOPIC};

/// One record, as a partition has it at an offset.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    /// `None` = a tombstone.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: usize,
    /// Part of the value; found at the destination.
    pub(crate) token: String,
}

/// Records over two partitions, in turns.
pub(crate) fn records(values: Values, count: usize) -> Vec<Given> {
    (0..count).map(|number| record(values, number, "")).collect()
}

/// The record of this number, its value longer by the filling.
pub(crate) fn record(values: Values, number: usize, filling: &str) -> Given {
    let token = format!("kit-{number:06}");
    let value = match values {
        Values::Text | Values::Bytes => format!("{token}{filling}"),
        Values::Json => format!(r#"{{"token":"{token}{filling}","number":{number}}}"#),
    };
    Given {
        partition: i32::from(number % 2 == 1),
        offset: i64::try_from(number / 2).unwrap_or(i64::MAX),
        key: Some(format!("key-{}", number % 7)),
        value: Some(value.into_bytes()),
        headers: 0,
        token,
    }
}

/// A batch of them.
pub(crate) fn batch(values: Values, records: &[Given]) -> Result<Bytes, String> {
    let mut batch = BatchBuilder::new();
    for given in records {
        let mut record = jackfield_batch::Draft::new(TOPIC)
            .partition(given.partition)
            .timestamp(1_700_000_000_000 + given.offset);
        if let Some(key) = &given.key {
            record = record.key(key.as_str());
        }
        if let Some(value) = &given.value {
            record = record.value(draft(values, value)?);
        }
        for _ in 0..given.headers {
            record = record
                .header("kit.header", "one")
                .header("kit.null", jackfield_batch::DraftValue::Null);
        }
        record
            .offset(given.offset)
            .push(&mut batch)
            .map_err(|error| error.to_string())?;
    }
    Ok(Bytes::from(batch.finish()))
}

fn draft(values: Values, value: &[u8]) -> Result<jackfield_batch::DraftValue<'_>, String> {
    let text = || std::str::from_utf8(value).map_err(|error| error.to_string());
    Ok(match values {
        Values::Text => jackfield_batch::DraftValue::Utf8(text()?),
        Values::Json => jackfield_batch::DraftValue::Json(text()?),
        Values::Bytes => jackfield_batch::DraftValue::Bytes(value),
    })
}

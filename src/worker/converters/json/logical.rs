//! Connect's logical types: known by the schema's name.

use jackfield_batch::typed::Schema;

/// A logical type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Connect's names")]
pub(crate) enum Logical {
    Decimal { scale: i32 },
    Date,
    Time,
    Timestamp,
}

/// The logical type of a schema, if it is one.
pub(crate) fn logical(schema: &Schema) -> Option<Logical> {
    let name = schema
        .name
        .as_deref()?
        .strip_prefix("org.apache.kafka.connect.data.")?;
    match name {
        "Decimal" => {
            let scale = schema.parameters.iter().find(|(key, _)| key == "scale");
            Some(Logical::Decimal {
                scale: scale.and_then(|(_, value)| value.parse().ok()).unwrap_or(0),
            })
        }
        "Date" => Some(Logical::Date),
        "Time" => Some(Logical::Time),
        "Timestamp" => Some(Logical::Timestamp),
        _ => None,
    }
}

//! The options of each converter: what lists and forms show, and what the first check goes by.

use jackfield_api::{
    ConfigType,
    Importance::{High, Low},
};

use crate::definition::{
    Key,
    Kind::{Boolean, Int, OneOf, Text},
    Width, unsupported, works,
};

const SCHEMAS: &str = "Schemas";
const SERIALIZATION: &str = "Serialization";

/// Set by the worker: what a converter is used for.
const CONVERTER_TYPE: Key = works(
    "converter.type",
    OneOf(&["key", "value", "header"]),
    None,
    "What the converter is used for",
)
.shown(ConfigType::String, Low, ("", -1), Width::None, "converter.type")
.required();

const JSON: &[Key] = &[
    CONVERTER_TYPE,
    works(
        "schemas.enable",
        Boolean,
        Some("true"),
        "Whether each value comes with its schema",
    )
    .shown(
        ConfigType::Boolean,
        High,
        (SCHEMAS, 0),
        Width::Medium,
        "Enable Schemas",
    ),
    works(
        "schemas.cache.size",
        Int(0),
        Some("1000"),
        "Most schemas that are kept",
    )
    .shown(
        ConfigType::Int,
        High,
        (SCHEMAS, 1),
        Width::Medium,
        "Schema Cache Size",
    ),
    unsupported("schema.content", Text, None, "A schema for all values").shown(
        ConfigType::String,
        High,
        (SCHEMAS, 2),
        Width::Medium,
        "Schema Content",
    ),
    works(
        "decimal.format",
        OneOf(&["BASE64", "NUMERIC"]),
        Some("BASE64"),
        "How decimals are written",
    )
    .shown(
        ConfigType::String,
        Low,
        (SERIALIZATION, 0),
        Width::Medium,
        "Decimal Format",
    ),
    works(
        "replace.null.with.default",
        Boolean,
        Some("true"),
        "Whether a null field is written as its default",
    )
    .shown(
        ConfigType::Boolean,
        Low,
        (SERIALIZATION, 1),
        Width::Medium,
        "Replace null with default",
    ),
];

const STRING: &[Key] = &[
    CONVERTER_TYPE,
    works(
        "converter.encoding",
        Text,
        Some("UTF-8"),
        "Encoding of the text; there is UTF-8 only",
    )
    .shown(ConfigType::String, High, ("", -1), Width::Medium, "Encoding"),
];

/// Options of a converter by any of its names; `None` for an unknown class.
pub(crate) fn options(class: &str) -> Option<&'static [Key]> {
    const BYTES: &[Key] = &[CONVERTER_TYPE];
    const HEADER: &[Key] = &[];
    // In the order of the classes.
    let all = [JSON, STRING, BYTES, HEADER];
    super::position(class).map(|position| all[position])
}

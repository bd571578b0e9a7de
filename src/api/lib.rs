//! The connector contract in Rust (the SDK): Source and Sink traits, ConfigDef, Schema and Value, errors, wake-ups,
//! and the export macros that turn one source into a native library or a WASM component.
//!
//! SEAM: signatures below are the contract other crates code against; the owner fills and refines them.

use std::collections::BTreeMap;

pub mod abi;

pub use jackfield_batch as batch;

/// The one list of error kinds: WIT, C ABI and Rust alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The same call may be repeated after a back-off.
    Retriable,
    /// A record is bad; `errors.tolerance` decides.
    Data,
    /// The configuration is wrong: no restart until it changes.
    Config,
    /// The task fails.
    Fatal,
}

/// The one error a connector returns.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    /// What may be done about it.
    pub kind: ErrorKind,
    /// Lower case, names the thing and the value, causes joined with ": ".
    pub message: String,
}

/// Config types, Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "Kafka's names")]
pub enum ConfigType {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

/// Importance, Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "Kafka's names")]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// Checks a value beyond its type.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Validator {
    NonEmpty,
    OneOf(Vec<String>),
    Range { min: Option<i64>, max: Option<i64> },
}

/// One option: the single definition that parsing, validation, help and documentation derive from.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[allow(missing_docs, reason = "the fields of Connect's ConfigKeyInfo")]
pub struct ConfigKey {
    pub name: String,
    pub kind: ConfigType,
    /// `None` and `required` = must be given; `None` and not required = null.
    pub default: Option<String>,
    pub required: bool,
    pub importance: Importance,
    pub documentation: String,
    pub display_name: String,
    pub group: Option<String>,
    pub validator: Option<Validator>,
}

/// The options of a connector.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct ConfigDef {
    /// In display order.
    pub keys: Vec<ConfigKey>,
}

/// A problem with one option.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ConfigValueIssue {
    /// Option.
    pub name: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl ConfigDef {
    /// Checks types, required values and validators of the given config; unknown keys are not looked at.
    pub fn check(&self, _config: &BTreeMap<String, String>) -> Vec<ConfigValueIssue> {
        todo!()
    }
}

/// Connect schemas in JsonConverter's notation.
pub mod schema_json {
    use crate::batch::typed::Schema;
    /// Parses `{"type":"struct","fields":[…],"optional":false,"name":…}`.
    pub fn parse(_json: &str) -> Result<Schema, String> {
        todo!()
    }
    /// Writes the schema exactly as Kafka's JsonConverter does.
    pub fn to_json(_schema: &Schema) -> String {
        todo!()
    }
}

/// Bindings of the WIT package for components.
#[cfg(target_family = "wasm")]
pub mod component {
    wit_bindgen::generate!({
        path: "wit",
        world: "connectors",
        pub_export_macro: true,
        export_macro_name: "export_component",
    });
}

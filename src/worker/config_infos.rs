//! Connect's answers about configs: the keys there are, and the values given with what is wrong with them.

use jackfield_api::{ConfigType, Importance};
use serde::Serialize;
use utoipa::ToSchema;

use crate::definition::Width;

/// `ConfigInfos`: a config as it was checked.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct ConfigInfos {
    /// The connector class, as it was given.
    pub name: String,
    pub error_count: usize,
    pub groups: Vec<String>,
    pub configs: Vec<ConfigInfo>,
}

/// `ConfigInfo`: a key, and the value given for it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct ConfigInfo {
    /// `None` for a key that is not defined.
    pub definition: Option<ConfigKeyInfo>,
    pub value: ConfigValueInfo,
}

/// `ConfigKeyInfo`: a key.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct ConfigKeyInfo {
    pub name: String,
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub(crate) kind: ConfigType,
    pub required: bool,
    pub default_value: Option<String>,
    #[schema(value_type = String)]
    pub(crate) importance: Importance,
    pub documentation: String,
    pub group: Option<String>,
    pub order_in_group: i32,
    #[schema(value_type = String)]
    pub(crate) width: Width,
    pub display_name: String,
    pub dependents: Vec<String>,
}

/// `ConfigValueInfo`: a value.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[allow(missing_docs, reason = "Connect's fields")]
pub struct ConfigValueInfo {
    pub name: String,
    pub value: Option<String>,
    pub recommended_values: Vec<String>,
    pub errors: Vec<String>,
    pub visible: bool,
}

impl ConfigInfos {
    pub(crate) fn new(name: String, groups: Vec<String>, configs: Vec<ConfigInfo>) -> Self {
        Self {
            name,
            error_count: configs.iter().map(|config| config.value.errors.len()).sum(),
            groups,
            configs,
        }
    }

    /// Everything that is wrong.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &str> {
        let errors = self.configs.iter().flat_map(|config| &config.value.errors);
        errors.map(String::as_str)
    }
}

impl ConfigValueInfo {
    pub(crate) fn new(
        name: String,
        value: Option<String>,
        recommended_values: Vec<String>,
        errors: Vec<String>,
    ) -> Self {
        Self {
            name,
            value,
            recommended_values,
            errors,
            visible: true,
        }
    }
}

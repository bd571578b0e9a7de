//! Values that were given to the broker, by key: checked, and read with the defaults of the table.

use std::{collections::BTreeMap, fmt};

use super::{definition::split_list, tables};
use crate::topic_config;

/// Keys with their values.
pub(crate) type Map = BTreeMap<String, String>;

/// Longest value that can be set while the broker runs, as in Kafka.
const VALUE_MAX_BYTES: usize = i16::MAX as usize;

/// Checks what is to be set while the broker runs.
///
/// # Errors
/// Kafka's message when a value is too long.
pub(crate) fn check_lengths(configs: &Map) -> Result<(), String> {
    if configs.values().all(|value| value.len() <= VALUE_MAX_BYTES) {
        return Ok(());
    }
    Err(format!(
        "The configuration value cannot be added because it exceeds the maximum value size of {VALUE_MAX_BYTES} bytes."
    ))
}

/// Checked values of broker options. What was not given has its default.
#[derive(Clone, Default)]
pub(crate) struct Values(Map);

/// Values may be secrets.
impl fmt::Debug for Values {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Values {
    /// Of checked values.
    pub(crate) fn new(checked: Map) -> Self {
        Self(checked)
    }

    /// With the values of `layers` in place of these, the last one's before the others'. As in Kafka, what is set in a layer
    /// takes away what stands below it for the same in other units.
    pub(crate) fn under(&self, layers: &[&Map]) -> Self {
        let mut values = self.0.clone();
        for (key, value) in layers.iter().copied().flatten() {
            for same in topic_config::same_as(key) {
                values.remove(same);
            }
            values.insert(key.clone(), value.clone());
        }
        Self(values)
    }

    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The value of an option as text: given, or its default; empty when there is neither.
    pub(crate) fn text(&self, name: &str) -> &str {
        let default = || tables::broker().find(name).and_then(|option| option.default);
        self.given(name).or_else(default).unwrap_or_default()
    }

    /// The value of a numeric option, if it has one.
    pub(crate) fn maybe_number(&self, name: &str) -> Option<i64> {
        self.text(name).parse().ok()
    }

    /// The value of a numeric option that has a default.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.maybe_number(name).expect("a numeric option with a default")
    }

    /// What is negative is 0.
    pub(crate) fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name).max(0)).unwrap_or(usize::MAX)
    }

    pub(crate) fn int(&self, name: &str) -> i32 {
        i32::try_from(self.number(name)).unwrap_or(i32::MAX)
    }

    /// What is negative is 0.
    pub(crate) fn unsigned(&self, name: &str) -> u32 {
        u32::try_from(self.number(name).max(0)).unwrap_or(u32::MAX)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }

    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        split_list(self.text(name))
    }
}

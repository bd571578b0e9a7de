//! The order in which a `java.util.HashMap` gives its keys.
//!
//! Connect writes task configs from such a map, so equal bytes need its order.

use crate::ConfigMap;

/// The map's entries as `new HashMap<>(map)` would give them.
pub(crate) fn in_java_order(config: &ConfigMap) -> ConfigMap {
    let table = table_size(config.len());
    let mut entries: Vec<(&String, &String)> = config.iter().collect();
    entries.sort_by_key(|(key, _)| bucket(key, table));
    entries
        .into_iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Table size of a HashMap made from a map of this size (load factor 0.75).
fn table_size(length: usize) -> u32 {
    u32::try_from(length * 4 / 3 + 1)
        .unwrap_or(1 << 30)
        .next_power_of_two()
}

fn bucket(key: &str, table: u32) -> u32 {
    let hash = key.encode_utf16().fold(0u32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    });
    (hash ^ (hash >> 16)) & (table - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[&str], expected: &[&str]) {
        let map = given
            .iter()
            .map(|key| ((*key).to_owned(), String::new()))
            .collect();
        assert_eq!(in_java_order(&map).keys().collect::<Vec<_>>(), expected);
    }

    /// The orders in which Kafka Connect 4.3.1 wrote the task configs of its file connectors.
    #[test]
    fn orders_seen_in_kafkas_config_topic() {
        check(
            &[
                "name",
                "connector.class",
                "tasks.max",
                "file",
                "topic",
                "task.class",
            ],
            &[
                "connector.class",
                "file",
                "task.class",
                "tasks.max",
                "name",
                "topic",
            ],
        );
        check(
            &[
                "connector.class",
                "tasks.max",
                "file",
                "topics",
                "name",
                "task.class",
            ],
            &[
                "connector.class",
                "file",
                "task.class",
                "tasks.max",
                "topics",
                "name",
            ],
        );
        check(
            &[
                "name",
                "connector.class",
                "tasks.max",
                "file",
                "topic",
                "batch.size",
                "task.class",
            ],
            &[
                "connector.class",
                "file",
                "task.class",
                "tasks.max",
                "batch.size",
                "name",
                "topic",
            ],
        );
    }
}

//! Which partition of `__consumer_offsets` holds a group: Java's `String.hashCode`, sign cleared, modulo.

/// Java's `String.hashCode`: over UTF-16 code units.
pub(crate) fn java_string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

/// Kafka's `Utils.abs(hash) % partitions`.
pub(crate) fn partition_for_group(group_id: &str, partitions: i32) -> i32 {
    let hash = java_string_hash(group_id);
    let positive = if hash == i32::MIN { 0 } else { hash.abs() };
    positive % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_groups_as_java_does() {
        // Printed by Java: `s.hashCode()`, `Utils.abs(s.hashCode()) % 50`.
        for (group, hash, partition) in [
            ("connect-local-file-sink", -1_047_382_657, 7),
            ("my-group", -1_906_497_762, 12),
            ("\u{10437}", 1_770_582, 32),
            ("gruppe-ä", 673_522_898, 48),
            ("polygenelubricants", i32::MIN, 0),
        ] {
            assert_eq!(java_string_hash(group), hash, "{group}");
            assert_eq!(partition_for_group(group, 50), partition, "{group}");
        }
    }
}

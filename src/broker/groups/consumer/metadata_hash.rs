//! Kafka's hash over the topics a group is subscribed to: a topic that comes, goes or grows changes it.

use twox_hash::XxHash3_64;

use super::topics::TopicImage;

/// First byte of what is hashed of a topic.
const MAGIC: u8 = 0;

/// Hash over those of the topics that exist; 0 when none does.
pub(crate) fn metadata_hash<'a>(names: impl Iterator<Item = &'a str>, image: &dyn TopicImage) -> i64 {
    let mut hashes: Vec<(&str, u64)> = names
        .filter_map(|name| Some((name, topic_hash(name, image)?)))
        .collect();
    if hashes.is_empty() {
        return 0;
    }
    // Java orders names by UTF-16 units; topic names are ASCII.
    hashes.sort_unstable();
    let all: Vec<u8> = hashes.iter().flat_map(|(_, hash)| hash.to_le_bytes()).collect();
    XxHash3_64::oneshot(&all).cast_signed()
}

fn topic_hash(name: &str, image: &dyn TopicImage) -> Option<u64> {
    let (id, partitions) = image.by_name(name)?;
    let mut bytes = vec![MAGIC];
    // Java hashes the id as two numbers, which hash4j writes in little-endian order.
    for half in id.0.chunks(8) {
        bytes.extend(half.iter().rev());
    }
    bytes.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    bytes.extend(
        i32::try_from(name.encode_utf16().count())
            .unwrap_or(i32::MAX)
            .to_le_bytes(),
    );
    bytes.extend(partitions.to_le_bytes());
    // Racks of replicas would follow each number; this broker has none.
    bytes.extend((0..partitions).flat_map(i32::to_le_bytes));
    Some(XxHash3_64::oneshot(&bytes))
}

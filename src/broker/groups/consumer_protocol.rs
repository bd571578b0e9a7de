//! What consumers put into the opaque parts of the group protocol: subscription and assignment in Java's
//! `ConsumerProtocol` bytes, so that our members, Java's and librdkafka's form one group.

use bytes::Bytes;

use super::{
    records::RecordError,
    wire_format::{Reader, Writer},
};

/// Version our members write: the one of Java 3.5 and newer.
const SUBSCRIPTION_VERSION: i16 = 3;
/// Java's assignors write the same number; the fields are those of version 0.
const ASSIGNMENT_VERSION: i16 = 3;

/// Bytes of a member that are not a consumer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the consumer protocol: {0}")]
pub struct ConsumerProtocolError(String);

impl From<RecordError> for ConsumerProtocolError {
    fn from(error: RecordError) -> Self {
        Self(error.to_string())
    }
}

/// Topics a consumer wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscription {
    /// Topics by name.
    pub topics: Vec<String>,
    /// What the assignor of the member wants to tell its leader.
    pub user_data: Option<Bytes>,
    /// Partitions held at the time of the join (version 1 and newer), by topic.
    pub owned: Vec<(String, Vec<i32>)>,
    /// Where the consumer is (version 3 and newer); never empty.
    pub rack_id: Option<String>,
}

/// Partitions a consumer got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    /// Partitions by topic.
    pub partitions: Vec<(String, Vec<i32>)>,
    /// What the leader's assignor wants to tell the member.
    pub user_data: Option<Bytes>,
}

impl Subscription {
    /// The bytes of a subscription.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        out.i16(SUBSCRIPTION_VERSION);
        out.count(self.topics.len());
        for topic in &self.topics {
            out.string(topic);
        }
        write_user_data(&mut out, self.user_data.as_ref());
        write_partitions(&mut out, &self.owned);
        // The generation is unknown.
        out.i32(-1);
        out.nullable_string(self.rack_id.as_deref());
        out.finish().into()
    }

    /// Reads a subscription of any version; fields of newer ones are left unread, as Java does.
    ///
    /// # Errors
    /// When the bytes are not a subscription.
    pub fn decode(data: &[u8]) -> Result<Self, ConsumerProtocolError> {
        let mut reader = Reader::new(data);
        let version = reader.i16()?;
        if version < 0 {
            return Err(ConsumerProtocolError(format!("version {version}")));
        }
        let mut topics = Vec::new();
        for _ in 0..reader.array_len()? {
            topics.push(reader.string()?);
        }
        let user_data = read_user_data(&mut reader)?;
        let owned = if version >= 1 {
            read_partitions(&mut reader)?
        } else {
            Vec::new()
        };
        if version >= 2 {
            let _generation = reader.i32()?;
        }
        let rack_id = if version >= 3 {
            reader.nullable_text()?
        } else {
            None
        };
        Ok(Self {
            topics,
            user_data,
            owned,
            rack_id: rack_id.filter(|rack| !rack.is_empty()),
        })
    }
}

/// The version of a subscription or an assignment.
pub(crate) fn version(data: &[u8]) -> Option<i16> {
    Reader::new(data).i16().ok()
}

impl Assignment {
    /// The bytes of an assignment.
    pub fn encode(&self) -> Bytes {
        self.encode_in(ASSIGNMENT_VERSION)
    }

    /// The bytes of an assignment for a member that speaks this version; all versions have the same fields.
    pub(crate) fn encode_in(&self, version: i16) -> Bytes {
        let mut out = Writer::default();
        out.i16(version.clamp(0, ASSIGNMENT_VERSION));
        write_partitions(&mut out, &self.partitions);
        write_user_data(&mut out, self.user_data.as_ref());
        out.finish().into()
    }

    /// Reads an assignment. Empty bytes, which the coordinator gives a member its leader forgot, are no partitions.
    ///
    /// # Errors
    /// When the bytes are not an assignment.
    pub fn decode(data: &[u8]) -> Result<Self, ConsumerProtocolError> {
        if data.is_empty() {
            return Ok(Self::default());
        }
        let mut reader = Reader::new(data);
        let version = reader.i16()?;
        if version < 0 {
            return Err(ConsumerProtocolError(format!("version {version}")));
        }
        Ok(Self {
            partitions: read_partitions(&mut reader)?,
            user_data: read_user_data(&mut reader)?,
        })
    }
}

fn write_user_data(out: &mut Writer, user_data: Option<&Bytes>) {
    match user_data {
        Some(data) => out.bytes(data),
        None => out.i32(-1),
    }
}

fn read_user_data(reader: &mut Reader<'_>) -> Result<Option<Bytes>, RecordError> {
    Ok(reader.nullable_bytes()?.map(Bytes::copy_from_slice))
}

fn write_partitions(out: &mut Writer, partitions: &[(String, Vec<i32>)]) {
    out.count(partitions.len());
    for (topic, indexes) in partitions {
        out.string(topic);
        out.count(indexes.len());
        for index in indexes {
            out.i32(*index);
        }
    }
}

fn read_partitions(reader: &mut Reader<'_>) -> Result<Vec<(String, Vec<i32>)>, RecordError> {
    let mut partitions = Vec::new();
    for _ in 0..reader.array_len()? {
        let topic = reader.string()?;
        let mut indexes = Vec::new();
        for _ in 0..reader.array_len()? {
            indexes.push(reader.i32()?);
        }
        partitions.push((topic, indexes));
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn javas_bytes_are_understood() {
        // What the Java consumer of Kafka 4.3 sends and gets (taken from its `__consumer_offsets`).
        let subscription = b"\0\x01\0\0\0\x01\0\x0dgolden-groups\xff\xff\xff\xff\0\0\0\0";
        let decoded = Subscription::decode(subscription).expect("a subscription");
        assert_eq!(
            (decoded.topics, decoded.user_data),
            (vec!["golden-groups".to_owned()], None)
        );
        // Version 3: nothing owned, generation 5, rack `r1`; and the same with an empty rack.
        let rack = |tail: &[u8]| {
            let data = [b"\0\x03\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\x05", tail].concat();
            Subscription::decode(&data).map(|decoded| decoded.rack_id)
        };
        assert_eq!(rack(b"\0\x02r1"), Ok(Some("r1".to_owned())));
        assert_eq!(rack(b"\0\0"), Ok(None));
        assert_eq!(rack(b"\xff\xff"), Ok(None));
        assert!(rack(b"").is_err());
        let assignment = b"\0\x01\0\0\0\x01\0\x0dgolden-groups\0\0\0\x02\0\0\0\0\0\0\0\x01\xff\xff\xff\xff";
        let decoded = Assignment::decode(assignment).expect("an assignment");
        assert_eq!(decoded.partitions, [("golden-groups".to_owned(), vec![0, 1])]);
        assert_eq!(Assignment::decode(b""), Ok(Assignment::default()));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let subscription = Subscription {
            topics: vec!["a".into(), "b".into()],
            user_data: Some(Bytes::from_static(b"u")),
            owned: vec![("a".into(), vec![0, 2])],
            rack_id: Some("r".into()),
        };
        assert_eq!(Subscription::decode(&subscription.encode()), Ok(subscription));
        let assignment = Assignment {
            partitions: vec![("a".into(), vec![1])],
            user_data: None,
        };
        assert_eq!(Assignment::decode(&assignment.encode()), Ok(assignment));
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_errors_not_panics(data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Subscription::decode(&data);
            let _ = Assignment::decode(&data);
        }
    }
}

//! A Fetch response, written by hand: record bytes stay in their files until they are on the socket.

use bytes::BufMut;

use super::{
    NODE_ENDPOINTS_VERSION, RACK_VERSION, SESSION_VERSION, START_OFFSET_VERSION,
    read::Answer,
    request::{Place, TopicKey},
};
use crate::{
    connection::{Part, Response},
    wire::Writer,
};

/// This broker, as a client that has to look for the leader is told of it (KIP-951).
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: i32,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) rack: Option<String>,
}

/// What a response says of its session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) code: i16,
    pub(super) session_id: i32,
}

/// Writes a response in `version`. Partitions of one topic that follow each other share its name.
pub(super) fn encode(
    head: Head,
    answers: &[(Place, Answer)],
    node: &Node,
    version: i16,
    flexible: bool,
) -> Response {
    let mut parts = Vec::new();
    let mut out = Writer::new(flexible);
    out.buffer.put_i32(0);
    if version >= SESSION_VERSION {
        out.buffer.put_i16(head.code);
        out.buffer.put_i32(head.session_id);
    }
    let topics = answers.chunk_by(|(one, _), (other, _)| one.topic == other.topic);
    out.array(topics.clone().count());
    for topic in topics {
        match &topic[0].0.topic {
            TopicKey::Id(id) => out.buffer.put_slice(&id.0),
            TopicKey::Name(name) => out.string(name),
        }
        out.array(topic.len());
        for (place, answer) in topic {
            encode_partition(&mut out, place, answer, version);
            if let Some(slice) = answer.fetched.as_ref().and_then(|fetched| fetched.slice.clone()) {
                parts.push(Part::Bytes(out.buffer.split().freeze()));
                parts.push(Part::File(slice));
            }
            tagged_fields(&mut out, answer, node.id, version);
        }
        out.tagged_fields();
    }
    if version >= NODE_ENDPOINTS_VERSION && answers.iter().any(|(_, answer)| answer.leader_epoch.is_some()) {
        out.tagged(&[(0, endpoints(node))]);
    } else {
        out.tagged_fields();
    }
    parts.push(Part::Bytes(out.buffer.freeze()));
    parts
}

/// Everything of a partition up to its record bytes.
fn encode_partition(out: &mut Writer, place: &Place, answer: &Answer, version: i16) {
    let fetched = answer.fetched.as_ref();
    out.buffer.put_i32(place.partition);
    out.buffer.put_i16(answer.code);
    out.buffer
        .put_i64(fetched.map_or(-1, |fetched| fetched.high_watermark));
    out.buffer
        .put_i64(fetched.map_or(-1, |fetched| fetched.last_stable_offset));
    if version >= START_OFFSET_VERSION {
        out.buffer
            .put_i64(fetched.map_or(-1, |fetched| fetched.log_start_offset));
    }
    out.array(0); // aborted transactions
    if version >= RACK_VERSION {
        out.buffer.put_i32(-1); // preferred read replica
    }
    out.records_length(answer.bytes());
}

/// Where the client's log diverges, and who leads.
fn tagged_fields(out: &mut Writer, answer: &Answer, node_id: i32, version: i16) {
    let mut fields = Vec::new();
    if let Some((epoch, end_offset)) = answer.diverging {
        let mut field = epoch.to_be_bytes().to_vec();
        field.extend(end_offset.to_be_bytes());
        field.push(0);
        fields.push((0, field));
    }
    if let Some(leader_epoch) = answer.leader_epoch
        && version >= NODE_ENDPOINTS_VERSION
    {
        let mut field = node_id.to_be_bytes().to_vec();
        field.extend(leader_epoch.to_be_bytes());
        field.push(0);
        fields.push((1, field));
    }
    out.tagged(&fields);
}

/// The one node, as a tagged field.
fn endpoints(node: &Node) -> Vec<u8> {
    let mut out = Writer::new(true);
    out.array(1);
    out.buffer.put_i32(node.id);
    out.string(&node.host);
    out.buffer.put_i32(i32::from(node.port));
    out.nullable_string(node.rack.as_deref());
    out.tagged_fields();
    out.buffer.to_vec()
}

#[cfg(test)]
mod tests;

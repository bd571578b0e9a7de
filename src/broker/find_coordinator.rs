//! FindCoordinator, versions 0 to 6: every group is coordinated here.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, find_coordinator_response::Coordinator,
    },
    protocol::StrBytes,
};

use crate::groups::Groups;

/// Key type of groups.
const KEY_TYPE_GROUP: i8 = 0;
/// First version that asks for several keys.
const BATCH_VERSION: i16 = 4;

/// This broker as the client is to reach it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// Handles the request. The first one for a group creates `__consumer_offsets`.
pub(crate) async fn handle(
    groups: &Groups,
    node: &Node,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let refused = match request.key_type {
        KEY_TYPE_GROUP => {
            let refused = groups.ensure_offsets_topic().await.err();
            refused.map(|error| (error.code(), error.to_string()))
        }
        other => {
            let what = if other == 1 {
                "transactions are"
            } else {
                "this kind of coordinator is"
            };
            Some((
                ResponseError::InvalidRequest.code(),
                format!("{what} not supported by this broker (key type {other})"),
            ))
        }
    };
    let found = |key: StrBytes| coordinator(key, node, refused.as_ref());
    if version >= BATCH_VERSION {
        let coordinators = request.coordinator_keys.into_iter().map(found).collect();
        return FindCoordinatorResponse::default().with_coordinators(coordinators);
    }
    let found = found(request.key);
    let message = match found.error_code {
        // Kafka's older answers have a message for success, too.
        0 => Some(StrBytes::from_static_str("NONE")),
        _ => found.error_message,
    };
    FindCoordinatorResponse::default()
        .with_error_code(found.error_code)
        .with_error_message(message)
        .with_node_id(found.node_id)
        .with_host(found.host)
        .with_port(found.port)
}

fn coordinator(key: StrBytes, node: &Node, refused: Option<&(i16, String)>) -> Coordinator {
    let coordinator = Coordinator::default().with_key(key);
    match refused {
        None => coordinator
            .with_node_id(BrokerId(node.id))
            .with_host(StrBytes::from_string(node.host.clone()))
            .with_port(i32::from(node.port)),
        Some((code, message)) => coordinator
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(*code)
            .with_error_message(Some(StrBytes::from_string(message.clone()))),
    }
}

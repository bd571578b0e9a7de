//! From a frame to the handler of its request, and from its answer to a response frame.

use std::{net::SocketAddr, sync::Arc};

use bytes::{Bytes, BytesMut};
use jackfield_protocol::{frame::RequestHeader, guard, reader::Malformed, versions::Api};
use kafka_protocol::{
    messages,
    protocol::{Decodable, Encodable},
};

use crate::{
    alter_configs, alter_partition_reassignments, alter_replica_log_dirs, api_versions,
    broker::Core,
    connection::{Part, Pending, Response},
    consumer_group_describe, consumer_group_heartbeat, create_acls, create_partitions, create_topics,
    delete_acls, delete_groups, delete_records, delete_topics, describe_acls, describe_cluster,
    describe_configs, describe_groups, describe_log_dirs, describe_producers, describe_quorum,
    describe_topic_partitions, elect_leaders, fetch, find_coordinator, heartbeat, init_producer_id,
    join_group, leave_group, list_config_resources, list_groups, list_offsets, list_partition_reassignments,
    metadata, offset_commit, offset_delete, offset_fetch, offset_for_leader_epoch, produce, sync_group,
    update_features,
};

/// Why a connection is closed instead of answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The frame breaks the protocol.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The request is not served in this version.
    #[error("api key {key} version {version} is not served")]
    Unsupported {
        /// API key as sent.
        key: i16,
        /// Version as sent.
        version: i16,
    },
    /// The codec found what the guard did not.
    #[error("request cannot be decoded: {0}")]
    Decode(String),
    /// An answer does not exist in the version it is due in: a defect of this broker.
    #[error("answer to {api:?} version {version} cannot be encoded: {message}")]
    Encode {
        /// Which request.
        api: Api,
        /// In which version.
        version: i16,
        /// The codec's words.
        message: String,
    },
    /// An acks=0 request failed; closing is the only way to tell.
    #[error("produce with acks=0 failed")]
    Unanswerable,
}

impl Refused {
    /// Whether an operator should hear of it.
    pub(crate) fn is_our_fault(&self) -> bool {
        matches!(self, Self::Encode { .. })
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) core: Arc<Core>,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

/// A request that passed the checks.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) api: Api,
    pub(crate) version: i16,
    pub(crate) flexible: bool,
    pub(crate) client_id: String,
    pub(crate) body: BytesMut,
    head: Bytes,
    /// ApiVersions in a version nobody knows is answered in version 0 with the table (KIP-511).
    unknown_api_versions: bool,
}

impl Request {
    pub(crate) fn is_produce(&self) -> bool {
        self.api == Api::Produce
    }
}

/// Parses the header, checks version and layout.
///
/// # Errors
/// [`Refused`]: the connection is to be closed.
pub(crate) fn parse(mut frame: BytesMut) -> Result<Request, Refused> {
    let header = RequestHeader::parse(&frame)?;
    let unsupported = Refused::Unsupported {
        key: header.key,
        version: header.version,
    };
    let Some(support) = header.support else {
        return Err(unsupported);
    };
    let unknown_api_versions = support.api == Api::ApiVersions && !support.contains(header.version);
    if !support.contains(header.version) && !unknown_api_versions {
        return Err(unsupported);
    }
    let mut head = BytesMut::with_capacity(5);
    head.extend_from_slice(&header.correlation_id.to_be_bytes());
    if header.response_is_flexible() {
        head.extend_from_slice(&[0]);
    }
    let (version, len) = (header.version, header.len);
    let client_id = header.client_id.unwrap_or_default().to_owned();
    let body = frame.split_off(len);
    if !unknown_api_versions {
        guard::check(support, version, &body)?;
    }
    Ok(Request {
        api: support.api,
        version,
        flexible: support.is_flexible(version),
        client_id,
        body,
        head: head.freeze(),
        unknown_api_versions,
    })
}

/// Appends a produce request at once; the future waits for its durability.
pub(crate) fn produce_now(client: &Client, request: Request) -> Pending {
    let appended = produce::append(&client.core, request.version, request.flexible, request.body);
    let head = request.head;
    Box::pin(async move { Ok(with_head(head, appended?.response().await?)) })
}

fn with_head(head: Bytes, mut parts: Response) -> Response {
    if !parts.is_empty() {
        parts.insert(0, Part::Bytes(head));
    }
    parts
}

/// The version of the codec that has the fields of the request's.
fn codec_version(request: &Request) -> i16 {
    match request.api {
        Api::ListOffsets => request.version.min(list_offsets::CODEC_VERSION),
        _ => request.version,
    }
}

fn decode<T: Decodable>(request: &mut Request) -> Result<T, Refused> {
    let mut body = std::mem::take(&mut request.body).freeze();
    T::decode(&mut body, codec_version(request)).map_err(|error| Refused::Decode(error.to_string()))
}

fn encode<T: Encodable>(response: &T, request: &Request) -> Result<Response, Refused> {
    let version = if request.unknown_api_versions {
        0
    } else {
        codec_version(request)
    };
    let mut out = BytesMut::new();
    response
        .encode(&mut out, version)
        .map_err(|error| Refused::Encode {
            api: request.api,
            version,
            message: error.to_string(),
        })?;
    Ok(vec![Part::Bytes(out.freeze())])
}

/// Handles a request when it is awaited.
pub(crate) fn run(client: Client, mut request: Request) -> Pending {
    Box::pin(async move {
        let head = request.head.clone();
        let parts = match request.api {
            Api::Produce => return produce_now(&client, request).await,
            Api::Fetch => fetch::handle(&client, request.version, request.flexible, &request.body).await?,
            Api::JoinGroup
            | Api::SyncGroup
            | Api::Heartbeat
            | Api::LeaveGroup
            | Api::OffsetCommit
            | Api::OffsetFetch
            | Api::DescribeGroups
            | Api::ListGroups
            | Api::DeleteGroups
            | Api::OffsetDelete
            | Api::ConsumerGroupHeartbeat
            | Api::ConsumerGroupDescribe
            | Api::FindCoordinator => run_group(&client, &mut request).await?,
            _ => run_admin(&client, &mut request).await?,
        };
        Ok(with_head(head, parts))
    })
}

async fn run_group(client: &Client, request: &mut Request) -> Result<Response, Refused> {
    let (groups, version) = (&client.core.groups, request.version);
    match request.api {
        Api::FindCoordinator => {
            let (host, port) = client.core.advertised(client.local);
            let node = find_coordinator::Node {
                id: client.core.config.node_id,
                host,
                port,
            };
            let answer = find_coordinator::handle(groups, &node, decode(request)?, version).await;
            encode(&answer, request)
        }
        Api::JoinGroup => {
            let decoded: messages::JoinGroupRequest = decode(request)?;
            let address = client.peer.ip();
            let answer = join_group::handle(groups, &request.client_id, address, decoded, version).await;
            encode(&answer, request)
        }
        Api::SyncGroup => encode(&sync_group::handle(groups, decode(request)?).await, request),
        Api::Heartbeat => encode(&heartbeat::handle(groups, &decode(request)?), request),
        Api::LeaveGroup => {
            let answer = leave_group::handle(groups, decode(request)?, version).await;
            encode(&answer, request)
        }
        Api::OffsetCommit => {
            let answer = offset_commit::handle(groups, decode(request)?, version).await;
            encode(&answer, request)
        }
        Api::DescribeGroups => {
            let answer = describe_groups::handle(groups, decode(request)?, version).await;
            encode(&answer, request)
        }
        Api::ListGroups => encode(&list_groups::handle(groups, decode(request)?).await, request),
        Api::DeleteGroups => encode(&delete_groups::handle(groups, decode(request)?).await, request),
        Api::ConsumerGroupHeartbeat => {
            let decoded: messages::ConsumerGroupHeartbeatRequest = decode(request)?;
            let (client_id, address) = (&request.client_id, client.peer.ip());
            let answer = consumer_group_heartbeat::handle(groups, client_id, address, decoded, version).await;
            encode(&answer, request)
        }
        Api::ConsumerGroupDescribe => {
            let answer = consumer_group_describe::handle(groups, decode(request)?).await;
            encode(&answer, request)
        }
        Api::OffsetDelete => {
            let answer = offset_delete::handle(&client.core, decode(request)?).await;
            encode(&answer, request)
        }
        _ => {
            let answer = offset_fetch::handle(groups, decode(request)?, version).await;
            encode(&answer, request)
        }
    }
}

async fn run_admin(client: &Client, request: &mut Request) -> Result<Response, Refused> {
    let (core, version) = (&client.core, request.version);
    match request.api {
        Api::ApiVersions if request.unknown_api_versions => encode(&api_versions::unsupported(), request),
        Api::ApiVersions => encode(&api_versions::handle(&decode(request)?, version), request),
        Api::Metadata => {
            let answer = metadata::handle(core, client.local, decode(request)?, version).await;
            encode(&answer, request)
        }
        Api::ListOffsets => encode(&list_offsets::handle(core, decode(request)?, version), request),
        Api::CreateTopics => encode(&create_topics::handle(core, decode(request)?).await, request),
        Api::DeleteTopics => {
            let answer = delete_topics::handle(core, decode(request)?, version).await;
            encode(&answer, request)
        }
        Api::InitProducerId => encode(&init_producer_id::handle(core, &decode(request)?), request),
        Api::DeleteRecords => encode(&delete_records::handle(core, decode(request)?), request),
        Api::OffsetForLeaderEpoch => {
            encode(&offset_for_leader_epoch::handle(core, decode(request)?), request)
        }
        Api::DescribeLogDirs => encode(&describe_log_dirs::handle(core, decode(request)?), request),
        Api::DescribeTopicPartitions => encode(
            &describe_topic_partitions::handle(core, decode(request)?),
            request,
        ),
        Api::DescribeProducers => encode(&describe_producers::handle(core, decode(request)?), request),
        Api::DescribeConfigs => encode(&describe_configs::handle(core, &decode(request)?), request),
        Api::CreatePartitions => encode(&create_partitions::handle(core, decode(request)?), request),
        Api::AlterConfigs => encode(&alter_configs::handle(core, decode(request)?), request),
        Api::IncrementalAlterConfigs => encode(
            &alter_configs::handle_incremental(core, decode(request)?),
            request,
        ),
        _ => run_cluster(client, request),
    }
}

/// What is asked of the controller, and of the broker as a whole.
fn run_cluster(client: &Client, request: &mut Request) -> Result<Response, Refused> {
    let (core, version) = (&client.core, request.version);
    match request.api {
        Api::DescribeAcls => encode(&describe_acls::handle(&decode(request)?), request),
        Api::CreateAcls => encode(&create_acls::handle(&decode(request)?), request),
        Api::DeleteAcls => encode(&delete_acls::handle(&decode(request)?), request),
        Api::ListConfigResources => {
            let answer = list_config_resources::handle(core, &decode(request)?, version);
            encode(&answer, request)
        }
        Api::ElectLeaders => encode(&elect_leaders::handle(core, decode(request)?), request),
        Api::AlterPartitionReassignments => {
            let answer = alter_partition_reassignments::handle(core, decode(request)?);
            encode(&answer, request)
        }
        Api::AlterReplicaLogDirs => encode(&alter_replica_log_dirs::handle(core, decode(request)?), request),
        Api::DescribeQuorum => {
            let answer = describe_quorum::handle(core, client.local, &decode(request)?, version);
            encode(&answer, request)
        }
        Api::UpdateFeatures => encode(
            &update_features::handle(core, &decode(request)?, version),
            request,
        ),
        Api::ListPartitionReassignments => {
            encode(&list_partition_reassignments::handle(&decode(request)?), request)
        }
        _ => encode(
            &describe_cluster::handle(core, client.local, &decode(request)?),
            request,
        ),
    }
}

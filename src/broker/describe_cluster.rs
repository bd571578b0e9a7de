//! DescribeCluster, versions 0 to 2: this broker, which is its own controller.

use std::net::SocketAddr;

use kafka_protocol::{
    error::ResponseError,
    messages::{
        BrokerId, DescribeClusterRequest, DescribeClusterResponse,
        describe_cluster_response::DescribeClusterBroker,
    },
    protocol::StrBytes,
};

use crate::{broker::Core, metadata::CLUSTER_OPERATIONS};

/// Endpoint type of brokers (2 would be controllers).
const BROKERS: i8 = 1;

/// Handles the request.
pub(crate) fn handle(
    core: &Core,
    local: SocketAddr,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    let node = BrokerId(core.config.node_id);
    if !matches!(request.endpoint_type, 0 | BROKERS) {
        return DescribeClusterResponse::default()
            .with_error_code(ResponseError::MismatchedEndpointType.code())
            .with_error_message(Some(StrBytes::from_static_str(
                "this listener serves brokers, not controllers",
            )));
    }
    let (host, port) = core.advertised(local);
    let broker = DescribeClusterBroker::default()
        .with_broker_id(node)
        .with_host(StrBytes::from_string(host))
        .with_port(i32::from(port))
        .with_rack(core.config.rack().map(StrBytes::from_string));
    let mut response = DescribeClusterResponse::default();
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
        .with_endpoint_type(BROKERS)
        .with_cluster_id(StrBytes::from_string(core.logs.cluster_id()))
        .with_controller_id(node)
        .with_brokers(vec![broker])
}

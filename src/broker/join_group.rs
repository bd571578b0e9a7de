//! JoinGroup, versions 0 to 9.

use std::net::IpAddr;

use bytes::Bytes;
use kafka_protocol::{
    messages::{JoinGroupRequest, JoinGroupResponse, join_group_response::JoinGroupResponseMember},
    protocol::StrBytes,
};

use crate::groups::{Groups, JoinRefused, JoinRequest, Joined, Protocol};

/// First version with a rebalance timeout of its own.
const REBALANCE_TIMEOUT_VERSION: i16 = 1;
/// First version whose clients come back with the member id they are given.
const KNOWN_MEMBER_ID_VERSION: i16 = 4;
/// First version whose protocol name may be null.
const NULLABLE_PROTOCOL_VERSION: i16 = 7;
/// First version with `skip_assignment`.
const SKIP_ASSIGNMENT_VERSION: i16 = 9;

/// Handles the request; waits for the rebalance.
pub(crate) async fn handle(
    groups: &Groups,
    client_id: &str,
    client_address: IpAddr,
    request: JoinGroupRequest,
    version: i16,
) -> JoinGroupResponse {
    response(
        groups
            .join(plain(client_id, client_address, request, version))
            .await,
        version,
    )
}

fn plain(client_id: &str, client_address: IpAddr, request: JoinGroupRequest, version: i16) -> JoinRequest {
    let rebalance_timeout_ms = if version >= REBALANCE_TIMEOUT_VERSION {
        request.rebalance_timeout_ms
    } else {
        request.session_timeout_ms
    };
    let protocols = request.protocols.into_iter().map(|protocol| Protocol {
        name: protocol.name.to_string(),
        // Copied: a slice would keep the whole request in memory for as long as the member lives.
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    });
    JoinRequest {
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.map(|id| id.to_string()),
        client_id: client_id.to_owned(),
        client_host: java_address(client_address),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_string(),
        protocols: protocols.collect(),
        require_known_member_id: version >= KNOWN_MEMBER_ID_VERSION,
        supports_skip_assignment: version >= SKIP_ASSIGNMENT_VERSION,
        initial_rebalance_delay_ms: None,
    }
}

/// `InetAddress.toString` of an address without a name: IPv6 is not abbreviated.
pub(crate) fn java_address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("/{address}"),
        IpAddr::V6(address) => {
            let groups: Vec<String> = address
                .segments()
                .iter()
                .map(|group| format!("{group:x}"))
                .collect();
            format!("/{}", groups.join(":"))
        }
    }
}

fn response(result: Result<Joined, JoinRefused>, version: i16) -> JoinGroupResponse {
    let nullable = |name: Option<String>| match name {
        Some(name) => Some(StrBytes::from_string(name)),
        None if version < NULLABLE_PROTOCOL_VERSION => Some(StrBytes::default()),
        None => None,
    };
    match result {
        Ok(joined) => {
            let members = joined.members.into_iter().map(|member| {
                JoinGroupResponseMember::default()
                    .with_member_id(StrBytes::from_string(member.member_id))
                    .with_group_instance_id(member.group_instance_id.map(StrBytes::from_string))
                    .with_metadata(member.metadata)
            });
            JoinGroupResponse::default()
                .with_generation_id(joined.generation)
                .with_protocol_type(nullable(joined.protocol_type))
                .with_protocol_name(nullable(joined.protocol_name))
                .with_leader(StrBytes::from_string(joined.leader))
                .with_skip_assignment(joined.skip_assignment)
                .with_member_id(StrBytes::from_string(joined.member_id))
                .with_members(members.collect())
        }
        Err(refused) => JoinGroupResponse::default()
            .with_error_code(refused.error.code())
            .with_generation_id(-1)
            .with_protocol_type(nullable(None))
            .with_protocol_name(nullable(None))
            .with_member_id(StrBytes::from_string(refused.member_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::GroupError;

    #[test]
    fn addresses_are_printed_as_java_does() {
        for (address, printed) in [
            ("127.0.0.1", "/127.0.0.1"),
            ("::ffff:10.0.0.1", "/10.0.0.1"),
            ("::1", "/0:0:0:0:0:0:0:1"),
            ("fe80::a0", "/fe80:0:0:0:0:0:0:a0"),
        ] {
            assert_eq!(java_address(address.parse().unwrap()), printed);
        }
    }

    #[test]
    fn what_old_versions_do_not_know_is_filled_in() {
        let local = "127.0.0.1".parse().unwrap();
        let request = JoinGroupRequest::default()
            .with_session_timeout_ms(7_000)
            .with_rebalance_timeout_ms(-1);
        let joined = plain("c", local, request.clone(), 0);
        assert_eq!(
            (joined.rebalance_timeout_ms, joined.require_known_member_id),
            (7_000, false)
        );
        let joined = plain("c", local, request.with_rebalance_timeout_ms(9_000), 9);
        assert_eq!(
            (joined.rebalance_timeout_ms, joined.require_known_member_id),
            (9_000, true)
        );
        let refused = || {
            Err(JoinRefused {
                error: GroupError::MemberIdRequired,
                member_id: "c-1".into(),
            })
        };
        assert_eq!(response(refused(), 6).protocol_name, Some(StrBytes::default()));
        let newest = response(refused(), 9);
        assert_eq!(
            (newest.protocol_name, newest.error_code, newest.member_id.as_str()),
            (None, 79, "c-1")
        );
    }
}

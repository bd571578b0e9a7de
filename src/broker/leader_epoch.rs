//! What a client believes to be the leader epoch of a partition (KIP-320).

use std::cmp::Ordering;

use kafka_protocol::error::ResponseError;

/// Holds a request's current leader epoch against the partition's; -1 = the client does not say.
///
/// # Errors
/// `FencedLeaderEpoch` when the client's is older, `UnknownLeaderEpoch` when it is newer.
pub(crate) fn check(believed: i32, current: i32) -> Result<(), ResponseError> {
    match believed.cmp(&current) {
        _ if believed < 0 => Ok(()),
        Ordering::Less => Err(ResponseError::FencedLeaderEpoch),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(ResponseError::UnknownLeaderEpoch),
    }
}

//! What has configs, by Kafka's numbers.

use kafka_protocol::error::ResponseError;

use crate::{broker::Core, dynamic_configs::Refusal};

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Topic,
    Broker,
    BrokerLogger,
    ClientMetrics,
    Group,
}

impl Resource {
    /// Every kind with its number.
    pub(crate) const NUMBERS: [(Self, i8); 5] = [
        (Self::Topic, 2),
        (Self::Broker, 4),
        (Self::BrokerLogger, 8),
        (Self::ClientMetrics, 16),
        (Self::Group, 32),
    ];

    pub(crate) fn of(number: i8) -> Option<Self> {
        let found = Self::NUMBERS.iter().find(|(_, known)| *known == number);
        found.map(|(resource, _)| *resource)
    }
}

/// Checks that a name is the id of this broker. `other` tells of another id: which was expected.
///
/// # Errors
/// Says what it is not. Kafka has other words for it in each place, and calls it a broker or a node.
pub(crate) fn own_id(
    core: &Core,
    name: &str,
    what: &str,
    other: impl FnOnce(i32) -> String,
) -> Result<(), Refusal> {
    let own = core.config.node_id;
    let problem = match name.parse::<i32>() {
        Ok(id) if id == own => return Ok(()),
        Ok(_) => other(own),
        Err(_) => format!("{what} id must be an integer, but it is: {name}"),
    };
    Err((ResponseError::InvalidRequest, problem))
}

//! InitProducerId, versions 0 to 5: ids of idempotent producers.
//!
//! Transactions are not served: a transactional id is refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED, the one code that
//! every client treats as final and reports at once instead of retrying until its time-out.

use kafka_protocol::{
    error::ResponseError,
    messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId},
};

use crate::broker::Core;

/// Handles the request.
pub(crate) fn handle(core: &Core, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    let refuse = |error: ResponseError| {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    };
    if request.transactional_id.is_some() {
        return refuse(ResponseError::TransactionalIdAuthorizationFailed);
    }
    match core.producer_ids.next() {
        Ok(id) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(0),
        Err(error) => {
            tracing::error!(%error, "producer ids cannot be reserved");
            refuse(ResponseError::KafkaStorageError)
        }
    }
}

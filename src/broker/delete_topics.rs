//! DeleteTopics, versions 1 to 6: by name or by id.

use jackfield_log::TopicId;
use kafka_protocol::{
    error::ResponseError,
    messages::{
        DeleteTopicsRequest, DeleteTopicsResponse, TopicName, delete_topics_request::DeleteTopicState,
        delete_topics_response::DeletableTopicResult,
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use crate::{broker::Core, error_codes};

/// First version with topic ids.
const TOPIC_ID_VERSION: i16 = 6;

/// Handles the request.
pub(crate) async fn handle(core: &Core, request: DeleteTopicsRequest, version: i16) -> DeleteTopicsResponse {
    let asked = if version >= TOPIC_ID_VERSION {
        request.topics
    } else {
        let by_name = |name| DeleteTopicState::default().with_name(Some(name));
        request.topic_names.into_iter().map(by_name).collect()
    };
    let mut responses = Vec::new();
    for topic in asked {
        responses.push(delete(core, topic).await);
    }
    DeleteTopicsResponse::default().with_responses(responses)
}

async fn delete(core: &Core, asked: DeleteTopicState) -> DeletableTopicResult {
    if asked.name.is_some() != asked.topic_id.is_nil() {
        return DeletableTopicResult::default()
            .with_name(asked.name)
            .with_topic_id(asked.topic_id)
            .with_error_code(ResponseError::InvalidRequest.code())
            .with_error_message(Some(StrBytes::from_static_str(
                "A topic is named either by its name or by its id.",
            )));
    }
    let found = match &asked.name {
        Some(name) => core.topics.get(name),
        None => core.topics.get_by_id(TopicId(*asked.topic_id.as_bytes())),
    };
    let result = DeletableTopicResult::default()
        .with_name(asked.name.clone())
        .with_topic_id(asked.topic_id);
    let refuse = |result: DeletableTopicResult, error: ResponseError, message: &'static str| {
        result
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(message)))
    };
    let Some(topic) = found else {
        return match asked.name {
            Some(_) => refuse(
                result,
                ResponseError::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            ),
            None => refuse(
                result,
                ResponseError::UnknownTopicId,
                "This server does not host this topic ID.",
            ),
        };
    };
    let result = result
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
        .with_topic_id(Uuid::from_bytes(topic.id.0));
    if topic.internal {
        return refuse(
            result,
            ResponseError::InvalidTopicException,
            "The topic is the broker's own.",
        );
    }
    if !core.config.delete_topics {
        return refuse(
            result,
            ResponseError::TopicDeletionDisabled,
            "Topic deletion is disabled (delete.topic.enable).",
        );
    }
    match core.topics.delete(&topic.name).await {
        Ok(_) => {
            core.groups.topic_deleted(&topic.name);
            result
        }
        Err(error) => result
            .with_error_code(error_codes::of_create_topic(&error))
            .with_error_message(Some(StrBytes::from_string(error.to_string()))),
    }
}

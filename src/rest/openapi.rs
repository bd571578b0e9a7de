//! `/openapi.json`: the API described, made from the handlers' own annotations.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{
    OpenApi,
    openapi::{Content, Ref, ResponseBuilder, path::Operation},
};

use crate::{admin_resources, reply::ErrorMessage, resources};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Jackfield",
        description = "The REST API of Kafka Connect, as Jackfield serves it",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(ErrorMessage))
)]
struct Description;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut document = Description::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.merge(resources().merge(admin_resources()).into_openapi());
    for item in document.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            add_error(operation);
        }
    }
    document.to_json().expect("the document is plain data")
});

/// Every operation may fail, always with the same body.
fn add_error(operation: &mut Operation) {
    let body = Content::new(Some(Ref::from_schema_name("ErrorMessage")));
    let response = ResponseBuilder::new()
        .description("an error")
        .content("application/json", body)
        .build();
    let responses = &mut operation.responses.responses;
    responses.insert("default".to_owned(), response.into());
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "root", operation_id = "openApi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(crate) async fn get() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

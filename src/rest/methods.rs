//! `OPTIONS`: what may be done with a resource. The router knows it, and says so where a method is not allowed.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

/// Answers `OPTIONS` with the methods that the router has for the path.
pub(crate) async fn answer_options(request: Request, next: Next) -> Response {
    let asked = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    if !asked || response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let known = response.headers().get(header::ALLOW);
    let known = known.and_then(|known| known.to_str().ok()).unwrap_or_default();
    let methods = format!("{known},OPTIONS");
    *response.status_mut() = StatusCode::OK;
    *response.body_mut() = Body::from(methods.replace(',', ", "));
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if let Ok(methods) = HeaderValue::from_str(&methods) {
        headers.insert(header::ALLOW, methods);
    }
    response
}

//! Paths as Kafka's server reads them: a slash at the end and what follows a `;` do not count.

use axum::{
    extract::Request,
    http::{Uri, uri::PathAndQuery},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::reply::ApiError;

/// The layer before the routes.
pub(crate) async fn normalize(mut request: Request, next: Next) -> Response {
    match normalized(request.uri()) {
        Ok(None) => {}
        Ok(Some(uri)) => *request.uri_mut() = uri,
        Err(refused) => return refused.into_response(),
    }
    next.run(request).await
}

/// The address to route by, when it is another.
fn normalized(uri: &Uri) -> Result<Option<Uri>, ApiError> {
    let given = uri.path();
    let mut path = String::with_capacity(given.len());
    let inner = given.trim_start_matches('/');
    if given.len() - inner.len() > 1 {
        return Err(ambiguous());
    }
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for segment in inner.split('/') {
        let segment = segment.split(';').next().unwrap_or_default();
        check_escapes(segment)?;
        if segment.is_empty() && !inner.is_empty() {
            return Err(ambiguous());
        }
        path.push('/');
        path.push_str(segment);
    }
    if path == given {
        return Ok(None);
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    let path = PathAndQuery::from_maybe_shared(path).map_err(|_| ApiError::NoSuchPath)?;
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map(Some).map_err(|_| ApiError::NoSuchPath)
}

fn ambiguous() -> ApiError {
    ApiError::BadRequest("Ambiguous URI empty segment".to_owned())
}

/// Every `%` begins an escape, and what is escaped is UTF-8.
fn check_escapes(segment: &str) -> Result<(), ApiError> {
    let bad = || {
        ApiError::BadRequest(format!(
            "the path segment '{segment}' is not percent-encoded UTF-8"
        ))
    };
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err(bad());
        };
        bytes.push(u8::try_from(high << 4 | low).unwrap_or_default());
    }
    std::str::from_utf8(&bytes).map(drop).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(path: &str) -> Option<String> {
        let uri: Uri = path.parse().unwrap();
        let other = normalized(&uri).ok()?;
        Some(other.unwrap_or(uri).to_string())
    }

    #[test]
    fn slashes_at_the_end_and_matrix_parameters_do_not_count() {
        for (path, expected) in [
            ("/", "/"),
            ("/connectors", "/connectors"),
            ("/connectors/?expand=info", "/connectors?expand=info"),
            ("/connectors/a;v=1/config;x", "/connectors/a/config"),
            ("/connectors/a%3Bb", "/connectors/a%3Bb"),
            ("/connectors/../config", "/connectors/../config"),
            ("/connectors/%E2%82%AC%2F", "/connectors/%E2%82%AC%2F"),
        ] {
            assert_eq!(routed(path).as_deref(), Some(expected), "{path}");
        }
        for path in [
            "//connectors",
            "/connectors//",
            "/connectors/;x",
            "/connectors/%zz",
            "/connectors/%f",
            "/connectors/%ff",
        ] {
            assert_eq!(routed(path), None, "{path}");
        }
    }
}

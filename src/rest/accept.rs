//! `Accept`: every answer is JSON, and who takes no JSON is told so before anything is done.

use axum::{
    extract::Request,
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::reply::ApiError;

/// The layer around every resource.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    if takes_json(request.headers()) {
        next.run(request).await
    } else {
        ApiError::NotAcceptable.into_response()
    }
}

fn takes_json(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::ACCEPT).iter().peekable();
    if given.peek().is_none() {
        return true;
    }
    let ranges = given.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    ranges.into_iter().any(is_json)
}

/// Whether one media range, with its parameters, lets JSON in.
fn is_json(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let refused = parts.any(|parameter| {
        let weight = parameter
            .strip_prefix("q=")
            .or_else(|| parameter.strip_prefix("Q="));
        weight.and_then(|weight| weight.parse::<f32>().ok()) == Some(0.0)
    });
    !refused && matches!(&*kind, "*" | "*/*" | "application/*" | "application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_let_in_by_its_ranges() {
        for (accept, expected) in [
            ("application/json", true),
            ("text/html, application/json; charset=utf-8", true),
            ("text/html, */*;q=0.1", true),
            ("Application/*", true),
            ("application/json;q=0, text/html", false),
            ("text/html", false),
            ("nonsense", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(takes_json(&headers), expected, "{accept}");
        }
        assert!(takes_json(&HeaderMap::new()));
    }
}

//! Query parameters as Kafka's server reads them: repeated names are kept, unknown ones ignored, and a flag is set by
//! `true` in any case and by nothing else.

use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};

/// The query of a request, in order.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// All values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a flag is set.
    pub(crate) fn flag(&self, name: &str, default: bool) -> bool {
        self.all(name)
            .next()
            .map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Query::try_from_uri(&parts.uri).map_or_else(|_| Self::default(), |Query(pairs)| Self(pairs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Parameters {
        let Query(pairs) = Query::try_from_uri(&format!("/x?{query}").parse().unwrap()).unwrap();
        Parameters(pairs)
    }

    #[test]
    fn flags_and_repeated_names() {
        let query = parse("expand=status&includeTasks=TRUE&expand=info&onlyFailed=yes");
        assert_eq!(query.all("expand").collect::<Vec<_>>(), ["status", "info"]);
        assert!(query.flag("includeTasks", false));
        assert!(!query.flag("onlyFailed", true));
        assert!(query.flag("connectorsOnly", true));
    }
}

//! `[capabilities]` of a `plugin.toml`: what the WASM form of a package asks for. The policy grants, or does not.
//!
//! An entry of `http` and `tcp` may name a host (see `hosts.rs`), or hosts of the connector's own config: in
//! `"{config:url}"` stands the value of its config key `url`, a URL of which scheme, host and port count; in
//! `"{config:db.host}:5432"` and `"{config:db.host}:{config:db.port}"` the values of two keys. A value may be a list with
//! commas when the entry is nothing but the key. An entry whose keys have no value, nor a default, asks for nothing. The config
//! is that of the call: a task's is what its connector made of its own and has to hold these keys too. What bounds a package
//! that writes there what it likes is the policy.

use serde::Deserialize;
use url::Url;

use crate::hosts::{HttpHosts, HttpTarget, TcpHosts, TcpTarget};

const PLACEHOLDER: &str = "{config:";

/// `[capabilities]`: requests, not grants.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// Access to directories.
    pub directories: DirectoryAccess,
    /// Hosts of HTTP requests.
    pub http: Vec<String>,
    /// Hosts of TCP connections.
    pub tcp: Vec<String>,
    /// Environment variables.
    pub environment: Vec<String>,
    /// The time.
    pub clock: bool,
}

/// Access to directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum DirectoryAccess {
    #[default]
    None,
    Read,
    ReadWrite,
}

/// The value of a key of the connector's config.
pub(crate) type ConfigValues<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Capabilities {
    /// Checks the texts. The error names key and value.
    pub(crate) fn check(&self) -> Result<(), String> {
        let about = |key, entry: &str, why: String| format!("capabilities.{key}: {entry:?}: {why}");
        for entry in &self.http {
            let checked = match keys(entry) {
                Ok(keys) if keys.is_empty() => HttpHosts::parse(entry).map(drop),
                other => other.map(drop),
            };
            checked.map_err(|why| about("http", entry, why))?;
        }
        for entry in &self.tcp {
            let checked = match keys(entry) {
                Ok(keys) if keys.is_empty() => TcpHosts::parse(entry).map(drop),
                other => other.map(drop),
            };
            checked.map_err(|why| about("tcp", entry, why))?;
        }
        for name in &self.environment {
            check_variable(name).map_err(|why| about("environment", name, why))?;
        }
        Ok(())
    }

    /// The hosts of HTTP requests it asks for with this config.
    pub(crate) fn http_hosts(&self, values: ConfigValues<'_>) -> Vec<HttpHosts> {
        let target = |text: &str| HttpTarget::of(&Url::parse(text).ok()?).ok();
        hosts(&self.http, values, HttpHosts::parse, |text| {
            target(text).map(HttpHosts::exactly)
        })
    }

    /// The hosts of TCP connections it asks for with this config.
    pub(crate) fn tcp_hosts(&self, values: ConfigValues<'_>) -> Vec<TcpHosts> {
        let target = |text: &str| TcpTarget::parse(text).ok();
        hosts(&self.tcp, values, TcpHosts::parse, |text| {
            target(text).map(TcpHosts::exactly)
        })
    }
}

/// What comes from a config is a host, never a pattern: nobody widens the request by writing `*` into a config.
fn hosts<T>(
    entries: &[String],
    values: ConfigValues<'_>,
    pattern: impl Fn(&str) -> Result<T, String>,
    exact: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let mut hosts = Vec::new();
    for entry in entries {
        if !entry.contains(PLACEHOLDER) {
            hosts.extend(pattern(entry).ok());
        } else if let Some(filled) = fill(entry, values) {
            let list = entry.starts_with(PLACEHOLDER) && entry.find('}') == Some(entry.len() - 1);
            if list {
                hosts.extend(filled.split(',').filter_map(|one| exact(one.trim())));
            } else {
                hosts.extend(exact(&filled));
            }
        }
    }
    hosts
}

/// The config keys that an entry names.
fn keys(entry: &str) -> Result<Vec<&str>, String> {
    let mut keys = Vec::new();
    let mut rest = entry;
    while let Some((_, behind)) = rest.split_once(PLACEHOLDER) {
        let (key, behind) = behind
            .split_once('}')
            .filter(|(key, _)| !key.is_empty() && !key.contains('{'))
            .ok_or("a placeholder is written {config:key}")?;
        keys.push(key);
        rest = behind;
    }
    Ok(keys)
}

/// The entry with the values in it; `None` when one has none.
fn fill(entry: &str, values: ConfigValues<'_>) -> Option<String> {
    let mut filled = String::new();
    let mut rest = entry;
    while let Some((before, behind)) = rest.split_once(PLACEHOLDER) {
        let (key, behind) = behind.split_once('}')?;
        let value = values(key)?;
        let value = value.trim();
        if value.is_empty() {
            return None;
        }
        filled.push_str(before);
        filled.push_str(value);
        rest = behind;
    }
    filled.push_str(rest);
    Some(filled)
}

/// Whether this can be the name of an environment variable.
pub(crate) fn check_variable(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'=' && byte != b'*';
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err("the name of one environment variable is wanted".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(entry: &str, value: &str, url: &str) -> bool {
        let asked = Capabilities {
            http: vec![entry.to_owned()],
            ..Capabilities::default()
        };
        asked.check().unwrap();
        let values = |key: &str| (key == "url").then(|| value.to_owned());
        let target = HttpTarget::of(&Url::parse(url).unwrap()).unwrap();
        asked
            .http_hosts(&values)
            .iter()
            .any(|hosts| hosts.covers(&target))
    }

    #[test]
    fn a_placeholder_asks_for_the_host_of_the_config() {
        let config = "https://user:word@api.example.com:8443/path?a=1,2";
        assert!(http("{config:url}", config, "https://api.example.com:8443/other"));
        assert!(http("{config:url}", "http://a, http://b/x", "http://b"));
        assert!(http(
            "https://{config:url}:8443",
            "api.example.com",
            "https://api.example.com:8443"
        ));
        assert!(!http("{config:url}", config, "https://api.example.com"));
        assert!(!http("{config:other}", config, "https://api.example.com:8443"));
        for value in ["*", "https://*", "https://*.example.com", "", "nonsense"] {
            assert!(!http("{config:url}", value, "https://api.example.com"), "{value}");
        }
        let asked = Capabilities {
            tcp: vec![
                "{config:host}:{config:port}".to_owned(),
                "{config:url}".to_owned(),
            ],
            ..Capabilities::default()
        };
        asked.check().unwrap();
        let values = |key: &str| match key {
            "host" => Some("db.example.com".to_owned()),
            "port" => Some("5432".to_owned()),
            _ => Some("postgres://me@other.example.com:5433/x".to_owned()),
        };
        let covers = |target: &str| {
            let target = TcpTarget::parse(target).unwrap();
            asked.tcp_hosts(&values).iter().any(|hosts| hosts.covers(&target))
        };
        assert!(covers("db.example.com:5432") && covers("other.example.com:5433"));
        assert!(!covers("db.example.com:5433") && !covers("other.example.com:5432"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |asked: Capabilities, says: &str| {
            let reason = asked.check().unwrap_err();
            assert!(reason.starts_with(says), "{reason}");
        };
        let list = |entry: &str| vec![entry.to_owned()];
        for entry in [
            "api.example.com",
            "{config:}",
            "{config:url",
            "{config:{config:a}}",
        ] {
            let http = list(entry);
            check(
                Capabilities {
                    http,
                    ..Capabilities::default()
                },
                &format!("capabilities.http: {entry:?}: "),
            );
        }
        let tcp = list("db.example.com");
        check(
            Capabilities {
                tcp,
                ..Capabilities::default()
            },
            "capabilities.tcp: \"db.example.com\": it has no port",
        );
        let environment = list("*");
        check(
            Capabilities {
                environment,
                ..Capabilities::default()
            },
            "capabilities.environment: \"*\": ",
        );
    }
}

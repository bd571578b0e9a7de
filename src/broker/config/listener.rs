//! `listeners` and `advertised.listeners`.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _},
};

use super::definition::split_list;

/// The only security protocol there is.
const PLAINTEXT: &str = "PLAINTEXT";
/// Names that are protocols of Kafka's unless the map says otherwise.
const OTHER_PROTOCOLS: [&str; 3] = ["SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Its name, in upper case.
    pub(crate) name: String,
    /// Where to bind.
    pub(crate) address: SocketAddr,
    /// What clients are told: host and port (0 = the bound one). `None` = the address the client reached.
    pub(crate) advertised: Option<(String, u16)>,
}

/// `NAME://host:port`, taken apart.
#[derive(Debug)]
struct Endpoint<'a> {
    name: String,
    host: &'a str,
    port: u16,
}

fn endpoint<'a>(key: &str, text: &'a str) -> Result<Endpoint<'a>, String> {
    let wrong = |what: &str| {
        format!("{key} '{text}' {what}; write NAME://host:port, such as PLAINTEXT://127.0.0.1:9092")
    };
    let (name, rest) = text
        .split_once("://")
        .ok_or_else(|| wrong("has no listener name"))?;
    let (host, port) = rest.rsplit_once(':').ok_or_else(|| wrong("has no port"))?;
    let port = port.parse().map_err(|_| wrong("has no valid port"))?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Ok(Endpoint {
        name: name.to_uppercase(),
        host,
        port,
    })
}

/// Name to protocol, from `listener.security.protocol.map`.
fn protocols(map: Option<&str>) -> Result<BTreeMap<String, String>, String> {
    let mut protocols = BTreeMap::new();
    for entry in split_list(map.unwrap_or_default()) {
        let (name, protocol) = entry.split_once(':').ok_or_else(|| {
            format!("listener.security.protocol.map '{entry}' is not of the form NAME:PROTOCOL")
        })?;
        protocols.insert(name.trim().to_uppercase(), protocol.trim().to_uppercase());
    }
    Ok(protocols)
}

/// What the keys of listeners say together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListenerKeys<'a> {
    pub(crate) listeners: &'a str,
    pub(crate) advertised: Option<&'a str>,
    pub(crate) protocol_map: Option<&'a str>,
    pub(crate) controller_names: Option<&'a str>,
}

/// Resolves the listeners. Those of Kafka's controller are left out.
pub(crate) fn resolve(keys: ListenerKeys<'_>) -> Result<Vec<Listener>, String> {
    let controllers: Vec<String> = split_list(keys.controller_names.unwrap_or_default())
        .map(str::to_uppercase)
        .collect();
    let is_ours = |endpoint: &Endpoint<'_>| !controllers.contains(&endpoint.name);
    let protocols = protocols(keys.protocol_map)?;
    let mut advertised = BTreeMap::new();
    for text in split_list(keys.advertised.unwrap_or_default()) {
        let endpoint = endpoint("advertised.listeners", text)?;
        if endpoint.host.is_empty() || endpoint.host == "0.0.0.0" || endpoint.host == "::" {
            return Err(format!(
                "advertised.listeners '{text}' names no host that clients could connect to"
            ));
        }
        if is_ours(&endpoint) {
            advertised.insert(endpoint.name, (endpoint.host.to_owned(), endpoint.port));
        }
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for text in split_list(keys.listeners) {
        let endpoint = endpoint("listeners", text)?;
        if !is_ours(&endpoint) {
            continue;
        }
        let implied = OTHER_PROTOCOLS
            .contains(&&*endpoint.name)
            .then_some(&endpoint.name);
        let protocol = protocols.get(&endpoint.name).or(implied);
        if let Some(protocol) = protocol.filter(|protocol| *protocol != PLAINTEXT) {
            return Err(format!(
                "listeners '{text}' wants {protocol}, which is not supported yet; {PLAINTEXT} is"
            ));
        }
        if listeners.iter().any(|listener| listener.name == endpoint.name) {
            return Err(format!("listeners names {} twice", endpoint.name));
        }
        listeners.push(Listener {
            address: bind_address(text, &endpoint)?,
            advertised: advertised.remove(&endpoint.name),
            name: endpoint.name,
        });
    }
    if let Some(name) = advertised.keys().next() {
        return Err(format!(
            "advertised.listeners names {name}, which listeners does not"
        ));
    }
    if listeners.is_empty() {
        return Err("listeners names no address for clients".to_owned());
    }
    Ok(listeners)
}

/// An empty host means every address, as in Kafka.
fn bind_address(text: &str, endpoint: &Endpoint<'_>) -> Result<SocketAddr, String> {
    if endpoint.host.is_empty() {
        return Ok((Ipv4Addr::UNSPECIFIED, endpoint.port).into());
    }
    let resolved = (endpoint.host, endpoint.port)
        .to_socket_addrs()
        .map_err(|error| {
            format!(
                "listeners '{text}': host '{}' cannot be resolved: {error}",
                endpoint.host
            )
        })?;
    let addresses: Vec<_> = resolved.collect();
    // Clients may try IPv4 first or only: prefer it when a name has both.
    let ipv4 = addresses.iter().find(|address| address.is_ipv4());
    ipv4.or(addresses.first())
        .copied()
        .ok_or_else(|| format!("listeners '{text}': host '{}' has no address", endpoint.host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listeners: &str, advertised: Option<&str>) -> Result<Vec<Listener>, String> {
        resolve(ListenerKeys {
            listeners,
            advertised,
            protocol_map: Some("PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,SECRET:SSL"),
            controller_names: Some("CONTROLLER"),
        })
    }

    #[test]
    fn stock_kafka_listeners() {
        let listeners = check(
            "PLAINTEXT://:9092,CONTROLLER://:9093",
            Some("PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
        )
        .unwrap();
        assert_eq!(
            listeners,
            [Listener {
                name: "PLAINTEXT".into(),
                address: "0.0.0.0:9092".parse().unwrap(),
                advertised: Some(("localhost".into(), 9092)),
            }]
        );
    }

    #[test]
    fn names_are_resolved() {
        let listeners = check("inside://localhost:0,PLAINTEXT://[::1]:1", None).unwrap();
        assert_eq!(listeners[0].address, "127.0.0.1:0".parse().unwrap());
        assert_eq!(listeners[0].name, "INSIDE");
        assert_eq!(listeners[1].address, "[::1]:1".parse().unwrap());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (listeners, advertised, problem) in [
            ("127.0.0.1:9092", None, "has no listener name"),
            ("PLAINTEXT://127.0.0.1", None, "has no port"),
            ("PLAINTEXT://127.0.0.1:70000", None, "has no valid port"),
            ("SSL://127.0.0.1:1", None, "wants SSL, which is not supported yet"),
            (
                "SECRET://127.0.0.1:1",
                None,
                "wants SSL, which is not supported yet",
            ),
            ("CONTROLLER://:9093", None, "names no address for clients"),
            (
                "PLAINTEXT://127.0.0.1:1,PLAINTEXT://127.0.0.1:2",
                None,
                "names PLAINTEXT twice",
            ),
            (
                "PLAINTEXT://127.0.0.1:1",
                Some("OTHER://a:1"),
                "names OTHER, which listeners does not",
            ),
            (
                "PLAINTEXT://127.0.0.1:1",
                Some("PLAINTEXT://0.0.0.0:1"),
                "names no host",
            ),
        ] {
            let error = check(listeners, advertised).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}

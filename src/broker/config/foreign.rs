//! Keys of the broker that are in no table: those of single listeners and of plugins, and those that nobody knows.

use super::{definition::Definition, tables};

/// Prefixes under which Kafka takes keys of plugins.
const PLUGIN_PREFIXES: [&str; 4] = ["config.providers.", "rlmm.config.", "rsm.config.", "confluent."];

/// Options that stand behind a mechanism in the key of a listener: `listener.name.<listener>.<mechanism>.<option>`.
const OF_MECHANISMS: [&str; 5] = [
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "connections.max.reauth.ms",
];

/// The option that a key of a single listener is about: `ssl.keystore.type` of `listener.name.inside.ssl.keystore.type`.
pub(crate) fn of_listener(key: &str) -> Option<&str> {
    let (_, option) = key.strip_prefix("listener.name.")?.split_once('.')?;
    let of_mechanism = OF_MECHANISMS.iter().find(|name| option.ends_with(**name));
    Some(of_mechanism.copied().unwrap_or(option))
}

/// The definition of a key: its own, or that of the option it sets for a single listener.
pub(crate) fn definition(key: &str) -> Option<&'static Definition> {
    let table = tables::broker();
    table.find(key).or_else(|| table.find(of_listener(key)?))
}

/// Why a key that is in no table is accepted without effect; `None` = nobody knows it.
pub(crate) fn why_ignored(key: &str) -> Option<&'static str> {
    if let Some(option) = of_listener(key) {
        let definition = tables::broker().find(option)?;
        return Some(
            definition
                .no_effect
                .unwrap_or("listeners have no settings of their own"),
        );
    }
    let of_plugin = PLUGIN_PREFIXES.iter().any(|prefix| key.starts_with(prefix));
    of_plugin.then_some("there is no Java to load plugins of")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_listeners_and_plugins_are_known() {
        let tls = Some("connections are not encrypted");
        assert_eq!(why_ignored("listener.name.internal.ssl.client.auth"), tls);
        assert!(why_ignored("listener.name.a.scram-sha-256.sasl.jaas.config").is_some());
        assert!(why_ignored("rsm.config.bucket").is_some());
        assert_eq!(why_ignored("listener.name.internal.colour"), None);
        assert_eq!(why_ignored("num.network.thread"), None);
    }
}

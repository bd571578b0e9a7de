//! What all client commands share: how they find the broker, and what they say when it is not there.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{anyhow, bail};
use rdkafka::{
    ClientConfig, ClientContext,
    client::{Client, OAuthToken},
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
    metadata::Metadata,
};

use crate::{arguments::ClientOptions, configuration::Environment};

const DEFAULT_BOOTSTRAP_SERVER: &str = "127.0.0.1:9092";
/// How long a broker may take to answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where to connect, and how.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    bootstrap_server: String,
    properties: Vec<(String, String)>,
}

impl Connection {
    /// Flags before environment before default.
    pub(crate) fn new(options: &ClientOptions, environment: &Environment) -> anyhow::Result<Self> {
        let from_environment = || environment.get("bootstrap.servers").map(str::to_owned);
        let bootstrap_server = options.bootstrap_server.clone().or_else(from_environment);
        let bootstrap_server = bootstrap_server.unwrap_or_else(|| DEFAULT_BOOTSTRAP_SERVER.to_owned());
        let properties: anyhow::Result<_> = options
            .properties
            .iter()
            .map(|pair| key_value("--property", pair))
            .collect();
        Ok(Self {
            bootstrap_server,
            properties: properties?,
        })
    }

    /// The broker's address for people.
    pub(crate) fn bootstrap_server(&self) -> &str {
        &self.bootstrap_server
    }

    /// A client configuration; `settings` are the command's, which the user's properties may override.
    pub(crate) fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_server)
            .set("client.id", "jackfield");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    /// Metadata of one topic or of all.
    ///
    /// # Errors
    /// Says how to start a broker when there is none.
    pub(crate) fn metadata<C: ClientContext>(
        &self,
        client: &Client<C>,
        topic: Option<&str>,
        trouble: &Trouble,
    ) -> anyhow::Result<Metadata> {
        client
            .fetch_metadata(topic, ANSWER_TIMEOUT)
            .map_err(|error| self.explain(&error, trouble))
    }

    /// Makes an error of the client library one that says what to do.
    pub(crate) fn explain(&self, error: &KafkaError, trouble: &Trouble) -> anyhow::Error {
        let unreachable = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown)
                | Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::Resolve)
        );
        if !unreachable {
            return anyhow!("{error}");
        }
        let reason = trouble
            .last()
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        anyhow!(
            "no answer from a broker at {}{reason}; is `jackfield standalone` or `jackfield broker` running? \
             -b HOST:PORT names another address",
            self.bootstrap_server
        )
    }
}

/// Splits `key=value`.
///
/// # Errors
/// Names the flag and what was given.
pub(crate) fn key_value(flag: &str, pair: &str) -> anyhow::Result<(String, String)> {
    let Some((key, value)) = pair.split_once('=') else {
        bail!("{flag} {pair}: must be key=value");
    };
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// The topic's partitions.
///
/// # Errors
/// When it does not exist, with the command that creates it.
pub(crate) fn partitions(metadata: &Metadata, topic: &str) -> anyhow::Result<Vec<i32>> {
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let Some(found) = found.filter(|found| found.error().is_none() && !found.partitions().is_empty()) else {
        bail!("topic '{topic}' does not exist; create it with: jackfield topics create {topic}");
    };
    Ok(found
        .partitions()
        .iter()
        .map(rdkafka::metadata::MetadataPartition::id)
        .collect())
}

/// The last trouble a client told about, kept for the error message that follows from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    fn note(&self, reason: &str) {
        // "[thread]: address: Connect to … failed: Connection refused (after 0ms in state CONNECT)"
        let reason = reason.split(": ").last().unwrap_or(reason);
        let reason = reason.split_once(" (after").map_or(reason, |(reason, _)| reason).to_owned();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Trouble {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = false;

    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            self.note(message);
        }
        tracing::debug!(facility, message, "client library");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "client library");
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.note(reason);
        }
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        Err("OAuth is not supported".into())
    }
}

impl ConsumerContext for Trouble {}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(server: Option<&str>) -> ClientOptions {
        ClientOptions {
            bootstrap_server: server.map(str::to_owned),
            properties: vec!["a=b".to_owned()],
        }
    }

    #[test]
    fn the_flag_wins_over_the_environment() {
        let environment = Environment::new([("JACKFIELD_BOOTSTRAP_SERVERS".into(), "env:1".into())]);
        let server = |options: &ClientOptions, environment: &Environment| {
            Connection::new(options, environment).unwrap().bootstrap_server
        };
        assert_eq!(server(&options(Some("flag:1")), &environment), "flag:1");
        assert_eq!(server(&options(None), &environment), "env:1");
        assert_eq!(server(&options(None), &Environment::default()), "127.0.0.1:9092");
        let connection = Connection::new(&options(None), &environment).unwrap();
        assert_eq!(connection.config(&[("a", "c")]).get("a"), Some("b"));
    }

    #[test]
    fn a_missing_broker_is_explained() {
        let connection = Connection::new(&options(None), &Environment::default()).unwrap();
        let trouble = Trouble::default();
        trouble.note("127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused");
        let error = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);
        let text = connection.explain(&error, &trouble).to_string();
        assert!(
            text.starts_with("no answer from a broker at 127.0.0.1:9092 (Connection refused"),
            "{text}"
        );
        assert!(text.contains("jackfield standalone"), "{text}");
    }
}

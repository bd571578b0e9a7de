//! What all client commands share: how they find the broker, and what they say when it is not there.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{anyhow, bail};
use rdkafka::{
    ClientConfig, ClientContext,
    client::Client,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
    metadata::Metadata,
};

use crate::{arguments::ClientOptions, configuration::Environment};

const DEFAULT_BOOTSTRAP_SERVER: &str = "127.0.0.1:9092";
/// How long a broker may take to answer.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

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
    ) -> anyhow::Result<Metadata> {
        client
            .fetch_metadata(topic, ANSWER_TIMEOUT)
            .map_err(|error| self.explain(&error))
    }

    /// Makes an error of the client library one that says what to do.
    pub(crate) fn explain(&self, error: &KafkaError) -> anyhow::Error {
        let unreachable = matches!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown)
                | Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::Resolve)
        );
        if !unreachable {
            return anyhow!("{error}");
        }
        anyhow!(
            "no answer from a broker at {} ({}); is `jackfield standalone` or `jackfield broker` running? \
             -b HOST:PORT names another address",
            self.bootstrap_server,
            self.reason()
        )
    }

    /// The library knows that nobody answered; connecting once more tells why.
    fn reason(&self) -> String {
        let first = self.bootstrap_server.split(',').next().unwrap_or_default();
        let addresses = match first.to_socket_addrs() {
            Ok(addresses) => addresses,
            Err(error) => return error.to_string(),
        };
        let mut reason = "the name has no address".to_owned();
        for address in addresses {
            match TcpStream::connect_timeout(&address, PROBE_TIMEOUT) {
                Ok(_) => return "somebody listens there, and does not answer as a Kafka broker".to_owned(),
                Err(error) => reason = error.to_string(),
            }
        }
        reason
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

/// What the library tells on the way goes to our log.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LibraryLog;

impl ClientContext for LibraryLog {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, message, "client library");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "client library");
    }
}

impl ConsumerContext for LibraryLog {}

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
        // Bound and not listening: nobody else can be there.
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let explain = |code| {
            let connection = Connection::new(&options(Some(&address)), &Environment::default()).unwrap();
            connection.explain(&KafkaError::MetadataFetch(code)).to_string()
        };
        let silent = explain(RDKafkaErrorCode::OperationTimedOut);
        assert!(
            silent.starts_with(&format!("no answer from a broker at {address} (somebody listens")),
            "{silent}"
        );
        drop(socket);
        let refused = explain(RDKafkaErrorCode::BrokerTransportFailure);
        assert!(
            refused.contains("(Connection refused") && refused.contains("jackfield standalone"),
            "{refused}"
        );
        let other = explain(RDKafkaErrorCode::InvalidTopic);
        assert!(!other.contains("no answer"), "{other}");
    }
}

//! What all clients of a broker share: where they connect, and with which properties.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaConfRes,
};

use crate::{arguments::ClientOptions, configuration::Environment, exit::Usage, properties};

const DEFAULT_BOOTSTRAP_SERVER: &str = "127.0.0.1:9092";
const BOOTSTRAP: &str = "bootstrap.servers";
/// How long a broker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where to connect, and how.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    bootstrap_server: String,
    timeout: Duration,
    properties: BTreeMap<String, String>,
}

impl Connection {
    /// Flags before the file of `--command-config` before environment before default.
    pub(crate) fn new(options: &ClientOptions, environment: &Environment) -> anyhow::Result<Self> {
        let file = options.command_config.clone();
        let file = file.or_else(|| environment.get("command.config").map(PathBuf::from));
        let mut properties = file.as_deref().map_or_else(|| Ok(BTreeMap::new()), from_file)?;
        for pair in &options.properties {
            let (key, value) = key_value("--property", pair)?;
            check_property(&key, &value).map_err(|bad| Usage(format!("--property {pair}: {bad}")))?;
            properties.insert(key, value);
        }
        let of_properties = properties.remove(BOOTSTRAP);
        let given = [
            ("--bootstrap-server", options.bootstrap_server.as_deref()),
            (BOOTSTRAP, of_properties.as_deref()),
            ("JACKFIELD_BOOTSTRAP_SERVERS", environment.get(BOOTSTRAP)),
        ];
        let given = given
            .into_iter()
            .find_map(|(origin, servers)| Some((origin, servers?)));
        let (origin, bootstrap_server) = given.unwrap_or(("", DEFAULT_BOOTSTRAP_SERVER));
        check_addresses(origin, bootstrap_server)?;
        let bootstrap_server = bootstrap_server.to_owned();
        Ok(Self {
            bootstrap_server,
            timeout: options.timeout.unwrap_or(ANSWER_TIMEOUT),
            properties,
        })
    }

    /// The brokers' addresses for people.
    pub(crate) fn bootstrap_server(&self) -> &str {
        &self.bootstrap_server
    }

    /// How long a broker may take to answer.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Who asks.
    pub(crate) fn client_id(&self) -> &str {
        self.properties
            .get("client.id")
            .map_or("jackfield", String::as_str)
    }

    /// A client configuration; `settings` are the command's, which the user's properties may override.
    pub(crate) fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set(BOOTSTRAP, &self.bootstrap_server)
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

    /// Makes an error of the client library one that says what to do.
    pub(crate) fn explain(&self, error: &KafkaError) -> anyhow::Error {
        let code = error.rdkafka_error_code();
        let unreachable = matches!(
            code,
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown)
                | Some(RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::Resolve)
                | Some(RDKafkaErrorCode::MessageTimedOut)
        );
        match code {
            Some(code) if unreachable => anyhow!("{}", self.silent(&code.to_string())),
            _ => anyhow!("{error}"),
        }
    }

    /// Words for a broker that was there, and is silent.
    pub(crate) fn silent(&self, reason: &str) -> String {
        format!(
            "the broker at {} does not answer any more ({reason})",
            self.bootstrap_server
        )
    }

    /// A property that the user gave.
    pub(crate) fn property(&self, key: &str) -> Option<&str> {
        self.properties.get(key).map(String::as_str)
    }
}

/// Every address must be one; whether somebody answers there is found out later.
fn check_addresses(origin: &str, servers: &str) -> Result<(), Usage> {
    let is_address = |text: &str| {
        let is_host = |host: &str| match host.strip_prefix('[') {
            Some(rest) => rest.ends_with(']'),
            None => !host.is_empty() && !host.contains([':', '/', ' ']),
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        text.rsplit_once(':')
            .is_some_and(|(host, port)| is_host(host) && is_port(port))
    };
    match servers
        .split(',')
        .map(str::trim)
        .find(|server| !is_address(server))
    {
        None => Ok(()),
        Some(wrong) => Err(Usage(format!(
            "{origin}: '{wrong}' is no address; write HOST:PORT, such as {DEFAULT_BOOTSTRAP_SERVER}"
        ))),
    }
}

/// The properties of a file that have an effect here; the others are named on standard error.
fn from_file(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut properties = properties::read(path)?;
    let mut unknown = Vec::new();
    for (key, value) in &properties {
        match check_property(key, value) {
            Ok(()) => {}
            Err(Bad::Unknown) => unknown.push(key.clone()),
            Err(error) => return Err(error).with_context(|| format!("{}: {key}={value}", path.display())),
        }
    }
    if !unknown.is_empty() {
        eprintln!(
            "jackfield: without effect here, in {}: {}",
            path.display(),
            unknown.join(", ")
        );
    }
    properties.retain(|key, _| !unknown.contains(key));
    Ok(properties)
}

/// What is wrong with a property.
#[derive(Debug, PartialEq, Eq)]
enum Bad {
    Unknown,
    Value(String),
}

impl std::fmt::Display for Bad {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => formatter.write_str("the client library knows no such property"),
            Self::Value(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for Bad {}

/// The library itself says whether it understands a property.
fn check_property(key: &str, value: &str) -> Result<(), Bad> {
    // Connections are neither encrypted nor authenticated yet.
    if key == "security.protocol" && !value.eq_ignore_ascii_case("PLAINTEXT") {
        return Err(Bad::Value(
            "only PLAINTEXT is supported yet; kcat can reach such a cluster".to_owned(),
        ));
    }
    let mut config = ClientConfig::new();
    config.set(key, value);
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => Err(Bad::Unknown),
        Err(KafkaError::ClientConfig(_, reason, ..)) => Err(Bad::Value(reason)),
        Err(error) => Err(Bad::Value(error.to_string())),
    }
}

/// Splits `key=value`.
///
/// # Errors
/// Names the flag and what was given.
pub(crate) fn key_value(flag: &str, pair: &str) -> anyhow::Result<(String, String)> {
    let Some((key, value)) = pair.split_once('=') else {
        return Err(Usage(format!("{flag} {pair}: must be key=value")).into());
    };
    Ok((key.trim().to_owned(), value.trim().to_owned()))
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
            properties: vec!["client.id=b".to_owned()],
            ..ClientOptions::default()
        }
    }

    #[test]
    fn the_flag_wins_over_file_and_environment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.properties");
        std::fs::write(
            &path,
            "bootstrap.servers=file:1\nkey.serializer=x\nsocket.timeout.ms=7000\n",
        )
        .unwrap();
        let variables = [("JACKFIELD_BOOTSTRAP_SERVERS".into(), "env:1".into())];
        let environment = Environment::new(variables);
        let server = |options: &ClientOptions, environment: &Environment| {
            Connection::new(options, environment).unwrap().bootstrap_server
        };
        let mut with_file = options(None);
        with_file.command_config = Some(path);
        assert_eq!(server(&options(Some("flag:1")), &environment), "flag:1");
        assert_eq!(server(&with_file, &environment), "file:1");
        assert_eq!(server(&options(None), &environment), "env:1");
        assert_eq!(server(&options(None), &Environment::default()), "127.0.0.1:9092");
        let connection = Connection::new(&with_file, &environment).unwrap();
        let config = connection.config(&[("client.id", "c")]);
        assert_eq!(
            [
                config.get("client.id"),
                config.get("socket.timeout.ms"),
                config.get("key.serializer")
            ],
            [Some("b"), Some("7000"), None]
        );
        assert_eq!(connection.client_id(), "b");
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for good in ["localhost:9092", "a:1, b:2", "[::1]:9092", "1.2.3.4:65535"] {
            assert!(check_addresses("-b", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "a:1,",
            ":9092",
            "a:",
            "a:0",
            "a:99999",
            "::1:9092",
            "PLAINTEXT://a:9092",
        ] {
            let error = check_addresses("-b", bad).unwrap_err().to_string();
            assert!(
                error.starts_with("-b: '")
                    && error.ends_with("' is no address; write HOST:PORT, such as 127.0.0.1:9092"),
                "{bad}: {error}"
            );
        }
        let foo = Environment::new([("JACKFIELD_BOOTSTRAP_SERVERS".into(), "foo".into())]);
        let error = Connection::new(&options(None), &foo).unwrap_err().to_string();
        assert!(
            error.starts_with("JACKFIELD_BOOTSTRAP_SERVERS: 'foo' is no address"),
            "{error}"
        );
    }

    #[test]
    fn bad_properties_are_errors() {
        let error = |pair: &str| {
            let mut options = options(None);
            options.properties = vec![pair.to_owned()];
            let connection = Connection::new(&options, &Environment::default());
            format!("{:#}", connection.unwrap_err())
        };
        assert_eq!(error("a"), "--property a: must be key=value");
        assert_eq!(
            error("a=b"),
            "--property a=b: the client library knows no such property"
        );
        assert!(error("socket.timeout.ms=x").starts_with("--property socket.timeout.ms=x: "));
        assert_eq!(
            error("security.protocol=ssl"),
            "--property security.protocol=ssl: only PLAINTEXT is supported yet; kcat can reach such a cluster"
        );
    }
}

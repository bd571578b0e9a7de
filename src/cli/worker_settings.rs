//! What a worker file means for the whole program: the worker's own keys, the embedded broker's, and where data is kept.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use jackfield_broker::BrokerConfig;
use jackfield_plugin::Policy;
use jackfield_worker::WorkerConfig;

use crate::{
    arguments::ServerOptions,
    configuration::{Configuration, Environment},
    listeners::check_loopback,
    plugin_roots,
};

const DEFAULT_DATA_DIR: &str = "jackfield-data";
const DEFAULT_BROKER_LISTENERS: &str = "PLAINTEXT://127.0.0.1:9092";
const DEFAULT_REST_LISTENERS: &str = "http://127.0.0.1:8083";

/// A standalone program's settings, checked.
#[derive(Debug)]
pub(crate) struct WorkerSettings {
    pub(crate) worker: WorkerConfig,
    pub(crate) broker: BrokerConfig,
    /// Everything that is kept, absolute.
    pub(crate) data_dir: PathBuf,
    /// Addresses of the REST API.
    pub(crate) rest: Vec<SocketAddr>,
    /// Addresses of `/admin` alone, where it has its own.
    pub(crate) admin: Option<Vec<SocketAddr>>,
    /// The file of `plugin.policy`.
    pub(crate) policy: Policy,
}

impl WorkerSettings {
    /// Reads the file and the layers above it, and checks every key.
    ///
    /// # Errors
    /// Says which key of which layer is wrong.
    pub(crate) fn read(
        file: &Path,
        environment: &Environment,
        options: &ServerOptions,
    ) -> anyhow::Result<Self> {
        let mut all = Configuration::read(Some(file), environment, &options.set)?;
        let data_dir = all
            .take("data.dir")
            .unwrap_or_else(|| DEFAULT_DATA_DIR.to_owned());
        let data_dir = std::path::absolute(&data_dir).with_context(|| format!("data.dir '{data_dir}'"))?;
        let mut broker = all.take_prefixed("broker.");
        broker.set_default("listeners", || DEFAULT_BROKER_LISTENERS.to_owned());
        if broker.get("log.dir").is_none() {
            broker.set_default("log.dirs", || data_dir.join("broker").display().to_string());
        }
        all.set_default("listeners", || DEFAULT_REST_LISTENERS.to_owned());
        all.set_default("plugin.path", || join(&plugin_roots::default()));

        let broker_config = parse_broker(&broker, "embedded broker")?;
        check_loopback("broker.listeners", broker_config.listeners(), options.insecure)?;
        check_bootstrap_servers(&all, broker_config.listeners())?;
        let worker = WorkerConfig::parse(all.values())
            .map_err(|error| anyhow!("{}: {}", file.display(), all.explain(&error.to_string())))?;
        let parse = |key: &str, listeners: &[String]| {
            let parsed = listeners
                .iter()
                .map(|listener| jackfield_rest::parse_listener(key, listener));
            let parsed: Vec<_> = parsed
                .collect::<Result<_, _>>()
                .map_err(|error| anyhow!(all.explain(&error)))?;
            check_loopback(key, &parsed, options.insecure)?;
            anyhow::Ok(parsed)
        };
        let rest = parse("listeners", worker.listeners())?;
        let admin = worker.admin_listeners();
        let admin = admin.map(|admin| parse("admin.listeners", &admin)).transpose()?;
        let policy = worker.plugin_policy().map(Policy::read).transpose();
        let policy = policy.map_err(|error| anyhow!(all.explain(&error.to_string())))?;
        Ok(Self {
            worker,
            broker: broker_config,
            data_dir,
            rest,
            admin,
            policy: policy.unwrap_or_default(),
        })
    }
}

/// Checks the broker's keys; the error says where a bad value came from.
pub(crate) fn parse_broker(configuration: &Configuration, of: &str) -> anyhow::Result<BrokerConfig> {
    BrokerConfig::parse(configuration.values())
        .map_err(|error| anyhow!("{of}: {}", configuration.explain(&error.to_string())))
}

fn join(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(",")
}

/// `bootstrap.servers` is the embedded broker, or an error: every address in it must be one of the broker's own.
fn check_bootstrap_servers(all: &Configuration, own: &[SocketAddr]) -> anyhow::Result<()> {
    for server in all
        .get("bootstrap.servers")
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
    {
        if server.is_empty() || is_own(server, own) {
            continue;
        }
        let listeners: Vec<_> = own.iter().map(ToString::to_string).collect();
        let message = format!(
            "bootstrap.servers: '{server}' is not the embedded broker, which listens on {}; working with another \
             Kafka cluster is not supported yet. Leave bootstrap.servers out, or set \
             broker.listeners=PLAINTEXT://{server} to have the embedded broker listen there",
            listeners.join(", ")
        );
        bail!(all.explain(&message));
    }
    Ok(())
}

/// Whether `host:port` reaches one of our listeners from this machine.
fn is_own(server: &str, own: &[SocketAddr]) -> bool {
    let server = server.rsplit_once("://").map_or(server, |(_, address)| address);
    let Ok(addresses) = server.to_socket_addrs() else {
        return false;
    };
    let is_local = |ip: IpAddr| ip.is_loopback();
    addresses.into_iter().any(|address| {
        own.iter().any(|own| {
            let same_host = own.ip() == address.ip()
                || (is_local(address.ip()) && (is_local(own.ip()) || own.ip().is_unspecified()));
            own.port() == address.port() && same_host
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_policy_keeps_the_worker_from_starting() {
        let directory = tempfile::tempdir().unwrap();
        let (worker, policy) = (
            directory.path().join("w.properties"),
            directory.path().join("p.toml"),
        );
        std::fs::write(&worker, format!("plugin.policy={}\n", policy.display())).unwrap();
        let options = ServerOptions {
            set: Vec::new(),
            insecure: false,
        };
        let read = || {
            let read = WorkerSettings::read(&worker, &Environment::default(), &options);
            read.map(drop).map_err(|error| error.to_string())
        };
        let error = read().unwrap_err();
        assert!(error.contains("p.toml cannot be read: "), "{error}");
        std::fs::write(&policy, "[[grant]]\npackage = \"a\"\nhttp = [\"a.example\"]\n").unwrap();
        let error = read().unwrap_err();
        assert!(error.contains("p.toml, line 3: http: \"a.example\": "), "{error}");
        assert!(
            error.contains("(plugin.policy: "),
            "says where the key was set: {error}"
        );
        std::fs::write(
            &policy,
            "[[grant]]\npackage = \"a\"\nhttp = [\"http://a.example\"]\n",
        )
        .unwrap();
        assert_eq!(read(), Ok(()));
    }

    #[test]
    fn own_listener() {
        let own = ["127.0.0.1:9092".parse().unwrap()];
        for server in [
            "localhost:9092",
            "127.0.0.1:9092",
            "[::1]:9092",
            "PLAINTEXT://localhost:9092",
        ] {
            assert!(is_own(server, &own), "{server}");
        }
        for server in ["localhost:9093", "192.0.2.1:9092", "nonsense", "localhost"] {
            assert!(!is_own(server, &own), "{server}");
        }
        assert!(is_own("localhost:9092", &["0.0.0.0:9092".parse().unwrap()]));
    }

    #[test]
    fn foreign_clusters_are_refused() {
        let own = ["127.0.0.1:9092".parse().unwrap()];
        let flags = |value: &str| vec![format!("bootstrap.servers={value}")];
        let read = |value: &str| Configuration::read(None, &Environment::default(), &flags(value)).unwrap();
        assert!(check_bootstrap_servers(&read("localhost:9092"), &own).is_ok());
        assert!(check_bootstrap_servers(&read(""), &own).is_ok());
        let error = check_bootstrap_servers(&read("localhost:9092,192.0.2.1:9092"), &own)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("'192.0.2.1:9092' is not the embedded broker"),
            "{error}"
        );
        assert!(error.contains("not supported yet"), "{error}");
        assert!(
            error.contains("(bootstrap.servers: --set on the command line)"),
            "{error}"
        );
    }
}

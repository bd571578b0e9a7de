//! `jackfield standalone`: worker and embedded broker in one process.
//!
//! Start: the broker opens, the herder starts, and only when everything can serve are connections accepted; then the
//! connectors of the command line are put. Stop, in the reverse order: REST, sources, sinks with their commits, broker.

use std::{
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use jackfield_broker::Broker;
use jackfield_cluster::{Cluster, EmbeddedCluster};
use jackfield_env::Env;
use jackfield_plugin::{ConnectorPlugin, NativePolicy, PluginConfig, Plugins, Policy, Variables};
use jackfield_rest::{ListenerError, Surface};
use jackfield_tasks::TaskGroup;
use jackfield_worker::{Herder, HerderError, WorkerConfig};
use tokio::net::TcpSocket;

use crate::{
    arguments::StandaloneArguments, configuration::Environment, connector_file::ConnectorFile,
    exit::ConnectorFailed, plugin_roots, signals::Signals, worker_settings::WorkerSettings,
};

// Together with the tasks' own time (`task.shutdown.graceful.timeout.ms`) less than two seconds.
const REST_SHUTDOWN: Duration = Duration::from_millis(200);
const BROKER_SHUTDOWN: Duration = Duration::from_millis(400);
const REST_BACKLOG: u32 = 1_024;

/// Runs until a signal ends it.
pub(crate) async fn run(
    arguments: StandaloneArguments,
    environment: Environment,
    env: Env,
) -> anyhow::Result<()> {
    let started = Instant::now();
    jackfield_env::raise_open_files();
    let mut signals = Signals::install().context("signals cannot be handled")?;
    let connectors: Result<Vec<_>, _> = arguments
        .connectors
        .iter()
        .map(|path| ConnectorFile::read(path))
        .collect();
    let connectors = connectors?;
    let settings = WorkerSettings::read(&arguments.worker, &environment, &arguments.server)?;
    let graceful_timeout = settings.worker.graceful_timeout();

    let mut program = Program::default();
    let ended = tokio::select! {
        result = program.start(settings, &connectors, environment.everything(), env, Vec::new()) => match result {
            Ok(summary) => {
                eprintln!("{}", summary.text(started.elapsed()));
                let signal = signals.next().await;
                tracing::info!(signal, "stopping");
                Ok(())
            }
            Err(error) => Err(error),
        },
        signal = signals.next() => {
            tracing::info!(signal, "stopping before everything was started");
            Ok(())
        }
    };
    signals.or_exit(program.stop(graceful_timeout)).await;
    tracing::info!("stopped");
    ended
}

/// The running parts; what is not started yet is absent.
#[derive(Debug, Default)]
pub(crate) struct Program {
    broker: Option<Broker>,
    herder: Option<Herder>,
    rest: Option<TaskGroup>,
}

impl Program {
    /// Starts the parts and the connectors; `own` are classes of the process itself.
    ///
    /// # Errors
    /// Something cannot be started. What was started until then has to be stopped.
    pub(crate) async fn start(
        &mut self,
        settings: WorkerSettings,
        connectors: &[ConnectorFile],
        variables: Variables,
        env: Env,
        own: Vec<Arc<dyn ConnectorPlugin>>,
    ) -> anyhow::Result<Summary> {
        let sockets = bind(&settings.rest)
            .context("listeners (the REST API): set another port, or stop what uses this one")?;
        let rest = addresses(&sockets)?;
        let admin = settings.admin.as_deref().unwrap_or_default();
        let admin = bind(admin).context("admin.listeners: set another port, or stop what uses this one")?;
        for notice in settings.worker.notices() {
            tracing::info!(notice, "worker config");
        }
        for notice in settings.broker.notices() {
            tracing::info!(notice, "embedded broker config");
        }
        let broker = Broker::open(settings.broker, env.clone())
            .await
            .context("the embedded broker cannot be started")?;
        let broker = self.broker.insert(broker).clone();

        let (worker, data_dir) = (&settings.worker, &settings.data_dir);
        let mut plugins = discover(worker, data_dir, settings.policy, variables);
        for class in own {
            plugins.register(class);
        }
        let plugins = Arc::new(plugins);
        let cluster: Arc<dyn Cluster> = Arc::new(EmbeddedCluster::new(broker.clone()));
        let worker_id = worker_id(&settings.worker, &rest);
        let plugin_path = settings.worker.plugin_path().to_vec();
        let herder = Herder::start(settings.worker, cluster, plugins, env, worker_id)
            .await
            .context("the worker cannot be started")?;
        let herder = self.herder.insert(herder).clone();

        let brokers = broker.listen().await.context(
            "broker.listeners (the embedded broker): set another port, or stop what uses this one",
        )?;
        let surface = match settings.admin {
            Some(_) => Surface::WithoutAdmin,
            None => Surface::Everything,
        };
        self.serve(sockets, &herder, surface)?;
        self.serve(admin, &herder, Surface::AdminOnly)?;
        for connector in connectors {
            put(&herder, connector).await?;
        }
        Ok(Summary {
            brokers,
            rest,
            plugin_path: plugin_path
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            data_dir: settings.data_dir.display().to_string(),
            connectors: herder
                .connectors()
                .await
                .context("the connectors cannot be listed")?,
        })
    }

    fn serve(&mut self, sockets: Vec<TcpSocket>, herder: &Herder, surface: Surface) -> anyhow::Result<()> {
        let group = self.rest.get_or_insert_with(|| TaskGroup::new("rest"));
        for socket in sockets {
            let listener = socket
                .listen(REST_BACKLOG)
                .context("the REST API cannot accept connections")?;
            let name = listener.local_addr()?.to_string();
            let cancelled = group.cancelled();
            let server =
                jackfield_rest::serve(listener, herder.clone(), surface, cancelled.cancelled_owned());
            group.spawn(name, async move {
                if let Err(error) = server.await {
                    tracing::error!(%error, "the REST API stopped");
                }
            });
        }
        Ok(())
    }

    /// The worker, once it is started.
    pub(crate) fn herder(&self) -> Option<&Herder> {
        self.herder.as_ref()
    }

    /// Stops what was started, in order.
    pub(crate) async fn stop(&mut self, graceful_timeout: Duration) {
        if let Some(rest) = self.rest.take() {
            rest.shutdown(REST_SHUTDOWN).await;
        }
        if let Some(herder) = self.herder.take() {
            let late = herder.shutdown(graceful_timeout).await;
            if late > 0 {
                tracing::warn!(
                    tasks = late,
                    "tasks did not stop in time; what they did not commit is repeated"
                );
            }
        }
        if let Some(broker) = self.broker.take() {
            broker.shutdown(BROKER_SHUTDOWN).await;
        }
    }
}

fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpSocket>, ListenerError> {
    let sockets = addresses.iter();
    sockets.map(|address| jackfield_rest::bind(*address)).collect()
}

/// Bound addresses, port 0 resolved.
fn addresses(sockets: &[TcpSocket]) -> anyhow::Result<Vec<SocketAddr>> {
    let addresses: Result<Vec<_>, _> = sockets.iter().map(TcpSocket::local_addr).collect();
    Ok(addresses?)
}

/// `host:port` of the REST API as others would reach it.
fn worker_id(worker: &WorkerConfig, rest: &[SocketAddr]) -> String {
    let Some(first) = rest.first() else {
        return String::new();
    };
    match worker.advertised() {
        (None, None) => first.to_string(),
        (host, port) => {
            let host = host.map_or_else(|| first.ip().to_string(), str::to_owned);
            format!("{host}:{}", port.unwrap_or_else(|| first.port()))
        }
    }
}

fn discover(worker: &WorkerConfig, data_dir: &Path, policy: Policy, environment: Variables) -> Plugins {
    let config = PluginConfig {
        plugin_path: worker.plugin_path().to_vec(),
        cache_dir: data_dir.join("plugin-cache"),
        wasm_directories: worker.wasm_directories().to_vec(),
        native: NativePolicy {
            own_directories: plugin_roots::own(),
            allow: worker.native_allow(),
        },
        policy,
        environment,
    };
    let plugins = Plugins::discover_limited(config, worker.plugin_limits());
    for bad in plugins.bad() {
        tracing::warn!(package = %bad.location.display(), reason = %bad.reason, "plugin package cannot be used");
    }
    plugins
}

/// Puts a connector of the command line: created with its initial state, or brought to the file's config. A connector
/// that already has exactly this config is left alone, in the state it was in.
async fn put(herder: &Herder, file: &ConnectorFile) -> Result<(), ConnectorFailed> {
    let outcome = match herder.connector(&file.name).await {
        Ok(info) if info.config == file.config => Ok(()),
        Ok(_) => herder.put_config(&file.name, file.config.clone()).await.map(drop),
        Err(HerderError::NotFound(_)) => herder
            .create(&file.name, file.config.clone(), file.initial_state)
            .await
            .map(drop),
        Err(error) => Err(error),
    };
    outcome.map_err(|error| {
        ConnectorFailed(format!(
            "connector '{}' ({}): {error}",
            file.name,
            file.path.display()
        ))
    })
}

/// What the user is told once everything serves.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) brokers: Vec<SocketAddr>,
    pub(crate) rest: Vec<SocketAddr>,
    plugin_path: Vec<String>,
    data_dir: String,
    connectors: Vec<String>,
}

impl Summary {
    fn text(&self, elapsed: Duration) -> String {
        let list = |items: &[String]| {
            if items.is_empty() {
                "none".to_owned()
            } else {
                items.join(", ")
            }
        };
        let brokers: Vec<_> = self.brokers.iter().map(ToString::to_string).collect();
        let rest: Vec<_> = self
            .rest
            .iter()
            .map(|address| format!("http://{address}"))
            .collect();
        format!(
            "jackfield standalone: ready in {} ms\n  broker      {}\n  REST API    {}\n  connectors  {}\n  \
             plugins     {}\n  data        {}",
            elapsed.as_millis(),
            list(&brokers),
            list(&rest),
            list(&self.connectors),
            list(&self.plugin_path),
            self.data_dir
        )
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_summary_says_where_everything_is() {
        let summary = Summary {
            brokers: vec!["127.0.0.1:9092".parse().unwrap()],
            rest: vec!["127.0.0.1:8083".parse().unwrap()],
            plugin_path: Vec::new(),
            data_dir: "/d".to_owned(),
            connectors: vec!["a".to_owned(), "b".to_owned()],
        };
        expect![[r"
            jackfield standalone: ready in 42 ms
              broker      127.0.0.1:9092
              REST API    http://127.0.0.1:8083
              connectors  a, b
              plugins     none
              data        /d"]]
        .assert_eq(&summary.text(Duration::from_millis(42)));
    }
}

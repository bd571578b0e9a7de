//! The broker core as one object: opened, then listening, then shut down.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jackfield_env::Env;
use jackfield_log::{Changing, LogManager};
use jackfield_tasks::TaskGroup;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use crate::{
    BrokerConfig, Topics,
    admission::Connections,
    config::listener::Listener,
    config::values::Values,
    dynamic_configs::DynamicConfigs,
    fetch::FetchSessions,
    groups::{GroupConfigs, Groups},
    listener,
    producer_ids::ProducerIds,
    topic_config::Defaults,
};

/// How long connections that are given up may take to notice.
const ABANDON: Duration = Duration::from_millis(100);

/// Starting the broker failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// What request handlers work on.
#[derive(Debug)]
pub(crate) struct Core {
    /// What the broker was started with.
    pub(crate) config: BrokerConfig,
    /// What is set of it while it runs, and of groups and client metrics.
    pub(crate) configs: Arc<DynamicConfigs>,
    pub(crate) env: Env,
    pub(crate) logs: Arc<LogManager>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) groups: Groups,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) connections: Arc<Connections>,
    /// Fires when connections that did not end in time are given up.
    pub(crate) abandoned: CancellationToken,
    /// Bound addresses, empty before [`Broker::listen`].
    bound: Mutex<Vec<SocketAddr>>,
    tasks: TaskGroup,
    /// Listeners and connections, stopped before the coordinator.
    network: TaskGroup,
}

/// A running broker core. Cheap to clone. In-process callers use [`Broker::topics`] and [`Broker::groups`];
/// sockets are optional.
#[derive(Debug, Clone)]
pub struct Broker {
    core: Arc<Core>,
}

impl Broker {
    /// Opens the log directories and the coordinator. Serves nothing yet.
    ///
    /// # Errors
    /// [`StartError`] names the directory or topic that cannot be used.
    pub async fn open(config: BrokerConfig, env: Env) -> Result<Self, StartError> {
        let tasks = TaskGroup::new("broker");
        let opening = {
            let (config, env, tasks) = (config, env, tasks.clone());
            move || Self::open_blocking(config, env, tasks)
        };
        let mut handle = tasks.spawn_blocking("open", opening);
        let core = handle
            .join()
            .await
            .map_err(|error| StartError(error.to_string()))?
            .map_err(StartError)?;
        Ok(Self { core: Arc::new(core) })
    }

    fn open_blocking(config: BrokerConfig, env: Env, tasks: TaskGroup) -> Result<Core, String> {
        let first_dir = config.logs.log_dirs.first().cloned().ok_or("log.dirs is empty")?;
        let configs = DynamicConfigs::open(env.clone(), &first_dir, config.values.clone(), config.node_id)?;
        let configs = Arc::new(configs);
        let defaults = Defaults::new(configs.levels().values.clone());
        let logs = LogManager::open(config.logs.clone(), defaults.log.clone(), env.clone())
            .map_err(|error| error.to_string())?;
        logs.change(changing(&config, &defaults.values));
        let producer_ids = ProducerIds::open(env.clone(), &first_dir)?;
        let topics = Topics::load(
            Arc::clone(&logs),
            env.clone(),
            &first_dir,
            defaults,
            config.num_partitions,
        )?;
        // Now that every topic has its own settings.
        logs.start_maintenance().map_err(|error| error.to_string())?;
        let topics = Arc::new(topics);
        let own = Arc::clone(&configs);
        let own = move |group: &str, option: &str| own.group_number(group, option);
        let groups = Groups::open(
            config.groups.clone(),
            GroupConfigs(Arc::new(own)),
            Arc::clone(&topics),
            env.clone(),
            &tasks,
        )
        .map_err(|error| error.to_string())?;
        Ok(Core {
            connections: Connections::new(&configs.levels().values),
            fetch_sessions: FetchSessions::new(config.limits.fetch_sessions),
            abandoned: CancellationToken::new(),
            network: tasks.child("network"),
            config,
            configs,
            env,
            logs,
            topics,
            groups,
            producer_ids,
            bound: Mutex::new(Vec::new()),
            tasks,
        })
    }

    /// Binds all listeners and accepts connections from now on. Returns the bound addresses (port 0 resolved).
    ///
    /// # Errors
    /// [`StartError`] names the address that cannot be bound.
    #[allow(
        clippy::unused_async,
        reason = "registers sockets with the runtime, so it must run on one"
    )]
    pub async fn listen(&self) -> Result<Vec<SocketAddr>, StartError> {
        let core = &self.core;
        let sockets: io::Result<Vec<_>> = core
            .config
            .listeners()
            .iter()
            .map(|address| bind(*address, core.config.limits.listen_backlog))
            .collect();
        let sockets = sockets.map_err(|error| StartError(error.to_string()))?;
        let bound: io::Result<Vec<_>> = sockets.iter().map(TcpListener::local_addr).collect();
        let bound = bound.map_err(|error| StartError(error.to_string()))?;
        core.bound
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&bound);
        for socket in sockets {
            let task = listener::run(socket, Arc::clone(core), core.network.clone());
            core.network.spawn("listener", task);
        }
        Ok(bound)
    }

    /// Stops accepting, answers what is in flight, and closes the logs in order.
    pub async fn shutdown(&self, deadline: Duration) {
        let core = &self.core;
        // Whoever waits for records or a rebalance is answered, so that connections can end.
        core.network.cancel();
        core.groups.close();
        let stuck = core.network.shutdown(deadline).await;
        if stuck > 0 {
            tracing::warn!(connections = stuck, "connections did not end in time");
            core.abandoned.cancel();
            core.network.wait(ABANDON).await;
        }
        core.tasks.shutdown(deadline).await;
        let logs = Arc::clone(&core.logs);
        let closing = TaskGroup::new("close");
        if let Err(error) = closing.spawn_blocking("logs", move || logs.close()).join().await {
            tracing::error!(%error, "logs were not closed in order; the next start checks them");
        }
    }

    /// Topics and partitions.
    pub fn topics(&self) -> &Arc<Topics> {
        &self.core.topics
    }

    #[cfg(test)]
    pub(crate) fn logs(&self) -> &LogManager {
        &self.core.logs
    }

    /// The group coordinator.
    pub fn groups(&self) -> &Groups {
        &self.core.groups
    }

    /// Cluster id.
    pub fn cluster_id(&self) -> String {
        self.core.logs.cluster_id()
    }

    /// Addresses clients reach the broker at: the bound ones, before [`Broker::listen`] the configured ones.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.core.addresses()
    }

    /// The outside world.
    pub fn env(&self) -> &Env {
        &self.core.env
    }
}

/// Binds an address. It may be bound again at once after the broker has stopped.
fn bind(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let bind = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(backlog)
    };
    bind().map_err(|error| {
        let message = format!("listeners: {address} cannot be bound: {error}");
        io::Error::new(error.kind(), message)
    })
}

/// What of the logs' settings changes while they are open.
fn changing(config: &BrokerConfig, values: &Values) -> Changing {
    let cordoned: Vec<_> = values.list("cordoned.log.dirs").collect();
    let all = cordoned.contains(&"*");
    let is_cordoned = |path: &&PathBuf| all || cordoned.iter().any(|name| Path::new(name) == path.as_path());
    Changing {
        producer_id_expiration_ms: values.number("producer.id.expiration.ms"),
        cordoned: config.logs.log_dirs.iter().filter(is_cordoned).cloned().collect(),
    }
}

impl Core {
    /// Lets changed configs take effect.
    pub(crate) fn put_in_force(&self, values: &Values) {
        self.connections.limit(values);
        self.logs.change(changing(&self.config, values));
        self.topics.set_defaults(Defaults::new(values.clone()));
    }

    /// Fires when the broker stops serving clients.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.network.cancelled()
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if bound.is_empty() {
            self.config.listeners().to_vec()
        } else {
            bound
        }
    }

    /// The listener that clients came in at.
    fn came_in_at(&self, local: SocketAddr) -> Option<&Listener> {
        let bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |address: &SocketAddr| {
            address.port() == local.port() && (address.ip().is_unspecified() || address.ip() == local.ip())
        };
        self.config.named_listeners.get(bound.iter().position(is_it)?)
    }

    /// The name of the listener that clients came in at.
    pub(crate) fn listener_name(&self, local: SocketAddr) -> String {
        self.came_in_at(local)
            .map_or_else(String::new, |listener| listener.name.clone())
    }

    /// Where clients that came in at `local` are told to connect: `advertised.listeners`, else where they came in.
    pub(crate) fn advertised(&self, local: SocketAddr) -> (String, u16) {
        let listener = self.came_in_at(local);
        match listener.and_then(|listener| listener.advertised.clone()) {
            Some((host, 0)) => (host, local.port()),
            Some(advertised) => advertised,
            None => (local.ip().to_canonical().to_string(), local.port()),
        }
    }
}

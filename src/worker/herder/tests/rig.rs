//! A worker and its broker, and how to look at them.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use jackfield_broker::{Broker, BrokerConfig};
use jackfield_cluster::{Cluster, EmbeddedCluster};
use jackfield_env::Env;
use jackfield_plugin::{Kind, NativePolicy, PluginConfig, Plugins, Policy, Variables};

use super::plugins::{SinkState, SourceState, TestPlugin};
use crate::{ConfigMap, Herder, HerderError, TargetState, WorkerConfig};

const DEADLINE: Duration = Duration::from_secs(20);

pub(super) struct Rig {
    pub(super) herder: Herder,
    pub(super) cluster: Arc<dyn Cluster>,
    pub(super) source: Arc<Mutex<SourceState>>,
    pub(super) sink: Arc<Mutex<SinkState>>,
    broker: Broker,
    dir: tempfile::TempDir,
    settings: BTreeMap<String, String>,
}

pub(super) fn map(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.trim().split_once('='));
    lines
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(super) fn config(text: &str) -> ConfigMap {
    let lines = text.lines().filter_map(|line| line.trim().split_once('='));
    lines
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

async fn broker(dir: &Path) -> Broker {
    let properties = BTreeMap::from([
        (
            "log.dirs".to_owned(),
            dir.join("log").to_str().unwrap().to_owned(),
        ),
        ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("offsets.topic.num.partitions".to_owned(), "2".to_owned()),
    ]);
    Broker::open(BrokerConfig::parse(&properties).unwrap(), Env::real())
        .await
        .unwrap()
}

async fn herder(
    cluster: &Arc<dyn Cluster>,
    dir: &Path,
    settings: &BTreeMap<String, String>,
    source: &Arc<Mutex<SourceState>>,
    sink: &Arc<Mutex<SinkState>>,
) -> Result<Herder, HerderError> {
    let mut plugins = Plugins::discover(PluginConfig {
        plugin_path: Vec::new(),
        cache_dir: dir.join("cache"),
        wasm_directories: Vec::new(),
        native: NativePolicy::default(),
        policy: Policy::default(),
        environment: Variables::default(),
    });
    let tasks = settings
        .get("test.tasks")
        .map_or(1, |tasks| tasks.parse().unwrap());
    plugins.register(Arc::new(TestPlugin {
        source: Arc::clone(source),
        tasks,
        ..TestPlugin::new(Kind::Source)
    }));
    plugins.register(Arc::new(TestPlugin {
        sink: Arc::clone(sink),
        ..TestPlugin::new(Kind::Sink)
    }));
    plugins.register(Arc::new(TestPlugin::new(Kind::Transform)));
    let mut worker = settings.clone();
    worker.remove("test.tasks");
    let worker = WorkerConfig::parse(&worker).unwrap();
    Herder::start(
        worker,
        Arc::clone(cluster),
        Arc::new(plugins),
        Env::real(),
        "127.0.0.1:8083".to_owned(),
    )
    .await
}

impl Rig {
    pub(super) async fn new(settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let broker = broker(dir.path()).await;
        let cluster: Arc<dyn Cluster> = Arc::new(EmbeddedCluster::new(broker.clone()));
        let mut settings = map(settings);
        for (key, value) in [
            ("offset.flush.interval.ms", "50"),
            ("value.converter.schemas.enable", "false"),
        ] {
            settings.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
        let (source, sink) = Default::default();
        let herder = herder(&cluster, dir.path(), &settings, &source, &sink)
            .await
            .unwrap();
        Self {
            herder,
            cluster,
            source,
            sink,
            broker,
            dir,
            settings,
        }
    }

    /// Stops worker and broker, as the program does at its end, and starts both again.
    pub(super) async fn restart(&mut self) {
        self.stop().await;
        self.restart_after_stop().await;
    }

    pub(super) async fn restart_after_stop(&mut self) {
        self.broker = broker(self.dir.path()).await;
        self.cluster = Arc::new(EmbeddedCluster::new(self.broker.clone()));
        self.herder = herder(
            &self.cluster,
            self.dir.path(),
            &self.settings,
            &self.source,
            &self.sink,
        )
        .await
        .unwrap();
    }

    pub(super) async fn stop(&self) {
        assert_eq!(
            self.herder.shutdown(DEADLINE).await,
            0,
            "tasks that did not end in time"
        );
        self.broker.shutdown(DEADLINE).await;
    }

    /// Another worker over the same broker.
    pub(super) async fn second_herder(&self, settings: &str) -> Result<Herder, HerderError> {
        herder(
            &self.cluster,
            self.dir.path(),
            &map(settings),
            &self.source,
            &self.sink,
        )
        .await
    }

    pub(super) async fn create(&self, text: &str) {
        let config = config(text);
        let (created, _) = self
            .herder
            .put_config(&config["name"].clone(), config)
            .await
            .unwrap();
        assert!(created);
    }

    /// Key and value of each record of a topic, in order; `-` = null.
    pub(super) async fn records(&self, topic: &str) -> Vec<(String, String)> {
        let text = |bytes: Option<bytes::Bytes>| {
            bytes.map_or("-".to_owned(), |bytes| String::from_utf8(bytes.to_vec()).unwrap())
        };
        let records = self.cluster.read_to_end(topic).await.unwrap_or_default();
        records
            .into_iter()
            .map(|(_, record)| (text(record.key), text(record.value)))
            .collect()
    }

    pub(super) async fn values(&self, topic: &str) -> Vec<String> {
        self.records(topic)
            .await
            .into_iter()
            .map(|(_, value)| value)
            .collect()
    }

    /// Connector's state, then its tasks'.
    pub(super) async fn states(&self, name: &str) -> Vec<String> {
        let Ok(status) = self.herder.status(name).await else {
            return Vec::new();
        };
        std::iter::once(status.connector)
            .chain(status.tasks)
            .map(|state| state.state)
            .collect()
    }

    /// Asks for a target state, and waits until connector and tasks are in `states`.
    pub(super) async fn change_state(&self, name: &str, target: TargetState, states: &[&str]) {
        self.herder.set_target_state(name, target).await.unwrap();
        self.wait_for_states(name, states).await;
    }

    pub(super) async fn wait_for_states(&self, name: &str, states: &[&str]) {
        wait_for(&format!("{name} to be {states:?}"), || async {
            self.states(name).await == states
        })
        .await;
    }
}

/// Waits until it is true.
pub(super) async fn wait_for<F: Future<Output = bool>>(what: &str, mut is: impl FnMut() -> F) {
    let wait = async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, wait).await.is_ok(),
        "waited for {what}"
    );
}

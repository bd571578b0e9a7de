//! The worker and broker that a plugin is run in, both in this process.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use jackfield_env::Env;
use jackfield_plugin::ConnectorPlugin;
use jackfield_worker::Herder;

use super::{feed::Feed, settings::Settings};
use crate::{
    arguments::ServerOptions,
    configuration::Environment,
    standalone::{Program, Summary},
    worker_settings::WorkerSettings,
};

/// What a task may take to end.
const GRACEFUL: Duration = Duration::from_secs(2);

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct Session {
    program: Program,
    summary: Option<Summary>,
    connector: String,
    feed: Option<Feed>,
}

impl Session {
    /// Starts everything.
    ///
    /// # Errors
    /// The config is wrong, or a port is taken.
    pub(super) async fn start(
        &mut self,
        settings: &Settings,
        feed: Option<Feed>,
        environment: &Environment,
        env: Env,
    ) -> anyhow::Result<()> {
        let options = ServerOptions {
            set: Vec::new(),
            insecure: false,
        };
        // The variables are about other workers; plugins are granted theirs.
        let worker = WorkerSettings::read(&settings.worker, &Environment::default(), &options)?;
        self.connector = settings.name.clone();
        self.feed = feed;
        let own = self.feed.iter().cloned();
        let own = own
            .map(|feed| Arc::new(feed) as Arc<dyn ConnectorPlugin>)
            .collect();
        let variables = environment.everything();
        let started = self
            .program
            .start(worker, &settings.connectors, variables, env, own);
        // Its exit code is that of `standalone`.
        let summary = started.await.map_err(|error| anyhow!("{error:#}"))?;
        let addresses = |all: &[SocketAddr]| all.first().map_or_else(String::new, ToString::to_string);
        eprintln!(
            "running {} (broker {}, REST http://{})",
            settings.shown,
            addresses(&summary.brokers),
            addresses(&summary.rest)
        );
        self.summary = Some(summary);
        Ok(())
    }

    /// The broker's address.
    ///
    /// # Errors
    /// It does not run.
    pub(super) fn broker(&self) -> anyhow::Result<SocketAddr> {
        let broker = self.summary.as_ref().and_then(|summary| summary.brokers.first());
        broker.copied().context("the broker does not run")
    }

    fn herder(&self) -> anyhow::Result<&Herder> {
        self.program.herder().context("the worker does not run")
    }

    /// Fails when a connector or task has.
    ///
    /// # Errors
    /// With the cause that its status tells.
    pub(super) async fn check(&self) -> anyhow::Result<()> {
        let herder = self.herder()?;
        for name in herder.connectors().await? {
            let status = herder.status(&name).await?;
            for state in std::iter::once(&status.connector).chain(&status.tasks) {
                if state.state != "FAILED" {
                    continue;
                }
                let what = match state.id {
                    Some(task) => format!("task {task} of {name}"),
                    None => format!("connector {name}"),
                };
                let cause = state.trace.as_deref().unwrap_or("no cause was told");
                bail!("{what} failed: {}", cause.trim());
            }
        }
        Ok(())
    }

    /// Topics that the connector has written to.
    pub(super) fn topics(&self) -> Vec<String> {
        self.herder()
            .map(|herder| herder.topics(&self.connector))
            .unwrap_or_default()
    }

    /// How many records the sink has committed.
    pub(super) async fn committed(&self) -> u64 {
        let Ok(herder) = self.herder() else { return 0 };
        // Nothing is stored before the first commit.
        let offsets = herder.offsets(&self.connector).await.unwrap_or_default();
        let offset = |offset: &jackfield_worker::ConnectorOffset| offset.offset["kafka_offset"].as_u64();
        offsets.iter().filter_map(offset).sum()
    }

    /// Ends everything in order.
    pub(super) async fn stop(&mut self) {
        if let Some(feed) = &self.feed {
            feed.end();
        }
        self.program.stop(GRACEFUL).await;
    }
}

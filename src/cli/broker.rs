//! `jackfield broker`: the broker core alone.

use std::time::Duration;

use anyhow::Context as _;
use jackfield_broker::Broker;
use jackfield_env::Env;

use crate::{
    arguments::BrokerArguments,
    configuration::{Configuration, Environment},
    listeners::check_loopback,
    signals::Signals,
    worker_settings::parse_broker,
};

const DEFAULT_LOG_DIRS: &str = "jackfield-data/broker";
const SHUTDOWN: Duration = Duration::from_millis(1_500);

/// Runs until a signal ends it.
pub(crate) async fn run(
    arguments: BrokerArguments,
    environment: Environment,
    env: Env,
) -> anyhow::Result<()> {
    let started = std::time::Instant::now();
    jackfield_env::raise_open_files();
    let mut signals = Signals::install().context("signals cannot be handled")?;
    let file = arguments.config.as_deref();
    let mut configuration = Configuration::read(file, &environment, &arguments.server.set)?;
    // It tells the client commands where a broker is, and may well be set in the same shell.
    configuration.pass_over_variable("bootstrap.servers");
    if configuration.get("log.dir").is_none() {
        configuration.set_default("log.dirs", || DEFAULT_LOG_DIRS.to_owned());
    }
    configuration.set_default("listeners", || "PLAINTEXT://127.0.0.1:9092".to_owned());
    let of = file.map_or_else(|| "broker".to_owned(), |path| path.display().to_string());
    let config = parse_broker(&configuration, &of)?;
    check_loopback("listeners", config.listeners(), arguments.server.insecure)?;
    for notice in config.notices() {
        tracing::info!(notice, "broker config");
    }

    let broker = tokio::select! {
        broker = Broker::open(config, env) => broker.context("the broker cannot be started")?,
        // Nothing is served yet, and opening can be repeated.
        _ = signals.next() => return Ok(()),
    };
    let addresses = match broker.listen().await {
        Ok(addresses) => addresses,
        Err(error) => {
            broker.shutdown(SHUTDOWN).await;
            return Err(error).context("the broker cannot be started");
        }
    };
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    eprintln!(
        "jackfield broker: ready in {} ms on {}",
        started.elapsed().as_millis(),
        addresses.join(", ")
    );
    let signal = signals.next().await;
    tracing::info!(signal, "stopping");
    signals.or_exit(broker.shutdown(SHUTDOWN)).await;
    tracing::info!("stopped");
    Ok(())
}

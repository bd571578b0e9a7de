//! The commands: `standalone` and `broker` start the crates below, `topics`, `produce` and `consume` are clients of the
//! Kafka protocol, `plugins` looks at `plugin.path`, `log` at log directories.
//!
//! Everything that comes from outside the configuration files (command line, environment) enters through [`run`].

mod arguments;
mod broker;
mod client;
mod configuration;
mod connector_file;
mod consume;
mod exit;
mod listeners;
mod logging;
mod plugin_roots;
mod plugins;
mod produce;
mod properties;
mod signals;
mod standalone;
mod topics;
mod verify;
mod worker_settings;

use std::{ffi::OsString, time::Duration};

use clap::Parser as _;
use jackfield_env::Env;

use crate::{
    arguments::{Arguments, Command, LogAction, LogArguments},
    configuration::Environment,
};

/// How long whatever still runs after an orderly end may take to notice.
const RUNTIME_END: Duration = Duration::from_millis(100);

/// Runs the program with a command line and an environment, and returns its exit code.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody is left to be told when the terminal is gone.
            error.print().ok();
            return if error.use_stderr() { exit::USAGE } else { exit::OK };
        }
    };
    let result = execute(arguments, Environment::new(environment));
    if let Err(error) = &result {
        exit::report(error);
    }
    exit::code(&result)
}

fn execute(arguments: Arguments, environment: Environment) -> anyhow::Result<()> {
    let log_levels = logging::start(arguments.log_level.as_deref().or(environment.log_filter()))?;
    let env = Env {
        log_levels,
        ..Env::real()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("jackfield")
        .build()?;
    let result = match arguments.command {
        Command::Standalone(arguments) => runtime.block_on(standalone::run(arguments, environment, env)),
        Command::Broker(arguments) => runtime.block_on(broker::run(arguments, environment, env)),
        Command::Topics(arguments) => runtime.block_on(topics::run(arguments, &environment)),
        Command::Produce(arguments) => produce::run(arguments, &environment),
        Command::Consume(arguments) => runtime.block_on(consume::run(arguments, &environment)),
        Command::Plugins(arguments) => plugins::run(&arguments),
        Command::Log(LogArguments {
            action: LogAction::Verify(arguments),
        }) => verify::run(&arguments),
    };
    runtime.shutdown_timeout(RUNTIME_END);
    result
}

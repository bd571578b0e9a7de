//! The commands: `standalone` and `broker` start the crates below; `topics`, `produce`, `consume`, `groups`, `configs` and
//! `offsets` are clients of any Kafka broker, `connectors` of any Connect worker; `plugins` looks at `plugin.path`, `plugin` has
//! the tools of plugin authors, `log` looks at log directories.
//!
//! Everything that comes from outside the configuration files (command line, environment) enters through [`run`].

mod arguments;
mod broker;
mod client;
mod codec;
mod completions;
mod configs;
mod configuration;
mod connector_file;
mod connectors;
mod consume;
mod envelope;
mod exit;
mod groups;
mod kafka;
mod listeners;
mod logging;
mod offsets;
mod output;
mod plugin;
mod plugin_roots;
mod plugins;
mod position;
mod produce;
mod progress;
mod properties;
#[cfg(test)]
mod reference_test;
mod signals;
mod standalone;
mod times;
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
    let log = arguments.log_level.as_deref().or(environment.log_filter());
    let log_levels = logging::start(log.or(match arguments.command {
        Command::Plugin(_) => Some(plugin::LOG),
        _ => None,
    }))?;
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
        Command::Topics(arguments) => topics::run(arguments, &environment),
        Command::Produce(arguments) => runtime.block_on(produce::run(arguments, &environment)),
        Command::Consume(arguments) => runtime.block_on(consume::run(arguments, &environment)),
        Command::Groups(arguments) => groups::run(arguments, &environment),
        Command::Configs(arguments) => configs::run(arguments, &environment),
        Command::Offsets(arguments) => offsets::run(&arguments, &environment),
        Command::Connectors(arguments) => connectors::run(arguments, &environment),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Plugin(arguments) => runtime.block_on(plugin::run(arguments, &environment, env)),
        Command::Plugins(arguments) => plugins::run(&arguments, &environment),
        Command::Log(LogArguments {
            action: LogAction::Verify(arguments),
        }) => verify::run(&arguments),
    };
    runtime.shutdown_timeout(RUNTIME_END);
    result
}

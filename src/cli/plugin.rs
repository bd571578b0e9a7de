//! `jackfield plugin`: the tools of plugin authors, from the first file to the archive that others install.

mod archive;
mod build;
mod check;
mod classes;
mod compile;
mod inspect;
mod lock;
mod new;
mod package;
mod project;
mod run;
mod sdk;
mod stamp;
mod target;

use jackfield_env::Env;

use crate::{
    arguments::{PluginAction, PluginArguments},
    configuration::Environment,
};

/// What is logged when nobody says: `plugin run` is about the plugin, not about the worker around it.
pub(crate) const LOG: &str = "warn,jackfield_worker::herder::reload=info,librdkafka=off,rdkafka=off";

/// Runs one of the tools.
pub(crate) async fn run(
    arguments: PluginArguments,
    environment: &Environment,
    env: Env,
) -> anyhow::Result<()> {
    match arguments.action {
        PluginAction::New(arguments) => new::run(&arguments),
        PluginAction::Build(arguments) => build::run(&arguments, environment).await,
        PluginAction::Check(arguments) => check::run(&arguments, environment).await,
        PluginAction::Run(arguments) => run::run(arguments, environment, env).await,
        PluginAction::Inspect(arguments) => inspect::run(&arguments, environment).await,
        PluginAction::Package(arguments) => package::run(&arguments, environment).await,
    }
}

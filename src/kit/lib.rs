//! The conformance kit: what every connector and transform does under the contract, as checks that anybody can run, on a
//! built package and in both forms. The shipped connectors pass it, too.
//!
//! [`check`] loads each class of a package as a worker would, runs it with the configs of its `conformance.toml` (its format
//! is described in `conformance.rs`) and plays the worker: it polls, commits, kills between batch and commit, starts again
//! from stored offsets, splits batches, sends huge records, tombstones and headers, is a slow and a failing peer, and gives
//! configs and offsets that nobody should write. A call that panics, traps, does not return, or uses more than a task may
//! fails the check it happens in, whichever that is.
//!
//! This crate must not know brokers, topics or REST: it calls plugins where the worker calls them.

mod conformance;
mod definition;
mod given;
mod peer;
mod sink;
mod source;
mod stage;
#[cfg(test)]
mod tests;
mod transform;

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use jackfield_plugin::{
    ConnectorPlugin, Form, Kind, NativePolicy, PluginConfig, PluginInfo, Plugins, Policy,
};

use self::{
    conformance::{Conformance, Scenario},
    peer::Peer,
    stage::Stage,
};

/// What is to be checked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of a built package, with its `plugin.toml`.
    pub package: PathBuf,
    /// Its `conformance.toml`; without it only definitions are checked.
    pub conformance: Option<PathBuf>,
    /// Only this form; `None` = all the package has.
    pub form: Option<Form>,
    /// Only this class, by any of its names; `None` = all.
    pub class: Option<String>,
}

/// One check of one class in one form.
#[derive(Debug, Clone)]
pub struct Check {
    /// Full class name.
    pub class: String,
    /// Form.
    pub form: Form,
    /// What was checked, with the scenario's name when it has one.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// What the class did, and what it should have done.
    Failed(String),
    /// Why there was nothing to check.
    Skipped(String),
}

/// Nothing can be checked.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// The package is not one, or has no such class or form.
    #[error("{package}: {cause}", package = package.display())]
    Package {
        /// Its directory.
        package: PathBuf,
        /// What is wrong and what to do.
        cause: String,
    },
    /// The scenarios cannot be read.
    #[error("{file}: {cause}", file = file.display())]
    Conformance {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The kit has no room to work in.
    #[error("a directory and a server for the checks cannot be made: {0}")]
    Stage(#[from] std::io::Error),
}

/// What a check gives: nothing, or why it was not made, or what is wrong.
type Verdict = Result<Option<String>, String>;
type Checking<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;
type Entry = (&'static str, for<'a> fn(&'a Stage<'a>) -> Checking<'a>);

/// A table of checks: what is shown, and the function.
macro_rules! checks {
    ($($name:literal => $check:path),* $(,)?) => {
        &[$(($name, |stage| Box::pin($check(stage)))),*]
    };
}
use checks;

/// Checks a package. Each result is shown as it comes and returned at the end.
///
/// # Errors
/// The package or its scenarios cannot be read. A class that cannot be loaded is a failed check.
pub async fn check(options: &Options, seen: &mut (dyn FnMut(&Check) + Send)) -> Result<Vec<Check>, KitError> {
    let wrong = |cause: String| KitError::Package {
        package: options.package.clone(),
        cause,
    };
    let scratch = tempfile::tempdir()?;
    let plugins = plugins(options, scratch.path())?;
    let infos = found(&plugins, options).map_err(wrong)?;
    let conformance = match &options.conformance {
        Some(file) => Conformance::read(file)?,
        None => Conformance::default(),
    };
    if let (Some(class), Some(file)) = (conformance.unknown(&infos), &options.conformance) {
        let known: Vec<_> = infos.iter().map(|info| info.class.as_str()).collect();
        let cause = format!(
            "class {class:?} is not in the package, which has {}",
            known.join(", ")
        );
        return Err(KitError::Conformance {
            file: file.clone(),
            cause,
        });
    }
    let mut report = Report {
        checks: Vec::new(),
        seen,
    };
    let peer = Peer::start().await?;
    let wanted = |info: &&PluginInfo| options.class.as_ref().is_none_or(|class| info.is_named(class));
    let mut any = false;
    for info in infos.iter().filter(wanted) {
        for form in info
            .forms
            .iter()
            .filter(|form| options.form.is_none_or(|wanted| wanted == **form))
        {
            any = true;
            let run = ClassRun {
                info,
                form: *form,
                plugins: &plugins,
                peer: &peer,
                scratch: scratch.path(),
            };
            run.checks(&conformance, &mut report).await?;
        }
    }
    peer.stop().await;
    if !any {
        return Err(wrong("it has no such class in such a form".to_owned()));
    }
    Ok(report.checks)
}

/// The package alone, granted whatever it asks for, within the kit's directory and the kit's server.
fn plugins(options: &Options, scratch: &Path) -> Result<Plugins, KitError> {
    let directories = scratch.join("checks");
    std::fs::create_dir(&directories)?;
    let root = scratch.join("plugins");
    std::fs::create_dir(&root)?;
    std::os::unix::fs::symlink(options.package.canonicalize()?, root.join("package"))?;
    let policy = scratch.join("policy.toml");
    std::fs::write(&policy, peer::POLICY)?;
    let policy = Policy::read(&policy).map_err(|cause| KitError::Stage(std::io::Error::other(cause)))?;
    Ok(Plugins::discover(PluginConfig {
        plugin_path: vec![root],
        cache_dir: scratch.join("cache"),
        wasm_directories: vec![directories],
        native: NativePolicy {
            own_directories: Vec::new(),
            allow: vec!["*".to_owned()],
        },
        policy,
        environment: jackfield_plugin::Variables::default(),
    }))
}

fn found(plugins: &Plugins, options: &Options) -> Result<Vec<PluginInfo>, String> {
    if let Some(bad) = plugins.bad().first() {
        return Err(bad.reason.clone());
    }
    let infos = plugins.list();
    if infos.is_empty() {
        return Err("no package is there: give the directory with its plugin.toml".to_owned());
    }
    if let Some(class) = &options.class
        && !infos.iter().any(|info| info.is_named(class))
    {
        let known: Vec<_> = infos.iter().map(|info| info.class.as_str()).collect();
        return Err(format!("it has no class {class:?}, but {}", known.join(", ")));
    }
    Ok(infos)
}

struct Report<'a> {
    checks: Vec<Check>,
    seen: &'a mut (dyn FnMut(&Check) + Send),
}

/// One class in one form.
struct ClassRun<'a> {
    info: &'a PluginInfo,
    form: Form,
    plugins: &'a Plugins,
    peer: &'a Peer,
    scratch: &'a Path,
}

impl ClassRun<'_> {
    async fn checks(&self, conformance: &Conformance, report: &mut Report<'_>) -> Result<(), KitError> {
        let loaded = self.plugins.load(&self.info.class, Some(self.form)).await;
        let plugin = match loaded {
            Ok(plugin) => {
                self.report(report, "is loaded", None, Ok(None));
                plugin
            }
            Err(cause) => {
                self.report(report, "is loaded", None, Err(cause.to_string()));
                return Ok(());
            }
        };
        let definition = definition::definition(plugin.config_def());
        self.report(
            report,
            "options are documented, defaults are valid",
            None,
            definition,
        );
        let mut scenarios = conformance.of(self.info).peekable();
        if scenarios.peek().is_none() {
            let kind = self.info.kind;
            let why = format!(
                "conformance.toml has no [[{kind}]] with class = {:?}",
                self.info.class
            );
            self.report(report, "runs", None, Ok(Some(why)));
        }
        for scenario in scenarios {
            self.scenario(&plugin, scenario, report).await?;
        }
        Ok(())
    }

    async fn scenario(
        &self,
        plugin: &Arc<dyn ConnectorPlugin>,
        scenario: &Scenario,
        report: &mut Report<'_>,
    ) -> Result<(), KitError> {
        let of_kind = match self.info.kind {
            Kind::Source => source::CHECKS,
            Kind::Sink => sink::CHECKS,
            Kind::Transform => transform::CHECKS,
        };
        for (name, check) in definition::CHECKS.iter().chain(of_kind) {
            let directory = tempfile::tempdir_in(self.scratch.join("checks"))?;
            scenario.write_files(directory.path())?;
            let stage = Stage::new(plugin, scenario, directory.path(), self.peer);
            let verdict = check(&stage).await;
            self.report(report, name, scenario.name.as_deref(), verdict);
        }
        Ok(())
    }

    fn report(&self, report: &mut Report<'_>, name: &str, scenario: Option<&str>, verdict: Verdict) {
        let check = Check {
            class: self.info.class.clone(),
            form: self.form,
            name: scenario.map_or_else(|| name.to_owned(), |scenario| format!("{name} [{scenario}]")),
            outcome: match verdict {
                Ok(None) => Outcome::Passed,
                Ok(Some(why)) => Outcome::Skipped(why),
                Err(what) => Outcome::Failed(what),
            },
        };
        (report.seen)(&check);
        report.checks.push(check);
    }
}

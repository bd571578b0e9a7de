//! `jackfield plugin build`: from sources to a package.

use std::time::{Duration, Instant};

use anyhow::bail;
use jackfield_plugin::Form;
use serde_json::{Value, json};

use super::{
    compile::{self, Mode},
    project::Project,
    sdk,
    stamp::{self, Installed},
};
use crate::{
    arguments::{BuildArguments, BuildOptions, FormArgument},
    configuration::Environment,
    output::Output,
    progress,
};

/// What is to be built.
#[derive(Debug, Clone, Default)]
pub(super) struct Wish {
    /// Empty = those of the last build, else the language's usual one.
    pub(super) forms: Vec<Form>,
    pub(super) dev: bool,
    /// Nothing but errors is shown.
    pub(super) quiet: bool,
}

/// What was built.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) artifacts: Vec<Installed>,
    pub(super) changed: bool,
    pub(super) took: Duration,
}

impl FormArgument {
    /// As the plugin host calls it.
    pub(super) fn form(self) -> Form {
        match self {
            Self::Wasm => Form::Wasm,
            Self::Native => Form::Native,
        }
    }
}

impl Wish {
    /// Of the command line.
    pub(super) fn of(options: &BuildOptions, quiet: bool) -> Self {
        Self {
            forms: options.form.iter().map(|form| form.form()).collect(),
            dev: options.dev,
            quiet,
        }
    }

    fn forms(&self, project: &Project) -> anyhow::Result<Vec<Form>> {
        let possible = project.forms();
        if let Some(form) = self.forms.iter().find(|form| !possible.contains(form)) {
            bail!(
                "--form {form}: {} is written in C, which is built as native library; WASM components are written in Rust",
                project.directory.display()
            );
        }
        let mut forms = if self.forms.is_empty() {
            stamp::forms_of(&project.package())
        } else {
            self.forms.clone()
        };
        forms.retain(|form| possible.contains(form));
        forms.sort_by_key(|form| possible.iter().position(|known| known == form));
        forms.dedup();
        if forms.is_empty() {
            forms.extend(possible.first());
        }
        Ok(forms)
    }
}

/// `jackfield plugin build`.
pub(super) async fn run(arguments: &BuildArguments, environment: &Environment) -> anyhow::Result<()> {
    let project = Project::read(&arguments.directory)?;
    if arguments.update_sdk {
        sdk::write(&project.directory, project.language)?;
        eprintln!("wrote {}", project.directory.join(sdk::DIRECTORY).display());
    }
    let outcome = self::project(&project, &Wish::of(&arguments.options, arguments.output.json)).await?;
    let document = document(&project, &outcome);
    Output::new(arguments.output, environment).print(&document, || text(&project, &outcome))
}

/// Builds a project, after what can be told without building it.
///
/// # Errors
/// A tool is missing or does not succeed, or the package cannot be written.
pub(super) async fn project(project: &Project, wish: &Wish) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    if let Some(warning) = sdk::warning(&project.directory, project.language)? {
        eprintln!("warning: {warning}");
    }
    let mode = Mode {
        dev: wish.dev,
        quiet: wish.quiet,
    };
    let mut built = Vec::new();
    for form in wish.forms(project)? {
        built.push(compile::compile(project, form, mode).await?);
    }
    let (artifacts, changed) = stamp::install(&project.package(), &project.text, &built)?;
    Ok(Outcome {
        artifacts,
        changed,
        took: started.elapsed(),
    })
}

fn document(project: &Project, outcome: &Outcome) -> Value {
    let package = &project.manifest.package;
    let artifact = |artifact: &Installed| {
        json!({
            "form": artifact.form.to_string(),
            "file": artifact.file,
            "bytes": artifact.bytes,
            "sha256": artifact.sha256.to_string(),
        })
    };
    json!({
        "name": package.name,
        "version": package.version,
        "package": project.package(),
        "changed": outcome.changed,
        "artifacts": outcome.artifacts.iter().map(artifact).collect::<Vec<_>>(),
    })
}

/// One line for people: what there is now, and where.
pub(super) fn text(project: &Project, outcome: &Outcome) -> String {
    let package = &project.manifest.package;
    let artifacts: Vec<_> = outcome
        .artifacts
        .iter()
        .map(|artifact| format!("{} {}", artifact.form, progress::bytes(artifact.bytes)))
        .collect();
    let done = if outcome.changed { "built" } else { "up to date:" };
    format!(
        "{done} {} {} ({}) in {:.1} s\n{}\n",
        package.name,
        package.version,
        artifacts.join(", "),
        outcome.took.as_secs_f64(),
        project.package().display()
    )
}

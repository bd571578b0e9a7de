//! The conformance kit as the commands see it: what it is asked, and what it answers.

use std::path::PathBuf;

use jackfield_plugin::Form;

/// What to check.
#[derive(Debug, Clone)]
pub(super) struct Options {
    /// A package that was built.
    pub(super) package: PathBuf,
    /// What to run the classes with.
    pub(super) conformance: Option<PathBuf>,
    /// Only this form.
    pub(super) form: Option<Form>,
    /// Only this class.
    pub(super) class: Option<String>,
}

/// One check of one class in one form.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) class: String,
    pub(super) form: Form,
    pub(super) name: String,
    pub(super) outcome: Outcome,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed(String),
    #[allow(dead_code, reason = "the kit's")]
    Skipped(String),
}

/// The kit could not do its work.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct KitError(String);

/// Loads every class in every form; `seen` hears of each as it ends.
pub(super) async fn check(
    options: &Options,
    seen: &mut (dyn FnMut(&Check) + Send),
) -> Result<Vec<Check>, KitError> {
    let cache = tempfile::tempdir().map_err(|error| KitError(error.to_string()))?;
    let plugins = super::classes::open(&options.package, cache.path());
    let mut checks = Vec::new();
    for info in plugins.list() {
        if options.class.as_ref().is_some_and(|class| !info.is_named(class)) {
            continue;
        }
        for form in &info.forms {
            if options.form.is_some_and(|wanted| wanted != *form) {
                continue;
            }
            let outcome = match plugins.load(&info.class, Some(*form)).await {
                Ok(_) => Outcome::Passed,
                Err(error) => Outcome::Failed(error.to_string()),
            };
            let check = Check {
                class: info.class.clone(),
                form: *form,
                name: "it can be loaded".to_owned(),
                outcome,
            };
            seen(&check);
            checks.push(check);
        }
    }
    if let Some(file) = options.conformance.as_ref().filter(|file| !file.is_file()) {
        return Err(KitError(format!("{} is no file", file.display())));
    }
    Ok(checks)
}

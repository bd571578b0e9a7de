//! Packages that looked good and could not be loaded, with the reason, until something about them changes.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    BadPackage, Form,
    discover::{Found, FoundPackage},
};

/// By directory and form.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<HashMap<(PathBuf, Form), Failure>>);

#[derive(Debug)]
struct Failure {
    /// Of the package that failed; another one in its place has not failed yet.
    stamp: u64,
    reason: String,
}

impl Failures {
    /// Remembers one.
    pub(crate) fn note(&self, package: &FoundPackage, form: Form, reason: &str) {
        let failure = Failure {
            stamp: package.stamp,
            reason: reason.to_owned(),
        };
        let known = self.all().insert((package.directory.clone(), form), failure);
        if known.is_none_or(|known| known.stamp != package.stamp || known.reason != reason) {
            tracing::warn!(
                package = %package.directory.display(),
                version = package.manifest.package.version,
                form = %form,
                reason,
                "plugin package cannot be used"
            );
        }
    }

    /// It could be loaded after all.
    pub(crate) fn forget(&self, package: &FoundPackage, form: Form) {
        self.all().remove(&(package.directory.clone(), form));
    }

    /// Whether a form of a package failed, as the package is now.
    pub(crate) fn has(&self, package: &FoundPackage, form: Form) -> bool {
        let all = self.all();
        let failure = all.get(&(package.directory.clone(), form));
        failure.is_some_and(|failure| failure.stamp == package.stamp)
    }

    /// What failed of the packages that are there; the others are forgotten.
    pub(crate) fn of(&self, found: &Found) -> Vec<BadPackage> {
        let package = |directory: &PathBuf, failure: &Failure| {
            let mut packages = found.packages.iter();
            packages.find(|package| package.directory == *directory && package.stamp == failure.stamp)
        };
        let mut all = self.all();
        all.retain(|(directory, _), failure| package(directory, failure).is_some());
        let mut failed: Vec<_> = all.iter().collect();
        failed.sort_by_key(|(key, _)| *key);
        let bad = failed.into_iter().filter_map(|((directory, _), failure)| {
            Some(BadPackage {
                location: directory.clone(),
                reason: failure.reason.clone(),
                manifest: Some(Box::new(package(directory, failure)?.manifest.clone())),
            })
        });
        bad.collect()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<(PathBuf, Form), Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

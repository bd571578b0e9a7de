//! Which package a config means: by the name of its class, the versions it asks for, and the form it may run in.

use std::sync::Arc;

use crate::{
    ConnectorPlugin, Form, LookupError, NativePolicy, PluginInfo,
    discover::{Found, FoundPackage},
    manifest::{HOST_TARGET, Manifest, PluginClass},
    versions::{VersionRange, compare_versions},
};

/// What a connector config asks for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// `connector.class`: the full class name or an alias, also without the `Connector` suffix.
    pub class: String,
    /// `connector.plugin.version`; of several versions the newest is taken.
    pub version: VersionRange,
    /// `plugin.form`; `None` = see the documentation of this crate.
    pub form: Option<Form>,
}

/// A class that would do.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) info: PluginInfo,
    pub(crate) origin: Origin,
}

/// Where a class comes from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Process(Arc<dyn ConnectorPlugin>),
    Package(Arc<FoundPackage>),
}

/// All classes that a config may mean, newest first; never none.
pub(crate) fn candidates(
    found: &Found,
    registered: &[Arc<dyn ConnectorPlugin>],
    wanted: &Wanted,
) -> Result<Vec<Candidate>, LookupError> {
    let name = wanted.class.trim();
    let own = registered.iter().filter(|plugin| {
        let info = plugin.info();
        info.class == name || info.aliases.iter().any(|alias| alias == name)
    });
    let own = own.map(|plugin| Candidate {
        info: plugin.info().clone(),
        origin: Origin::Process(Arc::clone(plugin)),
    });
    let mut candidates: Vec<Candidate> = own.collect();
    if candidates.is_empty() {
        candidates = of_packages(found, name)?;
    }
    candidates.sort_by(|one, other| compare_versions(&other.info.version, &one.info.version));
    let fits = |candidate: &Candidate| wanted.version.contains(&candidate.info.version);
    if !candidates.iter().any(fits) {
        let versions = candidates
            .iter()
            .rev()
            .map(|candidate| candidate.info.version.clone());
        return Err(LookupError::NoVersion {
            class: candidates[0].info.class.clone(),
            range: wanted.version.to_string(),
            versions: versions.collect(),
            unusable: unusable(found, name, &wanted.version),
        });
    }
    candidates.retain(fits);
    Ok(candidates)
}

/// Looks a name up: the full class name first, then aliases.
fn of_packages(found: &Found, name: &str) -> Result<Vec<Candidate>, LookupError> {
    let all = || {
        found.packages.iter().flat_map(|package| {
            let classes = package.manifest.plugins.iter();
            classes.map(move |connector| (package, connector))
        })
    };
    let mut matches: Vec<_> = all().filter(|(_, connector)| connector.class == name).collect();
    if matches.is_empty() {
        matches = all()
            .filter(|(_, connector)| has_alias(connector, name))
            .collect();
    }
    let names = sorted(matches.iter().map(|(_, connector)| connector.class.as_str()));
    if names.len() > 1 {
        return Err(LookupError::Unusable(format!(
            "{name} may mean {}: write the full class name",
            names.join(" or ")
        )));
    }
    if matches.is_empty() {
        let there = sorted(all().map(|(_, connector)| connector.class.as_str()));
        return Err(unknown(found, name, &there));
    }
    let candidates = matches.into_iter().map(|(package, connector)| Candidate {
        info: info(package, connector),
        origin: Origin::Package(Arc::clone(package)),
    });
    Ok(candidates.collect())
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let names: std::collections::BTreeSet<_> = names.collect();
    names.into_iter().collect()
}

fn unknown(found: &Found, name: &str, there: &[&str]) -> LookupError {
    if let Some(why) = unusable(found, name, &VersionRange::default()) {
        return LookupError::Unusable(format!("{name} cannot be loaded: {why}"));
    }
    let mut message = format!("no plugin has class {name}");
    if there.is_empty() {
        message.push_str("; no plugin was found at all, see plugin.path");
    } else {
        message.push_str(&format!("; there are {}", there.join(", ")));
    }
    if !found.bad.is_empty() {
        message.push_str(&format!(
            "; {} packages cannot be used, see `jackfield plugins`",
            found.bad.len()
        ));
    }
    LookupError::UnknownClass(message)
}

/// Why the packages that say they have the class in such a version are out of the question.
fn unusable(found: &Found, name: &str, versions: &VersionRange) -> Option<String> {
    let bad = found.bad.iter().filter_map(|bad| {
        let Manifest { package, plugins, .. } = &**bad.manifest.as_ref()?;
        let mut classes = plugins.iter();
        let has = classes.any(|plugin| plugin.class == name || has_alias(plugin, name));
        let version = &package.version;
        (has && versions.contains(version))
            .then(|| format!("version {version} in {}: {}", bad.location.display(), bad.reason))
    });
    let bad: Vec<String> = bad.collect();
    (!bad.is_empty()).then(|| bad.join("; "))
}

impl PluginInfo {
    /// Whether a config may call the class so.
    pub fn is_named(&self, name: &str) -> bool {
        let name = name.trim();
        self.class == name || is_alias(name, &self.class, &self.aliases)
    }
}

fn has_alias(connector: &PluginClass, name: &str) -> bool {
    is_alias(name, &connector.class, &connector.aliases)
}

fn is_alias(name: &str, class: &String, aliases: &[String]) -> bool {
    aliases.iter().chain([class]).any(|known| {
        let simple = known.rsplit(['.', '$']).next().unwrap_or(known);
        known == name || simple == name || simple.strip_suffix("Connector") == Some(name)
    })
}

/// What is known of a class without loading it.
pub(crate) fn info(package: &FoundPackage, connector: &PluginClass) -> PluginInfo {
    let native = package.manifest.native_here().map(|_| Form::Native);
    let wasm = package.manifest.artifact.wasm.as_ref().map(|_| Form::Wasm);
    PluginInfo {
        class: connector.class.clone(),
        aliases: connector.aliases.clone(),
        kind: connector.kind,
        version: package.manifest.package.version.clone(),
        location: package.directory.clone(),
        forms: native.into_iter().chain(wasm).collect(),
        digest: Some(package.digest),
    }
}

/// The form a class of a package runs in; `wanted` = `plugin.form`.
pub(crate) fn choose_form(
    policy: &NativePolicy,
    package: &FoundPackage,
    info: &PluginInfo,
    wanted: Option<Form>,
) -> Result<Form, LookupError> {
    let name = &package.manifest.package.name;
    let allowed = policy.allows(name, &package.directory);
    let has = |form: Form| info.forms.contains(&form);
    let fail = |what: String| {
        Err(LookupError::Unusable(format!(
            "{} cannot be loaded: {what}",
            info.class
        )))
    };
    match wanted {
        Some(Form::Native) if has(Form::Native) && !allowed => fail(format!(
            "plugin.form is native, but package {name} may not run native code here: add {name} to \
             plugin.native.allow if you trust it, or use plugin.form=wasm"
        )),
        Some(form) if has(form) => Ok(form),
        Some(form) => {
            let forms: Vec<_> = info.forms.iter().map(ToString::to_string).collect();
            fail(format!(
                "plugin.form is {form}, but package {name} in {} has only: {}",
                package.directory.display(),
                if forms.is_empty() {
                    "libraries for other machines".to_owned()
                } else {
                    forms.join(", ")
                }
            ))
        }
        None if allowed && has(Form::Native) => {
            let wish = package.manifest.package.default_form;
            Ok(wish.filter(|form| has(*form)).unwrap_or(Form::Native))
        }
        None if has(Form::Wasm) => Ok(Form::Wasm),
        None if has(Form::Native) => fail(format!(
            "package {name} has only native code, which may not run here: add {name} to plugin.native.allow if you \
             trust it"
        )),
        None => fail(format!(
            "package {name} has no library for this machine ({HOST_TARGET})"
        )),
    }
}

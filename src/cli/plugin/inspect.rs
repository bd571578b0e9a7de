//! `jackfield plugin inspect`: what a package is, as far as it can be told without installing it.

use std::{fs, path::Path};

use anyhow::{Context as _, anyhow};
use jackfield_api::{ConfigKey, Validator};
use jackfield_plugin::{
    CONTRACT, Form, PluginInfo, Plugins, abi,
    manifest::{Capabilities, DirectoryAccess, HOST_TARGET, MANIFEST_FILE, Manifest, Sha256},
};
use serde_json::{Value, json};

use super::{build::Wish, classes, target};
use crate::{
    arguments::InspectArguments,
    configuration::Environment,
    output::{self, Output},
    progress::Waiting,
};

/// One file the manifest pins.
#[derive(Debug)]
struct Artifact {
    form: Form,
    /// Of a library.
    target: Option<String>,
    file: String,
    /// What it was built for, and what this program has.
    built_for: String,
    here: String,
    sha256: Sha256,
    /// Of the file that is there; `None` = there is none.
    found: Option<Sha256>,
}

/// A class with its config keys, or why they are not known.
#[derive(Debug)]
struct Class {
    info: PluginInfo,
    keys: Result<Vec<ConfigKey>, String>,
}

#[derive(Debug)]
struct Inspected {
    manifest: Manifest,
    location: String,
    artifacts: Vec<Artifact>,
    classes: Vec<Class>,
    /// Why a worker would not take it.
    unusable: Option<String>,
}

/// Prints what the package is.
pub(super) async fn run(arguments: &InspectArguments, environment: &Environment) -> anyhow::Result<()> {
    let wish = Wish {
        quiet: arguments.output.json,
        ..Wish::default()
    };
    let package = target::package(&arguments.path, &wish).await?;
    let run_native = arguments.run_native || package.project.is_some();
    let inspected = inspect(&package.directory, &package.cache, &arguments.path, run_native).await?;
    let output = Output::new(arguments.output, environment);
    output.print(&inspected.document(), || inspected.text(&output))
}

async fn inspect(
    directory: &Path,
    cache: &Path,
    shown: &Path,
    run_native: bool,
) -> anyhow::Result<Inspected> {
    let file = directory.join(MANIFEST_FILE);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let manifest = Manifest::parse(&text).map_err(|reason| anyhow!("{}: {reason}", file.display()))?;
    let _waiting = Waiting::on("the plugin's classes");
    let plugins = classes::open(directory, cache);
    plugins.verify();
    let mut listed = Vec::new();
    for info in plugins.list() {
        let keys = keys(&plugins, &info, run_native).await;
        listed.push(Class { info, keys });
    }
    // As the author ordered them.
    let place = |class: &str| manifest.plugins.iter().position(|known| known.class == class);
    listed.sort_by_key(|class| place(&class.info.class));
    Ok(Inspected {
        location: shown.display().to_string(),
        artifacts: artifacts(directory, &manifest),
        classes: listed,
        unusable: classes::reason(&plugins),
        manifest,
    })
}

async fn keys(plugins: &Plugins, info: &PluginInfo, run_native: bool) -> Result<Vec<ConfigKey>, String> {
    let has = |form: Form| info.forms.contains(&form);
    let form = if has(Form::Wasm) {
        Form::Wasm
    } else if !has(Form::Native) {
        return Err(format!("there is no code for this machine ({HOST_TARGET})"));
    } else if run_native {
        Form::Native
    } else {
        return Err("native code is not run only to look at it; --run-native does".to_owned());
    };
    match plugins.load(&info.class, Some(form)).await {
        Ok(plugin) => Ok(plugin.config_def().keys.clone()),
        Err(error) => Err(error.to_string()),
    }
}

fn artifacts(directory: &Path, manifest: &Manifest) -> Vec<Artifact> {
    let found = |file: &Path| {
        fs::read(directory.join(file))
            .ok()
            .map(|content| Sha256::of(&content))
    };
    let wasm = manifest.artifact.wasm.iter().map(|artifact| Artifact {
        form: Form::Wasm,
        target: None,
        file: artifact.file.display().to_string(),
        built_for: artifact.contract.clone(),
        here: CONTRACT.to_owned(),
        sha256: artifact.sha256,
        found: found(&artifact.file),
    });
    let native = manifest.artifact.native.iter().flat_map(|native| {
        native.targets.iter().map(|(target, artifact)| Artifact {
            form: Form::Native,
            target: Some(target.clone()),
            file: artifact.file.display().to_string(),
            built_for: format!("ABI {}", native.abi),
            here: format!("ABI {}", abi()),
            sha256: artifact.sha256,
            found: found(&artifact.file),
        })
    });
    wasm.chain(native).collect()
}

impl Artifact {
    fn digest(&self) -> &'static str {
        match self.found {
            Some(found) if found == self.sha256 => "matches",
            Some(_) => "DIFFERS",
            None => "no such file",
        }
    }

    fn document(&self) -> Value {
        json!({
            "form": self.form.to_string(),
            "target": self.target,
            "file": self.file,
            "built_for": self.built_for,
            "program": self.here,
            "sha256": self.sha256.to_string(),
            "digest_matches": self.found == Some(self.sha256),
        })
    }
}

impl Inspected {
    fn document(&self) -> Value {
        let package = &self.manifest.package;
        let class = |class: &Class| {
            let (keys, unknown) = match &class.keys {
                Ok(keys) => (Some(keys), None),
                Err(why) => (None, Some(why)),
            };
            json!({
                "class": class.info.class,
                "type": class.info.kind.to_string(),
                "aliases": class.info.aliases,
                "config": keys,
                "config_unknown": unknown,
            })
        };
        let asked = &self.manifest.capabilities;
        json!({
            "name": package.name,
            "version": package.version,
            "license": package.license,
            "description": package.description,
            "default_form": package.default_form.map(|form| form.to_string()),
            "error": self.unusable,
            "classes": self.classes.iter().map(class).collect::<Vec<_>>(),
            "artifacts": self.artifacts.iter().map(Artifact::document).collect::<Vec<_>>(),
            "capabilities": {
                "directories": directories(asked.directories),
                "http": asked.http,
                "tcp": asked.tcp,
                "environment": asked.environment,
                "clock": asked.clock,
            },
        })
    }

    fn text(&self, output: &Output) -> String {
        let package = &self.manifest.package;
        let mut text = format!("{} {}\n", package.name, package.version);
        for line in [package.description.as_deref(), package.license.as_deref()]
            .into_iter()
            .flatten()
        {
            text.push_str(&format!("{line}\n"));
        }
        text.push_str(&format!("{}\n", self.location));
        if let Some(reason) = &self.unusable {
            text.push_str(&format!("\ncannot be used: {reason}\n"));
        }
        text.push_str(&format!("\n{}", self.artifact_table()));
        text.push_str("\nasks for  ");
        text.push_str(&asked(&self.manifest.capabilities));
        text.push('\n');
        for class in &self.classes {
            text.push_str(&format!("\n{}: a {}\n", class.info.class, class.info.kind));
            if !class.info.aliases.is_empty() {
                text.push_str(&format!("also {}\n", class.info.aliases.join(", ")));
            }
            match &class.keys {
                Ok(keys) if keys.is_empty() => text.push_str("no config keys\n"),
                Ok(keys) => text.push_str(&output.table(
                    &["KEY", "TYPE", "DEFAULT", "IMPORTANCE", "MEANING"],
                    &keys.iter().map(row).collect::<Vec<_>>(),
                )),
                Err(why) => text.push_str(&format!("config keys are not known: {why}\n")),
            }
        }
        text
    }

    fn artifact_table(&self) -> String {
        let rows: Vec<_> = self
            .artifacts
            .iter()
            .map(|artifact| {
                vec![
                    artifact.form.to_string(),
                    artifact.file.clone(),
                    artifact.built_for.clone(),
                    artifact.here.clone(),
                    artifact.sha256.to_string().chars().take(12).collect(),
                    artifact.digest().to_owned(),
                ]
            })
            .collect();
        let header = ["FORM", "FILE", "BUILT-FOR", "THIS-PROGRAM", "SHA-256", "DIGEST"];
        output::table(&header, &rows, None)
    }
}

fn row(key: &ConfigKey) -> Vec<String> {
    let default = match &key.default {
        Some(default) if default.is_empty() => "\"\"".to_owned(),
        Some(default) => default.clone(),
        None if key.required => "(required)".to_owned(),
        None => "null".to_owned(),
    };
    let values = match &key.validator {
        Some(Validator::OneOf(values)) => format!(" [{}]", values.join(", ")),
        Some(Validator::Range { min, max }) => {
            let bound = |bound: &Option<i64>| bound.map_or_else(String::new, |bound| bound.to_string());
            format!(" [{}..{}]", bound(min), bound(max))
        }
        Some(Validator::NonEmpty) | None => String::new(),
    };
    vec![
        key.name.clone(),
        format!("{:?}", key.kind).to_uppercase(),
        default,
        format!("{:?}", key.importance).to_uppercase(),
        format!("{}{values}", key.documentation),
    ]
}

fn directories(access: DirectoryAccess) -> &'static str {
    match access {
        DirectoryAccess::None => "none",
        DirectoryAccess::Read => "read",
        DirectoryAccess::ReadWrite => "read-write",
    }
}

/// What a package asks for, for people.
pub(super) fn asked(capabilities: &Capabilities) -> String {
    let mut asked = Vec::new();
    match capabilities.directories {
        DirectoryAccess::None => {}
        access => asked.push(format!("directories ({})", directories(access))),
    }
    for (what, list) in [
        ("HTTP to", &capabilities.http),
        ("TCP to", &capabilities.tcp),
        ("variables", &capabilities.environment),
    ] {
        if !list.is_empty() {
            asked.push(format!("{what} {}", list.join(" ")));
        }
    }
    if capabilities.clock {
        asked.push("the clock".to_owned());
    }
    if asked.is_empty() {
        asked.push("nothing".to_owned());
    }
    asked.join(", ")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use jackfield_api::{ConfigType, Importance};
    use jackfield_plugin::Kind;

    use super::*;

    #[test]
    fn the_text() {
        let digest = Sha256::of(b"code");
        let manifest = format!(
            "schema = 1\n[package]\nname = \"x\"\nversion = \"0.1.0\"\ndescription = \"Counts\"\n\
             [[plugin]]\nclass = \"X\"\naliases = [\"Y\"]\nkind = \"source\"\n[artifact.wasm]\nfile = \"c.wasm\"\n\
             sha256 = \"{digest}\"\ncontract = \"jackfield:plugin@0.0.1\"\n\
             [capabilities]\ndirectories = \"read\"\nhttp = [\"https://a.example\"]\nclock = true\n"
        );
        let key = ConfigKey::new("size", ConfigType::Int, Importance::High, "How many");
        let range = Validator::Range {
            min: Some(1),
            max: None,
        };
        let inspected = Inspected {
            manifest: Manifest::parse(&manifest).unwrap(),
            location: "x.tar.gz".to_owned(),
            artifacts: vec![Artifact {
                form: Form::Wasm,
                target: None,
                file: "c.wasm".to_owned(),
                built_for: "jackfield:plugin@0.0.1".to_owned(),
                here: "jackfield:plugin@0.0.2".to_owned(),
                sha256: digest,
                found: Some(Sha256::of(b"other")),
            }],
            classes: vec![Class {
                info: PluginInfo {
                    class: "X".to_owned(),
                    aliases: vec!["Y".to_owned()],
                    kind: Kind::Source,
                    version: "0.1.0".to_owned(),
                    location: "/p".into(),
                    forms: vec![Form::Wasm],
                    digest: None,
                },
                keys: Ok(vec![key.required().validator(range)]),
            }],
            unusable: Some("built for another".to_owned()),
        };
        let output = Output::new(
            crate::arguments::OutputOptions::default(),
            &Environment::default(),
        );
        expect![[r"
            x 0.1.0
            Counts
            x.tar.gz

            cannot be used: built for another

            FORM  FILE    BUILT-FOR               THIS-PROGRAM            SHA-256       DIGEST
            wasm  c.wasm  jackfield:plugin@0.0.1  jackfield:plugin@0.0.2  5694d08a2e53  DIFFERS

            asks for  directories (read), HTTP to https://a.example, the clock

            X: a source
            also Y
            KEY   TYPE  DEFAULT     IMPORTANCE  MEANING
            size  INT   (required)  HIGH        How many [1..]
        "]]
        .assert_eq(&inspected.text(&output));
    }
}

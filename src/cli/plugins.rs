//! `jackfield plugins`: what `plugin.path` offers, and what is wrong with the rest.

use jackfield_plugin::{
    BadPackage, Form, Kind, NativePolicy, PluginConfig, PluginInfo, Plugins, Policy, Variables,
};
use serde_json::{Value, json};

use crate::{
    arguments::PluginsArguments,
    configuration::Environment,
    output::{self, Output},
    plugin_roots,
};

/// Prints the table, or the document.
pub(crate) fn run(arguments: &PluginsArguments, environment: &Environment) -> anyhow::Result<()> {
    let given = &arguments.plugin_path;
    let plugin_path = if given.is_empty() {
        plugin_roots::default()
    } else {
        given.clone()
    };
    let shown: Vec<_> = plugin_path
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    if shown.is_empty() {
        anyhow::bail!(
            "no directory of plugins found: there is no 'plugins' in the working directory or beside the program; \
             name one with --plugin-path, or build the shipped ones with 'make build'"
        );
    }
    // Discovery compiles nothing, so the cache directory is not touched.
    let cache_dir = std::env::temp_dir();
    let plugins = Plugins::discover(PluginConfig {
        plugin_path,
        cache_dir,
        wasm_directories: Vec::new(),
        native: NativePolicy {
            own_directories: plugin_roots::own(),
            allow: Vec::new(),
        },
        policy: Policy::default(),
        environment: Variables::default(),
    });
    plugins.verify();
    let (list, bad) = (plugins.list(), plugins.bad());
    Output::new(arguments.output, environment).print(&document(&list, &bad), || table(&list))?;
    if !arguments.output.json {
        eprint!("{}", footer(&shown.join(", "), list.len(), &bad));
    }
    Ok(())
}

fn document(plugins: &[PluginInfo], bad: &[BadPackage]) -> Value {
    let plugin = |plugin: &PluginInfo| {
        let forms: Vec<_> = plugin.forms.iter().map(form).collect();
        json!({
            "class": plugin.class,
            "type": kind(plugin.kind),
            "version": plugin.version,
            "forms": forms,
            "package": plugin.location,
        })
    };
    let unusable = |package: &BadPackage| {
        let manifest = package.manifest.as_ref();
        let classes = manifest.map(|manifest| {
            let connectors = manifest.plugins.iter();
            connectors
                .map(|connector| connector.class.clone())
                .collect::<Vec<_>>()
        });
        json!({
            "package": package.location,
            "error": package.reason,
            "classes": classes.unwrap_or_default(),
            "version": manifest.map(|manifest| manifest.package.version.clone()),
        })
    };
    json!({
        "plugins": plugins.iter().map(plugin).collect::<Vec<_>>(),
        "unusable": bad.iter().map(unusable).collect::<Vec<_>>(),
    })
}

fn table(plugins: &[PluginInfo]) -> String {
    let row = |plugin: &PluginInfo| {
        let forms: Vec<_> = plugin.forms.iter().map(form).collect();
        vec![
            plugin.class.clone(),
            kind(plugin.kind).to_owned(),
            plugin.version.clone(),
            forms.join(","),
            plugin.location.display().to_string(),
        ]
    };
    let rows: Vec<_> = plugins.iter().map(row).collect();
    output::table(&["CLASS", "TYPE", "VERSION", "FORMS", "PACKAGE"], &rows, None)
}

fn footer(path: &str, count: usize, bad: &[BadPackage]) -> String {
    let mut text = format!("{count} connectors on plugin.path {path}\n");
    for package in bad {
        text.push_str(&format!(
            "cannot be used: {}: {}\n",
            package.location.display(),
            package.reason
        ));
    }
    text
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Source => "source",
        Kind::Sink => "sink",
        Kind::Transform => "transformation",
    }
}

fn form(form: &Form) -> &'static str {
    match form {
        Form::Native => "native",
        Form::Wasm => "wasm",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_table() {
        let info = |class: &str, kind| PluginInfo {
            class: class.to_owned(),
            aliases: Vec::new(),
            kind,
            version: "0.1.0".to_owned(),
            location: "/p/file".into(),
            forms: vec![Form::Native, Form::Wasm],
            digest: None,
        };
        expect![[r"
            CLASS          TYPE    VERSION  FORMS        PACKAGE
            x.Source       source  0.1.0    native,wasm  /p/file
            x.y.LongerOne  sink    0.1.0    native,wasm  /p/file
        "]]
        .assert_eq(&table(&[
            info("x.Source", Kind::Source),
            info("x.y.LongerOne", Kind::Sink),
        ]));
        let bad = BadPackage {
            location: "/p/z".into(),
            reason: "no plugin.toml".to_owned(),
            manifest: None,
        };
        let wanted = json!({
            "plugins": [{"class": "x.Source", "type": "source", "version": "0.1.0", "forms": ["native", "wasm"],
                "package": "/p/file"}],
            "unusable": [{"package": "/p/z", "error": "no plugin.toml", "classes": [], "version": null}],
        });
        let bad = [bad];
        assert_eq!(document(&[info("x.Source", Kind::Source)], &bad), wanted);
        expect![[r"
            2 connectors on plugin.path /p
            cannot be used: /p/z: no plugin.toml
        "]]
        .assert_eq(&footer("/p", 2, &bad));
    }
}

//! What a plugin is run with: the connector's config with its defaults, the worker's file and the policy, in a temporary
//! directory.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use jackfield_plugin::{
    Form, Kind,
    manifest::{DirectoryAccess, Manifest, PluginClass},
};
use jackfield_worker::{ConfigMap, TargetState};
use tempfile::TempDir;
use toml::{Table, Value};

use super::feed::{self, Feed, Input};
use crate::{
    arguments::RunArguments,
    connector_file::{self, ConnectorFile},
    exit::{CannotRead, Usage},
    plugin::{classes, inspect::asked, project::Project, stamp},
    plugin_roots,
};

const DATA: &str = "data";
const TOPIC: &str = "topic";
const CONFIG_FILE: &str = "pipeline.properties";
const STRINGS: &str = "org.apache.kafka.connect.storage.StringConverter";
/// Name of a transform in its connector's config.
const ALIAS: &str = "plugin";

/// See the file's header.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) project: PathBuf,
    /// What was built of it.
    pub(super) package: PathBuf,
    pub(super) kind: Kind,
    /// Of the connector.
    pub(super) name: String,
    /// Class and form for people.
    pub(super) shown: String,
    pub(super) connectors: Vec<ConnectorFile>,
    /// The worker's file.
    pub(super) worker: PathBuf,
    /// Everything that is kept while it runs.
    _directory: TempDir,
}

impl Settings {
    /// Reads the config, adds what it does not say, and writes the worker's files.
    ///
    /// # Errors
    /// The config cannot be read, or it does not say which class is meant.
    pub(super) async fn new(
        project: &Project,
        arguments: &RunArguments,
        pairs: Vec<(String, String)>,
    ) -> anyhow::Result<Self> {
        let (path, mut config) = config(project, arguments.config.as_deref())?;
        config.extend(pairs);
        let class = class(&project.manifest, &config, arguments.class.as_deref())?;
        let forms = stamp::forms_of(&project.package());
        let form = arguments.form.map(|form| form.form());
        let form = form.or(forms.first().copied()).unwrap_or(Form::Wasm);
        let directory = tempfile::tempdir().context("no temporary directory can be made")?;
        let data = directory.path().join(DATA);
        if class.kind == Kind::Source && !config.contains_key(TOPIC) {
            // Where the worker will look for compiled code, too.
            let plugins = classes::open(&project.package(), &data.join("plugin-cache"));
            let plugin = plugins.load(&class.class, Some(form)).await?;
            if plugin.config_def().key(TOPIC).is_some() {
                config.insert(TOPIC.to_owned(), project.manifest.package.name.clone());
            }
        }
        complete(&mut config, project, class, form);
        let name = config["name"].clone();
        let connector = |name: &str, config: ConfigMap| ConnectorFile {
            path: path.clone(),
            name: name.to_owned(),
            config,
            initial_state: TargetState::Started,
        };
        let mut connectors = Vec::new();
        if class.kind == Kind::Sink {
            let input = format!("{name}-input");
            let config = input_config(&input, &config)?;
            connectors.push(connector(&input, config));
        }
        let worker = write_worker(directory.path(), project, class.kind, arguments)?;
        write_policy(directory.path(), project, &config, form)?;
        connectors.push(connector(&name, config));
        Ok(Self {
            project: project.directory.clone(),
            package: project.package(),
            kind: class.kind,
            name,
            shown: format!("{} ({form})", class.class),
            connectors,
            worker,
            _directory: directory,
        })
    }

    /// What the connector is fed, when it is a sink or a transform.
    ///
    /// # Errors
    /// The input cannot be read, or a source was given one.
    pub(super) fn feed(&self, arguments: &RunArguments) -> anyhow::Result<Option<Feed>> {
        let input = match (&arguments.input, self.kind) {
            (Some(_), Kind::Source) => bail!(Usage(
                "--input: a source makes its own records; only sinks and transforms are fed".to_owned()
            )),
            (None, Kind::Source) => return Ok(None),
            (Some(path), _) if path.as_os_str() != "-" => Input::File {
                path: path.clone(),
                follow: !arguments.once,
            },
            _ => Input::Stdin,
        };
        Feed::open(input).map(Some)
    }
}

/// The config as it was written, and the file it comes from.
fn config(project: &Project, given: Option<&Path>) -> anyhow::Result<(PathBuf, ConfigMap)> {
    let usual = project.directory.join(CONFIG_FILE);
    let path = given.map_or_else(|| usual.clone(), Path::to_owned);
    let content = match fs::read(&path) {
        Ok(content) => content,
        Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(CannotRead::named(path.display(), &error).into()),
    };
    let (config, _) = connector_file::parse(&content)
        .map_err(|reason| anyhow!("connector file {}: {reason}", path.display()))?;
    Ok((path, config))
}

/// The class that is meant: named by a flag or by the config, or the only one.
fn class<'a>(
    manifest: &'a Manifest,
    config: &ConfigMap,
    given: Option<&str>,
) -> anyhow::Result<&'a PluginClass> {
    let is_type =
        |key: &String| key == "connector.class" || (key.starts_with("transforms.") && key.ends_with(".type"));
    let named: BTreeSet<&str> = match given {
        Some(name) => BTreeSet::from([name]),
        None => config
            .iter()
            .filter(|(key, _)| is_type(key))
            .map(|(_, value)| value.trim())
            .collect(),
    };
    let is_named = |class: &&PluginClass| {
        let names = std::iter::once(&class.class).chain(&class.aliases);
        let short = class.class.rsplit('.').next().unwrap_or_default();
        names.into_iter().any(|name| named.contains(name.as_str()))
            || named.contains(short)
            || short
                .strip_suffix("Connector")
                .is_some_and(|short| named.contains(short))
    };
    let mut found = manifest.plugins.iter().filter(is_named);
    match (found.next(), found.next(), &manifest.plugins[..]) {
        (Some(class), None, _) => Ok(class),
        (None, None, [only]) if given.is_none() => Ok(only),
        _ => {
            let classes: Vec<_> = manifest
                .plugins
                .iter()
                .map(|class| class.class.as_str())
                .collect();
            bail!(Usage(format!(
                "which class is to run? Name one with --class: {}",
                classes.join(", ")
            )))
        }
    }
}

fn complete(config: &mut ConfigMap, project: &Project, class: &PluginClass, form: Form) {
    let package = &project.manifest.package;
    let mut add = |key: &str, value: &str| {
        if !config.contains_key(key) {
            config.insert(key.to_owned(), value.to_owned());
        }
    };
    add("name", &package.name);
    add("tasks.max", "1");
    add("key.converter", STRINGS);
    add("value.converter", STRINGS);
    match class.kind {
        Kind::Source | Kind::Sink => {
            add("connector.class", &class.class);
            add("connector.plugin.version", &package.version);
            add("plugin.form", &form.to_string());
        }
        Kind::Transform => {
            add("connector.class", feed::CLASS);
            add(TOPIC, &package.name);
            if !config.contains_key("transforms") {
                config.insert("transforms".to_owned(), ALIAS.to_owned());
                config.insert(format!("transforms.{ALIAS}.type"), class.class.clone());
            }
        }
    }
    if class.kind == Kind::Sink && !config.contains_key("topics.regex") {
        let topics = config.entry("topics".to_owned());
        topics.or_insert_with(|| package.name.clone());
    }
}

/// The connector that feeds a sink's topic.
fn input_config(name: &str, sink: &ConfigMap) -> anyhow::Result<ConfigMap> {
    let topics = sink.get("topics").map(String::as_str).unwrap_or_default();
    let topic = topics.split(',').map(str::trim).find(|topic| !topic.is_empty());
    let Some(topic) = topic else {
        bail!(Usage(
            "topics: name the topic that the sink is fed through, as in topics=lines".to_owned()
        ));
    };
    let pairs = [
        ("name", name),
        ("connector.class", feed::CLASS),
        ("tasks.max", "1"),
        ("topic", topic),
        ("key.converter", STRINGS),
        ("value.converter", STRINGS),
    ];
    Ok(pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into_iter()
        .collect())
}

fn write_worker(
    directory: &Path,
    project: &Project,
    kind: Kind,
    arguments: &RunArguments,
) -> anyhow::Result<PathBuf> {
    let mut path = vec![project.package()];
    if kind != Kind::Transform {
        // What else its config may name; the version tells the package itself from installed ones.
        path.extend(plugin_roots::default());
    }
    let path: Vec<_> = path.iter().map(|root| root.display().to_string()).collect();
    let lines = [
        (
            "broker.listeners",
            format!("PLAINTEXT://127.0.0.1:{}", arguments.broker_port),
        ),
        ("listeners", format!("http://127.0.0.1:{}", arguments.rest_port)),
        ("data.dir", directory.join(DATA).display().to_string()),
        ("plugin.path", path.join(",")),
        ("plugin.native.allow", project.manifest.package.name.clone()),
        (
            "plugin.policy",
            directory.join("policy.toml").display().to_string(),
        ),
        ("key.converter", STRINGS.to_owned()),
        ("value.converter", STRINGS.to_owned()),
        ("offset.flush.interval.ms", "200".to_owned()),
    ];
    let text: String = lines
        .map(|(key, value)| format!("{key}={}\n", value.replace('\\', "\\\\")))
        .concat();
    let file = directory.join("worker.properties");
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Grants what the package asks for, and says so.
fn write_policy(directory: &Path, project: &Project, config: &ConfigMap, form: Form) -> anyhow::Result<()> {
    let package = &project.manifest.package.name;
    let capabilities = &project.manifest.capabilities;
    let mut grant = Table::new();
    grant.insert("package".to_owned(), package.as_str().into());
    let list = |items: &[&str]| Value::Array(items.iter().map(|item| Value::from(*item)).collect());
    let mut granted = asked(capabilities);
    if capabilities.directories != DirectoryAccess::None {
        let directories = directories(project, config);
        let shown: Vec<_> = directories
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        granted = format!("{granted}; the directories are {}", shown.join(", "));
        let entry = |path: &String| {
            let mut entry = Table::new();
            entry.insert("path".to_owned(), path.as_str().into());
            entry.insert("access".to_owned(), "read-write".into());
            Value::Table(entry)
        };
        grant.insert(
            "directories".to_owned(),
            Value::Array(shown.iter().map(entry).collect()),
        );
    }
    grant.insert("http".to_owned(), list(&["*"]));
    grant.insert("tcp".to_owned(), list(&["*:*"]));
    // A peer for trying something out is often on this machine.
    grant.insert("addresses".to_owned(), list(&["127.0.0.0/8", "::1"]));
    let names: Vec<_> = capabilities.environment.iter().map(String::as_str).collect();
    grant.insert("environment".to_owned(), list(&names));
    grant.insert("clock".to_owned(), true.into());
    let mut policy = Table::new();
    policy.insert("grant".to_owned(), Value::Array(vec![Value::Table(grant)]));
    let file = directory.join("policy.toml");
    fs::write(&file, toml::to_string(&policy)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    match form {
        Form::Native => eprintln!("{package} runs as native code: it may do what you may"),
        Form::Wasm => eprintln!("{package} is granted what it asks for: {granted}"),
    }
    Ok(())
}

/// The working directory, the project, and what absolute paths of the config lie in.
fn directories(project: &Project, config: &ConfigMap) -> BTreeSet<PathBuf> {
    let here = std::env::current_dir().ok();
    let named = config.values().map(Path::new).filter(|path| path.is_absolute());
    let named = named.filter_map(|path| match path.is_dir() {
        true => Some(path.to_owned()),
        false => path.parent().filter(|parent| parent.is_dir()).map(Path::to_owned),
    });
    let own = here.into_iter().chain([project.directory.clone()]);
    own.chain(named)
        .filter(|path| path.parent().is_some())
        // The policy wants paths that go down only.
        .filter(|path| {
            !path
                .components()
                .any(|part| part == std::path::Component::ParentDir)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(kinds: &[(&str, &str)]) -> (TempDir, Project) {
        let directory = tempfile::tempdir().unwrap();
        let mut text = "schema = 1\n[package]\nname = \"acme\"\nversion = \"0.1.0\"\n".to_owned();
        for (class, kind) in kinds {
            text.push_str(&format!("[[plugin]]\nclass = \"{class}\"\nkind = \"{kind}\"\n"));
        }
        fs::write(directory.path().join("plugin.toml"), text).unwrap();
        fs::write(directory.path().join("Makefile"), "").unwrap();
        let project = Project::read(directory.path()).unwrap();
        (directory, project)
    }

    fn map(text: &str) -> ConfigMap {
        connector_file::parse(text.as_bytes()).unwrap().0
    }

    fn completed(kind: &str, text: &str) -> String {
        let (_directory, project) = project(&[("a.B", kind)]);
        let mut config = map(text);
        let class = class(&project.manifest, &config, None).unwrap();
        complete(&mut config, &project, class, Form::Wasm);
        config.sort_unstable_keys();
        config
            .iter()
            .filter(|(key, _)| !key.ends_with("converter"))
            .map(|(key, value)| format!("{key}={value}\n"))
            .collect()
    }

    #[test]
    fn what_a_config_does_not_say_is_added() {
        assert_eq!(
            completed("source", "tasks.max=2\n"),
            "connector.class=a.B\nconnector.plugin.version=0.1.0\nname=acme\nplugin.form=wasm\ntasks.max=2\n"
        );
        assert_eq!(
            completed("sink", "topics=x,y\nname=n\n"),
            "connector.class=a.B\nconnector.plugin.version=0.1.0\nname=n\nplugin.form=wasm\ntasks.max=1\ntopics=x,y\n"
        );
        assert_eq!(
            completed("transform", ""),
            "connector.class=jackfield.plugin.run.Lines\nname=acme\ntasks.max=1\ntopic=acme\ntransforms=plugin\n\
             transforms.plugin.type=a.B\n"
        );
        assert_eq!(
            completed("transform", "transforms=up\ntransforms.up.type=a.B\n"),
            "connector.class=jackfield.plugin.run.Lines\nname=acme\ntasks.max=1\ntopic=acme\ntransforms=up\n\
             transforms.up.type=a.B\n"
        );
    }

    #[test]
    fn the_class_is_named_or_the_only_one() {
        let (_directory, project) = project(&[("a.LinesConnector", "source"), ("a.Other", "sink")]);
        let find = |config: &str, given: Option<&str>| {
            let found = class(&project.manifest, &map(config), given);
            found
                .map(|class| class.class.clone())
                .map_err(|error| error.to_string())
        };
        assert_eq!(find("connector.class=Lines", None).unwrap(), "a.LinesConnector");
        assert_eq!(find("", Some("a.Other")).unwrap(), "a.Other");
        let error = find("", None).unwrap_err();
        assert!(error.contains("--class: a.LinesConnector, a.Other"), "{error}");
        assert!(find("", Some("Nope")).is_err());
    }
}

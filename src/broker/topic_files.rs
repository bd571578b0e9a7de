//! What partition directories do not hold of a topic: its configs, and its partition count while it is being created.
//!
//! One small file per topic, `<first log dir>/topics/<topic id>.properties`, replaced atomically. Named by the id, because
//! a topic's name may be as long as a file name can be.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jackfield_env::Env;
use jackfield_log::TopicId;

/// Ending of the files of topics.
const FILE_SUFFIX: &str = ".properties";

/// What the file of a topic says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicFile {
    pub(crate) id: TopicId,
    pub(crate) name: String,
    /// 0 = as many as there are directories.
    pub(crate) partitions: i32,
    pub(crate) deleting: bool,
    pub(crate) configs: BTreeMap<String, String>,
}

impl TopicFile {
    pub(crate) fn without_configs(id: TopicId, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            partitions: 0,
            deleting: false,
            configs: BTreeMap::new(),
        }
    }

    /// `#key=value` lines are the file's own, the others are configs.
    fn render(&self) -> String {
        let mut text = format!(
            "#name={}\n#partitions={}\n#deleting={}\n",
            self.name, self.partitions, self.deleting
        );
        for (key, value) in &self.configs {
            text.push_str(key);
            text.push('=');
            text.push_str(value);
            text.push('\n');
        }
        text
    }

    fn parse(id: TopicId, text: &str) -> Option<Self> {
        let (own, configs): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('#'));
        let own: BTreeMap<&str, &str> = own.iter().filter_map(|line| line[1..].split_once('=')).collect();
        let pair = |line: &&str| {
            line.split_once('=')
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        };
        Some(Self {
            id,
            name: (*own.get("name")?).to_owned(),
            partitions: own.get("partitions")?.parse().ok()?,
            deleting: own.get("deleting")?.parse().ok()?,
            configs: configs.iter().map(pair).collect::<Option<_>>()?,
        })
    }
}

/// The files of all topics.
#[derive(Debug)]
pub(crate) struct TopicFiles {
    env: Env,
    directory: PathBuf,
}

impl TopicFiles {
    /// In a log directory.
    pub(crate) fn new(env: Env, log_dir: &Path) -> Self {
        Self {
            env,
            directory: log_dir.join("topics"),
        }
    }

    pub(crate) fn path(&self, id: TopicId) -> PathBuf {
        self.directory.join(format!("{}{FILE_SUFFIX}", id.to_base64()))
    }

    /// All files. What is not a topic's is left alone.
    ///
    /// # Errors
    /// A message when one cannot be read or understood.
    pub(crate) fn read_all(&self) -> Result<Vec<TopicFile>, String> {
        let files = &*self.env.files;
        let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        files
            .create_dir_all(&self.directory)
            .map_err(|error| failed(&self.directory, error))?;
        let entries = files
            .read_dir(&self.directory)
            .map_err(|error| failed(&self.directory, error))?;
        let mut topic_files = Vec::new();
        for entry in entries {
            let Some(id) = entry
                .name
                .strip_suffix(FILE_SUFFIX)
                .and_then(TopicId::from_base64)
            else {
                continue;
            };
            let path = self.directory.join(&entry.name);
            let content = files.read(&path).map_err(|error| failed(&path, error))?;
            let file = TopicFile::parse(id, &String::from_utf8_lossy(&content));
            topic_files.push(file.ok_or_else(|| format!("{}: is damaged", path.display()))?);
        }
        Ok(topic_files)
    }

    /// Writes a file durably.
    pub(crate) fn write(&self, file: &TopicFile) -> std::io::Result<()> {
        self.env
            .files
            .write_atomic(&self.path(file.id), file.render().as_bytes())
    }

    /// Removes a file; it is no harm when that fails.
    pub(crate) fn remove(&self, file: &TopicFile) {
        if let Err(error) = self.env.files.remove_file(&self.path(file.id)) {
            tracing::warn!(topic = file.name, %error, "file of a topic that is gone is left on disk");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_written() {
        let configs = [("retention.ms", "5"), ("x", "a=b")];
        let file = TopicFile {
            partitions: 3,
            configs: configs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..TopicFile::without_configs(TopicId([7; 16]), "a.b-c")
        };
        assert_eq!(TopicFile::parse(file.id, &file.render()), Some(file.clone()));
        for damaged in ["", "#name=a\n", "#name=a\n#partitions=x\n#deleting=false\n"] {
            assert_eq!(TopicFile::parse(file.id, damaged), None, "{damaged}");
        }
    }
}

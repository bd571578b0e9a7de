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

/// Begins the last line, which has the checksum of those before. Files written by earlier versions have none.
const CHECKSUM: &str = "#crc32c=";
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

    /// In place of a file that cannot be read. Until its configs are known nothing of the topic is deleted.
    fn in_place_of_damaged(id: TopicId) -> Self {
        let configs = ["retention.ms", "retention.bytes"].map(|key| (key.to_owned(), "-1".to_owned()));
        Self {
            configs: configs.into(),
            ..Self::without_configs(id, "")
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
        let crc = crc32c::crc32c(text.as_bytes());
        text + &format!("{CHECKSUM}{crc:08x}\n")
    }

    fn parse(id: TopicId, content: &[u8]) -> Option<Self> {
        let mut text = str::from_utf8(content).ok()?;
        if let Some((rest, line)) = text.trim_end().rsplit_once('\n')
            && line.contains(&CHECKSUM[1..])
        {
            text = &text[..=rest.len()];
            if line != format!("{CHECKSUM}{:08x}", crc32c::crc32c(text.as_bytes())) {
                return None;
            }
        }
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
    /// A message when one cannot be read. What is damaged is reported, and its topic goes on without its configs.
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
            topic_files.push(TopicFile::parse(id, &content).unwrap_or_else(|| {
                tracing::error!(file = %path.display(), "file of a topic is damaged: the topic has the broker's defaults, and nothing of it is deleted; set its configs again, or restore the file from a copy and restart");
                TopicFile::in_place_of_damaged(id)
            }));
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
        let text = file.render();
        assert_eq!(TopicFile::parse(file.id, text.as_bytes()), Some(file.clone()));
        let (before, _) = text.split_once("#crc32c").unwrap();
        assert_eq!(
            TopicFile::parse(file.id, before.as_bytes()),
            Some(file.clone()),
            "earlier versions"
        );
        for damaged in ["", "#name=a\n", "#name=a\n#partitions=x\n#deleting=false\n"] {
            assert_eq!(TopicFile::parse(file.id, damaged.as_bytes()), None, "{damaged}");
        }
    }

    /// No flipped bit changes a config, or which topic the file is of.
    #[test]
    fn flipped_bits_are_found() {
        let file = TopicFile {
            partitions: 3,
            configs: [("retention.ms".to_owned(), "604800000".to_owned())].into(),
            ..TopicFile::without_configs(TopicId([7; 16]), "orders")
        };
        let text = file.render();
        for bit in 0..text.len() * 8 {
            let mut content = text.clone().into_bytes();
            content[bit / 8] ^= 1 << (bit % 8);
            let read = TopicFile::parse(file.id, &content);
            // The name of the checksum says nothing else.
            assert!(
                read.is_none() || read == Some(file.clone()),
                "bit {bit}: {read:?}"
            );
        }
    }
}

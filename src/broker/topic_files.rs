//! What partition directories do not hold of a topic: its configs, how many partitions it has, and whether it is whole.
//!
//! One small file per topic in `<first log dir>/topics`, named by the id, because a topic's name may be as long as a file
//! name can be. `<topic id>.properties` is of a topic that was created to its end. `<topic id>.unfinished` is of one that was
//! not yet, or that is being deleted: the next start removes what there is of it. A rename makes the one of the other,
//! atomically, and without a block of a disk that is full.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use jackfield_env::Env;
use jackfield_log::TopicId;

/// Begins the last line, which has the checksum of those before. Files written by earlier versions have none.
const CHECKSUM: &str = "#crc32c=";
/// Ending of the files of topics.
const FILE_SUFFIX: &str = ".properties";
/// Ending of the files of topics that are not there yet, or no longer.
const UNFINISHED_SUFFIX: &str = ".unfinished";

/// What the file of a topic says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicFile {
    pub(crate) id: TopicId,
    pub(crate) name: String,
    /// 0 = as many as there are directories.
    pub(crate) partitions: i32,
    /// What there is of it goes at the next start.
    pub(crate) is_unfinished: bool,
    /// Partitions of a deleted topic that could not be deleted, because nobody could get at them.
    pub(crate) left: BTreeSet<i32>,
    pub(crate) configs: BTreeMap<String, String>,
}

impl TopicFile {
    pub(crate) fn without_configs(id: TopicId, name: &str) -> Self {
        Self {
            id,
            name: name.to_owned(),
            partitions: 0,
            is_unfinished: false,
            left: BTreeSet::new(),
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
        let mut text = format!("#name={}\n#partitions={}\n", self.name, self.partitions);
        for partition in &self.left {
            text.push_str(&format!("#left={partition}\n"));
        }
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
        let left = own.iter().filter_map(|line| line.strip_prefix("#left="));
        let left = left.map(str::parse).collect::<Result<_, _>>().ok()?;
        let own: BTreeMap<&str, &str> = own.iter().filter_map(|line| line[1..].split_once('=')).collect();
        let pair = |line: &&str| {
            line.split_once('=')
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        };
        Some(Self {
            id,
            name: (*own.get("name")?).to_owned(),
            partitions: own.get("partitions")?.parse().ok()?,
            // Earlier versions said it here.
            is_unfinished: own.get("deleting") == Some(&"true"),
            left,
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
        self.named(id, FILE_SUFFIX)
    }

    fn named(&self, id: TopicId, suffix: &str) -> PathBuf {
        self.directory.join(format!("{}{suffix}", id.to_base64()))
    }

    /// Whether there are files at all. Without them topics would lose their configs, and records with these.
    ///
    /// # Errors
    /// A message that says what to do.
    pub(crate) fn check_there(&self) -> Result<(), String> {
        if self.env.files.exists(&self.directory) {
            return Ok(());
        }
        Err(format!(
            "{} is missing, and other log directories have topics: log.dirs must begin with the directory that has the files of the topics and producer-ids, as before; if that is lost, create {0} empty, and every topic has the broker's defaults",
            self.directory.display()
        ))
    }

    /// All files. What is not a topic's is left alone.
    ///
    /// # Errors
    /// A message when one cannot be read. What is damaged is reported, and its topic goes on without its configs.
    pub(crate) fn read_all(&self) -> Result<Vec<TopicFile>, String> {
        let files = &*self.env.files;
        let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
        files
            .create_dir_durably(&self.directory)
            .map_err(|error| failed(&self.directory, error))?;
        let entries = files
            .read_dir(&self.directory)
            .map_err(|error| failed(&self.directory, error))?;
        let mut topic_files = Vec::new();
        for entry in entries {
            let path = self.directory.join(&entry.name);
            if let Some(name) = entry.name.strip_suffix(".tmp") {
                if parse_name(name).is_some() {
                    // Left by a crash.
                    files.remove_file(&path).map_err(|error| failed(&path, error))?;
                }
                continue;
            }
            let Some((id, suffix)) = parse_name(&entry.name) else {
                continue;
            };
            let content = files.read(&path).map_err(|error| failed(&path, error))?;
            let mut file = TopicFile::parse(id, &content).unwrap_or_else(|| {
                tracing::error!(file = %path.display(), "file of a topic is damaged: the topic has the broker's defaults, and nothing of it is deleted; set its configs again, or restore the file from a copy and restart");
                TopicFile::in_place_of_damaged(id)
            });
            file.is_unfinished |= suffix == UNFINISHED_SUFFIX;
            topic_files.push(file);
        }
        Ok(topic_files)
    }

    /// Writes durably what is to be created, or what is left of a deletion.
    pub(crate) fn write_unfinished(&self, file: &TopicFile) -> io::Result<()> {
        let path = self.named(file.id, UNFINISHED_SUFFIX);
        self.env.files.write_atomic(&path, file.render().as_bytes())
    }

    /// Replaces the file of a topic that is there.
    pub(crate) fn write(&self, file: &TopicFile) -> io::Result<()> {
        self.env
            .files
            .write_atomic(&self.path(file.id), file.render().as_bytes())
    }

    /// From now on the topic is there.
    pub(crate) fn finish_creation(&self, id: TopicId) -> io::Result<()> {
        self.rename(id, UNFINISHED_SUFFIX, FILE_SUFFIX)
    }

    /// From now on the topic is being deleted. When that fails, [`TopicFiles::is_unfinished`] tells whether it may have
    /// been done all the same.
    pub(crate) fn begin_deletion(&self, id: TopicId, name: &str) -> io::Result<()> {
        let files = &*self.env.files;
        if files.exists(&self.path(id)) {
            return self.rename(id, FILE_SUFFIX, UNFINISHED_SUFFIX);
        }
        if self.is_unfinished(id) {
            return files.sync_dir(&self.directory);
        }
        self.write_unfinished(&TopicFile::without_configs(id, name))
    }

    pub(crate) fn is_unfinished(&self, id: TopicId) -> bool {
        self.env.files.exists(&self.named(id, UNFINISHED_SUFFIX))
    }

    fn rename(&self, id: TopicId, from: &str, to: &str) -> io::Result<()> {
        // Opened first: once it is renamed, files that run out must not keep it from being durable.
        let directory = self.env.files.open_dir(&self.directory)?;
        self.env
            .files
            .rename(&self.named(id, from), &self.named(id, to))?;
        directory.sync_data()
    }

    /// Removes a file; it is no harm when that fails.
    pub(crate) fn remove(&self, id: TopicId) {
        for suffix in [FILE_SUFFIX, UNFINISHED_SUFFIX] {
            let path = self.named(id, suffix);
            if let Err(error) = self.env.files.remove_file(&path) {
                tracing::warn!(file = %path.display(), %error, "file of a topic that is gone is left on disk");
            }
        }
    }
}

/// Topic and ending of a file's name.
fn parse_name(name: &str) -> Option<(TopicId, &'static str)> {
    let mut suffixes = [FILE_SUFFIX, UNFINISHED_SUFFIX].into_iter();
    suffixes.find_map(|suffix| Some((TopicId::from_base64(name.strip_suffix(suffix)?)?, suffix)))
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
        let left = TopicFile {
            left: [1, 7].into(),
            ..file.clone()
        };
        assert_eq!(TopicFile::parse(left.id, left.render().as_bytes()), Some(left));
        let (before, _) = text.split_once("#crc32c").unwrap();
        for deleting in [false, true] {
            let earlier = before.replacen("\n", &format!("\n#deleting={deleting}\n"), 1);
            let expected = TopicFile {
                is_unfinished: deleting,
                ..file.clone()
            };
            assert_eq!(
                TopicFile::parse(file.id, earlier.as_bytes()),
                Some(expected),
                "earlier versions"
            );
        }
        for damaged in [
            "",
            "#name=a\n",
            "#name=a\n#partitions=x\n",
            "#name=a\n#partitions=1\n#left=x\n",
        ] {
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

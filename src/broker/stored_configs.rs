//! Configs that are set while the broker runs and are not a topic's: of brokers, groups and subscriptions of client metrics.
//!
//! They lie in one small file beside those of the topics, `<first log dir>/configs`, which is replaced as a whole.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use jackfield_env::Env;

use crate::config::values::Map;

/// Begins the last line, which has the checksum of those before.
const CHECKSUM: &str = "#crc32c=";

/// What has configs of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// By id; the empty name is all of them.
    Broker,
    ClientMetrics,
    Group,
}

impl Owner {
    const NAMES: [(Self, &'static str); 3] = [
        (Self::Broker, "broker"),
        (Self::ClientMetrics, "client-metrics"),
        (Self::Group, "group"),
    ];

    fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(owner, _)| *owner == self);
        found.map_or("", |(_, name)| name)
    }
}

/// Configs by whose they are; nobody has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stored(BTreeMap<(Owner, String), Map>);

impl Stored {
    /// The configs of one, which may be none.
    pub(crate) fn of(&self, owner: Owner, name: &str) -> Map {
        self.0.get(&(owner, name.to_owned())).cloned().unwrap_or_default()
    }

    /// Names of all that have configs.
    pub(crate) fn names(&self, owner: Owner) -> impl Iterator<Item = &str> {
        let mine = self.0.keys().filter(move |(of, _)| *of == owner);
        mine.map(|(_, name)| name.as_str())
    }

    /// With other configs of one.
    pub(crate) fn with(&self, owner: Owner, name: &str, configs: Map) -> Self {
        let mut stored = self.clone();
        let key = (owner, name.to_owned());
        if configs.is_empty() {
            stored.0.remove(&key);
        } else {
            stored.0.insert(key, configs);
        }
        stored
    }

    /// A line `#<owner>=<name>` begins the configs of one.
    fn render(&self) -> String {
        let mut text = String::new();
        for ((owner, name), configs) in &self.0 {
            text.push_str(&format!("#{}={}\n", owner.name(), escaped(name)));
            for (key, value) in configs {
                text.push_str(&format!("{}={}\n", escaped(key), escaped(value)));
            }
        }
        let crc = crc32c::crc32c(text.as_bytes());
        text + &format!("{CHECKSUM}{crc:08x}\n")
    }

    fn parse(content: &[u8]) -> Option<Self> {
        let text = str::from_utf8(content).ok()?;
        let (text, sum) = text.split_at(text.rfind(CHECKSUM)?);
        if sum != format!("{CHECKSUM}{:08x}\n", crc32c::crc32c(text.as_bytes())) {
            return None;
        }
        let mut stored = Self::default();
        let mut current = None;
        for line in text.lines() {
            let (key, value) = line.split_once('=')?;
            let value = plain(value)?;
            if let Some(owner) = key.strip_prefix('#') {
                let (owner, _) = Owner::NAMES.iter().find(|(_, name)| *name == owner)?;
                current = Some(stored.0.entry((*owner, value)).or_default());
            } else {
                current.as_mut()?.insert(plain(key)?, value);
            }
        }
        Some(stored)
    }
}

/// What would end a line or a key, and what would begin another owner, is written in another way.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '=' => out.push_str("\\e"),
            '#' => out.push_str("\\h"),
            letter => out.push(letter),
        }
    }
    out
}

fn plain(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        out.push(match letter {
            '\\' => match letters.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                'e' => '=',
                'h' => '#',
                _ => return None,
            },
            letter => letter,
        });
    }
    Some(out)
}

/// The file.
#[derive(Debug)]
pub(crate) struct ConfigsFile {
    env: Env,
    path: PathBuf,
}

impl ConfigsFile {
    /// In a log directory.
    pub(crate) fn new(env: Env, log_dir: &Path) -> Self {
        Self {
            env,
            path: log_dir.join("configs"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is stored.
    ///
    /// # Errors
    /// A message when the file cannot be read, or is damaged: without its configs records might be deleted too early.
    pub(crate) fn read(&self) -> Result<Stored, String> {
        let path = self.path.display();
        match self.env.files.read(&self.path) {
            Ok(content) => Stored::parse(&content).ok_or_else(|| {
                format!(
                    "{path} is damaged: restore it from a copy; or remove it, and set the configs of brokers and groups again"
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Stored::default()),
            Err(error) => Err(format!("{path}: {error}")),
        }
    }

    /// Replaces what is stored, durably.
    pub(crate) fn write(&self, stored: &Stored) -> io::Result<()> {
        self.env
            .files
            .write_atomic(&self.path, stored.render().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Stored {
        let map = |pairs: &[(&str, &str)]| -> Map {
            let owned = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            owned.collect()
        };
        Stored::default()
            .with(Owner::Broker, "", map(&[("log.retention.ms", "5")]))
            .with(
                Owner::Broker,
                "1",
                map(&[("log.retention.ms", "7"), ("listener.name.a=b.x", "\\n\n#")]),
            )
            .with(
                Owner::Group,
                "g=\n#broker=1",
                map(&[("consumer.session.timeout.ms", "50000")]),
            )
    }

    #[test]
    fn configs_are_read_as_written() {
        let stored = sample();
        assert_eq!(Stored::parse(stored.render().as_bytes()), Some(stored.clone()));
        assert_eq!(
            Stored::parse(Stored::default().render().as_bytes()),
            Some(Stored::default())
        );
        assert_eq!(stored.names(Owner::Broker).collect::<Vec<_>>(), ["", "1"]);
        let without = stored.with(Owner::Broker, "1", Map::new());
        assert_eq!(without.names(Owner::Broker).collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn flipped_bits_and_torn_files_are_found() {
        let text = sample().render();
        for bit in 0..text.len() * 8 {
            let mut content = text.clone().into_bytes();
            content[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Stored::parse(&content), None, "bit {bit}");
        }
        for length in 0..text.len() {
            assert_eq!(Stored::parse(&text.as_bytes()[..length]), None, "{length} bytes");
        }
    }
}

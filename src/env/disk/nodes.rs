//! Files and directories of a [`super::Disk`]: as they are seen, as they are on disk, and what lies between.

use std::{
    collections::BTreeMap,
    io,
    path::{Component, Path},
};

const ENOTDIR: i32 = 20;

/// Something that was done to a file and may not be on disk.
#[derive(Debug, Clone)]
pub(super) struct Change {
    what: ContentChange,
    /// A sync that should have carried it over failed: no later one will.
    is_dropped: bool,
}

#[derive(Debug, Clone)]
enum ContentChange {
    Write { position: usize, data: Vec<u8> },
    SetLen(usize),
}

impl Change {
    /// Whether it cut bytes off.
    pub(super) fn apply(&self, content: &mut Vec<u8>) -> bool {
        match &self.what {
            ContentChange::Write { position, data } => {
                let end = position + data.len();
                content.resize(content.len().max(end), 0);
                content[*position..end].copy_from_slice(data);
                false
            }
            ContentChange::SetLen(len) => {
                let cuts = *len < content.len();
                content.resize(*len, 0);
                cuts
            }
        }
    }
}

/// Something that was done to the names in a directory and may not be on disk. A rename is one change.
#[derive(Debug, Clone)]
pub(super) struct NameChange {
    pub(super) directory: usize,
    removed: Option<String>,
    added: Option<(String, usize)>,
    is_dropped: bool,
}

impl NameChange {
    fn in_directory(directory: usize) -> Self {
        Self {
            directory,
            removed: None,
            added: None,
            is_dropped: false,
        }
    }

    pub(super) fn remove(directory: usize, name: String) -> Self {
        Self {
            removed: Some(name),
            ..Self::in_directory(directory)
        }
    }

    pub(super) fn rename(directory: usize, from: String, to: String, node: usize) -> Self {
        Self {
            removed: Some(from),
            added: Some((to, node)),
            ..Self::in_directory(directory)
        }
    }

    fn apply(&self, names: &mut Names) {
        if let Some(name) = &self.removed {
            names.remove(name);
        }
        if let Some((name, node)) = &self.added {
            names.insert(name.clone(), *node);
        }
    }
}

pub(super) type Names = BTreeMap<String, usize>;

#[derive(Debug, Clone)]
pub(super) enum Node {
    File {
        seen: Vec<u8>,
        durable: Vec<u8>,
        unsynced: Vec<Change>,
    },
    Directory {
        seen: Names,
        durable: Names,
    },
}

impl Node {
    /// A file that is on disk.
    pub(super) fn file(content: Vec<u8>) -> Self {
        Self::File {
            seen: content.clone(),
            durable: content,
            unsynced: Vec::new(),
        }
    }

    /// A directory that is on disk.
    pub(super) fn directory(names: Names) -> Self {
        Self::Directory {
            seen: names.clone(),
            durable: names,
        }
    }
}

/// All of them. The first one is the root.
#[derive(Debug, Clone)]
pub(super) struct Nodes {
    pub(super) all: Vec<Node>,
    /// In the order they were made.
    pub(super) unsynced_names: Vec<NameChange>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            all: vec![Node::directory(Names::new())],
            unsynced_names: Vec::new(),
        }
    }
}

fn not_a_directory<T>() -> io::Result<T> {
    Err(io::Error::from_raw_os_error(ENOTDIR))
}

impl Nodes {
    pub(super) fn find(&self, path: &Path) -> io::Result<usize> {
        let mut node = 0;
        for component in path.components() {
            if let Component::Normal(name) = component {
                let names = self.names(node)?;
                let found = names.get(&*name.to_string_lossy());
                node = *found.ok_or(io::ErrorKind::NotFound)?;
            }
        }
        Ok(node)
    }

    /// The directory a path lies in, and its name there.
    pub(super) fn parent_of(&self, path: &Path) -> io::Result<(usize, String)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok((self.find(parent)?, name.to_string_lossy().into_owned()))
    }

    pub(super) fn is_directory(&self, node: usize) -> bool {
        matches!(self.all[node], Node::Directory { .. })
    }

    pub(super) fn names(&self, node: usize) -> io::Result<&Names> {
        match &self.all[node] {
            Node::Directory { seen, .. } => Ok(seen),
            Node::File { .. } => not_a_directory(),
        }
    }

    pub(super) fn content(&self, node: usize) -> io::Result<&[u8]> {
        match &self.all[node] {
            Node::File { seen, .. } => Ok(seen),
            Node::Directory { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn create_file(&mut self, directory: usize, name: String) -> io::Result<usize> {
        self.add(directory, name, Node::file(Vec::new()))
    }

    pub(super) fn create_directory(&mut self, directory: usize, name: String) -> io::Result<usize> {
        self.add(directory, name, Node::directory(Names::new()))
    }

    fn add(&mut self, directory: usize, name: String, node: Node) -> io::Result<usize> {
        let number = self.all.len();
        self.all.push(node);
        self.rename(NameChange {
            added: Some((name, number)),
            ..NameChange::in_directory(directory)
        })?;
        Ok(number)
    }

    pub(super) fn rename(&mut self, change: NameChange) -> io::Result<()> {
        let Node::Directory { seen, .. } = &mut self.all[change.directory] else {
            return not_a_directory();
        };
        change.apply(seen);
        self.unsynced_names.push(change);
        Ok(())
    }

    pub(super) fn write(&mut self, node: usize, position: u64, data: &[u8]) -> io::Result<()> {
        let position = usize::try_from(position).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.change(
            node,
            ContentChange::Write {
                position,
                data: data.to_vec(),
            },
        )
    }

    pub(super) fn set_len(&mut self, node: usize, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.change(node, ContentChange::SetLen(len))
    }

    fn change(&mut self, node: usize, what: ContentChange) -> io::Result<()> {
        let Node::File { seen, unsynced, .. } = &mut self.all[node] else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        let change = Change {
            what,
            is_dropped: false,
        };
        change.apply(seen);
        unsynced.push(change);
        Ok(())
    }

    /// Carries over to the disk what was done since the last time: a file's bytes, or a directory's names.
    pub(super) fn sync(&mut self, node: usize) {
        match &mut self.all[node] {
            Node::File {
                durable, unsynced, ..
            } => {
                for change in unsynced.drain(..).filter(|change| !change.is_dropped) {
                    change.apply(durable);
                }
            }
            Node::Directory { durable, .. } => {
                let (here, elsewhere): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unsynced_names)
                    .into_iter()
                    .partition(|change| change.directory == node && !change.is_dropped);
                for change in here {
                    change.apply(durable);
                }
                self.unsynced_names = elsewhere;
            }
        }
    }

    /// Its sync failed: what was done up to now counts as written.
    pub(super) fn drop_unsynced(&mut self, node: usize) {
        match &mut self.all[node] {
            Node::File { unsynced, .. } => {
                for change in unsynced {
                    change.is_dropped = true;
                }
            }
            Node::Directory { .. } => {
                let here = self.unsynced_names.iter_mut();
                for change in here.filter(|change| change.directory == node) {
                    change.is_dropped = true;
                }
            }
        }
    }

    /// As the next process finds them. Bytes that a failed sync dropped stay what they are: seen, and not on disk. Names are in
    /// a journal, which is written at last or ends the file system: the next sync of the directory tells.
    pub(super) fn left_by_process(&self) -> Self {
        let mut left = self.clone();
        for change in &mut left.unsynced_names {
            change.is_dropped = false;
        }
        left
    }

    /// The names on disk after some of the unsynced changes were made.
    pub(super) fn durable_names(&self, node: usize, made: &[bool]) -> Names {
        let Node::Directory { durable, .. } = &self.all[node] else {
            return Names::new();
        };
        let mut names = durable.clone();
        for (change, _) in self.unsynced_names.iter().zip(made).filter(|(_, made)| **made) {
            if change.directory == node {
                change.apply(&mut names);
            }
        }
        names
    }
}

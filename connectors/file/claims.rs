//! Which of a task's streams reads which file, so that a file that moves to another's name is read by one of them only.

use std::collections::{HashMap, VecDeque};

use crate::identity::{FileKey, Identity, Left};

/// How many finished files are remembered.
const FINISHED: usize = 4_096;

/// Files being read and files that were.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    open: HashMap<FileKey, StreamId>,
    /// What they were when they were left, and how far they were read.
    finished: VecDeque<Left>,
}

/// A stream of this task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StreamId(pub(crate) u64);

impl Claims {
    /// This stream reads the file from now on.
    pub(crate) fn open(&mut self, key: FileKey, stream: StreamId) {
        self.open.insert(key, stream);
    }

    /// The stream has closed the file and may come back to it.
    pub(crate) fn close(&mut self, key: FileKey, stream: StreamId) {
        if self.open.get(&key) == Some(&stream) {
            self.open.remove(&key);
        }
    }

    /// The stream has read the file to this position, its end.
    pub(crate) fn finish(&mut self, identity: Identity, position: u64, stream: StreamId) {
        self.close(identity.key, stream);
        self.finished.push_back(Left { identity, position });
        if self.finished.len() > FINISHED {
            self.finished.pop_front();
        }
    }

    /// Whether another stream than this one reads the file.
    pub(crate) fn is_others(&self, key: FileKey, stream: Option<StreamId>) -> bool {
        self.open.get(&key).is_some_and(|reader| Some(*reader) != stream)
    }

    /// How far the file was read when it was last left, by whatever stream. `head` gives its first bytes.
    pub(crate) fn finished(&self, key: FileKey, head: impl FnOnce() -> Vec<u8>) -> Option<Left> {
        let mut known = self
            .finished
            .iter()
            .rev()
            .filter(|left| left.identity.key == key)
            .peekable();
        known.peek()?;
        // The number of a deleted file may have been given to a new one.
        let head = head();
        known
            .find(|left| left.identity.fingerprint.matches(&head))
            .copied()
    }
}

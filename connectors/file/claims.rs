//! Which of a task's streams reads which file, so that a file that moves to another's name is read by one of them only.

use std::collections::{HashMap, VecDeque};

use crate::identity::{FileKey, Fingerprint};

/// How many finished files are remembered.
const FINISHED: usize = 4_096;

/// Files being read and files that were.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    open: HashMap<FileKey, StreamId>,
    finished: VecDeque<(FileKey, Fingerprint, StreamId)>,
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

    /// The stream will not come back to the file.
    pub(crate) fn finish(&mut self, key: FileKey, fingerprint: Fingerprint, stream: StreamId) {
        self.close(key, stream);
        self.finished.push_back((key, fingerprint, stream));
        if self.finished.len() > FINISHED {
            self.finished.pop_front();
        }
    }

    /// Whether another stream than this one reads the file, or has read it. `head` gives its first bytes.
    pub(crate) fn is_others(
        &self,
        key: FileKey,
        stream: Option<StreamId>,
        head: impl FnOnce() -> Vec<u8>,
    ) -> bool {
        if let Some(reader) = self.open.get(&key) {
            return Some(*reader) != stream;
        }
        let mut finished = self
            .finished
            .iter()
            .filter(|(known, _, reader)| *known == key && Some(*reader) != stream)
            .peekable();
        if finished.peek().is_none() {
            return false;
        }
        // The number of a deleted file may have been given to a new one.
        let head = head();
        finished.any(|(_, fingerprint, _)| fingerprint.matches(&head))
    }
}

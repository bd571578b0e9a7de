//! Where a stream begins: at the stored position of the file that was stored, wherever that lies now.

use std::{
    io::{ErrorKind, Read, Seek, SeekFrom},
    path::Path,
};

use jackfield_api::{ConnectError, LogLevel, SourceContext};

use crate::{
    failure::Failure,
    identity::{Identity, Seen, Stored, look},
    locate::{Located, locate},
    reader::{OpenFile, is_gzip, read_head},
    siblings::{Entry, EntryKind, Name, directory_of},
    source_config::PastEnd,
};

/// How far back from its end the last line of a file is looked for.
const LAST_LINE_BYTES: u64 = 64 << 10;

/// What is known when a stream begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Begin {
    /// Nothing is stored.
    New {
        /// At the end, which was here when the file was found.
        at_end: Option<u64>,
        /// Rotated files come before the named one.
        with_rotated: bool,
    },
    /// Behind this position.
    At(Stored),
    /// With what was written after this time: the file before was read to its end and deleted.
    After { modified_ns: u64 },
}

/// What a beginning needs to know.
pub(crate) struct Search<'a> {
    pub(crate) name: &'a Name,
    /// What to do with a position past the end.
    pub(crate) past_end: PastEnd,
    pub(crate) context: &'a SourceContext,
    /// Those of the entries that nobody reads or has read.
    pub(crate) unread: &'a dyn Fn(Vec<Entry>) -> std::io::Result<Vec<Entry>>,
}

/// The error of a file that cannot be opened.
pub(crate) fn cannot_open(path: &Path, cause: &std::io::Error) -> Failure {
    let path = path.display();
    let message = format!("cannot open {path}: {cause}{}", crate::grant_hint());
    Failure::File(ConnectError::fatal(message))
}

/// Looks at a name; `None` = there is no such file.
pub(crate) fn look_at_name(path: &Path) -> Result<Option<Seen>, Failure> {
    match look(path) {
        // Looked at before it is opened: opening a named pipe would wait for its writer.
        Ok(seen) if !seen.is_file => Err(Failure::File(ConnectError::config(format!(
            "{} is not a regular file",
            path.display()
        )))),
        Ok(seen) => Ok(Some(seen)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            // A component cannot tell a directory that is missing from one that was not granted, and the latter never
            // appears.
            if cfg!(target_family = "wasm") && !directory_of(path).is_dir() {
                return Err(ConnectError::config(format!(
                    "the directory of {} is not there{}",
                    path.display(),
                    crate::grant_hint()
                ))
                .into());
            }
            Ok(None)
        }
        Err(cause) => Err(cannot_open(path, &cause)),
    }
}

impl Search<'_> {
    /// Opens the file to begin with; `None` = there is none yet.
    pub(crate) fn begin(&self, begin: Begin, named: Option<Seen>) -> Result<Option<OpenFile>, Failure> {
        match (begin, named) {
            (
                Begin::New {
                    with_rotated: true, ..
                },
                _,
            ) => self.oldest(|_| true),
            (Begin::After { modified_ns }, _) => {
                self.oldest(|entry| entry.kind == EntryKind::Named || entry.seen.modified_ns > modified_ns)
            }
            (Begin::New { .. } | Begin::At(Stored { identity: None, .. }), None) => Ok(None),
            (Begin::New { at_end: None, .. }, Some(_)) => open(&self.name.path, 0),
            (
                Begin::New {
                    at_end: Some(size), ..
                },
                Some(named),
            ) => self.at_end(size.min(named.size)),
            (
                Begin::At(Stored {
                    position,
                    identity: None,
                }),
                Some(named),
            ) => {
                if !is_gzip(&self.name.path) && named.size < position {
                    return self.past_end(position, named.size);
                }
                open(&self.name.path, position)
            }
            (
                Begin::At(Stored {
                    position,
                    identity: Some(identity),
                }),
                named,
            ) => self.stored_file(position, &identity, named),
        }
    }

    fn stored_file(
        &self,
        position: u64,
        identity: &Identity,
        named: Option<Seen>,
    ) -> Result<Option<OpenFile>, Failure> {
        if let Some(file) = self.still_named(position, identity, named)? {
            return Ok(Some(file));
        }
        let entries = self.list()?;
        let directory = directory_of(&self.name.path);
        let located = locate(&entries, identity, position).map_err(|cause| cannot_open(directory, &cause))?;
        let name = self.name.path.display();
        let why = match located {
            Located::At(entry) => return entry.open(position),
            Located::Shorter(seen) if named.is_some_and(|named| named.key == seen.key) => {
                return self.past_end(position, seen.size);
            }
            Located::Shorter(_) | Located::Gone => "neither it nor a copy is in its directory".to_owned(),
            Located::Ambiguous(paths) => {
                let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
                format!("several files begin like it: {}", paths.join(", "))
            }
        };
        let since = identity.modified_ms;
        let opened = self
            .oldest(|entry| entry.kind == EntryKind::Named || entry.seen.modified_ns / 1_000_000 >= since)?;
        if let Some(file) = &opened {
            let path = file.path.display();
            self.warn(&format!(
                "the file of {name} that was read to byte {position} was replaced or truncated and is not found again \
                 ({why}): reading on from the beginning of {path}"
            ));
        }
        Ok(opened)
    }

    /// The stored file, when it still has the name: no directory is listed for that, of which there may be thousands.
    fn still_named(
        &self,
        position: u64,
        identity: &Identity,
        named: Option<Seen>,
    ) -> Result<Option<OpenFile>, Failure> {
        let path = &self.name.path;
        let is_it = named.is_some_and(|named| {
            named.key == identity.key
                && (is_gzip(path) || named.size >= position)
                && read_head(path).is_ok_and(|head| identity.fingerprint.matches(&head))
        });
        if !is_it {
            return Ok(None);
        }
        Ok(open(path, position)?.filter(|file| file.key == identity.key))
    }

    /// The oldest of the files that rotation made of the name and of the named one.
    fn oldest(&self, wanted: impl Fn(&Entry) -> bool) -> Result<Option<OpenFile>, Failure> {
        let mut entries = self.list()?;
        entries.retain(wanted);
        let directory = directory_of(&self.name.path);
        let mut unread = (self.unread)(entries).map_err(|cause| cannot_open(directory, &cause))?;
        // Whatever the times say, the named file is the youngest.
        unread.sort_by_key(|entry| entry.kind == EntryKind::Named);
        match unread.first() {
            Some(entry) => entry.open(entry.from),
            None => Ok(None),
        }
    }

    fn list(&self) -> Result<Vec<Entry>, Failure> {
        let directory = directory_of(&self.name.path);
        self.name.list().map_err(|cause| cannot_open(directory, &cause))
    }

    fn past_end(&self, position: u64, size: u64) -> Result<Option<OpenFile>, Failure> {
        let what = format!(
            "the stored position {position} is beyond the end of {} ({size} bytes), and no rotated file explains it",
            self.name.path.display()
        );
        match self.past_end {
            PastEnd::Fail => Err(ConnectError::fatal(format!(
                "{what}: set file.position.past.end to beginning or end, or alter or delete the connector's offsets"
            ))
            .into()),
            PastEnd::Beginning => {
                self.warn(&format!("{what}: reading it from its beginning"));
                open(&self.name.path, 0)
            }
            PastEnd::End => {
                self.warn(&format!("{what}: reading it from its end"));
                self.at_end(size)
            }
        }
    }

    /// Behind the last whole line.
    fn at_end(&self, size: u64) -> Result<Option<OpenFile>, Failure> {
        let path = &self.name.path;
        if is_gzip(path) {
            // Nothing is appended to a compressed file: all of its content is passed over.
            let content = std::fs::File::open(path).and_then(|file| {
                let mut content = flate2::read::MultiGzDecoder::new(std::io::BufReader::new(file));
                std::io::copy(&mut content, &mut std::io::sink())
            });
            let end = content.map_err(|cause| cannot_open(path, &cause))?;
            return open(path, end);
        }
        let from = size.saturating_sub(LAST_LINE_BYTES);
        let mut last = Vec::new();
        let read = std::fs::File::open(path).and_then(|mut file| {
            file.seek(SeekFrom::Start(from))?;
            file.take(size - from).read_to_end(&mut last)
        });
        read.map_err(|cause| cannot_open(path, &cause))?;
        let end = match memchr::memrchr2(b'\n', b'\r', &last) {
            Some(at) => from + at as u64 + 1,
            None if from == 0 => 0,
            None => size,
        };
        open(path, end)
    }

    fn warn(&self, message: &str) {
        self.context.log(LogLevel::Warn, message);
    }
}

impl Entry {
    /// Opens the file; `None` = another one lies there by now.
    pub(crate) fn open(&self, position: u64) -> Result<Option<OpenFile>, Failure> {
        Ok(open(&self.path, position)?.filter(|file| file.key == self.seen.key))
    }
}

fn open(path: &Path, position: u64) -> Result<Option<OpenFile>, Failure> {
    OpenFile::open(path, position).map_err(|cause| cannot_open(path, &cause))
}

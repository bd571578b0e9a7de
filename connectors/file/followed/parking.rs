//! Files that are closed while nothing happens to them, so that few are open at once. A parked file stays this stream's.

use std::time::Instant;

use super::{At, Followed};
use crate::{
    claims::Claims,
    identity::{FileKey, Seen, Stored, look},
    reader::OpenFile,
    resume::Begin,
};

/// A file that is closed until something happens to it.
#[derive(Debug)]
pub(super) struct Parked {
    /// What the name meant then.
    named: Seen,
    key: FileKey,
    /// Bytes of a line without terminator.
    pending: u64,
    /// When such a line is to be delivered.
    until: Option<Instant>,
}

impl Followed {
    /// Closes a file that gave nothing more, until its name changes or `until`; false = it has to stay open. What was read
    /// and not delivered comes again.
    pub(crate) fn park(&mut self, at: At, until: Option<Instant>) -> bool {
        let Some(current) = self
            .current
            .as_ref()
            .filter(|file| self.next.is_empty() && !file.cut)
        else {
            return false;
        };
        let Ok(named) = look(&self.name.path) else {
            return false;
        };
        // As it was when it gave nothing more.
        let is_same = named.key == current.key && named.modified_ns == current.modified_ns;
        let is_read = if current.is_plain() {
            named.size == at.known
        } else {
            !current.is_skipping()
        };
        if !is_same || !is_read {
            return false;
        }
        self.parked = Some(Parked {
            named,
            key: current.key,
            pending: at.known - at.position,
            until,
        });
        self.begin = begin_again(current, at.position);
        self.current = None;
        true
    }

    /// Closes the file, which cannot be read, for a while or until its name means something else.
    pub(crate) fn fail(&mut self, at: At, until: Instant, claims: &mut Claims) {
        // They are found again when it is their turn.
        for file in self.next.drain(..) {
            claims.close(file.key, self.id);
        }
        let Some(current) = self.current.take() else {
            return;
        };
        self.begin = begin_again(&current, at.position);
        match look(&self.name.path) {
            Ok(named) => {
                self.parked = Some(Parked {
                    named,
                    key: current.key,
                    // What is left of a compressed file that cannot be read on is not known.
                    pending: if current.is_plain() {
                        current.left(at.position)
                    } else {
                        named.size
                    },
                    until: Some(until),
                });
            }
            Err(_) => claims.close(current.key, self.id),
        }
    }

    /// Whether the file is parked and nothing has happened to it.
    pub(super) fn stays_parked(&self, now: Instant) -> bool {
        self.parked.as_ref().is_some_and(|parked| {
            parked.until.is_none_or(|until| now < until)
                && look(&self.name.path).is_ok_and(|now| now == parked.named)
        })
    }

    /// The file is open again, or, if it is not, gone: then who finds it elsewhere reads it on. True = it was parked.
    pub(super) fn unpark(&mut self, is_open: bool, claims: &mut Claims) -> bool {
        let Some(parked) = self.parked.take() else {
            return false;
        };
        claims.close(parked.key, self.id);
        if let (
            false,
            Begin::At(Stored {
                position,
                identity: Some(identity),
            }),
        ) = (is_open, self.begin)
        {
            claims.finish(identity, position, self.id);
        }
        true
    }

    /// Bytes of the file to begin with, and whether it is one that is not finished.
    pub(super) fn lag_unopened(&self) -> (u64, u64) {
        let bytes = match (&self.parked, self.begin) {
            (Some(parked), _) => parked.pending,
            (None, Begin::New { at_end: Some(_), .. }) => 0,
            (None, begin) => {
                let size = look(&self.name.path).map_or(0, |seen| seen.size);
                match begin {
                    Begin::At(stored) => size.saturating_sub(stored.position),
                    _ => size,
                }
            }
        };
        (bytes, u64::from(bytes > 0))
    }

    /// Gives up all claims, when the stream ends.
    pub(crate) fn give_up(&mut self, claims: &mut Claims) {
        self.unpark(false, claims);
        for file in self.current.iter().chain(&self.next) {
            claims.close(file.key, self.id);
        }
    }
}

/// How to begin with the file when it is opened again.
pub(super) fn begin_again(file: &OpenFile, position: u64) -> Begin {
    if file.head.is_empty() {
        // An empty file is known by nothing.
        let modified_ns = file.modified_ns;
        return Begin::After { modified_ns };
    }
    Begin::At(Stored {
        position,
        identity: Some(file.identity()),
    })
}

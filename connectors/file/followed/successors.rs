//! What comes after the file that is being read: younger files, or, when it was cut, its copy and what it has now.

use std::path::Path;

use jackfield_api::LogLevel;

use super::{Around, At, Filled, Followed, MOST_KNOWN, MOST_NEXT, parking::begin_again};
use crate::{
    claims::Claims,
    failure::Failure,
    identity::{FileKey, Fingerprint},
    locate::{Known, copies},
    reader::{OpenFile, is_gzip, read_head},
    resume::{Begin, cannot_open, look_at_name},
    siblings::{Entry, EntryKind, directory_of},
};

impl Followed {
    /// Opens what has come after the youngest file known, before anybody can delete it. Says whether the name
    /// means a file.
    pub(crate) fn look(&mut self, around: &mut Around<'_>) -> Result<bool, Failure> {
        let Some(youngest) = self.next.back().or(self.current.as_ref()) else {
            return Ok(false);
        };
        let Some(named) = look_at_name(&self.name.path)? else {
            return Ok(false);
        };
        if named.key == youngest.key || self.next.len() >= MOST_NEXT {
            return Ok(true);
        }
        let after = self
            .after(around.claims)
            .map_err(|cause| self.cannot_list(&cause))?;
        for entry in after.into_iter().take(MOST_NEXT - self.next.len()) {
            let Some(file) = entry.open(entry.from)? else {
                // Renamed meanwhile: the rest is found by the next look.
                return Ok(true);
            };
            around.claims.open(file.key, self.id);
            if let Some(older) = self.next.back_mut().or(self.current.as_mut()) {
                older.younger_since = older.look().ok().map(|seen| (around.now, seen.modified_ns));
            }
            self.next.push_back(file);
        }
        Ok(true)
    }

    /// Files that are younger than the youngest known, oldest first, the named one last.
    fn after(&self, claims: &Claims) -> std::io::Result<Vec<Entry>> {
        let Some(youngest) = self.next.back().or(self.current.as_ref()) else {
            return Ok(Vec::new());
        };
        let mut entries = self.name.list()?;
        let place = entries
            .iter()
            .find(|entry| entry.seen.key == youngest.key)
            .cloned();
        let modified_ns = youngest.look()?.modified_ns;
        entries.retain(|entry| {
            entry.kind == EntryKind::Named
                || match &place {
                    Some(place) => entry.by_age(place).is_gt() || entry.followed_on(place),
                    None => entry.seen.modified_ns >= modified_ns,
                }
        });
        let mut after = self.unread(entries, claims)?;
        after.sort_by_key(|entry| entry.kind == EntryKind::Named);
        Ok(after)
    }

    /// Those that are this name's, that nobody reads or has read, and that are no copies of such. The named file is read
    /// on when something was appended since it was left under whatever name.
    pub(super) fn unread(&self, mut entries: Vec<Entry>, claims: &Claims) -> std::io::Result<Vec<Entry>> {
        let open = || self.current.iter().chain(&self.next);
        entries.retain(|entry| {
            entry.kind != EntryKind::Other
                && open().all(|file| file.key != entry.seen.key)
                && !claims.is_others(entry.seen.key, Some(self.id))
        });
        let mut known: Vec<_> = self.known.iter().cloned().collect();
        for file in open() {
            known.push(Known {
                head: file.head_now()?,
                bytes: file.look()?.size,
            });
        }
        let mut unread = Vec::new();
        for mut entry in entries {
            let head = || read_head(&entry.path).unwrap_or_default();
            if let Some(left) = claims.finished(entry.seen.key, head) {
                match left.goes_on(&entry.seen, is_gzip(&entry.path)) {
                    Some(from) if entry.kind == EntryKind::Named => entry.from = from,
                    _ => continue,
                }
            }
            let mut is_copy = false;
            for known in &known {
                is_copy |= known.is(&entry)?;
            }
            if !is_copy {
                unread.push(entry);
            }
        }
        Ok(unread)
    }

    /// The file lost what it had: goes on in its copy, or else, when its last line is delivered, from its own beginning.
    pub(super) fn truncated(&mut self, at: At, around: &mut Around<'_>) -> Result<Filled, Failure> {
        let Some(mut old) = self.current.take() else {
            return Ok(Filled::Again(0));
        };
        // Should the directory be unreadable just now.
        self.begin = begin_again(&old, at.position);
        let mut found = Vec::new();
        if !old.head.is_empty() {
            let listed = self.name.list();
            let entries = listed.map_err(|cause| self.cannot_list(&cause))?;
            let like_it = copies(&entries, &old.identity(), at.position);
            let like_it = like_it.map_err(|cause| self.cannot_list(&cause))?;
            found = self
                .unread(like_it.into_iter().cloned().collect(), around.claims)
                .map_err(|cause| self.cannot_list(&cause))?;
        }
        let path = old.path.display();
        let copy = match found.as_slice() {
            [one] => one.open(at.position)?,
            _ => None,
        };
        if let Some(mut copy) = copy {
            let message = format!("{path} was truncated, its copy is {}", copy.path.display());
            self.context.log(LogLevel::Info, &message);
            copy.complete = true;
            let key = copy.key;
            self.now_reading(copy, LogLevel::Info, around);
            self.put_next(old, Some(key), around)?;
            return Ok(Filled::Again(0));
        }
        if at.known > 0 {
            let copies = match found.len() {
                0 => "there is no copy of it".to_owned(),
                several => format!("{several} files may be its copy"),
            };
            self.context.log(
                LogLevel::Warn,
                &format!(
                    "{path} was truncated or overwritten after byte {} was read, and {copies}: what was not read is lost, \
                     going on from its beginning",
                    at.known
                ),
            );
        }
        old.cut = true;
        self.current = Some(old);
        Ok(Filled::Again(0))
    }

    /// Puts a file that was cut before all others, from its beginning. What it had before is in its copies, the first of
    /// which may be known.
    fn put_next(
        &mut self,
        mut old: OpenFile,
        copy: Option<FileKey>,
        around: &mut Around<'_>,
    ) -> Result<(), Failure> {
        let known_ns = old.modified_ns;
        old.rewind().map_err(|cause| cannot_open(&old.path, &cause))?;
        self.next.push_front(old);
        self.put_between(copy, known_ns, around)
    }

    /// Reads the current file from its beginning, after copies of it that were made since it was seen empty.
    pub(super) fn first_bytes(&mut self, around: &mut Around<'_>) -> Result<(), Failure> {
        if let Some(old) = self.current.take() {
            self.put_next(old, None, around)?;
            self.read_next(LogLevel::Debug, around);
        }
        Ok(())
    }

    fn read_next(&mut self, level: LogLevel, around: &mut Around<'_>) {
        if let Some(next) = self.next.pop_front() {
            self.now_reading(next, level, around);
        }
    }

    /// Puts before the next file what is younger than this one, or than this time, and older than the next: files that
    /// rotation moved there, and copies of the next one when it was cut before its turn came.
    fn put_between(
        &mut self,
        after: Option<FileKey>,
        after_ns: u64,
        around: &mut Around<'_>,
    ) -> Result<(), Failure> {
        let Some(next) = self.next.front() else {
            return Ok(());
        };
        let listed = self.name.list();
        let mut entries = listed.map_err(|cause| self.cannot_list(&cause))?;
        let place = |key| entries.iter().find(|entry| Some(entry.seen.key) == key).cloned();
        let (after, until) = (place(after), place(Some(next.key)));
        let seen = next.look().map_err(|cause| cannot_open(&next.path, &cause))?;
        let head = match &until {
            Some(entry) => read_head(&entry.path).unwrap_or_default(),
            None => next.head_now().unwrap_or_default(),
        };
        entries.retain(|entry| {
            let since = match &after {
                Some(after) => entry.by_age(after).is_gt(),
                None => entry.seen.modified_ns > after_ns,
            };
            let until = match &until {
                Some(until) => entry.by_age(until).is_lt(),
                None => entry.seen.modified_ns < seen.modified_ns,
            };
            entry.kind == EntryKind::Sibling && since && until
        });
        let between = self.unread(entries, around.claims);
        for entry in between.map_err(|cause| self.cannot_list(&cause))?.iter().rev() {
            // A copy of a file that still has all of it is just being made.
            let is_being_made = entry.seen.size <= seen.size
                && read_head(&entry.path).is_ok_and(|copy| Fingerprint::of(&head).matches(&copy));
            if !is_being_made && let Some(file) = entry.open(0)? {
                around.claims.open(file.key, self.id);
                self.next.push_front(file);
            }
        }
        Ok(())
    }

    /// Goes on with the next file, or with what the same one has now that it was cut. The current one was delivered up to
    /// `position`.
    pub(crate) fn leave(&mut self, position: u64, around: &mut Around<'_>) -> Result<(), Failure> {
        let Some(old) = self.current.take() else {
            return Ok(());
        };
        if old.is_torn() {
            let path = old.path.display();
            let message = format!("{path} ends in the middle of its compressed data: what there is was read");
            self.context.log(LogLevel::Warn, &message);
        }
        if old.cut {
            self.put_next(old, None, around)?;
        } else {
            let (key, modified_ns) = (old.key, old.modified_ns);
            around.claims.finish(old.identity(), position, self.id);
            self.begin = Begin::After { modified_ns };
            self.known.push_back(Known {
                head: old.head,
                bytes: position,
            });
            if self.known.len() > MOST_KNOWN {
                self.known.pop_front();
            }
            self.put_between(Some(key), modified_ns, around)?;
        }
        self.read_next(LogLevel::Info, around);
        Ok(())
    }

    fn cannot_list(&self, cause: &std::io::Error) -> Failure {
        let directory: &Path = directory_of(&self.name.path);
        cannot_open(directory, cause)
    }
}

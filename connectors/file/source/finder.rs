//! Which files the source follows when patterns tell: looks through directories and begins a stream for each new name.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jackfield_api::{ConnectError, LogLevel};

use super::{FileStreamSource, partition, stored};
use crate::{
    claims::StreamId,
    followed::LOOK_AGAIN_MS,
    identity::{Stored, look},
    names::{Found, Patterns},
    reader::{is_gzip, read_head},
    resume::Begin,
    siblings::directory_of,
};

/// How often directories are looked through while there is much to read.
const BUSY_SCAN: Duration = Duration::from_millis(200);
/// How often directories are looked through although nothing seems to have changed.
const WATCHED_SCAN_MS: u64 = 10_000;

/// What is known of the names that match.
#[derive(Debug)]
pub(super) struct Finder {
    pub(super) patterns: Patterns,
    /// Directories, and whether the host watches them.
    pub(super) watched: BTreeMap<PathBuf, bool>,
    /// There are some, and all are.
    pub(super) is_watched: bool,
    /// Names that are followed, or were until they were gone.
    pub(super) followed: HashMap<PathBuf, Option<StreamId>>,
    pub(super) next_id: u64,
    pub(super) last_scan: Option<Instant>,
    /// The last poll found nothing to do, so that something has happened since.
    pub(super) was_idle: bool,
    /// Files that were last written before this (in ms) were there when the connector first started.
    pub(super) first_start_ms: Option<u64>,
}

impl FileStreamSource {
    /// Names that are followed, or remembered.
    #[cfg(test)]
    pub(crate) fn followed_names(&self) -> usize {
        self.finder.as_ref().map_or(0, |finder| finder.followed.len())
    }

    /// Looks for new files, if it is time; gives when to do so again.
    pub(super) fn find(&mut self, now: Instant) -> Result<Option<u64>, ConnectError> {
        let Some(mut finder) = self.finder.take() else {
            return Ok(None);
        };
        let found = self.find_with(&mut finder, now);
        let again_ms = if finder.is_watched {
            WATCHED_SCAN_MS
        } else {
            LOOK_AGAIN_MS
        };
        self.finder = Some(finder);
        found.map(|()| Some(again_ms))
    }

    fn find_with(&mut self, finder: &mut Finder, now: Instant) -> Result<(), ConnectError> {
        let busy = |last| !finder.was_idle && now.saturating_duration_since(last) < BUSY_SCAN;
        if finder.last_scan.is_some_and(busy) {
            return Ok(());
        }
        let is_first = finder.last_scan.is_none();
        let failed = |cause| ConnectError::fatal(format!("cannot look for files of glob: {cause}"));
        let mut found = finder.patterns.scan().map_err(failed)?;
        let is_new = self.watch(finder, &found);
        if is_new {
            // What came between the look and the watch.
            found = finder.patterns.scan().map_err(failed)?;
        }
        if is_first && found.matching.is_empty() {
            self.warn_of_nothing(&found);
        }
        finder.last_scan = Some(now);
        let known = |path: &Path| {
            finder.followed.contains_key(path)
                || path
                    .to_str()
                    .is_some_and(|path| self.context.stored_offset(&partition(path)).is_some())
        };
        let streams = finder.patterns.streams(&found, known);
        // Of what is gone only names with rotated files are remembered.
        finder
            .followed
            .retain(|path, stream| stream.is_some() || streams.contains(path));
        let mut new = Vec::new();
        for path in streams {
            let begin = match (path.to_str(), finder.followed.get(&path)) {
                (None, _) | (_, Some(Some(_))) => continue,
                // It comes back after it was gone.
                (Some(_), Some(None)) => None,
                (Some(text), None) => stored(&self.context, &partition(text))?,
            };
            new.push((path, begin));
        }
        if is_first {
            let stored = new.iter().filter_map(|(_, stored)| stored.as_ref()?.identity);
            finder.first_start_ms = stored.map(|identity| identity.modified_ms).max();
        }
        for (path, stored) in new {
            let begin = match stored {
                Some(stored) => Begin::At(stored),
                None => match self.begin_new(finder, &found, &path, is_first) {
                    Some(begin) => begin,
                    None => continue,
                },
            };
            let id = StreamId(finder.next_id);
            finder.next_id += 1;
            let text = path.to_str().unwrap_or_default();
            // The watch of a directory tells of its files, but not of what links in it lead to.
            let watched = finder.watched.get(directory_of(&path)) == Some(&true)
                && path.symlink_metadata().is_ok_and(|found| !found.is_symlink());
            self.follow(id, text, begin, watched);
            finder.followed.insert(path, Some(id));
        }
        Ok(())
    }

    /// Lets the host watch the directories; true = some are new.
    fn watch(&self, finder: &mut Finder, found: &Found) -> bool {
        let mut is_new = false;
        finder
            .watched
            .retain(|directory, _| found.directories.contains(directory));
        for directory in &found.directories {
            let known = finder.watched.get(directory);
            is_new |= known.is_none();
            if known != Some(&true) {
                let watch = |path| self.context.watch_path(path);
                let watched = directory.to_str().is_some_and(watch);
                finder.watched.insert(directory.clone(), watched);
            }
        }
        // What is not there cannot be watched.
        finder.is_watched = !finder.watched.is_empty() && finder.watched.values().all(|watched| *watched);
        is_new
    }

    fn warn_of_nothing(&self, found: &Found) {
        let what = match found.directories.first() {
            None => "no directory of glob is there".to_owned(),
            Some(directory) => format!("no file matches glob (looked into {})", directory.display()),
        };
        let message = format!("{what}, waiting for one{}", crate::grant_hint());
        self.context.log(LogLevel::Warn, &message);
    }

    /// Where to begin a file of which nothing is stored; `None` = not to.
    fn begin_new(&self, finder: &Finder, found: &Found, path: &Path, is_first: bool) -> Option<Begin> {
        let seen = look(path).ok()?;
        if self.claims.is_others(seen.key, None) {
            // Another name's file, which has moved here.
            return None;
        }
        let head = || read_head(path).unwrap_or_default();
        if let Some(left) = self.claims.finished(seen.key, head) {
            // It was read under this name or another. It is followed again when there is more in it.
            let position = left.goes_on(&seen, is_gzip(path))?;
            let identity = Some(left.identity);
            return Some(Begin::At(Stored { position, identity }));
        }
        let modified_ms = seen.modified_ns / 1_000_000;
        let was_there = finder.first_start_ms.is_none_or(|first| modified_ms <= first);
        let at_end = (is_first && self.config.follow.start_at_end && was_there).then_some(seen.size);
        let is_back = finder.followed.contains_key(path);
        Some(Begin::New {
            at_end,
            with_rotated: at_end.is_none() && !is_back && finder.patterns.match_rotated(found, path),
        })
    }
}

//! Rotated siblings: which files of a directory continue another's name, and how old they are to each other.

use std::{
    cmp::{Ordering, Reverse},
    collections::HashSet,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use globset::GlobSet;

use crate::{
    identity::{FileKey, Fingerprint, Seen, look},
    listing,
    reader::{is_gzip, read_head},
};

/// What rotation appends besides numbers and dates.
const WORDS: [&str; 3] = ["gz", "old", "bak"];
/// How often a directory is read while it changes.
const MOST_LISTINGS: usize = 10;
const SEPARATORS: [char; 3] = ['.', '-', '_'];

/// A name that is followed, and what its rotated files are called.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) path: PathBuf,
    /// `file.rotated.glob`, for names that do not begin with the file's.
    pub(crate) rotated: Option<GlobSet>,
}

/// A file in the directory of a name.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) seen: Seen,
    pub(crate) kind: EntryKind,
    /// Where to read it from: behind what was read of it before.
    pub(crate) from: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Named,
    Sibling,
    Other,
}

impl Name {
    /// All files in the directory, and in that which a link with the name leads to, oldest first, each once whatever its
    /// names. A compressed file whose original is still there is left out, because it is just being made; the named file
    /// never is.
    pub(crate) fn list(&self) -> std::io::Result<Vec<Entry>> {
        let mut entries = self.read_directory()?;
        let mut unfinished = HashSet::new();
        // What is renamed while a directory is read may be missed, so it is read until nothing changes. An original that
        // is there before and after its compressed file was looked at was there meanwhile; when it is there neither time,
        // the second look found the whole of what was made of it.
        for _ in 0..MOST_LISTINGS {
            unfinished = unfinished_copies(&entries);
            let again = self.read_directory()?;
            let same = names(&entries) == names(&again);
            entries = again;
            if same {
                break;
            }
        }
        entries.retain(|entry| !unfinished.contains(&entry.path));
        let mut keys = HashSet::new();
        entries.sort_by_key(|entry| entry.kind != EntryKind::Named);
        entries.retain(|entry| keys.insert(entry.seen.key));
        entries.sort_by(Entry::by_age);
        Ok(entries)
    }

    fn read_directory(&self) -> std::io::Result<Vec<Entry>> {
        let mut entries = self.entries_beside()?;
        if let Some(target) = self.link_target() {
            // Rotation happens there.
            let name = Self {
                path: target,
                rotated: self.rotated.clone(),
            };
            entries.extend(name.entries_beside()?);
        }
        Ok(entries)
    }

    /// What the name leads to, when that is in another directory.
    fn link_target(&self) -> Option<PathBuf> {
        let is_link = self.path.symlink_metadata().is_ok_and(|found| found.is_symlink());
        let target = is_link.then(|| self.path.canonicalize().ok()).flatten()?;
        let directory = directory_of(&self.path).canonicalize().ok()?;
        (target.parent() != Some(&directory)).then_some(target)
    }

    fn entries_beside(&self) -> std::io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let found = match listing::entries(directory_of(&self.path)) {
            Ok(found) => found,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(entries),
            Err(cause) => return Err(cause),
        };
        for entry in found {
            let name = entry.file_name();
            let path = self.path.with_file_name(&name);
            let seen = match look(&path) {
                Ok(seen) if seen.is_file => seen,
                // Gone meanwhile, or nothing to be read.
                _ => continue,
            };
            let kind = if path == self.path {
                EntryKind::Named
            } else if self.has_sibling(&path) {
                EntryKind::Sibling
            } else {
                EntryKind::Other
            };
            entries.push(Entry {
                path,
                seen,
                kind,
                from: 0,
            });
        }
        Ok(entries)
    }

    /// Whether rotation may have moved this name's file there.
    pub(crate) fn has_sibling(&self, path: &Path) -> bool {
        if self
            .rotated
            .as_ref()
            .is_some_and(|rotated| is_rotated(rotated, path))
        {
            return path != self.path;
        }
        let name = file_name(&self.path);
        originals(file_name(path)).iter().any(|original| original == name)
    }
}

/// Compressed files whose originals are still there, but for the named one.
fn unfinished_copies(entries: &[Entry]) -> HashSet<PathBuf> {
    let paths: HashSet<_> = entries.iter().map(|entry| entry.path.as_path()).collect();
    let compressed = entries
        .iter()
        .filter(|entry| entry.kind != EntryKind::Named && is_gzip(&entry.path));
    compressed
        .filter(|entry| {
            let original = entry.path.with_extension("");
            paths.contains(original.as_path()) && is_copy(&entry.path, &original)
        })
        .map(|entry| entry.path.clone())
        .collect()
}

/// Whether the compressed file has, so far, the content of the original.
fn is_copy(compressed: &Path, original: &Path) -> bool {
    let heads = read_head(compressed).and_then(|copy| Ok((copy, read_head(original)?)));
    heads.is_ok_and(|(copy, head)| copy.is_empty() || Fingerprint::of(&copy).matches(&head))
}

fn names(entries: &[Entry]) -> HashSet<(&Path, FileKey)> {
    entries
        .iter()
        .map(|entry| (entry.path.as_path(), entry.seen.key))
        .collect()
}

/// Whether `file.rotated.glob` means this file: its patterns are about file names, or, with a slash, about paths.
pub(crate) fn is_rotated(rotated: &GlobSet, path: &Path) -> bool {
    rotated.is_match(path) || rotated.is_match(file_name(path))
}

impl Entry {
    /// Older files come first: by the time of their last write, then by the number or date in their name.
    pub(crate) fn by_age(&self, other: &Self) -> Ordering {
        self.age().cmp(&other.age())
    }

    /// Whether the file came after the other one although that was written later, as by a process that kept it open.
    /// Times of creation alone do not tell: a restored or compressed file is newer than its content.
    pub(crate) fn followed_on(&self, other: &Self) -> bool {
        let number = |entry: &Self| rotation_number(file_name(&entry.path));
        let created = self.seen.key.created_ns.zip(other.seen.key.created_ns);
        !is_gzip(&self.path)
            && number(self) < number(other)
            && created.is_some_and(|(own, other)| own > other)
    }

    fn age(&self) -> (u64, bool, Reverse<u64>, &Path) {
        // What has the name itself is the youngest.
        let named = self.kind == EntryKind::Named;
        let number = Reverse(rotation_number(file_name(&self.path)));
        (self.seen.modified_ns, named, number, &self.path)
    }
}

/// The directory a path lies in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub(crate) fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// The names that rotation may have made this one of, nearest first: `app.log.2.gz` of `app.log.2` and `app.log`,
/// `app-2026-11-21.log` of `app.log`.
pub(crate) fn originals(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = name;
    while let Some(shorter) = without_last_part(rest) {
        rest = shorter;
        found.push(rest.to_owned());
    }
    // A date before the extension.
    let uncompressed = name.strip_suffix(".gz").unwrap_or(name);
    if let Some((stem, extension)) = uncompressed.rsplit_once('.')
        && !is_part(extension)
    {
        let mut stem_rest = stem;
        while let Some(shorter) = without_last_part(stem_rest) {
            stem_rest = shorter;
        }
        if is_date(&stem[stem_rest.len()..]) {
            found.push(format!("{stem_rest}.{extension}"));
        }
    }
    found
}

/// The name without one number, date or word of rotation at its end.
fn without_last_part(name: &str) -> Option<&str> {
    let at = name.rfind(SEPARATORS).filter(|at| *at > 0)?;
    let part = &name[at + 1..];
    (is_part(part) && !name[..at].ends_with(SEPARATORS)).then(|| &name[..at])
}

fn is_part(part: &str) -> bool {
    let number = part.starts_with(|first: char| first.is_ascii_digit())
        && part.chars().all(|character| {
            character.is_ascii_digit() || matches!(character, 'T' | 't' | 'Z' | 'z' | ':' | '+')
        });
    number || WORDS.contains(&part)
}

/// Whether there is a day in it: eight digits or more, with or without separators.
fn is_date(text: &str) -> bool {
    text.chars().filter(char::is_ascii_digit).count() >= 8
}

/// N of `name.N`; 0 = it has none, or a date, whose order is that of the names.
fn rotation_number(name: &str) -> u64 {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let number = name.rsplit(SEPARATORS).next().unwrap_or_default();
    if number.len() > 5 {
        return 0;
    }
    number.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_is_known_by_its_names() {
        for (name, expected) in [
            ("app.log", [].as_slice()),
            ("app.log.1", &["app.log"]),
            ("app.log.2.gz", &["app.log.2", "app.log"]),
            ("app.log-20260101", &["app.log"]),
            (
                "app.log.2026-01-01",
                &["app.log.2026-01", "app.log.2026", "app.log"],
            ),
            ("app.log.20260101T10:11Z", &["app.log"]),
            ("app.log.old", &["app.log"]),
            ("app.log.gz", &["app.log"]),
            ("app-2026-11-21.log", &["app.log"]),
            ("app-2026-11-21-3.log.gz", &["app-2026-11-21-3.log", "app.log"]),
            ("app-1.log", &[]),
            ("app.log.swp", &[]),
            ("app.log.1.bz2", &[]),
            ("app.log.1.zst", &[]),
            ("app.logs", &[]),
            (".1", &[]),
            ("", &[]),
        ] {
            assert_eq!(originals(name), expected, "{name}");
        }
    }

    #[test]
    fn files_with_one_time_are_ordered_by_their_numbers() {
        let directory = tempfile::tempdir().unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_795_000_000);
        for name in [
            "app.log.10",
            "app.log",
            "app.log.2",
            "app.log.2.gz",
            "app.log.1",
            "other",
        ] {
            let file = std::fs::File::create(directory.path().join(name)).unwrap();
            file.set_modified(time).unwrap();
        }
        let name = Name {
            path: directory.path().join("app.log"),
            rotated: None,
        };
        let found = name.list().unwrap();
        let found: Vec<_> = found
            .iter()
            .filter(|entry| entry.kind != EntryKind::Other)
            .map(|entry| file_name(&entry.path))
            .collect();
        assert_eq!(found, ["app.log.10", "app.log.2", "app.log.1", "app.log"]);
    }
}

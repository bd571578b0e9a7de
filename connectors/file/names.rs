//! Which files a task reads when patterns tell: those that match, that are in its share, and that are no rotated file of
//! another of them.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

use globset::GlobSet;

use crate::{
    identity::hash64,
    listing,
    siblings::{directory_of, file_name, is_rotated, originals},
    source_config::{Share, glob_set},
};

/// Patterns, and where to look for what they match.
#[derive(Debug)]
pub(crate) struct Patterns {
    set: GlobSet,
    roots: Vec<Root>,
    rotated: Option<GlobSet>,
    share: Share,
}

/// A directory below which files may match.
#[derive(Debug, PartialEq, Eq)]
struct Root {
    directory: PathBuf,
    /// How many directories deep; `None` = any.
    depth: Option<usize>,
}

/// What is there now.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files that match.
    pub(crate) matching: BTreeSet<PathBuf>,
    /// Directories that were looked into.
    pub(crate) directories: BTreeSet<PathBuf>,
}

impl Patterns {
    pub(crate) fn new(patterns: &[String], rotated: Option<GlobSet>, share: Share) -> Result<Self, String> {
        let patterns: Vec<_> = patterns.iter().map(|pattern| plain(pattern)).collect();
        Ok(Self {
            set: glob_set(&patterns)?,
            roots: patterns.iter().map(|pattern| Root::of(pattern)).collect(),
            rotated,
            share,
        })
    }

    /// Looks for matching files. Directories that are not there or may not be read are passed over.
    pub(crate) fn scan(&self) -> Result<Found, std::io::Error> {
        let mut found = Found::default();
        for root in &self.roots {
            self.descend(&root.directory, root.depth, &mut found)?;
        }
        Ok(found)
    }

    fn descend(
        &self,
        directory: &Path,
        depth: Option<usize>,
        found: &mut Found,
    ) -> Result<(), std::io::Error> {
        let here = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        let entries = match listing::entries(here) {
            Ok(entries) => entries,
            Err(cause) => {
                return match cause.kind() {
                    ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory => Ok(()),
                    _ => Err(cause),
                };
            }
        };
        found.directories.insert(here.to_owned());
        for entry in entries {
            let path = directory.join(entry.file_name());
            let Ok(kind) = entry.file_type() else {
                // Gone meanwhile.
                continue;
            };
            // A link to a directory is not followed: it may lead back here.
            if kind.is_dir() && depth != Some(0) {
                self.descend(&path, depth.map(|depth| depth - 1), found)?;
            } else if self.set.is_match(&path)
                && (kind.is_file()
                    || (kind.is_symlink() && path.metadata().is_ok_and(|target| target.is_file())))
            {
                found.matching.insert(path);
            }
        }
        Ok(())
    }

    /// The names to follow in this share. `is_known` tells of a name that it was or is followed; such a one need not be
    /// there when rotated files of it are.
    pub(crate) fn streams(&self, found: &Found, is_known: impl Fn(&Path) -> bool) -> BTreeSet<PathBuf> {
        let mut streams = BTreeSet::new();
        for path in found.matching.iter().filter(|path| self.share.has(path)) {
            if is_known(path) || !self.is_rotated_file(path, found, &is_known) {
                streams.insert(path.clone());
            } else {
                streams.extend(self.originals(path).filter(|original| is_known(original)));
            }
        }
        streams
    }

    /// Names that match and that rotation may have made this one of.
    fn originals(&self, path: &Path) -> impl Iterator<Item = PathBuf> {
        originals(file_name(path))
            .into_iter()
            .map(|original| path.with_file_name(original))
            .filter(|original| self.set.is_match(original))
    }

    /// Whether rotated files of this name match too.
    pub(crate) fn match_rotated(&self, found: &Found, name: &Path) -> bool {
        found
            .matching
            .iter()
            .filter(|path| path.parent() == name.parent())
            .any(|path| {
                originals(file_name(path))
                    .iter()
                    .any(|original| original == file_name(name))
            })
    }

    /// Whether it is a rotated file of a name that is followed.
    fn is_rotated_file(&self, path: &Path, found: &Found, is_known: impl Fn(&Path) -> bool) -> bool {
        if self
            .rotated
            .as_ref()
            .is_some_and(|rotated| is_rotated(rotated, path))
        {
            return true;
        }
        self.originals(path)
            .any(|original| found.matching.contains(&original) || is_known(&original))
    }
}

/// The pattern as the paths below its root are spelled: without `//` and `/./`.
fn plain(pattern: &str) -> String {
    let path: PathBuf = Path::new(pattern).components().collect();
    path.to_string_lossy().into_owned()
}

impl Share {
    /// Whether the file is in this share. A name and the names of its rotated files always are in the same.
    pub(crate) fn has(self, path: &Path) -> bool {
        let originals = originals(file_name(path));
        let name = originals.last().map_or_else(|| file_name(path), String::as_str);
        let key = directory_of(path).join(name);
        hash64(key.as_os_str().as_encoded_bytes()) % self.of == self.number
    }
}

impl Root {
    /// The longest part of the pattern without special characters.
    fn of(pattern: &str) -> Self {
        let mut directory = PathBuf::new();
        let mut components = Path::new(pattern).components().peekable();
        while let Some(component) = components.peek() {
            let text = component.as_os_str().to_string_lossy();
            let special =
                matches!(component, Component::Normal(_)) && text.contains(['*', '?', '[', '{', '\\']);
            if special {
                break;
            }
            directory.push(component);
            components.next();
        }
        let rest: Vec<_> = components
            .map(|component| component.as_os_str().to_string_lossy())
            .collect();
        if rest.is_empty() {
            directory.pop();
        }
        // A slash in braces makes the depth unknown.
        let any = rest
            .iter()
            .any(|part| part.contains("**") || part.contains('{') && !part.contains('}'));
        Self {
            directory,
            depth: (!any).then(|| rest.len().saturating_sub(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Share = Share { number: 0, of: 1 };

    #[test]
    fn roots_are_as_deep_as_patterns_say() {
        for (pattern, directory, depth) in [
            ("/var/log/app*.log", "/var/log", Some(0)),
            ("/var/log/*/app.log", "/var/log", Some(1)),
            ("logs/**/*.log", "logs", None),
            ("*.log", "", Some(0)),
            ("./x*", ".", Some(0)),
            ("/var/log/app.log", "/var/log", Some(0)),
            ("/var/{log,tmp/log}/a.log", "/var", None),
        ] {
            let expected = Root {
                directory: directory.into(),
                depth,
            };
            assert_eq!(Root::of(pattern), expected, "{pattern}");
        }
    }

    fn found(names: &[&str]) -> Found {
        Found {
            matching: names.iter().map(PathBuf::from).collect(),
            directories: BTreeSet::new(),
        }
    }

    fn streams(patterns: &Patterns, names: &[&str], known: &[&str]) -> Vec<String> {
        let found = found(names);
        let streams = patterns.streams(&found, |path| known.contains(&path.to_str().unwrap()));
        streams
            .iter()
            .map(|path| path.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn rotated_files_are_no_streams_of_their_own() {
        let patterns = Patterns::new(&["d/*".to_owned()], None, ALL).unwrap();
        let rotated = ["d/a.log.1", "d/a.log.2.gz", "d/a-2026-11-21.log"];
        assert_eq!(
            streams(&patterns, &rotated, &["d/a.log"]),
            ["d/a.log"],
            "between rename and create"
        );
        assert_eq!(
            streams(&patterns, &[&rotated[..], &["d/a.log"]].concat(), &[]),
            ["d/a.log"]
        );
        assert_eq!(
            streams(&patterns, &["d/part.1", "d/part.2"], &[]),
            ["d/part.1", "d/part.2"]
        );
        assert_eq!(
            streams(&patterns, &["d/part", "d/part.1", "d/part.2"], &["d/part.1"]),
            ["d/part", "d/part.1"],
            "a name that was followed stays so"
        );
        let only_logs = Patterns::new(&["d/*.log.*".to_owned()], None, ALL).unwrap();
        assert_eq!(
            streams(&only_logs, &["d/a.log.1"], &["d/a.log"]),
            ["d/a.log.1"],
            "d/a.log is nobody's"
        );
        let other = glob_set(&["old/*.log".to_owned(), "*.bak".to_owned()]).unwrap();
        let patterns = Patterns::new(&["**/*".to_owned()], Some(other), ALL).unwrap();
        assert_eq!(
            streams(&patterns, &["a.log", "old/x.log", "x/y.bak"], &[]),
            ["a.log"]
        );
    }

    #[test]
    fn every_file_is_in_one_share_and_with_its_rotated_ones() {
        let mut counts = [0; 4];
        for number in 0..200 {
            let names =
                ["", ".1", ".2.gz", "-20261121"].map(|rotated| format!("/log/f{number}.log{rotated}"));
            let shares = names.each_ref().map(|name| {
                let mut shares = (0..4).filter(|share| {
                    let share = Share {
                        number: *share,
                        of: 4,
                    };
                    share.has(Path::new(name))
                });
                let share = shares.next().unwrap();
                assert_eq!(shares.next(), None);
                share
            });
            assert!(shares.iter().all(|share| *share == shares[0]), "{shares:?}");
            counts[usize::try_from(shares[0]).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
    }

    #[test]
    fn files_are_found_in_directories() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a.log", "b.txt", "x/c.log", "x/y/d.log"] {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(root.path(), root.path().join("x/back")).unwrap();
        let base = root.path().to_str().unwrap();
        for (pattern, expected) in [
            ("*.log", ["a.log"].as_slice()),
            ("*/*.log", &["x/c.log"]),
            ("**/*.log", &["a.log", "x/c.log", "x/y/d.log"]),
            ("{a.log,b.txt}", &["a.log", "b.txt"]),
            ("nothing/*", &[]),
            ("./x//y/./*.log", &["x/y/d.log"]),
            ("/*.log", &["a.log"]),
            ("b.txt", &["b.txt"]),
        ] {
            let patterns = Patterns::new(&[format!("{base}/{pattern}")], None, ALL).unwrap();
            let found = patterns.scan().unwrap();
            let found: Vec<_> = found
                .matching
                .iter()
                .map(|path| path.strip_prefix(root.path()).unwrap().to_str().unwrap())
                .collect();
            assert_eq!(found, expected, "{pattern}");
        }
    }
}

//! What a loss of power leaves of a [`super::Disk`].

use std::collections::HashMap;

use super::nodes::{Change, NameChange, Node, Nodes};

/// Disks write this much at once, or not at all.
const SECTOR_BYTES: usize = 512;

/// How much of what was not synced is there afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// None of it: the strictest reading of what a sync promises.
    Nothing,
    /// All of it: the process died, the machine did not.
    Everything,
    /// Names up to some moment, in the order they were changed, as a file system with a journal keeps them; each sector of a
    /// file as it was at one time since its last sync. The number chooses.
    Journaled(u64),
    /// As [`Cut::Journaled`], but each directory is as it was at a moment of its own. Within a directory no file system
    /// brings a later change to disk without the earlier ones.
    Scattered(u64),
}

/// A sequence of numbers that look random (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mixed = usize::try_from((mixed ^ (mixed >> 31)) >> 16).unwrap_or(0);
        mixed % count.max(1)
    }
}

/// The disk at the next start.
pub(super) fn left_by(nodes: &Nodes, cut: Cut) -> Nodes {
    let changes = nodes.unsynced_names.len();
    let (mut dice, made) = match cut {
        Cut::Nothing => (Dice(0), vec![false; changes]),
        Cut::Everything => (Dice(0), vec![true; changes]),
        Cut::Journaled(seed) => {
            let mut dice = Dice(seed);
            let last = dice.below(changes + 1);
            (dice, (0..changes).map(|number| number < last).collect())
        }
        Cut::Scattered(seed) => {
            let mut dice = Dice(seed);
            let mut left: HashMap<usize, usize> = HashMap::new();
            for change in &nodes.unsynced_names {
                *left.entry(change.directory).or_default() += 1;
            }
            let mut directories: Vec<_> = left.iter_mut().collect();
            directories.sort_unstable();
            for (_, count) in directories {
                *count = dice.below(*count + 1);
            }
            let is_made = |change: &NameChange| {
                let left = left.entry(change.directory).or_default();
                let is_made = *left > 0;
                *left = left.saturating_sub(1);
                is_made
            };
            let made = nodes.unsynced_names.iter().map(is_made).collect();
            (dice, made)
        }
    };
    let left = |(number, node): (usize, &Node)| match node {
        Node::Directory { .. } => Node::directory(nodes.durable_names(number, &made)),
        Node::File {
            seen,
            durable,
            unsynced,
        } => Node::file(match cut {
            Cut::Nothing => durable.clone(),
            Cut::Everything => seen.clone(),
            Cut::Journaled(_) | Cut::Scattered(_) => torn(durable, unsynced, &mut dice),
        }),
    };
    Nodes {
        all: nodes.all.iter().enumerate().map(left).collect(),
        unsynced_names: Vec::new(),
    }
}

/// A file of which each sector, and the length, is that of some time since it was synced. Bytes that were cut off do not come
/// back together with what was written afterwards: their blocks are free, and new ones are filled.
fn torn(durable: &[u8], unsynced: &[Change], dice: &mut Dice) -> Vec<u8> {
    let mut versions = vec![durable.to_vec()];
    let mut cuts = vec![0];
    for change in unsynced {
        let mut next = versions[versions.len() - 1].clone();
        if change.apply(&mut next) {
            cuts.push(versions.len());
        }
        versions.push(next);
    }
    let chosen = dice.below(cuts.len());
    let end = cuts.get(chosen + 1).copied().unwrap_or(versions.len());
    let versions = &versions[cuts[chosen]..end];
    // Most of it as it was last, or next to nothing of it would ever be whole.
    let version = |dice: &mut Dice| {
        let last = versions.len() - 1;
        &versions[if dice.below(2) == 0 {
            last
        } else {
            dice.below(versions.len())
        }]
    };
    let mut content = vec![0; version(dice).len()];
    for (number, sector) in content.chunks_mut(SECTOR_BYTES).enumerate() {
        let known = version(dice).get(number * SECTOR_BYTES..).unwrap_or_default();
        let filled = known.len().min(sector.len());
        sector[..filled].copy_from_slice(&known[..filled]);
    }
    content
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, path::Path};

    use super::*;
    use crate::{Files, disk::Disk, disk::Operation};

    fn seen_after(disk: &Disk, path: &str) -> HashSet<Option<Vec<u8>>> {
        let cuts = (0..200).flat_map(|seed| [Cut::Journaled(seed), Cut::Scattered(seed)]);
        cuts.chain([Cut::Nothing, Cut::Everything])
            .map(|cut| disk.after_power_cut(cut).read(Path::new(path)).ok())
            .collect()
    }

    #[test]
    fn what_was_synced_stays() {
        let disk = Disk::default();
        let file = disk.open(Path::new("/f"), true).unwrap();
        file.write_all_at(&[1; 1_000], 0).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        file.sync_data().unwrap();
        assert_eq!(seen_after(&disk, "/f"), HashSet::from([Some(vec![1; 1_000])]));
        file.set_len(0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(seen_after(&disk, "/f"), HashSet::from([Some(vec![])]));
        disk.rename(Path::new("/f"), Path::new("/g")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        assert_eq!(seen_after(&disk, "/f"), HashSet::from([None]));
    }

    #[test]
    fn what_was_not_synced_may_be_there_in_part() {
        let disk = Disk::default();
        let file = disk.open(Path::new("/f"), true).unwrap();
        file.write_all_at(&[1; 700], 0).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        file.sync_data().unwrap();
        file.write_all_at(&[2; 700], 0).unwrap();
        let seen = seen_after(&disk, "/f");
        let mixed = |first: u8, second: u8| Some([[first; 512].as_slice(), &[second; 188]].concat());
        let all = [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(first, second)| mixed(first, second));
        assert_eq!(seen, HashSet::from(all), "sectors, each old or new");
        file.sync_data().unwrap();
        file.set_len(0).unwrap();
        file.write_all_at(&[3; 600], 0).unwrap();
        for content in seen_after(&disk, "/f").into_iter().flatten() {
            let old = content == [2; 700];
            let new = content.iter().all(|byte| [0, 3].contains(byte));
            assert!(old || new, "what was cut off does not come back: {content:?}");
        }
    }

    #[test]
    fn names_are_there_or_not() {
        let disk = Disk::default();
        let paths = ["/x", "/y", "/x/a", "/y/b", "/x/c"].map(Path::new);
        for directory in &paths[..2] {
            disk.create_dir_all(directory).unwrap();
        }
        disk.sync_dir(Path::new("/")).unwrap();
        for file in &paths[2..] {
            disk.open(file, true).unwrap().sync_data().unwrap();
        }
        let found = |cut| {
            let left = disk.after_power_cut(cut);
            [2, 3, 4].map(|file| left.exists(paths[file]))
        };
        let (no, yes) = (false, true);
        let journaled: HashSet<_> = (0..50).map(|seed| found(Cut::Journaled(seed))).collect();
        let in_order = [[no, no, no], [yes, no, no], [yes, yes, no], [yes, yes, yes]];
        assert_eq!(journaled, HashSet::from(in_order));
        let scattered: HashSet<_> = (0..100).map(|seed| found(Cut::Scattered(seed))).collect();
        let in_order_of_directory = [[no, yes, no], [yes, no, yes]];
        assert_eq!(
            scattered,
            HashSet::from_iter(in_order.into_iter().chain(in_order_of_directory))
        );
    }

    #[test]
    fn a_failed_sync_is_not_made_good_by_the_next() {
        let disk = Disk::default();
        let file = disk.open(Path::new("/f"), true).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        file.write_all_at(&[1; 3], 0).unwrap();
        disk.fail_at(disk.asked().len(), 5);
        assert!(file.sync_data().is_err() && disk.has_failed());
        file.write_all_at(&[2; 3], 3).unwrap();
        file.sync_data().unwrap();
        let left = disk.after_power_cut(Cut::Nothing);
        assert_eq!(left.read(Path::new("/f")).unwrap(), [0, 0, 0, 2, 2, 2]);
        assert_eq!(disk.read(Path::new("/f")).unwrap(), [1, 1, 1, 2, 2, 2]);
    }

    #[test]
    fn a_dead_disk_answers_nothing() {
        let disk = Disk::default();
        let file = disk.open(Path::new("/f"), true).unwrap();
        disk.die_at(1, 2);
        assert!(file.write_all_at(b"abc", 0).is_err());
        assert!(disk.is_dead());
        assert!(disk.read(Path::new("/f")).is_err() && !disk.exists(Path::new("/f")));
        assert!(file.sync_data().is_err() && file.read_at(&mut [0], 0).is_err());
        let left = disk.after_power_cut(Cut::Everything);
        assert_eq!(left.read(Path::new("/f")).unwrap(), b"ab");
        assert_eq!(left.asked()[1].operation, Operation::Write);
    }

    #[test]
    fn a_full_disk_works_again_when_there_is_room() {
        let disk = Disk::default();
        let file = disk.open(Path::new("/f"), true).unwrap();
        disk.fill_at(1, 1);
        let full = file.write_all_at(b"abc", 0).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        assert!(disk.create_dir_all(Path::new("/d")).is_err());
        file.set_len(0).unwrap();
        disk.make_room();
        disk.write_atomic(Path::new("/f"), b"new").unwrap();
        assert_eq!(disk.read(Path::new("/f")).unwrap(), b"new");
    }

    #[test]
    fn a_disk_that_lies_keeps_nothing() {
        let disk = Disk::default();
        disk.ignore_syncs(0, Operation::SyncData, ".tmp");
        disk.write_atomic(Path::new("/f"), b"new").unwrap();
        let left = disk.after_power_cut(Cut::Nothing);
        assert_eq!(left.read(Path::new("/f")).unwrap(), b"");
    }

    /// However a replacement fails, what was there is there, or what replaces it, and no temporary.
    #[test]
    fn a_file_that_cannot_be_replaced_leaves_nothing_beside_it() {
        let path = Path::new("/file");
        let count = {
            let disk = Disk::default();
            disk.write_atomic(path, b"old").unwrap();
            let before = disk.asked().len();
            disk.write_atomic(path, b"new").unwrap();
            disk.asked().len() - before
        };
        for at in 0..count {
            let disk = Disk::default();
            disk.write_atomic(path, b"old").unwrap();
            disk.fail_at(disk.asked().len() + at, 28);
            disk.write_atomic(path, b"new").unwrap_err();
            let names: Vec<_> = disk.read_dir(Path::new("/")).unwrap();
            assert_eq!(names.len(), 1, "operation {at}: {names:?}");
            let content = disk.read(path).unwrap();
            assert!(content == b"old" || (at + 1 == count && content == b"new"));
        }
    }
}

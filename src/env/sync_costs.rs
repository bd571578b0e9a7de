//! Which way to make many files durable is cheaper, learnt from what it cost.
//!
//! One syncfs costs little per file, and waits for everything else that anybody wrote to the file system. One fdatasync per
//! file costs more, and waits for nothing else. Which of them is faster is a matter of the disk and of who shares it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Below this many files one fdatasync each is as fast as one syncfs on an idle file system, and never waits for others.
pub(crate) const SYNCFS_FILES: usize = 64;
/// The way that was slower is tried again once in so many times: rarely enough not to be seen among the slowest in a hundred.
const RETRY_EVERY: u64 = 256;
/// The first time it is tried.
const FIRST_TRY: u64 = 8;
/// A new figure counts one part in so many.
const WEIGHT: u64 = 4;

/// A way to make many files durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// One fdatasync per file, several in flight.
    Each,
    /// One syncfs per file system.
    FileSystem,
}

/// See the file's header.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    /// Nanoseconds per file, averaged; 0: not known.
    each: AtomicU64,
    file_system: AtomicU64,
    rounds: AtomicU64,
}

impl Costs {
    pub(crate) const fn new() -> Self {
        Self {
            each: AtomicU64::new(0),
            file_system: AtomicU64::new(0),
            rounds: AtomicU64::new(0),
        }
    }

    /// How to make so many files durable.
    pub(crate) fn choose(&self, files: usize) -> Way {
        if files < SYNCFS_FILES {
            return Way::Each;
        }
        let (each, file_system) = (self.of(Way::Each), self.of(Way::FileSystem));
        let (faster, slower) = if each != 0 && each < file_system {
            (Way::Each, Way::FileSystem)
        } else {
            (Way::FileSystem, Way::Each)
        };
        let round = self.rounds.fetch_add(1, Ordering::Relaxed);
        if round % RETRY_EVERY == FIRST_TRY {
            slower
        } else {
            faster
        }
    }

    /// Notes what it took.
    pub(crate) fn note(&self, way: Way, files: usize, took: Duration) {
        if files < SYNCFS_FILES {
            return;
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) / files as u64;
        let known = self.of(way);
        let average = match known {
            0 => nanos,
            known => known - known / WEIGHT + nanos / WEIGHT,
        };
        self.cell(way).store(average.max(1), Ordering::Relaxed);
    }

    fn of(&self, way: Way) -> u64 {
        self.cell(way).load(Ordering::Relaxed)
    }

    fn cell(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::Each => &self.each,
            Way::FileSystem => &self.file_system,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of 1,000 files where both ways cost so much; how often the last hundred went each way.
    fn run(costs: &Costs, rounds: usize, each: Duration, file_system: Duration) -> usize {
        (0..rounds)
            .filter(|_| {
                let way = costs.choose(1_000);
                let took = if way == Way::Each { each } else { file_system };
                costs.note(way, 1_000, took);
                way == Way::Each
            })
            .count()
    }

    #[test]
    fn the_faster_way_is_taken_and_the_other_retried() {
        let (slow, fast) = (Duration::from_millis(50), Duration::from_millis(10));
        let costs = Costs::new();
        assert_eq!(run(&costs, 1_024, slow, fast), 4, "one in 256");
        // Somebody writes much to the file system.
        assert!(run(&costs, 1_024, fast, slow) > 1_024 - 256 - 8);
        assert!(run(&costs, 1_024, slow, fast) < 256 + 8);
    }

    #[test]
    fn few_files_are_synced_one_by_one() {
        let costs = Costs::new();
        for files in 0..SYNCFS_FILES {
            assert_eq!(costs.choose(files), Way::Each);
        }
        assert_eq!(costs.choose(SYNCFS_FILES), Way::FileSystem);
    }
}

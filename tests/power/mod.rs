//! Power cuts, in earnest: data on an ext4 file system of its own (an image on a loop device), which at a random moment
//! loses everything that was not synced, as a machine does that loses power. After each cut the file system is mounted
//! again, the program started, and everything it had promised is looked at.
//!
//! Two controls keep the harness honest: a broker that promises the page cache only, and a planted bug that acknowledges
//! before the sync, must both be seen to lose. Where nothing can be mounted the tests fail, unless `POWER_CUT=off` says
//! that power cuts are left out.

mod broker;
mod controls;
mod disk;
mod moments;
mod worker;

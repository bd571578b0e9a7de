//! A disk whose power can be cut: an ext4 image on a loop device. Everything is undone when it is dropped.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::{ioctl, process::Signal};

use crate::harness::{
    process::{self, Process},
    scratch::Scratch,
};

/// Enough for any campaign; blocks that were never written take no room.
const IMAGE_BYTES: u64 = 256 << 20;

/// `EXT4_IOC_SHUTDOWN`: from now on nothing reaches the device and every operation fails.
const SHUTDOWN: ioctl::Opcode = ioctl::opcode::read::<u32>(b'X', 125);
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`: the journal in memory is lost, too.
const WITHOUT_LOG_FLUSH: u32 = 2;

/// How long unmounting may be refused: what a killed process had open is closed a moment after its end.
const UNMOUNT_WITHIN: Duration = Duration::from_secs(20);

/// See the file's header.
#[derive(Debug)]
pub(super) struct Disk {
    /// The loop device; kept over remounts, as a disk keeps its name.
    device: String,
    mount: PathBuf,
    mounted: bool,
}

impl Disk {
    /// A fresh file system, mounted at `data` in the directory: where the program has its data.
    pub(super) fn new(scratch: &Scratch) -> Self {
        let mount = scratch.join("data");
        // In memory where there is such a place: what the device has is kept in any case.
        let folder = Some(Path::new("/dev/shm")).filter(|folder| folder.is_dir());
        let name = scratch.path().file_name().unwrap();
        let image = folder.unwrap_or(scratch.path()).join(name).with_extension("ext4");
        std::fs::create_dir_all(&mount).unwrap();
        File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        let device = run(Command::new("losetup").args(["--find", "--show"]).arg(&image));
        // The device keeps it until it is detached.
        std::fs::remove_file(&image).unwrap();
        let mut disk = Self {
            device: device.trim().to_owned(),
            mount,
            mounted: false,
        };
        disk.mount();
        disk
    }

    fn mount(&mut self) {
        run(Command::new("mount")
            .args(["-t", "ext4", "-o", "noatime", &self.device])
            .arg(&self.mount));
        self.mounted = true;
    }

    /// Cuts the power of the disk and of a process that uses it: what was not synced is gone.
    ///
    /// The process is killed an instant before. Without power it would say nothing more, and what it would hear is not
    /// true: an fdatasync that is under way when ext4 is shut down returns success and has done nothing.
    pub(super) fn cut(&self, process: &mut Process) {
        let root = File::open(&self.mount).unwrap();
        process.signal(Signal::KILL);
        self.shut_down(&root);
        process.kill_9();
    }

    /// The file system alone loses its power.
    fn shut_down(&self, root: &File) {
        shut_down(root).unwrap_or_else(|error| {
            panic!(
                "{}: ext4 cannot be shut down ({error}); {HINT}",
                self.mount.display()
            )
        });
    }

    /// What the machine does when power is back. Nobody may have a file of the disk open.
    pub(super) fn remount(&mut self) {
        self.unmount(&[]).unwrap_or_else(|error| panic!("{error}"));
        self.mount();
    }

    fn unmount(&mut self, options: &[&str]) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let mut command = Command::new("umount");
            let output = process::outside(command.args(options).arg(&self.mount))
                .output()
                .map_err(|error| format!("cannot start umount: {error}"))?;
            if output.status.success() {
                self.mounted = false;
                return Ok(());
            }
            if started.elapsed() > UNMOUNT_WITHIN {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Disk {
    /// When a test fails, what is on the disk is kept beside it for whoever looks into that.
    fn drop(&mut self) {
        if thread::panicking() && self.mounted {
            let kept = self.mount.with_extension("kept");
            process::outside(Command::new("cp").arg("-a").args([&self.mount, &kept]))
                .status()
                .ok();
        }
        if self.mounted {
            let options: &[&str] = if thread::panicking() { &["--lazy"] } else { &[] };
            if let Err(error) = self.unmount(options) {
                println!("{} stays mounted: {error}", self.mount.display());
            }
        }
        let detached = process::outside(Command::new("losetup").args(["--detach", &self.device])).status();
        if !detached.is_ok_and(|status| status.success()) {
            println!("{} stays attached", self.device);
        }
    }
}

const HINT: &str = "power cuts need root, loop devices and ext4; POWER_CUT=off leaves them out";

fn run(command: &mut Command) -> String {
    let output = process::outside(command)
        .output()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}; {HINT}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}: {}; {HINT}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[allow(unsafe_code, reason = "an ioctl that no crate wraps")]
fn shut_down(root: &File) -> rustix::io::Result<()> {
    // SAFETY: the opcode is that of linux/ext4.h and reads one u32, which the setter points it to.
    unsafe { ioctl::ioctl(root, ioctl::Setter::<SHUTDOWN, u32>::new(WITHOUT_LOG_FLUSH)) }
}

/// Whether the environment says that power cuts are left out; the test then ends at once.
#[allow(
    clippy::disallowed_methods,
    reason = "what a machine cannot do is said through the environment, in one place"
)]
pub(super) fn is_off() -> bool {
    let setting = std::env::var("POWER_CUT").unwrap_or_default();
    assert!(
        ["", "on", "off"].contains(&setting.as_str()),
        "POWER_CUT={setting}: on and off are possible"
    );
    if setting == "off" {
        println!("POWER_CUT=off: power cuts are left out");
    }
    setting == "off"
}

/// The harness itself: what is synced is there after a cut, what is not is gone, and nothing stays mounted.
#[test]
fn only_what_was_synced_survives() {
    use std::io::Write;
    if is_off() {
        return;
    }
    let scratch = Scratch::new("power-disk");
    let mut disk = Disk::new(&scratch);
    let path = |name: &str| scratch.join("data").join(name);
    let mut synced = File::create(path("synced")).unwrap();
    synced.write_all(b"kept").unwrap();
    synced.sync_all().unwrap();
    let mut unsynced = File::create(path("unsynced")).unwrap();
    unsynced.write_all(b"lost").unwrap();
    synced.write_all(b" and more").unwrap();
    disk.shut_down(&File::open(&disk.mount).unwrap());
    assert!(
        File::create(path("later")).is_err(),
        "nothing can be done without power"
    );
    assert!(synced.sync_all().is_err(), "a sync without power fails");
    drop((synced, unsynced));
    disk.remount();
    assert_eq!(std::fs::read(path("synced")).unwrap(), b"kept");
    assert!(!path("unsynced").exists() && !path("later").exists());
    let device = disk.device.clone();
    drop(disk);
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(&device), "{device} is mounted");
}

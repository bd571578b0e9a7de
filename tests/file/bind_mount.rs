//! A source whose directory is mounted from elsewhere, where the operating system does not tell what happened below the
//! mount: lines arrive all the same, because the path is looked at, too.
//!
//! The mount is one of `bindfs` (FUSE). Where nothing can be mounted the tests fail, unless `BIND_MOUNT=off` says that they
//! are left out.

use std::{
    fs::{self, File},
    io::Write,
    mem::MaybeUninit,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    fs::inotify::{self, CreateFlags, WatchFlags},
    io::Errno,
};

use super::{in_both_forms, pipeline::Pipeline};
use crate::harness::{process, wait};

const HINT: &str =
    "mounting with bindfs needs root or the group of /dev/fuse; BIND_MOUNT=off leaves these tests out";

/// Whether the environment says that the tests are left out.
#[allow(
    clippy::disallowed_methods,
    reason = "what a machine cannot do is said through the environment, in one place"
)]
fn is_off() -> bool {
    let setting = std::env::var("BIND_MOUNT").unwrap_or_default();
    assert!(
        ["", "on", "off"].contains(&setting.as_str()),
        "BIND_MOUNT={setting}: on and off are possible"
    );
    if setting == "off" {
        println!("BIND_MOUNT=off: mounts without notification are left out");
    }
    setting == "off"
}

/// A directory under two names: `mounted` hears nothing of what is done in `real`.
#[derive(Debug)]
struct BindMount {
    real: PathBuf,
    mounted: PathBuf,
}

impl BindMount {
    fn new(directory: &Path) -> Self {
        let mount = Self {
            real: directory.join("real"),
            mounted: directory.join("mounted"),
        };
        fs::create_dir(&mount.real).unwrap();
        fs::create_dir(&mount.mounted).unwrap();
        let output = process::outside(Command::new("bindfs").arg(&mount.real).arg(&mount.mounted))
            .output()
            .unwrap_or_else(|error| panic!("cannot start bindfs: {error}; {HINT}"));
        assert!(
            output.status.success(),
            "bindfs ended with {}: {}; {HINT}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        mount
    }

    /// Appends below the mount.
    fn append(&self, name: &str, text: &str) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.real.join(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The reason for all this: what comes through the mount is heard of, what happens below it is not.
    fn assert_not_notified(&self) {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let what = WatchFlags::CREATE | WatchFlags::MODIFY;
        inotify::add_watch(&events, &self.mounted, what).unwrap();
        self.append("unheard", "text");
        wait::until("the file to be seen through the mount", || {
            fs::read(self.mounted.join("unheard"))
                .ok()
                .filter(|content| content == b"text")
        });
        let mut space = [MaybeUninit::uninit(); 4_096];
        let mut reader = inotify::Reader::new(&events, &mut space);
        assert!(
            matches!(reader.next(), Err(Errno::AGAIN)),
            "the operating system tells of changes below the mount"
        );
        fs::write(self.mounted.join("heard"), "text").unwrap();
        assert!(
            reader.next().is_ok(),
            "the operating system tells of changes through the mount"
        );
        for name in ["unheard", "heard"] {
            fs::remove_file(self.real.join(name)).unwrap();
        }
    }
}

impl Drop for BindMount {
    fn drop(&mut self) {
        // Lazily: the worker may still have files open.
        let unmounted = process::outside(Command::new("umount").arg("--lazy").arg(&self.mounted)).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            println!("{} stays mounted", self.mounted.display());
        }
    }
}

fn follow(form: &str, name: &str, source: (&str, &str)) {
    if is_off() {
        return;
    }
    let mut pipeline = Pipeline::new(name, form, &[source]);
    let mount = BindMount::new(pipeline.scratch.path());
    mount.assert_not_notified();
    pipeline.start();
    pipeline
        .worker
        .rest
        .wait_for_state("local-file-source", "RUNNING");
    let mut expected = String::new();
    for step in 0..4 {
        let text = format!("line {step}\n");
        mount.append("app.log", &text);
        expected.push_str(&text);
        pipeline.expect_sink(&expected);
    }
    fs::rename(mount.real.join("app.log"), mount.real.join("app.log.1")).unwrap();
    mount.append("app.log", "rotated\n");
    pipeline.expect_sink(&(expected + "rotated\n"));
    pipeline.worker.kill_9();
}

fn a_file_changed_below_its_mount_is_followed(form: &str) {
    follow(form, "mounted-file", ("file", "mounted/app.log"));
}

in_both_forms!(a_file_changed_below_its_mount_is_followed);

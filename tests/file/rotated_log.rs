//! A program that writes a log at a fixed rate and rotates it again and again: its writes end anywhere in a line, and so do
//! the moments at which the file is renamed or deleted. No line spans two files, as in every log.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::numbered::line;
use crate::harness::wait;

/// Bytes per second, unless the machine is slower.
const RATE: u64 = 10_000_000;
/// How long many rotations may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// How many looks must find a file open, some milliseconds apart.
const LOOKS: usize = 40;
/// Bytes of one write; no multiple of anything.
const WRITE: usize = 61_441;

/// What becomes of the file when it is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// It gets another name.
    Rename,
    /// It is deleted, once the worker has it open: what nobody has open is lost by nature.
    Delete,
}

/// A file that was written.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) first_line: u64,
    /// Where it lies, unless it was deleted.
    pub(crate) path: PathBuf,
}

/// The running writer.
#[derive(Debug)]
pub(crate) struct RotatedLog {
    shared: Arc<Shared>,
    writer: JoinHandle<u64>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    rotation: Rotation,
    /// How long a file is written.
    interval: Duration,
    stop: AtomicBool,
    /// The worker's process.
    reader: AtomicU32,
    /// All files, the one that is written last. The lock is held while a file is rotated.
    files: Mutex<Vec<Written>>,
}

impl RotatedLog {
    /// Starts to write at `path`.
    pub(crate) fn start(path: PathBuf, rotation: Rotation, interval: Duration) -> Self {
        let shared = Arc::new(Shared {
            path,
            rotation,
            interval,
            stop: AtomicBool::new(false),
            reader: AtomicU32::new(0),
            files: Mutex::default(),
        });
        let writing = Arc::clone(&shared);
        let writer = thread::spawn(move || writing.write());
        Self { shared, writer }
    }

    /// Says which process reads the file now.
    pub(crate) fn set_reader(&self, process: u32) {
        self.shared.reader.store(process, Ordering::SeqCst);
    }

    /// All files; nothing is rotated while the answer is held.
    pub(crate) fn files(&self) -> MutexGuard<'_, Vec<Written>> {
        self.shared.files.lock().unwrap()
    }

    /// Waits until so many files more were begun.
    pub(crate) fn wait_for_rotations(&self, more: usize) {
        let wanted = self.files().len() + more;
        wait::within(&format!("file {wanted} of the log"), PATIENCE, || {
            assert!(!self.writer.is_finished(), "the writer ended early");
            (self.files().len() >= wanted).then_some(())
        });
    }

    /// Ends at the end of a line and gives the number of lines.
    pub(crate) fn finish(self) -> u64 {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.writer.join().expect("the writer did not fail")
    }
}

impl Shared {
    fn write(&self) -> u64 {
        let started = Instant::now();
        let (mut next, mut bytes) = (0, 0_u64);
        let mut ready = Vec::with_capacity(WRITE + 4_096);
        let mut file = self.create(&mut self.files.lock().unwrap(), next);
        let mut rotate_at = started + self.interval;
        while !self.stop.load(Ordering::SeqCst) {
            while ready.len() < WRITE {
                ready.extend_from_slice(line(next).as_bytes());
                ready.push(b'\n');
                next += 1;
            }
            file.write_all(&ready[..WRITE]).unwrap();
            ready.drain(..WRITE);
            bytes += WRITE as u64;
            if Instant::now() >= rotate_at
                && let Ok(mut files) = self.files.try_lock()
            {
                self.put_away(&mut files);
                file.write_all(&ready).unwrap();
                bytes += ready.len() as u64;
                ready.clear();
                file = self.create(&mut files, next);
                rotate_at = Instant::now() + self.interval;
            }
            let due = Duration::from_micros(bytes * 1_000_000 / RATE);
            thread::sleep(due.saturating_sub(started.elapsed()));
        }
        file.write_all(&ready).unwrap();
        let took = started.elapsed();
        println!(
            "{next} lines, {bytes} bytes in {took:?}, {} files",
            self.files.lock().unwrap().len()
        );
        next
    }

    fn create(&self, files: &mut Vec<Written>, first_line: u64) -> File {
        files.push(Written {
            first_line,
            path: self.path.clone(),
        });
        File::create_new(&self.path).unwrap()
    }

    /// Waits until the worker has opened the file to follow it, not just for a look at its first bytes: by the same
    /// descriptor again and again.
    fn wait_until_open(&self) {
        let mut seen = (None, 0);
        wait::until("the worker to open the file", || {
            let found = descriptor_of(self.reader.load(Ordering::SeqCst), &self.path);
            seen = if found.is_some() && found == seen.0 {
                (found, seen.1 + 1)
            } else {
                (found, 0)
            };
            (seen.1 >= LOOKS).then_some(())
        });
    }

    /// Renames or deletes the file, which is still open.
    fn put_away(&self, files: &mut [Written]) {
        let number = files.len();
        let current = files.last_mut().unwrap();
        // The first file of a new source is the named one, not what was rotated before anybody looked.
        if number == 1 || self.rotation == Rotation::Delete {
            self.wait_until_open();
        }
        match self.rotation {
            Rotation::Rename => {
                let mut name = self.path.clone().into_os_string();
                name.push(format!(".{number:05}"));
                current.path = name.into();
                fs::rename(&self.path, &current.path).unwrap();
            }
            Rotation::Delete => {
                current.path = PathBuf::new();
                fs::remove_file(&self.path).unwrap();
            }
        }
    }
}

/// The lowest descriptor by which a process has a file open.
fn descriptor_of(process: u32, path: &Path) -> Option<u32> {
    let wanted = fs::metadata(path).unwrap();
    let open = fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    let of_the_file = open.flatten().filter(|descriptor| {
        // Follows to what is open, whatever it is called by now.
        let found = fs::metadata(descriptor.path());
        found.is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
    });
    let numbers = of_the_file.filter_map(|descriptor| descriptor.file_name().to_str()?.parse().ok());
    numbers.min()
}

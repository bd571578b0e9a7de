//! Numbered lines appended to a file all the time, and written again when a power cut took the last of them: an
//! application that repeats what it was not told is safe.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

const LINES_PER_WRITE: usize = 20;

/// Text of line `number`, without its newline.
pub(crate) fn line(number: usize) -> String {
    format!("line {number}")
}

fn text(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| line(number) + "\n").collect()
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    /// Lines written, or at least begun.
    lines: usize,
}

/// The running writer.
#[derive(Debug)]
pub(crate) struct Writer {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Creates the file durably and starts to append to it.
    pub(crate) fn start(path: &Path) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (state, stop) = (Arc::clone(&state), Arc::clone(&stop));
            thread::spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    append(&mut state.lock().unwrap());
                    thread::sleep(Duration::from_millis(5));
                }
            })
        };
        let writer = Self { state, stop, thread };
        writer.resume(path);
        writer
    }

    /// Closes the file, so that its file system can be unmounted.
    pub(crate) fn pause(&self) {
        self.state.lock().unwrap().file = None;
    }

    /// Makes the file durably hold every line so far and goes on.
    pub(crate) fn resume(&self, path: &Path) {
        let mut state = self.state.lock().unwrap();
        let mut options = File::options();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .unwrap();
        let all = text(0..state.lines);
        file.write_all_at(all.as_bytes(), 0).unwrap();
        file.set_len(all.len() as u64).unwrap();
        file.sync_all().unwrap();
        File::open(path.parent().unwrap()).unwrap().sync_all().unwrap();
        state.file = Some(fs::OpenOptions::new().append(true).open(path).unwrap());
    }

    /// Ends it: number of lines in the file.
    pub(crate) fn finish(self) -> usize {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap();
        self.state.lock().unwrap().lines
    }
}

fn append(state: &mut State) {
    let lines = state.lines..state.lines + LINES_PER_WRITE;
    if let Some(file) = &mut state.file {
        state.lines = lines.end;
        // Without power nothing is written; the lines come again.
        if file.write_all(text(lines).as_bytes()).is_err() {
            state.file = None;
        }
    }
}

//! How far a command is, for whoever sits in front of it: one line on a terminal, written over once a second.

use std::{
    io::{IsTerminal as _, Write as _},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Silence that needs no explanation.
const QUIET: Duration = Duration::from_secs(1);

/// See the file's header.
#[derive(Debug)]
pub(crate) struct Progress {
    /// `None` when nobody is to be told.
    shown: Option<Instant>,
    has_shown: bool,
}

impl Progress {
    /// Shows nothing when it is not wanted, or when standard error is no terminal.
    pub(crate) fn new(wanted: bool) -> Self {
        Self {
            shown: (wanted && std::io::stderr().is_terminal()).then(Instant::now),
            has_shown: false,
        }
    }

    /// Shows a line when the last one is old enough.
    pub(crate) fn show(&mut self, line: impl FnOnce() -> String) {
        if self.shown.is_some_and(|shown| shown.elapsed() >= QUIET) {
            self.shown = Some(Instant::now());
            self.has_shown = true;
            // Nobody is left to be told when the terminal is gone.
            write!(std::io::stderr(), "\r{}\x1b[K", line()).ok();
        }
    }

    /// Takes the line away.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.has_shown) {
            write!(std::io::stderr(), "\r\x1b[K").ok();
        }
    }
}

/// Says what is waited for, when it takes longer than a second and somebody sits in front of it.
#[derive(Debug)]
pub(crate) struct Waiting {
    until: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Waiting {
    /// From now until it is dropped.
    pub(crate) fn on(what: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { until: None };
        }
        let (sender, receiver) = mpsc::channel();
        let line = format!("waiting for {what}");
        let teller = thread::spawn(move || {
            if receiver.recv_timeout(QUIET) == Err(RecvTimeoutError::Timeout) {
                write!(std::io::stderr(), "\r{line}\x1b[K").ok();
                receiver.recv().ok();
                write!(std::io::stderr(), "\r\x1b[K").ok();
            }
        });
        Self {
            until: Some((sender, teller)),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((sender, teller)) = self.until.take() {
            drop(sender);
            teller.join().ok();
        }
    }
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let mut tenths = count.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (count, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (5 << 20, "5.0 MiB"),
            (3 << 40, "3.0 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}

//! SIGTERM and SIGINT: the first asks for an orderly end, a later one does not wait for it.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit;

/// Signals so soon after the first are the same wish: `timeout` and process managers signal the process and its group.
const SAME_WISH: Duration = Duration::from_millis(500);

/// The two signals that end a program.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on the signals are ours.
    pub(crate) fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next signal's name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Ends the process at a further signal while `shutdown` runs.
    pub(crate) async fn or_exit<T>(&mut self, shutdown: impl Future<Output = T>) -> T {
        tokio::select! {
            done = shutdown => done,
            name = self.further() => {
                eprintln!("jackfield: second signal ({name}), ending at once");
                std::process::exit(exit::IMPATIENT)
            }
        }
    }

    async fn further(&mut self) -> &'static str {
        let first = Instant::now();
        loop {
            let name = self.next().await;
            if first.elapsed() >= SAME_WISH {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn a_signal_right_after_the_first_is_the_same_wish() {
        let mut signals = Signals::install().unwrap();
        kill_process(getpid(), Signal::TERM).unwrap();
        assert_eq!(signals.next().await, "SIGTERM");
        kill_process(getpid(), Signal::TERM).unwrap();
        // Ending at once would end this process.
        let done = signals.or_exit(tokio::time::sleep(Duration::from_millis(100)));
        done.await;
    }
}

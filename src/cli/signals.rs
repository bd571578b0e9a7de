//! SIGTERM and SIGINT: the first asks for an orderly end, the second does not wait for it.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit;

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

    /// Ends the process at the next signal while `shutdown` runs.
    pub(crate) async fn or_exit<T>(&mut self, shutdown: impl Future<Output = T>) -> T {
        tokio::select! {
            done = shutdown => done,
            name = self.next() => {
                eprintln!("jackfield: second signal ({name}), ending at once");
                std::process::exit(exit::IMPATIENT)
            }
        }
    }
}

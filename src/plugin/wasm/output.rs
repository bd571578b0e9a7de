//! A component's stdout and stderr: lines in the worker's log, and the last of stderr for error messages.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jackfield_api::LogLevel;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::services::{HostTask, log_outside};

/// Longest line; a longer one is cut into several.
const MAX_LINE_BYTES: usize = 8 * 1024;
/// How much of stderr is kept for the message of a trap: a panic prints its reason there.
const KEPT_BYTES: usize = 4 * 1024;

/// One of the two streams.
#[derive(Debug, Clone)]
pub(super) struct LogStream {
    level: LogLevel,
    task: Option<Arc<HostTask>>,
    state: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    unfinished: Vec<u8>,
    /// The last lines, oldest first.
    kept: String,
}

impl LogStream {
    pub(super) fn new(level: LogLevel, task: Option<Arc<HostTask>>) -> Self {
        Self {
            level,
            task,
            state: Arc::default(),
        }
    }

    /// The last lines so far, forgotten by this.
    pub(super) fn take_kept(&self) -> String {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let unfinished = std::mem::take(&mut state.unfinished);
        self.line(&mut state, &unfinished);
        std::mem::take(&mut state.kept)
    }

    fn take(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            for piece in part.chunks(MAX_LINE_BYTES) {
                state.unfinished.extend_from_slice(piece);
                if state.unfinished.ends_with(b"\n") || state.unfinished.len() >= MAX_LINE_BYTES {
                    let line = std::mem::take(&mut state.unfinished);
                    self.line(&mut state, &line);
                }
            }
        }
    }

    fn line(&self, state: &mut Lines, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if line.is_empty() {
            return;
        }
        match &self.task {
            Some(task) => task.log(self.level, line),
            None => log_outside(self.level, line),
        }
        if !state.kept.is_empty() {
            state.kept.push_str(" | ");
        }
        state.kept.push_str(&crate::services::printable(line));
        let mut surplus = state.kept.len().saturating_sub(KEPT_BYTES);
        while !state.kept.is_char_boundary(surplus) {
            surplus += 1;
        }
        state.kept.drain(..surplus);
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // WASI 0.3 only, which is not offered.
        Box::new(tokio::io::sink())
    }
}

#[async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_the_last_are_kept() {
        let stream = LogStream::new(LogLevel::Info, None);
        stream.take(b"first\nsec");
        stream.take(b"ond\n\nrest");
        assert_eq!(stream.take_kept(), "first | second | rest");
        stream.take(&vec![b'x'; 3 * MAX_LINE_BYTES]);
        let kept = stream.take_kept();
        assert_eq!(kept.len(), KEPT_BYTES, "only the end of it");
        assert_eq!(stream.take_kept(), "");
    }
}

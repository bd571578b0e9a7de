//! Standard input for a source that never waits: one thread per process reads ahead, in bounded chunks.

use std::{
    io::Read,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
};

use jackfield_api::{ConnectError, WakeHandle};

use crate::lines::LineBuffer;

const CHUNK_BYTES: usize = 64 << 10;
const CHUNKS_AHEAD: usize = 4;

/// What the reader thread found.
pub(crate) enum Input {
    Bytes(Vec<u8>),
    Nothing,
}

/// Read ahead by the thread, taken by whichever task reads standard input now.
#[derive(Debug)]
struct Shared {
    chunks: Mutex<Receiver<Result<Vec<u8>, std::io::Error>>>,
    task: Mutex<Option<WakeHandle>>,
    /// What an ended task had taken and not delivered: it comes before the chunks.
    left: Mutex<Option<LineBuffer>>,
}

static SHARED: OnceLock<Arc<Shared>> = OnceLock::new();

/// Standard input of the process, as long as one task uses it.
#[derive(Debug)]
pub(crate) struct Stdin {
    shared: Arc<Shared>,
}

impl Stdin {
    /// Starts reading, or takes over what an earlier task left.
    pub(crate) fn open(wake: WakeHandle) -> Result<Self, ConnectError> {
        let mut sender = None;
        let shared = SHARED.get_or_init(|| {
            let (shared, chunk_sender) = Shared::new();
            sender = Some(chunk_sender);
            shared
        });
        shared.wakes(wake);
        if let Some(sender) = sender {
            read_ahead(std::io::stdin(), sender, shared)?;
        }
        Ok(Self {
            shared: Arc::clone(shared),
        })
    }

    /// Reads something else the same way.
    #[cfg(test)]
    pub(crate) fn reading(input: impl Read + Send + 'static, wake: WakeHandle) -> Self {
        let (shared, sender) = Shared::new();
        shared.wakes(wake);
        read_ahead(input, sender, &shared).unwrap();
        Self { shared }
    }

    /// Another task on the same input.
    #[cfg(test)]
    pub(crate) fn again(&self, wake: WakeHandle) -> Self {
        self.shared.wakes(wake);
        Self {
            shared: Arc::clone(&self.shared),
        }
    }

    /// The buffer of the task before, with what it did not deliver.
    pub(crate) fn take_left(&self) -> Option<LineBuffer> {
        self.shared
            .left
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Leaves what was not delivered to the next task, or to one that has begun already.
    pub(crate) fn leave(&self, buffer: LineBuffer) {
        let mut left = self.shared.left.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *left {
            Some(left) => left.push(buffer.rest()),
            None => *left = Some(buffer),
        }
        drop(left);
        self.shared.wake();
    }

    /// What was read meanwhile; never waits.
    pub(crate) fn read(&self) -> Result<Input, ConnectError> {
        if let Some(left) = self.take_left().filter(|left| left.pending() > 0) {
            return Ok(Input::Bytes(left.rest().to_vec()));
        }
        match self
            .shared
            .chunks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_recv()
        {
            Ok(Ok(bytes)) => Ok(Input::Bytes(bytes)),
            Ok(Err(cause)) => Err(ConnectError::fatal(format!(
                "cannot read standard input: {cause}"
            ))),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Ok(Input::Nothing),
        }
    }
}

impl Shared {
    fn new() -> (Arc<Self>, SyncSender<Result<Vec<u8>, std::io::Error>>) {
        let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
        (
            Arc::new(Self {
                chunks: Mutex::new(chunks),
                task: Mutex::new(None),
                left: Mutex::new(None),
            }),
            sender,
        )
    }

    /// From now on this task is woken.
    fn wakes(&self, wake: WakeHandle) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
    }

    fn wake(&self) {
        if let Some(wake) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            wake.wake();
        }
    }
}

/// Starts the thread. It is not joined, because a read of standard input cannot be interrupted.
fn read_ahead(
    input: impl Read + Send + 'static,
    sender: SyncSender<Result<Vec<u8>, std::io::Error>>,
    shared: &Arc<Shared>,
) -> Result<(), ConnectError> {
    let shared = Arc::clone(shared);
    std::thread::Builder::new()
        .name("jackfield-stdin".to_owned())
        .spawn(move || read_all(input, &sender, &shared))
        .map(drop)
        .map_err(|cause| ConnectError::fatal(format!("cannot start a thread: {cause}")))
}

/// Reads until the input ends or fails.
fn read_all(mut input: impl Read, sender: &SyncSender<Result<Vec<u8>, std::io::Error>>, shared: &Shared) {
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = match input.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => {
                chunk.truncate(count);
                Ok(chunk)
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(cause) => Err(cause),
        };
        let failed = read.is_err();
        if sender.send(read).is_err() {
            return;
        }
        shared.wake();
        if failed {
            return;
        }
    }
}

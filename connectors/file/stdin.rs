//! Standard input for a source that never waits: one thread per process reads ahead, in bounded chunks.

use std::{
    io::Read,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
};

use jackfield_api::{ConnectError, WakeHandle};

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

    /// What was read meanwhile; never waits.
    pub(crate) fn read(&self) -> Result<Input, ConnectError> {
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
            }),
            sender,
        )
    }

    /// From now on this task is woken.
    fn wakes(&self, wake: WakeHandle) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
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
        .spawn(move || read_all(input, &sender, &shared.task))
        .map(drop)
        .map_err(|cause| ConnectError::fatal(format!("cannot start a thread: {cause}")))
}

/// Reads until the input ends or fails.
fn read_all(
    mut input: impl Read,
    sender: &SyncSender<Result<Vec<u8>, std::io::Error>>,
    task: &Mutex<Option<WakeHandle>>,
) {
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
        if let Some(wake) = &*task.lock().unwrap_or_else(PoisonError::into_inner) {
            wake.wake();
        }
        if failed {
            return;
        }
    }
}

//! Standard input for a source that never waits: one thread per process reads ahead, in bounded chunks.

use std::{
    io::Read,
    sync::{
        Mutex, OnceLock, PoisonError,
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
struct Shared {
    chunks: Mutex<Receiver<Result<Vec<u8>, std::io::Error>>>,
    task: Mutex<Option<WakeHandle>>,
}

static SHARED: OnceLock<Shared> = OnceLock::new();

/// Standard input of the process, as long as one task uses it.
#[derive(Debug)]
pub(crate) struct Stdin(());

impl Stdin {
    /// Starts reading, or takes over what an earlier task left.
    pub(crate) fn open(wake: WakeHandle) -> Result<Self, ConnectError> {
        let mut sender = None;
        let shared = SHARED.get_or_init(|| {
            let (chunk_sender, chunks) = sync_channel(CHUNKS_AHEAD);
            sender = Some(chunk_sender);
            Shared {
                chunks: Mutex::new(chunks),
                task: Mutex::new(None),
            }
        });
        *shared.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(wake);
        if let Some(sender) = sender {
            std::thread::Builder::new()
                .name("jackfield-stdin".to_owned())
                .spawn(move || read_all(&sender, &shared.task))
                .map_err(|cause| ConnectError::fatal(format!("cannot start a thread: {cause}")))?;
        }
        Ok(Self(()))
    }

    /// What was read meanwhile; never waits.
    pub(crate) fn read(&self) -> Result<Input, ConnectError> {
        let shared = SHARED.get().expect("open initialised it");
        match shared
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

/// Ends with the input; the thread is not joined, because a read of standard input cannot be interrupted.
fn read_all(sender: &SyncSender<Result<Vec<u8>, std::io::Error>>, task: &Mutex<Option<WakeHandle>>) {
    let mut input = std::io::stdin().lock();
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

//! One connection: frames in, responses out, in the order of the requests.
//!
//! A produce request is appended as soon as it is read and answered when it is durable, so several may wait for the same
//! commit round. Every other request runs when its turn to be answered comes; what follows it is read, but not begun.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use jackfield_log::FileSlice;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::Core,
    dispatch::{self, Client, Refused},
};

/// Requests read ahead of the one being answered.
const READ_AHEAD: usize = 16;
/// How much of a frame is reserved before its bytes arrive.
const RESERVE_BYTES: usize = 1 << 20;
/// How long requests already read may take when the broker stops.
const DRAIN: Duration = Duration::from_secs(1);

/// Admission by `max.connections`.
#[derive(Debug)]
pub(crate) struct Connections(Arc<Semaphore>);

impl Connections {
    pub(crate) fn new(max: usize) -> Self {
        Self(Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS))))
    }

    /// A place for one more connection; `None` when there is none.
    pub(crate) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}

/// A part of a response.
#[derive(Debug)]
pub(crate) enum Part {
    /// Encoded bytes.
    Bytes(Bytes),
    /// Record bytes that stay in their file until they are on the socket.
    File(FileSlice),
}

/// A response frame without its length, in parts; empty = no response is due (acks=0).
pub(crate) type Response = Vec<Part>;

/// A request on its way: resolves to its response.
pub(crate) type Pending = BoxFuture<'static, Result<Response, Refused>>;

/// A pending request, and whether it may run while others wait before it.
struct Queued {
    pending: Pending,
    overtakes_nothing: bool,
}

/// Serves a connection until the peer leaves, misbehaves or is idle for too long, or the broker stops.
pub(crate) async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    core: Arc<Core>,
    cancelled: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    let Ok(local) = stream.local_addr() else { return };
    let (reader, writer) = stream.into_split();
    let (queue, queued) = mpsc::channel(READ_AHEAD);
    let waiting = Arc::new(AtomicUsize::new(0));
    let client = Client { core, peer, local };
    let reading = async {
        let read = read_requests(reader, &client, queue, &waiting);
        match cancelled.run_until_cancelled(read).await {
            Some(Err(reason)) => tracing::debug!(%peer, reason, "connection closed"),
            Some(Ok(())) | None => {}
        }
    };
    let writing = write_responses(writer, queued, &waiting);
    tokio::pin!(writing);
    tokio::select! {
        ended = &mut writing => log_end(peer, ended),
        () = reading => {
            // The queue is closed: what was read is answered, for a limited time.
            if let Ok(ended) = tokio::time::timeout(DRAIN, &mut writing).await {
                log_end(peer, ended);
            }
        }
    }
}

fn log_end(peer: SocketAddr, ended: Result<(), String>) {
    if let Err(reason) = ended {
        tracing::debug!(%peer, reason, "connection closed");
    }
}

/// Reads frames and queues them, until the peer leaves (`Ok`) or breaks the rules.
async fn read_requests(
    mut reader: OwnedReadHalf,
    client: &Client,
    queue: mpsc::Sender<Queued>,
    waiting: &AtomicUsize,
) -> Result<(), String> {
    let limits = &client.core.config.limits;
    loop {
        let frame = tokio::time::timeout(
            limits.connections_max_idle,
            read_frame(&mut reader, limits.request_max_bytes),
        );
        let Some(frame) = frame
            .await
            .map_err(|_| "idle for connections.max.idle.ms".to_owned())??
        else {
            return Ok(());
        };
        let request = dispatch::parse(frame).map_err(|error| error.to_string())?;
        // An append may only happen early when everything before it has happened.
        let (pending, overtakes_nothing) = if request.is_produce() && waiting.load(Ordering::Acquire) == 0 {
            (dispatch::produce_now(client, request), true)
        } else {
            waiting.fetch_add(1, Ordering::AcqRel);
            (dispatch::run(client.clone(), request), false)
        };
        if queue
            .send(Queued {
                pending,
                overtakes_nothing,
            })
            .await
            .is_err()
        {
            return Ok(());
        }
    }
}

/// Reads one frame; `None` when the peer closed between frames. Memory grows with what arrives, not with what is announced.
async fn read_frame(reader: &mut OwnedReadHalf, max_bytes: usize) -> Result<Option<BytesMut>, String> {
    let mut length = [0; 4];
    match reader.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.to_string()),
    }
    let length = i32::from_be_bytes(length);
    let size = usize::try_from(length).ok().filter(|size| *size <= max_bytes);
    let size = size
        .ok_or_else(|| format!("frame of {length} bytes is beyond socket.request.max.bytes {max_bytes}"))?;
    let mut frame = BytesMut::with_capacity(size.min(RESERVE_BYTES));
    while frame.len() < size {
        let missing = size - frame.len();
        if frame.capacity() == frame.len() {
            frame.reserve(missing.min(frame.len().max(RESERVE_BYTES)));
        }
        let read = (&mut *reader)
            .take(missing as u64)
            .read_buf(&mut frame)
            .await
            .map_err(|error| error.to_string())?;
        if read == 0 {
            return Err(format!("closed inside a frame, {missing} bytes short"));
        }
    }
    Ok(Some(frame))
}

/// Answers the queued requests in order.
async fn write_responses(
    mut writer: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Queued>,
    waiting: &AtomicUsize,
) -> Result<(), String> {
    while let Some(queued) = queue.recv().await {
        let result = queued.pending.await;
        if !queued.overtakes_nothing {
            waiting.fetch_sub(1, Ordering::AcqRel);
        }
        let parts = result.map_err(|refused| refused.to_string())?;
        if !parts.is_empty() {
            write_frame(&mut writer, parts)
                .await
                .map_err(|error| error.to_string())?;
        }
    }
    writer.shutdown().await.map_err(|error| error.to_string())
}

async fn write_frame(writer: &mut OwnedWriteHalf, parts: Response) -> std::io::Result<()> {
    let size: usize = parts
        .iter()
        .map(|part| match part {
            Part::Bytes(bytes) => bytes.len(),
            Part::File(slice) => slice.len,
        })
        .sum();
    let mut head = BytesMut::with_capacity(4);
    head.extend_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes());
    for part in parts {
        match part {
            Part::Bytes(bytes) => head.extend_from_slice(&bytes),
            Part::File(slice) => {
                writer.write_all(&head).await?;
                head.clear();
                send_file(writer, &slice).await?;
            }
        }
    }
    writer.write_all(&head).await
}

/// Moves record bytes from the page cache to the socket without copying them through this process.
async fn send_file(writer: &mut OwnedWriteHalf, slice: &FileSlice) -> std::io::Result<()> {
    let Some(file) = slice.file.as_std() else {
        return writer.write_all(&slice.read()?).await;
    };
    let mut position = slice.position;
    let end = slice.position + slice.len as u64;
    while position < end {
        let socket: &TcpStream = writer.as_ref();
        socket.writable().await?;
        let wanted = usize::try_from(end - position).unwrap_or(usize::MAX);
        let sent = socket.try_io(Interest::WRITABLE, || {
            let mut offset = position;
            Ok(rustix::fs::sendfile(socket, file, Some(&mut offset), wanted)?)
        });
        match sent {
            Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => position += sent as u64,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

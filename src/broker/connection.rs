//! One connection: frames in, responses out, in the order of the requests.
//!
//! A produce request is appended as soon as everything before it has been handled, mostly when it is read, and answered
//! when it is durable, so several may wait for the same commit round. Every other request runs when its turn to be
//! answered comes; what follows it is read, but not begun.
//! Nothing a peer does or leaves undone takes more than its own connection: frames, read-ahead, idle time, and the time
//! a frame or an answer may take are limited.

use std::{
    collections::VecDeque,
    io,
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
use rustix::net::SendFlags;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

use crate::{
    admission::Admission,
    broker::Core,
    config::Limits,
    dispatch::{self, Client, Refused, Request},
};

/// Requests read ahead of the one being answered.
const READ_AHEAD: usize = 128;
/// Bytes of requests read ahead; one request may be larger.
const READ_AHEAD_BYTES: usize = 4 << 20;
/// Largest frame of any request but produce requests, whose records stay bytes: what others decode to is larger.
const OTHER_REQUEST_BYTES: usize = 16 << 20;
/// Api key of a produce request, with which its frame begins.
const PRODUCE_KEY: [u8; 2] = [0, 0];
/// How much of a frame is reserved before its bytes arrive, for a peer that has sent no larger one yet ...
const RESERVE_BYTES: usize = 64 << 10;
/// ... and for any peer.
const RESERVE_MAX_BYTES: usize = 4 << 20;
/// How long answers to a peer that has sent its last request may take.
const DRAIN: Duration = Duration::from_secs(1);
/// A frame must arrive within this time ...
const FRAME_GRACE: Duration = Duration::from_secs(30);
/// ... and a second more for each of these bytes.
const FRAME_BYTES_PER_SECOND: usize = 16 << 10;
/// Most record bytes sent by one call, so that a cold file does not hold up the thread's other tasks for long.
const SEND_FILE_BYTES: usize = 1 << 20;

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

/// A request in the queue of those to be answered.
struct Queued {
    work: Work,
    /// Its share of [`READ_AHEAD_BYTES`].
    bytes: Option<OwnedSemaphorePermit>,
}

/// How far a request has come.
enum Work {
    /// A produce request that is appended: later appends need not wait for it.
    Appended(Pending),
    /// A produce request whose append waits for what is before it.
    Produce(Request),
    /// Any other request; it runs when it is awaited.
    Other(Pending),
}

/// The requests to be answered, in order.
struct Turns<'a> {
    queue: mpsc::Receiver<Queued>,
    /// Taken from the queue; all appended, but perhaps the last one.
    ahead: VecDeque<Queued>,
    client: &'a Client,
    progress: &'a Progress,
}

impl Turns<'_> {
    /// The answer to the next request; `None` when there are no more.
    async fn next(&mut self) -> Option<Result<Response, Refused>> {
        let next = match self.ahead.pop_front() {
            Some(queued) => queued,
            None => self.queue.recv().await?,
        };
        let Queued { work, bytes: _bytes } = next;
        Some(match work {
            Work::Appended(pending) => self.durable(pending).await,
            Work::Produce(request) => {
                let pending = self.append(request);
                self.durable(pending).await
            }
            Work::Other(pending) => {
                let result = pending.await;
                self.progress.not_begun.fetch_sub(1, Ordering::AcqRel);
                result
            }
        })
    }

    /// Appends; everything before the request has been handled.
    fn append(&self, request: Request) -> Pending {
        let pending = dispatch::produce_now(self.client, request);
        self.progress.not_begun.fetch_sub(1, Ordering::AcqRel);
        pending
    }

    /// Waits for an append to be durable. Those directly behind it are appended meanwhile, for the same commit round.
    async fn durable(&mut self, mut pending: Pending) -> Result<Response, Refused> {
        loop {
            let is_open = self.ahead.len() < READ_AHEAD
                && self
                    .ahead
                    .back()
                    .is_none_or(|last| matches!(last.work, Work::Appended(_)));
            tokio::select! {
                biased;
                result = &mut pending => return result,
                Some(queued) = self.queue.recv(), if is_open => {
                    let begun = match queued {
                        Queued { work: Work::Produce(request), .. } => Queued {
                            work: Work::Appended(self.append(request)),
                            bytes: None,
                        },
                        other => other,
                    };
                    self.ahead.push_back(begun);
                }
            }
        }
    }
}

/// Why no more requests are read.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) reason: String,
    /// A client of good will may meet the limit, so an operator should hear of it.
    is_oversized: bool,
}

impl From<String> for Broken {
    fn from(reason: String) -> Self {
        Self {
            reason,
            is_oversized: false,
        }
    }
}

/// What reading and writing have to know of each other.
#[derive(Default)]
struct Progress {
    /// Requests not answered yet.
    unanswered: AtomicUsize,
    /// Those of them that are neither appended nor answered.
    not_begun: AtomicUsize,
}

/// Serves a connection until the peer leaves, misbehaves or is idle for too long, or the broker stops.
pub(crate) async fn run(stream: TcpStream, peer: SocketAddr, core: Arc<Core>, _admission: Admission) {
    let Ok(local) = stream.local_addr() else { return };
    let (stopping, abandoned) = (core.stopping(), core.abandoned.clone());
    let idle = core.config.limits.connections_max_idle;
    let (reader, writer) = stream.into_split();
    let (queue, queued) = mpsc::channel(READ_AHEAD);
    let progress = Progress::default();
    let client = Client { core, peer, local };
    let reading = async {
        let read = read_requests(reader, &client, queue, &progress);
        match stopping.run_until_cancelled(read).await {
            Some(Err(Broken { reason, is_oversized })) if is_oversized => {
                tracing::warn!(%peer, reason, "connection closed");
            }
            Some(Err(Broken { reason, .. })) => tracing::debug!(%peer, reason, "connection closed"),
            _ => {}
        }
    };
    let turns = Turns {
        queue: queued,
        ahead: VecDeque::new(),
        client: &client,
        progress: &progress,
    };
    let writing = write_responses(writer, turns, idle);
    let serving = async {
        tokio::pin!(writing);
        let ended = tokio::select! {
            ended = &mut writing => Some(ended),
            // The queue is closed: what was read is answered, for a limited time.
            () = reading => timeout(DRAIN, &mut writing).await.ok(),
        };
        if let Some(Err(reason)) = ended {
            tracing::debug!(%peer, reason, "connection closed");
        }
    };
    abandoned.run_until_cancelled(serving).await;
}

/// Reads frames and queues them, until the peer leaves (`Ok`) or breaks the rules.
async fn read_requests(
    mut reader: OwnedReadHalf,
    client: &Client,
    queue: mpsc::Sender<Queued>,
    progress: &Progress,
) -> Result<(), Broken> {
    let read_ahead = Arc::new(Semaphore::new(READ_AHEAD_BYTES));
    let unanswered = || progress.unanswered.load(Ordering::Acquire);
    let mut reserve = RESERVE_BYTES;
    while let Some(frame) = read_frame(&mut reader, &client.core.config.limits, reserve, unanswered).await? {
        reserve = reserve.max(frame.len()).min(RESERVE_MAX_BYTES);
        let request = dispatch::parse(frame).map_err(|error| error.to_string())?;
        // An append may only happen early when everything before it has happened.
        let queued = if request.is_produce() && progress.not_begun.load(Ordering::Acquire) == 0 {
            Queued {
                work: Work::Appended(dispatch::produce_now(client, request)),
                bytes: None,
            }
        } else {
            let share = request.body.len().min(READ_AHEAD_BYTES);
            let share = u32::try_from(share).expect("a few megabytes");
            let bytes = Arc::clone(&read_ahead).acquire_many_owned(share).await;
            progress.not_begun.fetch_add(1, Ordering::AcqRel);
            let work = if request.is_produce() {
                Work::Produce(request)
            } else {
                Work::Other(dispatch::run(client.clone(), request))
            };
            Queued {
                work,
                bytes: Some(bytes.expect("the semaphore is never closed")),
            }
        };
        progress.unanswered.fetch_add(1, Ordering::AcqRel);
        if queue.send(queued).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads one frame, reserving at most `reserve` bytes in advance; `None` when the peer closed between frames.
pub(crate) async fn read_frame(
    reader: &mut (impl AsyncRead + Unpin),
    limits: &Limits,
    reserve: usize,
    unanswered: impl Fn() -> usize,
) -> Result<Option<BytesMut>, Broken> {
    let mut length = [0; 4];
    let begun = loop {
        match timeout(limits.connections_max_idle, reader.read(&mut length)).await {
            Ok(read) => break read.map_err(|error| error.to_string())?,
            // Whoever waits for an answer is not idle.
            Err(_) if unanswered() > 0 => {}
            Err(_) => return Err("idle for connections.max.idle.ms".to_owned().into()),
        }
    };
    if begun == 0 {
        return Ok(None);
    }
    let too_slow = |_| "a request arrives too slowly".to_owned();
    let rest = timeout(FRAME_GRACE, reader.read_exact(&mut length[begun..]));
    rest.await.map_err(too_slow)?.map_err(|error| error.to_string())?;
    let length = i32::from_be_bytes(length);
    let max = limits.request_max_bytes;
    let size = usize::try_from(length).ok().filter(|size| *size <= max);
    let size =
        size.ok_or_else(|| format!("frame of {length} bytes is beyond socket.request.max.bytes {max}"))?;
    let seconds = u64::try_from(size / FRAME_BYTES_PER_SECOND).unwrap_or(u64::MAX);
    let body = timeout(
        FRAME_GRACE + Duration::from_secs(seconds),
        read_body(reader, size, reserve),
    );
    body.await.map_err(too_slow)?.map(Some)
}

/// Reads `size` bytes. Memory grows with what arrives, not with what is announced.
async fn read_body(
    reader: &mut (impl AsyncRead + Unpin),
    size: usize,
    reserve: usize,
) -> Result<BytesMut, Broken> {
    let mut frame = BytesMut::with_capacity(size.min(reserve));
    while frame.len() < size {
        let missing = size - frame.len();
        if frame.capacity() == frame.len() {
            frame.reserve(missing.min(frame.len().max(reserve)));
        }
        let read = (&mut *reader).take(missing as u64).read_buf(&mut frame).await;
        if read.map_err(|error| error.to_string())? == 0 {
            return Err(format!("closed inside a frame, {missing} bytes short").into());
        }
        check_size(size, &frame)?;
    }
    Ok(frame)
}

/// Only a produce request may be large; the beginning of a frame tells what it is.
fn check_size(size: usize, begin: &[u8]) -> Result<(), Broken> {
    let Some((key, _)) = begin.split_first_chunk::<2>() else {
        return Ok(());
    };
    if size <= OTHER_REQUEST_BYTES || *key == PRODUCE_KEY {
        return Ok(());
    }
    let key = i16::from_be_bytes(*key);
    Err(Broken {
        reason: format!(
            "request of {size} bytes with api key {key}: only produce requests may be larger than {OTHER_REQUEST_BYTES} bytes"
        ),
        is_oversized: true,
    })
}

/// Answers the queued requests in order.
async fn write_responses(
    mut writer: OwnedWriteHalf,
    mut turns: Turns<'_>,
    idle: Duration,
) -> Result<(), String> {
    while let Some(result) = turns.next().await {
        let parts = match result {
            Ok(parts) => parts,
            Err(refused) => {
                if refused.is_our_fault() {
                    tracing::error!(error = %refused, "a request could not be answered");
                }
                return Err(refused.to_string());
            }
        };
        if !parts.is_empty() {
            let socket: &TcpStream = writer.as_ref();
            write_frame(socket, parts, idle)
                .await
                .map_err(|error| error.to_string())?;
        }
        turns.progress.unanswered.fetch_sub(1, Ordering::AcqRel);
    }
    writer.shutdown().await.map_err(|error| error.to_string())
}

async fn write_frame(socket: &TcpStream, parts: Response, idle: Duration) -> io::Result<()> {
    let size: usize = parts
        .iter()
        .map(|part| match part {
            Part::Bytes(bytes) => bytes.len(),
            Part::File(slice) => slice.len,
        })
        .sum();
    let size = u32::try_from(size).map_err(|_| io::Error::other("answer of 4 GiB"))?;
    let mut head = BytesMut::with_capacity(256);
    head.extend_from_slice(&size.to_be_bytes());
    for part in parts {
        match part {
            Part::Bytes(bytes) => head.extend_from_slice(&bytes),
            Part::File(slice) => {
                send(socket, &head, SendFlags::MORE, idle).await?;
                head.clear();
                send_file(socket, &slice, idle).await?;
            }
        }
    }
    send(socket, &head, SendFlags::empty(), idle).await
}

/// Waits until the socket takes more; a peer that takes nothing for `idle` is given up.
async fn writable(socket: &TcpStream, idle: Duration) -> io::Result<()> {
    let stalled = |_| io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its answers");
    timeout(idle, socket.writable()).await.map_err(stalled)?
}

/// Sends all of `data`. With [`SendFlags::MORE`] the kernel waits for what follows before it fills a packet.
async fn send(socket: &TcpStream, mut data: &[u8], flags: SendFlags, idle: Duration) -> io::Result<()> {
    while !data.is_empty() {
        let sent = socket.try_io(Interest::WRITABLE, || {
            Ok(rustix::net::send(socket, data, flags | SendFlags::NOSIGNAL)?)
        });
        match sent {
            Ok(sent) => data = &data[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => writable(socket, idle).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Moves record bytes from the page cache to the socket without copying them through this process.
async fn send_file(socket: &TcpStream, slice: &FileSlice, idle: Duration) -> io::Result<()> {
    let Some(file) = slice.file.as_std() else {
        return send(socket, &slice.read()?, SendFlags::MORE, idle).await;
    };
    let mut position = slice.position;
    let end = slice.position + slice.len as u64;
    while position < end {
        let wanted = usize::try_from(end - position)
            .unwrap_or(usize::MAX)
            .min(SEND_FILE_BYTES);
        let sent = socket.try_io(Interest::WRITABLE, || {
            let mut offset = position;
            Ok(rustix::fs::sendfile(socket, file, Some(&mut offset), wanted)?)
        });
        match sent {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(sent) => {
                position += sent as u64;
                tokio::task::consume_budget().await;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => writable(socket, idle).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

//! Records of one source task with their source offsets: the offsets follow the records, never the other way round.
//!
//! `append_atomic` writes the records at once and queues the call. One background task takes the calls in order, waits
//! until the records of a call are durable, gathers its offsets with those of calls that follow soon, appends them,
//! waits again, and acknowledges the calls in order. After a failure nothing is stored any more: a later offset must
//! not vouch for lost records.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use jackfield_broker::Broker;
use jackfield_protocol::records::RecordBatchBuilder;
use jackfield_tasks::TaskGroup;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::append::Appends;
use crate::{Acknowledgement, ClusterError, PartitionRecords, SourceOffset, SourceProducer, TopicPartition};

/// Offsets wait at most this long for those of further calls.
const COALESCE: Duration = Duration::from_millis(50);
/// Calls that wait for durability; more make `append_atomic` wait.
const CALLS_MAX: usize = 1_024;
/// Most offsets gathered before they are written.
const OFFSETS_MAX: usize = 10_000;

/// A batch of offsets is finished before it grows beyond this, so that it stays below the default `max.message.bytes`.
/// A single larger offset makes a batch of its own.
const BATCH_BYTES_MAX: usize = 1_000_000;
/// What a record takes beside its key and value, at most.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// What a producer shares with the port that fences it.
#[derive(Debug)]
pub(crate) struct ProducerState {
    transactional_id: String,
    /// Held while a call appends and queues, so that nothing is appended after the fence.
    fenced: Mutex<bool>,
    /// Fires with the fence.
    fence: watch::Sender<bool>,
    finished: watch::Sender<bool>,
}

impl ProducerState {
    pub(crate) fn new(transactional_id: &str) -> Self {
        Self {
            transactional_id: transactional_id.to_owned(),
            fenced: Mutex::new(false),
            fence: watch::Sender::new(false),
            finished: watch::Sender::new(false),
        }
    }

    /// Refuses every further call; queued ones are still stored.
    pub(crate) fn fence(&self) {
        *self.fenced.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.fence.send_replace(true);
    }

    /// Waits until everything queued is stored, or has failed.
    pub(crate) async fn finished(&self) {
        // The sender lives in `self`, so the wait ends with the value and no other way.
        let mut ended = self.finished.subscribe();
        while !*ended.borrow_and_update() {
            if ended.changed().await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        *self.finished.borrow()
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct EmbeddedSourceProducer {
    broker: Broker,
    state: Arc<ProducerState>,
    calls: mpsc::Sender<Call>,
}

/// One `append_atomic`.
#[derive(Debug)]
struct Call {
    appends: Appends,
    offsets: Vec<SourceOffset>,
    acknowledge: Acknowledge,
}

impl EmbeddedSourceProducer {
    pub(crate) fn start(broker: Broker, tasks: &TaskGroup, state: Arc<ProducerState>) -> Self {
        let (calls, queue) = mpsc::channel(CALLS_MAX);
        let store = OffsetStore {
            broker: broker.clone(),
            queue,
            fenced: state.fence.subscribe(),
            finish: Finish(Arc::clone(&state)),
            gathered: Gathered::default(),
        };
        tasks.spawn(format!("source-offsets-{}", state.transactional_id), store.run());
        Self { broker, state, calls }
    }
}

#[async_trait]
impl SourceProducer for EmbeddedSourceProducer {
    async fn append_atomic(
        &mut self,
        records: Vec<PartitionRecords>,
        source_offsets: Vec<SourceOffset>,
    ) -> Result<Acknowledgement, ClusterError> {
        let ended = || ClusterError::closed("the source producer");
        // The only wait comes first: a call that is given up here has appended nothing.
        let place = self.calls.reserve().await.map_err(|_| self.ended_by())?;
        let fenced = self.state.fenced.lock().unwrap_or_else(PoisonError::into_inner);
        if *fenced {
            return Err(ClusterError::fenced(&self.state.transactional_id));
        }
        let appends = Appends::write(self.broker.topics(), records)?;
        let (acknowledge, acknowledged) = oneshot::channel();
        place.send(Call {
            appends,
            offsets: source_offsets,
            acknowledge,
        });
        Ok(acknowledged
            .map(move |result| result.unwrap_or_else(|_| Err(ended())))
            .boxed())
    }

    async fn close(self: Box<Self>, deadline: Duration) -> Result<(), ClusterError> {
        let state = Arc::clone(&self.state);
        drop(self);
        tokio::time::timeout(deadline, state.finished())
            .await
            .map_err(|_| ClusterError {
                code: 0,
                message: format!(
                    "offsets of {} were not stored within {deadline:?}",
                    state.transactional_id
                ),
                retriable: false,
            })
    }
}

impl EmbeddedSourceProducer {
    fn ended_by(&self) -> ClusterError {
        let fenced = *self.state.fenced.lock().unwrap_or_else(PoisonError::into_inner);
        if fenced {
            ClusterError::fenced(&self.state.transactional_id)
        } else {
            ClusterError::closed("the source producer")
        }
    }
}

/// Says that the producer is finished however its task ends.
#[derive(Debug)]
struct Finish(Arc<ProducerState>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.finished.send_replace(true);
    }
}

/// The background task.
#[derive(Debug)]
struct OffsetStore {
    broker: Broker,
    queue: mpsc::Receiver<Call>,
    fenced: watch::Receiver<bool>,
    finish: Finish,
    gathered: Gathered,
}

/// Calls whose records are durable and whose offsets are not stored yet.
#[derive(Debug, Default)]
struct Gathered {
    /// The latest value of each key with its place in the order.
    offsets: HashMap<(TopicPartition, Bytes), (u64, Option<Bytes>)>,
    next_place: u64,
    acknowledgements: Vec<(Acknowledge, Vec<i64>)>,
    since: Option<Instant>,
}

type Acknowledge = oneshot::Sender<Result<Vec<i64>, ClusterError>>;

impl Gathered {
    fn add(&mut self, offsets: Vec<SourceOffset>, acknowledge: Acknowledge, base_offsets: Vec<i64>) {
        self.since.get_or_insert_with(Instant::now);
        self.acknowledgements.push((acknowledge, base_offsets));
        for SourceOffset {
            partition,
            key,
            value,
        } in offsets
        {
            self.next_place += 1;
            self.offsets.insert((partition, key), (self.next_place, value));
        }
    }

    /// As few batches per partition as their size allows, records in order.
    fn batches(
        offsets: HashMap<(TopicPartition, Bytes), (u64, Option<Bytes>)>,
        now_ms: i64,
    ) -> Vec<PartitionRecords> {
        let mut ordered: Vec<_> = offsets.into_iter().collect();
        ordered.sort_unstable_by_key(|(_, (place, _))| *place);
        let mut finished = Vec::new();
        let mut builders: BTreeMap<TopicPartition, RecordBatchBuilder> = BTreeMap::new();
        for ((partition, key), (_, value)) in ordered {
            let size = key.len() + value.as_ref().map_or(0, Bytes::len) + RECORD_OVERHEAD_BYTES;
            let builder = builders.entry(partition.clone()).or_default();
            if !builder.is_empty() && builder.size_bytes() + size > BATCH_BYTES_MAX {
                let batch = builder.finish();
                finished.push(PartitionRecords { partition, batch });
            }
            builder.push(now_ms, Some(&key), value.as_deref(), &[]);
        }
        let finish = |(partition, mut builder): (_, RecordBatchBuilder)| PartitionRecords {
            partition,
            batch: builder.finish(),
        };
        finished.extend(builders.into_iter().map(finish));
        finished
    }

    fn is_full(&self) -> bool {
        self.offsets.len() >= OFFSETS_MAX
    }

    fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + COALESCE)
    }
}

impl OffsetStore {
    async fn run(mut self) {
        let failure = loop {
            match self.next_call().await {
                Next::Call(call) => match call.appends.durable().await {
                    Ok(base) => self.gathered.add(call.offsets, call.acknowledge, base),
                    Err(error) => {
                        // Those before it are complete.
                        let stored = self.store().await;
                        let _gone = call.acknowledge.send(Err(error.clone()));
                        break stored.err().unwrap_or(error);
                    }
                },
                Next::Store => {
                    if let Err(error) = self.store().await {
                        break error;
                    }
                }
                Next::End => return,
            }
        };
        tracing::error!(producer = %self.finish.0.transactional_id, error = %failure, "source offsets are no longer stored");
        self.queue.close();
        while let Some(call) = self.queue.recv().await {
            let _gone = call.acknowledge.send(Err(failure.clone()));
        }
    }

    /// What to do next: take calls while they are there, and store what was gathered when it is time, when there is
    /// no more to wait for, or at the end.
    async fn next_call(&mut self) -> Next {
        let due = self.gathered.deadline();
        if self.gathered.is_full() || due.is_some_and(|due| due <= Instant::now()) {
            return Next::Store;
        }
        if due.is_some() {
            return self.queue.try_recv().map_or(Next::Store, Next::Call);
        }
        loop {
            if *self.fenced.borrow_and_update() {
                self.queue.close();
            }
            tokio::select! {
                call = self.queue.recv() => return call.map_or(Next::End, Next::Call),
                // The sender lives as long as this task.
                _changed = self.fenced.changed() => {}
            }
        }
    }

    async fn store(&mut self) -> Result<(), ClusterError> {
        let Gathered {
            offsets,
            acknowledgements,
            ..
        } = std::mem::take(&mut self.gathered);
        let now_ms = self.broker.env().clock.now_ms();
        let stored = match Appends::write(self.broker.topics(), Gathered::batches(offsets, now_ms)) {
            Ok(appends) => appends.durable().await.map(|_| ()),
            Err(error) => Err(error),
        };
        for (acknowledge, base) in acknowledgements {
            // A task that stopped listening does not hold up the others.
            let _gone = acknowledge.send(stored.clone().map(|()| base));
        }
        stored
    }
}

#[derive(Debug)]
enum Next {
    Call(Call),
    Store,
    End,
}

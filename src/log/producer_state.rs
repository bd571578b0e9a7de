//! What idempotent producers appended last: deduplication, sequence checks, fencing, and the `.snapshot` file.
//!
//! Rules follow Kafka's `ProducerStateManager` and `ProducerAppendInfo` (KIP-98, KIP-360); the file is its snapshot
//! format, version 1.

use std::collections::{BTreeMap, VecDeque};

use jackfield_protocol::records::BatchHeader;

use crate::AppendError;

/// Batches remembered per producer for deduplication (a client keeps at most five requests in flight).
pub(crate) const REMEMBERED_BATCHES: usize = 5;
const SNAPSHOT_VERSION: i16 = 1;
const ENTRY_BYTES: usize = 46;

/// A batch a producer appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BatchMetadata {
    last_sequence: i32,
    last_offset: i64,
    offset_delta: i32,
    timestamp: i64,
}

impl BatchMetadata {
    fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        let span = i64::from(i32::MAX) + 1;
        i32::try_from(first.rem_euclid(span)).unwrap_or(0)
    }

    fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    batches: VecDeque<BatchMetadata>,
    last_timestamp: i64,
    /// When this process last heard of it: records may carry old timestamps while their producer is busy.
    seen_ms: i64,
    coordinator_epoch: i32,
}

/// State of all producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProducerStates {
    producers: BTreeMap<i64, Producer>,
}

/// A producer as administrators see it (KIP-664).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence of its last record; -1 when none is remembered.
    pub last_sequence: i32,
    /// Largest timestamp of its last batch.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that ended its last transaction; -1 without one.
    pub coordinator_epoch: i32,
}

/// Verdict on a batch of an idempotent producer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// It is the next one.
    Append,
    /// It was appended before, at these offsets.
    Duplicate {
        base_offset: i64,
        last_offset: i64,
        /// Its largest timestamp.
        timestamp: i64,
    },
}

fn next_sequence(sequence: i32) -> i32 {
    if sequence == i32::MAX { 0 } else { sequence + 1 }
}

impl ProducerStates {
    /// Checks a client's batch against what its producer appended before.
    ///
    /// # Errors
    /// A stale epoch, a gap in the sequence, or a duplicate that is no longer remembered.
    pub(crate) fn check(&self, header: &BatchHeader) -> Result<Check, AppendError> {
        let Some(producer) = self.producers.get(&header.producer_id) else {
            // Expired or unknown producers may start anywhere (no transactions of version 2 yet).
            return Ok(Check::Append);
        };
        if header.producer_epoch < producer.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                current: producer.epoch,
                got: header.producer_epoch,
            });
        }
        let out_of_order = |expected| AppendError::OutOfOrderSequence {
            producer_id: header.producer_id,
            expected,
            got: header.base_sequence,
        };
        if header.producer_epoch > producer.epoch {
            return if header.base_sequence == 0 {
                Ok(Check::Append)
            } else {
                Err(out_of_order(0))
            };
        }
        let last_sequence = header.last_sequence();
        if let Some(batch) = producer.batches.iter().find(|batch| {
            batch.first_sequence() == header.base_sequence && batch.last_sequence == last_sequence
        }) {
            return Ok(Check::Duplicate {
                base_offset: batch.first_offset(),
                last_offset: batch.last_offset,
                timestamp: batch.timestamp,
            });
        }
        // Nothing appended in this epoch yet: it starts at 0.
        let expected = producer
            .batches
            .back()
            .map_or(0, |last| next_sequence(last.last_sequence));
        if header.base_sequence == expected {
            return Ok(Check::Append);
        }
        if let (Some(first), Some(last)) = (producer.batches.front(), producer.batches.back())
            && header.base_sequence < first.first_sequence()
            && last_sequence <= last.last_sequence
            && first.first_sequence() <= last.last_sequence
        {
            return Err(AppendError::DuplicateSequence(header.base_sequence));
        }
        Err(out_of_order(expected))
    }

    /// Remembers a batch that was appended (its header carries the final offsets).
    pub(crate) fn record(&mut self, header: &BatchHeader, now_ms: i64) {
        if !header.has_producer_id() || header.is_control() {
            return;
        }
        let producer = self
            .producers
            .entry(header.producer_id)
            .or_insert_with(|| Producer {
                epoch: header.producer_epoch,
                batches: VecDeque::new(),
                last_timestamp: header.max_timestamp,
                seen_ms: now_ms,
                coordinator_epoch: -1,
            });
        producer.seen_ms = now_ms;
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == REMEMBERED_BATCHES {
            producer.batches.pop_front();
        }
        producer.last_timestamp = header.max_timestamp;
        producer.batches.push_back(BatchMetadata {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        });
    }

    /// Forgets producers that were silent for `expiration_ms`.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, producer| {
            let last_ms = producer.last_timestamp.max(producer.seen_ms);
            now_ms.saturating_sub(last_ms) < expiration_ms
        });
    }

    /// Takes over the batches in front of each producer's oldest one that is remembered, where that is the last one in
    /// `recent`: a snapshot has only that.
    pub(crate) fn recall(&mut self, recent: &Self) {
        for (id, producer) in &mut self.producers {
            if let Some(known) = recent.producers.get(id)
                && known.epoch == producer.epoch
                && known.batches.back() == producer.batches.front()
            {
                let mut batches = known.batches.clone();
                batches.extend(producer.batches.iter().skip(1));
                let surplus = batches.len().saturating_sub(REMEMBERED_BATCHES);
                producer.batches = batches.split_off(surplus);
            }
        }
    }

    /// All producers, by id.
    pub(crate) fn active(&self) -> impl Iterator<Item = ActiveProducer> {
        self.producers.iter().map(|(id, producer)| ActiveProducer {
            producer_id: *id,
            epoch: producer.epoch,
            last_sequence: producer.batches.back().map_or(-1, |batch| batch.last_sequence),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
        })
    }

    /// Whether no producer is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Content of a `.snapshot` file: the last batch of each producer.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(10 + self.producers.len() * ENTRY_BYTES);
        out.extend_from_slice(&SNAPSHOT_VERSION.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(
            &i32::try_from(self.producers.len())
                .unwrap_or(i32::MAX)
                .to_be_bytes(),
        );
        for (id, producer) in &self.producers {
            let last = producer.batches.back();
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&producer.epoch.to_be_bytes());
            out.extend_from_slice(&last.map_or(-1, |batch| batch.last_sequence).to_be_bytes());
            out.extend_from_slice(&last.map_or(-1, |batch| batch.last_offset).to_be_bytes());
            out.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
            out.extend_from_slice(&producer.last_timestamp.to_be_bytes());
            out.extend_from_slice(&producer.coordinator_epoch.to_be_bytes());
            out.extend_from_slice(&(-1_i64).to_be_bytes());
        }
        let crc = crc32c::crc32c(&out[6..]);
        out[2..6].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads a `.snapshot` file; `None` when it is damaged or of another version (an older one is used then).
    /// Its producers count as heard of at `now_ms`.
    pub(crate) fn decode(data: &[u8], now_ms: i64) -> Option<Self> {
        let (version, rest) = data.split_first_chunk::<2>()?;
        let (crc, body) = rest.split_first_chunk::<4>()?;
        if i16::from_be_bytes(*version) != SNAPSHOT_VERSION
            || u32::from_be_bytes(*crc) != crc32c::crc32c(body)
        {
            return None;
        }
        let (count, entries) = body.split_first_chunk::<4>()?;
        let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
        if entries.len() != count.checked_mul(ENTRY_BYTES)? {
            return None;
        }
        let mut states = Self::default();
        for entry in entries.chunks_exact(ENTRY_BYTES) {
            let long = |at: usize| {
                entry[at..]
                    .first_chunk::<8>()
                    .map(|bytes| i64::from_be_bytes(*bytes))
            };
            let int = |at: usize| {
                entry[at..]
                    .first_chunk::<4>()
                    .map(|bytes| i32::from_be_bytes(*bytes))
            };
            let last = BatchMetadata {
                last_sequence: int(10)?,
                last_offset: long(14)?,
                offset_delta: int(22)?,
                timestamp: long(26)?,
            };
            let producer = Producer {
                epoch: i16::from_be_bytes(*entry[8..].first_chunk()?),
                last_timestamp: last.timestamp,
                seen_ms: now_ms,
                coordinator_epoch: int(34)?,
                batches: if last.last_sequence < 0 {
                    VecDeque::new()
                } else {
                    VecDeque::from([last])
                },
            };
            states.producers.insert(long(0)?, producer);
        }
        Some(states)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(epoch: i16, base_sequence: i32, count: i32, base_offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset,
            batch_length: 100,
            partition_leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp: 5,
            max_timestamp: 5,
            producer_id: 7,
            producer_epoch: epoch,
            base_sequence,
            record_count: count,
        }
    }

    fn appended(batches: &[(i16, i32, i32, i64)]) -> ProducerStates {
        let mut states = ProducerStates::default();
        for (epoch, sequence, count, offset) in batches {
            let header = header(*epoch, *sequence, *count, *offset);
            assert_eq!(states.check(&header).unwrap(), Check::Append);
            states.record(&header, 5);
        }
        states
    }

    fn states_seen_at(states: &ProducerStates, now_ms: i64) -> ProducerStates {
        let mut states = states.clone();
        for producer in states.producers.values_mut() {
            producer.seen_ms = now_ms;
        }
        states
    }

    #[test]
    fn duplicates_return_their_first_offsets() {
        let states = appended(&[(0, 0, 3, 100), (0, 3, 1, 110), (0, 4, 2, 120)]);
        assert_eq!(
            states.check(&header(0, 0, 3, 0)).unwrap(),
            Check::Duplicate {
                base_offset: 100,
                last_offset: 102,
                timestamp: 5,
            }
        );
        assert!(matches!(
            states.check(&header(0, 7, 1, 0)),
            Err(AppendError::OutOfOrderSequence {
                expected: 6,
                got: 7,
                ..
            })
        ));
    }

    #[test]
    fn a_forgotten_duplicate_is_an_error() {
        let batches: Vec<_> = (0..6).map(|n| (0, n, 1, i64::from(n))).collect();
        let states = appended(&batches);
        assert!(matches!(
            states.check(&header(0, 0, 1, 0)),
            Err(AppendError::DuplicateSequence(0))
        ));
    }

    #[test]
    fn epochs_fence() {
        let states = appended(&[(0, 0, 1, 0), (1, 0, 1, 1)]);
        assert!(matches!(
            states.check(&header(0, 1, 1, 0)),
            Err(AppendError::InvalidProducerEpoch { current: 1, got: 0 })
        ));
        assert!(states.check(&header(2, 5, 1, 0)).is_err());
        assert_eq!(states.check(&header(2, 0, 1, 0)).unwrap(), Check::Append);
    }

    #[test]
    fn sequences_wrap() {
        let states = appended(&[(0, i32::MAX - 1, 3, 0)]);
        assert_eq!(states.check(&header(0, 1, 1, 3)).unwrap(), Check::Append);
        assert_eq!(
            states.check(&header(0, i32::MAX - 1, 3, 0)).unwrap(),
            Check::Duplicate {
                base_offset: 0,
                last_offset: 2,
                timestamp: 5,
            }
        );
    }

    #[test]
    fn snapshots_keep_the_last_batch() {
        let states = appended(&[(0, 0, 3, 100), (0, 3, 1, 110)]);
        let mut back = ProducerStates::decode(&states.encode(), 100).unwrap();
        assert_eq!(
            back.check(&header(0, 3, 1, 0)).unwrap(),
            Check::Duplicate {
                base_offset: 110,
                last_offset: 110,
                timestamp: 5,
            }
        );
        assert_eq!(back.check(&header(0, 4, 1, 0)).unwrap(), Check::Append);
        let mut damaged = states.encode();
        damaged[12] ^= 1;
        assert_eq!(ProducerStates::decode(&damaged, 0), None);
        back.expire(999, 900);
        assert!(!back.is_empty(), "heard of at 100, whatever its records say");
        back.expire(1_000, 900);
        assert!(back.is_empty());
    }

    #[test]
    fn batches_before_a_snapshot_are_recalled() {
        let states = appended(&[(0, 0, 3, 100), (0, 3, 1, 110), (0, 4, 2, 120)]);
        let mut back = ProducerStates::decode(&states.encode(), 0).unwrap();
        assert!(back.check(&header(0, 3, 1, 0)).is_err());
        let other = appended(&[(0, 0, 3, 100), (0, 3, 1, 110)]);
        back.recall(&other);
        assert!(back.check(&header(0, 3, 1, 0)).is_err(), "another last batch");
        back.recall(&states);
        assert_eq!(back, states_seen_at(&states, 0));
    }
}

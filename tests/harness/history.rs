//! The checker of what producers were promised: a history of acknowledgements held against what can be read afterwards.
//!
//! Values are unique. A value whose send ended without an answer may be there or not, but at most once. Producers without
//! idempotence may repeat and reorder what they were not answered for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A place in the log.
pub(crate) type Place = (i32, i64);

/// What a run promised and what was read, over all restarts.
#[derive(Debug, Default)]
pub(crate) struct History {
    acknowledged: Vec<(String, Place)>,
    attempted: BTreeSet<String>,
    reads: Vec<Read>,
}

/// Everything that could be read at one time.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) values: BTreeMap<Place, String>,
    /// Log start offsets of partitions that had been cut by retention.
    pub(crate) starts: BTreeMap<i32, i64>,
    /// How many acknowledgements there had been before.
    pub(crate) acknowledgements: usize,
}

impl Read {
    fn is_expired(&self, (partition, offset): Place) -> bool {
        self.starts.get(&partition).is_some_and(|start| offset < *start)
    }
}

/// What a checker can find.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Anomaly {
    /// Acknowledged, but a later read does not show it.
    Lost(String),
    /// One offset had two values.
    TwoValues(Place, String, String),
    /// One value of an idempotent producer is there twice.
    Duplicate(String),
    /// A value nobody sent.
    Unknown(String),
    /// Values of one producer and partition are out of order.
    Reordered(String),
}

impl History {
    /// A value is about to be sent.
    pub(crate) fn attempt(&mut self, value: &str) {
        assert!(self.attempted.insert(value.to_owned()), "{value} is sent once");
    }

    /// The broker said that the value is stored there.
    pub(crate) fn acknowledge(&mut self, value: String, place: Place) {
        self.acknowledged.push((value, place));
    }

    /// What was read.
    pub(crate) fn read(&mut self, read: Read) {
        self.reads.push(read);
    }

    pub(crate) fn acknowledgements(&self) -> usize {
        self.acknowledged.len()
    }

    /// All anomalies, sorted. `order` maps the value of an idempotent producer to the producer and the number in it.
    pub(crate) fn check(&self, order: impl Fn(&str) -> Option<(String, u64)>) -> Vec<Anomaly> {
        let mut found = BTreeSet::new();
        self.check_offsets(&mut found);
        for read in &self.reads {
            for (value, place) in &self.acknowledged[..read.acknowledgements] {
                if !read.is_expired(*place) && read.values.get(place) != Some(value) {
                    found.insert(Anomaly::Lost(value.clone()));
                }
            }
        }
        let last = self.reads.last().expect("a read after the run");
        let mut times = HashMap::new();
        let mut latest: HashMap<(String, i32), u64> = HashMap::new();
        for ((partition, _), value) in &last.values {
            if !self.attempted.contains(value) {
                found.insert(Anomaly::Unknown(value.clone()));
            }
            let Some((producer, number)) = order(value) else {
                continue;
            };
            let count: &mut u32 = times.entry(value).or_default();
            *count += 1;
            if *count == 2 {
                found.insert(Anomaly::Duplicate(value.clone()));
            }
            let before = latest.insert((producer, *partition), number);
            if *count == 1 && before.is_some_and(|before| before > number) {
                found.insert(Anomaly::Reordered(value.clone()));
            }
        }
        found.into_iter().collect()
    }

    fn check_offsets(&self, found: &mut BTreeSet<Anomaly>) {
        let mut values: HashMap<Place, &String> = HashMap::new();
        let acknowledged = self.acknowledged.iter().map(|(value, place)| (*place, value));
        let read = self
            .reads
            .iter()
            .flat_map(|read| &read.values)
            .map(|(place, value)| (*place, value));
        for (place, value) in acknowledged.chain(read) {
            let first = values.entry(place).or_insert(value);
            if *first != value {
                found.insert(Anomaly::TwoValues(place, first.clone(), value.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Producer `x` is not idempotent.
    fn order(value: &str) -> Option<(String, u64)> {
        let (producer, number) = value.split_once('-').unwrap();
        (producer != "x").then(|| (producer.to_owned(), number.parse().unwrap()))
    }

    fn read(values: &[(i64, &str)], acknowledgements: usize) -> Read {
        Read {
            values: values
                .iter()
                .map(|(offset, value)| ((0, *offset), (*value).to_owned()))
                .collect(),
            acknowledgements,
            ..Read::default()
        }
    }

    /// Runs the checker over sent values, acknowledgements and reads (each a list of offset and value, partition 0).
    fn check(sent: &[&str], acknowledged: &[(i64, &str)], reads: &[&[(i64, &str)]]) -> Vec<Anomaly> {
        let mut history = History::default();
        sent.iter().for_each(|value| history.attempt(value));
        for (offset, value) in acknowledged {
            history.acknowledge((*value).to_owned(), (0, *offset));
        }
        for values in reads {
            history.read(read(values, acknowledged.len()));
        }
        history.check(order)
    }

    #[test]
    fn a_good_history_passes() {
        let sent = ["a-0", "a-1", "b-0", "a-2"];
        // a-2 was never answered and may be there …
        assert_eq!(
            check(
                &sent,
                &[(0, "a-0"), (1, "b-0"), (2, "a-1")],
                &[&[(0, "a-0"), (1, "b-0"), (2, "a-1"), (3, "a-2")]]
            ),
            []
        );
        // … or not.
        assert_eq!(
            check(&sent, &[(0, "a-0")], &[&[(0, "a-0")], &[(0, "a-0"), (1, "a-1")]]),
            []
        );
        // What is acknowledged after a read need not be in it.
        let mut history = History::default();
        history.attempt("a-0");
        history.read(read(&[], 0));
        history.acknowledge("a-0".to_owned(), (0, 0));
        history.read(read(&[(0, "a-0")], 1));
        // What retention has removed need not, either.
        history.read(Read {
            starts: BTreeMap::from([(0, 1)]),
            ..read(&[], 1)
        });
        assert_eq!(history.check(order), []);
        // A producer without idempotence may repeat.
        assert_eq!(
            check(&["x-0", "x-1"], &[], &[&[(0, "x-0"), (1, "x-1"), (2, "x-0")]]),
            []
        );
    }

    #[test]
    fn each_anomaly_is_found() {
        let lost = Anomaly::Lost("a-1".into());
        assert_eq!(
            check(&["a-0", "a-1"], &[(0, "a-0"), (1, "a-1")], &[&[(0, "a-0")]]),
            [lost]
        );
        let two = check(&["a-0", "b-0"], &[], &[&[(0, "a-0")], &[(0, "b-0")]]);
        assert_eq!(two, [Anomaly::TwoValues((0, 0), "a-0".into(), "b-0".into())]);
        let twice = check(
            &["a-0", "a-1"],
            &[],
            &[&[(0, "a-0"), (1, "a-1"), (2, "a-0"), (3, "a-1")]],
        );
        assert_eq!(
            twice,
            [Anomaly::Duplicate("a-0".into()), Anomaly::Duplicate("a-1".into())]
        );
        assert_eq!(
            check(&[], &[], &[&[(0, "a-0")]]),
            [Anomaly::Unknown("a-0".into())]
        );
        let reordered = check(&["a-0", "a-1"], &[], &[&[(0, "a-1"), (1, "a-0")]]);
        assert_eq!(reordered, [Anomaly::Reordered("a-0".into())]);
        // An acknowledged offset that now holds another value is both lost and two values.
        let replaced = check(&["a-0", "b-0"], &[(0, "a-0")], &[&[(0, "b-0")]]);
        assert_eq!(replaced.len(), 2, "{replaced:?}");
    }
}

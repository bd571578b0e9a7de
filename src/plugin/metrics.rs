//! Numbers of one task's own, within limits.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jackfield_api::MetricKind;

/// Series of one task.
const MAX_SERIES: usize = 200;
/// Labels of one series.
const MAX_LABELS: usize = 10;
/// Bytes of a name, of a label and of its value.
const MAX_TEXT_BYTES: usize = 200;
/// Upper bounds of a histogram, in seconds where it is of durations.
pub const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// Labels of a series, names and values, by name.
pub type Labels = Vec<(String, String)>;

/// The numbers of one task.
#[derive(Debug, Default)]
pub struct TaskMetrics(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    series: BTreeMap<(String, Labels), MetricValue>,
}

/// What a series is at.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricValue {
    /// It only grows.
    Counter(f64),
    /// It is what was said last.
    Gauge(f64),
    /// Values counted.
    Histogram {
        /// Values at most as large as each of [`BUCKETS`], and larger than the one before.
        counts: [u64; BUCKETS.len()],
        /// All values.
        count: u64,
        /// Their sum.
        sum: f64,
    },
}

impl TaskMetrics {
    /// Every series: name, labels, value.
    pub fn series(&self) -> Vec<(String, Labels, MetricValue)> {
        let kept = self.lock();
        let series = kept.series.iter();
        series
            .map(|((name, labels), value)| (name.clone(), labels.clone(), value.clone()))
            .collect()
    }

    /// Counts a value. The error says why it was not counted.
    pub(crate) fn record(
        &self,
        kind: MetricKind,
        name: &str,
        mut labels: Labels,
        value: f64,
    ) -> Result<(), String> {
        check(name, &labels)?;
        labels.sort();
        let mut kept = self.lock();
        let key = (name.to_owned(), labels);
        if kept.series.len() >= MAX_SERIES && !kept.series.contains_key(&key) {
            return Err(format!("metric {name}: a task has at most {MAX_SERIES} series"));
        }
        let of_kind =
            |known: &MetricValue| std::mem::discriminant(known) == std::mem::discriminant(&empty(kind));
        if !kept
            .series
            .iter()
            .filter(|((known, _), _)| known == name)
            .all(|(_, known)| of_kind(known))
        {
            return Err(format!("metric {name} is of another kind already"));
        }
        match kept.series.entry(key).or_insert_with(|| empty(kind)) {
            MetricValue::Counter(_) if value.is_nan() || value < 0.0 => {
                return Err(format!("counter {name} cannot grow by {value}"));
            }
            MetricValue::Counter(known) => *known += value,
            MetricValue::Gauge(known) => *known = value,
            MetricValue::Histogram { counts, count, sum } => {
                if let Some(bucket) = BUCKETS.iter().position(|bound| value <= *bound) {
                    counts[bucket] += 1;
                }
                *count += 1;
                *sum += value;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn empty(kind: MetricKind) -> MetricValue {
    match kind {
        MetricKind::Counter => MetricValue::Counter(0.0),
        MetricKind::Gauge => MetricValue::Gauge(0.0),
        MetricKind::Histogram => MetricValue::Histogram {
            counts: [0; BUCKETS.len()],
            count: 0,
            sum: 0.0,
        },
    }
}

fn check(name: &str, labels: &Labels) -> Result<(), String> {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.len() <= MAX_TEXT_BYTES
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if !is_name(name) {
        return Err(format!(
            "metric name {name:?}: lower case letters, digits and _ are allowed, at most {MAX_TEXT_BYTES}"
        ));
    }
    if labels.len() > MAX_LABELS {
        return Err(format!("metric {name}: at most {MAX_LABELS} labels are allowed"));
    }
    for (label, value) in labels {
        if !is_name(label) || ["connector", "task"].contains(&label.as_str()) {
            return Err(format!(
                "label {label:?} of metric {name}: lower case letters, digits and _ are allowed; connector and task are the \
                 host's"
            ));
        }
        if value.len() > MAX_TEXT_BYTES {
            return Err(format!(
                "label {label} of metric {name}: its value has more than {MAX_TEXT_BYTES} bytes"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(value: &str) -> Labels {
        vec![("table".to_owned(), value.to_owned())]
    }

    #[test]
    fn values_are_counted_by_kind() {
        let metrics = TaskMetrics::default();
        for value in [1.0, 2.0] {
            metrics
                .record(MetricKind::Counter, "rows", labels("a"), value)
                .unwrap();
            metrics
                .record(MetricKind::Gauge, "depth", Vec::new(), value)
                .unwrap();
            metrics
                .record(MetricKind::Histogram, "seconds", Vec::new(), value)
                .unwrap();
        }
        let series = metrics.series();
        assert_eq!(
            series[0],
            ("depth".to_owned(), Vec::new(), MetricValue::Gauge(2.0))
        );
        assert_eq!(
            series[1],
            ("rows".to_owned(), labels("a"), MetricValue::Counter(3.0))
        );
        let MetricValue::Histogram { counts, count, sum } = &series[2].2 else {
            panic!("{series:?}");
        };
        assert_eq!((counts[9], counts[10], *count, *sum), (1, 1, 2, 3.0));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let metrics = TaskMetrics::default();
        let check = |kind, name: &str, labels: Labels, value: f64, wanted: &str| {
            let refused = metrics.record(kind, name, labels, value).unwrap_err();
            assert!(refused.contains(wanted), "{refused}");
        };
        check(MetricKind::Gauge, "Rows", Vec::new(), 1.0, "metric name \"Rows\"");
        check(MetricKind::Counter, "rows", Vec::new(), -1.0, "cannot grow by -1");
        let own = vec![("task".to_owned(), "1".to_owned())];
        check(MetricKind::Gauge, "rows", own, 1.0, "are the host's");
        check(MetricKind::Gauge, "rows", Vec::new(), 1.0, "of another kind");
        for index in 1..MAX_SERIES {
            let labels = labels(&index.to_string());
            metrics.record(MetricKind::Gauge, "many", labels, 1.0).unwrap();
        }
        check(
            MetricKind::Gauge,
            "many",
            labels("more"),
            1.0,
            "at most 200 series",
        );
    }
}

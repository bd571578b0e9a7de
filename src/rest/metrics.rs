//! `/metrics`: what the plugins of this worker's tasks count, for Prometheus, in the OpenMetrics text format 1.0.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    mem::discriminant,
};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use jackfield_worker::{Herder, METRIC_BUCKETS, MetricValue};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// In front of the names that plugins give.
const PREFIX: &str = "jackfield_plugin_";

type Labels = Vec<(String, String)>;

/// What was counted, by name.
#[derive(Debug, Default)]
struct Counted(BTreeMap<String, Family>);

/// Everything of one name.
#[derive(Debug)]
struct Family {
    help: &'static str,
    series: Vec<(Labels, MetricValue)>,
}

/// What running tasks count and how far they are behind, for Prometheus
///
/// `jackfield_plugin_<name>` for each metric of a plugin, with the labels it gives and `connector` and `task`;
/// `jackfield_task_lag_bytes` and `jackfield_task_lag_files` for tasks that report their lag.
#[utoipa::path(get, path = "/metrics", tag = "root", operation_id = "metrics",
    responses((status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text")))]
pub(crate) async fn get(State(herder): State<Herder>) -> Response {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], shown(counted(&herder))).into_response()
}

fn counted(herder: &Herder) -> Counted {
    let mut counted = Counted::default();
    for ((connector, task), report) in herder.reports() {
        let own = [
            ("connector".to_owned(), connector),
            ("task".to_owned(), task.to_string()),
        ];
        for (name, labels, value) in report.metrics().series() {
            let labels = own.iter().cloned().chain(labels).collect();
            counted.add(
                format!("{PREFIX}{name}"),
                "Counted by the connector's plugin",
                labels,
                value,
            );
        }
        if let Some(lag) = report.lag() {
            #[allow(clippy::cast_precision_loss, reason = "metrics are doubles")]
            for (name, help, value) in [
                (
                    "jackfield_task_lag_bytes",
                    "Bytes that the task has not read yet",
                    lag.bytes as f64,
                ),
                (
                    "jackfield_task_lag_files",
                    "Files that the task has not read to their end",
                    lag.files as f64,
                ),
            ] {
                counted.add(name.to_owned(), help, own.to_vec(), MetricValue::Gauge(value));
            }
        }
    }
    counted
}

fn shown(counted: Counted) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(counted));
    let mut shown = String::new();
    text::encode(&mut shown, &registry).expect("a String takes everything");
    shown
}

impl Counted {
    /// A name has one type: of two tasks that mean different ones the first is shown.
    fn add(&mut self, name: String, help: &'static str, labels: Labels, value: MetricValue) {
        // The format adds it to the name of every counter.
        let name = match (&value, name.strip_suffix("_total")) {
            (MetricValue::Counter(_), Some(base)) => base.to_owned(),
            _ => name,
        };
        match self.0.entry(name) {
            Entry::Vacant(place) => {
                let series = vec![(labels, value)];
                place.insert(Family { help, series });
            }
            Entry::Occupied(mut place) => {
                let series = &mut place.get_mut().series;
                if discriminant(&series[0].1) == discriminant(&value) {
                    series.push((labels, value));
                } else {
                    tracing::debug!(name = place.key(), ?labels, "metric of two types");
                }
            }
        }
    }
}

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, family) in &self.0 {
            let kind = match family.series[0].1 {
                MetricValue::Counter(_) => MetricType::Counter,
                MetricValue::Gauge(_) => MetricType::Gauge,
                MetricValue::Histogram { .. } => MetricType::Histogram,
            };
            let mut of_name = encoder.encode_descriptor(name, family.help, None, kind)?;
            for (labels, value) in &family.series {
                encode(of_name.encode_family(labels)?, value)?;
            }
        }
        Ok(())
    }
}

fn encode(mut series: MetricEncoder<'_>, value: &MetricValue) -> fmt::Result {
    match value {
        MetricValue::Counter(value) => series.encode_counter::<NoLabelSet, _, f64>(value, None),
        MetricValue::Gauge(value) => series.encode_gauge(value),
        MetricValue::Histogram { counts, count, sum } => {
            let beyond = count - counts.iter().sum::<u64>();
            let bounds = METRIC_BUCKETS.iter().copied().chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(counts.iter().copied().chain([beyond])).collect();
            series.encode_histogram::<NoLabelSet>(*sum, *count, &buckets, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn labels(table: &str) -> Labels {
        vec![
            ("connector".to_owned(), "c".to_owned()),
            ("table".to_owned(), table.to_owned()),
        ]
    }

    #[test]
    fn every_type_is_shown_with_its_labels() {
        let mut counted = Counted::default();
        let mut add = |name: &str, table, value| {
            counted.add(format!("{PREFIX}{name}"), "Counted", labels(table), value);
        };
        add("rows_total", "a\"b", MetricValue::Counter(3.0));
        add("rows", "b", MetricValue::Counter(4.5));
        add("rows", "b", MetricValue::Gauge(1.0));
        add("depth", "a", MetricValue::Gauge(-2.0));
        let mut counts = [0; METRIC_BUCKETS.len()];
        counts[0] = 2;
        counts[13] = 1;
        add(
            "seconds",
            "a",
            MetricValue::Histogram {
                counts,
                count: 4,
                sum: 130.0,
            },
        );
        let shown: Vec<_> = shown(counted)
            .lines()
            .filter(|line| !line.contains("le=\"0.") || line.contains("le=\"0.001\""))
            .map(str::to_owned)
            .collect();
        expect![[r##"
            # HELP jackfield_plugin_depth Counted
            # TYPE jackfield_plugin_depth gauge
            jackfield_plugin_depth{connector="c",table="a"} -2.0
            # HELP jackfield_plugin_rows Counted
            # TYPE jackfield_plugin_rows counter
            jackfield_plugin_rows_total{connector="c",table="a\"b"} 3.0
            jackfield_plugin_rows_total{connector="c",table="b"} 4.5
            # HELP jackfield_plugin_seconds Counted
            # TYPE jackfield_plugin_seconds histogram
            jackfield_plugin_seconds_sum{connector="c",table="a"} 130.0
            jackfield_plugin_seconds_count{connector="c",table="a"} 4
            jackfield_plugin_seconds_bucket{le="0.001",connector="c",table="a"} 2
            jackfield_plugin_seconds_bucket{le="1.0",connector="c",table="a"} 2
            jackfield_plugin_seconds_bucket{le="2.5",connector="c",table="a"} 2
            jackfield_plugin_seconds_bucket{le="5.0",connector="c",table="a"} 2
            jackfield_plugin_seconds_bucket{le="10.0",connector="c",table="a"} 2
            jackfield_plugin_seconds_bucket{le="60.0",connector="c",table="a"} 3
            jackfield_plugin_seconds_bucket{le="+Inf",connector="c",table="a"} 4
            # EOF"##]]
        .assert_eq(&shown.join("\n"));
    }
}

//! The table: median and spread of every figure, and how they relate to Kafka's.

use std::collections::BTreeMap;

use crate::{Case, measure::Sample};

/// A figure of a sample, with its name.
type Figure = (&'static str, fn(&Sample) -> f64);

const FIGURES: [Figure; 5] = [
    ("lines/s", |sample| sample.lines_per_second),
    ("CPU-s", |sample| sample.cpu_seconds),
    ("lines/CPU-s", |sample| sample.lines_per_cpu_second),
    ("peak MB", |sample| sample.peak_bytes / 1e6),
    ("first record s", |sample| sample.first_record.as_secs_f64()),
];

/// Prints medians with their spread, ratios to Kafka with the same converter, and the bars.
pub(crate) fn print(samples: &[(Case, Sample)]) {
    let mut cases: BTreeMap<Case, Vec<Sample>> = BTreeMap::new();
    for (case, sample) in samples {
        cases.entry(case.clone()).or_default().push(*sample);
    }
    println!("\nmedian (lowest–highest) over runs");
    println!(
        "{:<8}{:<8}{}",
        "chain",
        "values",
        FIGURES.map(|(name, _)| format!("{name:>34}")).concat()
    );
    for (case, samples) in &cases {
        let cells = FIGURES.map(|(_, figure)| {
            let (low, middle, high) = spread(samples, figure);
            format!(
                "{:>34}",
                format!("{} ({}–{})", show(middle), show(low), show(high))
            )
        });
        println!("{:<8}{:<8}{}", case.chain, case.converter, cells.concat());
    }
    for (case, samples) in cases.iter().filter(|(case, _)| case.chain != "kafka") {
        if let Some(kafka) = cases.get(&Case {
            chain: "kafka".to_owned(),
            converter: case.converter.clone(),
        }) {
            print_ratios(case, samples, kafka);
        }
    }
}

fn print_ratios(case: &Case, samples: &[Sample], kafka: &[Sample]) {
    let median = |samples: &[Sample], figure: usize| spread(samples, FIGURES[figure].1).1;
    let ratio = |figure: usize| median(samples, figure) / median(kafka, figure);
    let bar = |met: bool| if met { "met" } else { "MISSED" };
    let (cpu, memory, first) = (ratio(2), 1.0 / ratio(3), median(samples, 4));
    println!("\n{} {} against Kafka + Connect:", case.chain, case.converter);
    println!("  lines/s            {:>7.1} ×", ratio(0));
    println!(
        "  lines/CPU second   {cpu:>7.1} ×   bar: ≥ 10 × {}",
        bar(cpu >= 10.0)
    );
    println!(
        "  peak memory       1/{memory:<6.1}     bar: ≤ 1/20 {}",
        bar(memory >= 20.0)
    );
    println!(
        "  first record       {first:>7.3} s   bar: ≤ 1 s {}",
        bar(first <= 1.0)
    );
}

/// Lowest, median, highest.
fn spread(samples: &[Sample], figure: fn(&Sample) -> f64) -> (f64, f64, f64) {
    let mut values: Vec<f64> = samples.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    };
    (values[0], median, values[values.len() - 1])
}

fn show(value: f64) -> String {
    if value >= 1_000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

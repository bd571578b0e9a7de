//! `kafka-producer-perf-test`, `kafka-consumer-perf-test`, `kafka-e2e-latency`, `kafka-verifiable-producer`,
//! `kafka-verifiable-consumer`: what they measure is masked.

use super::{BROKER, Side, masks};

pub(super) fn script(side: &mut Side<'_>) {
    side.run("TopicCommand", &["--create", "--topic", "perf"]);
    let at = ["--bootstrap-server", BROKER, "--topic", "perf"];
    let mut run = |tool: &str, more: &[&str]| {
        side.run_with(tool, None, &[&at[..], more].concat(), masks::figures);
    };
    let count = ["--num-records", "500"];
    let size = ["--record-size", "50"];
    run(
        "ProducerPerformance",
        &[&count[..], &size, &["--throughput", "-1"]].concat(),
    );
    run(
        "ConsumerPerformance",
        &[&count[..], &["--timeout", "5000"]].concat(),
    );
    run(
        "ConsumerPerformance",
        &[
            &count[..],
            &["--show-detailed-stats", "--reporting-interval", "100000"],
        ]
        .concat(),
    );
    run(
        "EndToEndLatency",
        &[
            "--num-records",
            "10",
            "--producer-acks",
            "all",
            "--record-size",
            "20",
        ],
    );
    let topic = ["--topic", "verifiable"];
    side.run("TopicCommand", &[&["--create"][..], &topic].concat());
    side.run_alone(
        "VerifiableProducer",
        &[
            &topic[..],
            &["--max-messages", "5", "--acks", "-1", "--value-prefix", "7"],
        ]
        .concat(),
        without_figures_of_speed,
    );
    side.run_alone(
        "VerifiableConsumer",
        &[
            &topic[..],
            &[
                "--group-id",
                "verifiers",
                "--max-messages",
                "5",
                "--verbose",
                "--reset-policy",
                "earliest",
            ],
        ]
        .concat(),
        without_figures_of_speed,
    );
}

/// Times and speed of the verifiable tools; counts and offsets stay.
fn without_figures_of_speed(text: &str) -> String {
    let mask = |line: &str| {
        let at = ["\"avg_throughput\":", "\"timestamp\":"]
            .into_iter()
            .find_map(|key| {
                let from = line.find(key)? + key.len();
                let length = line[from..].find([',', '}'])?;
                Some((from, from + length))
            });
        at.map_or(line.to_owned(), |(from, to)| {
            format!("{}#{}", &line[..from], &line[to..])
        })
    };
    text.lines().map(mask).collect::<Vec<_>>().join("\n")
}

//! Tools nobody here wrote, run against the program as they are.

mod admin;
mod clients;
mod configs_side_by_side;
mod connect_client;
mod connect_rest;
mod connect_worker;
mod kafka_tools;
mod kcat;
mod librdkafka;
mod side_by_side;

/// A part of `docs/compatibility.md`: its title, a sentence, and what is left out or differs, with the reason.
type Gaps = (&'static str, &'static str, Vec<(String, String)>);

/// What is left out, or differs from Apache Kafka.
pub(crate) fn gaps() -> Vec<Gaps> {
    let owned = |gaps: &[(&str, &str)]| {
        let pairs = gaps
            .iter()
            .map(|(what, why)| ((*what).to_owned(), (*why).to_owned()));
        pairs.collect::<Vec<_>>()
    };
    let tools = side_by_side::DIFFERENT.iter().map(|(command, line, why)| {
        let line = if line.is_empty() { "its output" } else { line };
        (format!("`{command}`: {line}"), (*why).to_owned())
    });
    vec![
        (
            "Where Kafka's tools print something else",
            "Every line not named here is the same, once ids, ports and times are masked.",
            tools.collect(),
        ),
        (
            "Where `AdminClient` gets other answers",
            "Every method of Java's `Admin` is called against both brokers; the answers not named here are equal.",
            owned(admin::DIFFERENCES),
        ),
        (
            "Where Connect's REST API answers differently, deliberately",
            "Status, headers and body are compared with those of Kafka Connect; the requests not named here are answered alike.",
            connect_rest::differences(),
        ),
        (
            "Tests of librdkafka that are not run",
            "All of librdkafka's own tests that want a broker are run, in `make test` or in `make test-long`, but for:",
            owned(librdkafka::LEFT_OUT),
        ),
    ]
}

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
type Gaps = (&'static str, &'static str, Vec<(&'static str, &'static str)>);

/// What is left out, or differs from Apache Kafka.
pub(crate) fn gaps() -> Vec<Gaps> {
    vec![
        (
            "Where `AdminClient` gets other answers than from Apache Kafka",
            "Every method of Java's `Admin` is called against both brokers; the answers not named here are equal.",
            admin::DIFFERENCES.to_vec(),
        ),
        (
            "Tests of librdkafka that are not run",
            "All of librdkafka's own tests that want a broker are run, in `make test` or in `make test-long`, but for:",
            librdkafka::LEFT_OUT.to_vec(),
        ),
    ]
}

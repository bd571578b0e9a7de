//! The REST API beside Kafka Connect's: the same requests, in the same order, to a worker of Kafka's and to ours.
//!
//! The requests are in `connect_rest/requests.txt`; what may differ, and why, stands there with them, and a difference that
//! has gone must be taken out. Everywhere, and deliberately:
//!
//! - Jetty's own error pages are HTML; ours are JSON with the same status.
//! - Kafka leaves `Content-Type` out where no resource was found; ours is there with every body.
//! - A 405 of ours says in `Allow` what is allowed, as HTTP asks for; Kafka's do not.
//! - `Server` names no server.
//! - Of plugins and config keys those are compared that both have; texts that document a key are each side's own.

mod answer;
mod script;

use std::{collections::BTreeMap, thread};

use self::{
    answer::Answer,
    script::{Differs, Request, Script, Step},
};
use crate::harness::{
    kafka::{self, RealConnect, RealKafka},
    program::Standalone,
    rest::Rest,
    scratch::Scratch,
    shown::shown,
    wait,
};

/// What is set on both workers besides the sample settings.
const SETTINGS: [(&str, &str); 3] = [
    ("access.control.allow.origin", "http://ui.example"),
    ("access.control.allow.methods", "GET,POST,PUT"),
    (
        "response.http.headers.config",
        "add X-Frame-Options: DENY, set Cache-Control: no-store",
    ),
];

#[test]
fn the_rest_api_answers_as_kafka_connects() {
    let script = Script::read();
    let requests = script.requests().count();
    assert!(requests >= 300, "{requests} requests");
    let (theirs, ours) = thread::scope(|scope| {
        let theirs = scope.spawn(|| answers_of_kafka(&script));
        let ours = answers_of_jackfield(&script);
        (theirs.join().expect("Kafka answers"), ours)
    });
    let mut differences = Vec::new();
    let mut known = 0;
    for ((request, theirs), ours) in script.requests().zip(theirs).zip(ours) {
        let found = answer::compare(theirs, ours);
        match (&request.differs, found) {
            (None, None) => {}
            (Some(_), Some(found)) if found.is_covered_by(request.differs.as_ref()) => known += 1,
            (Some(Differs { why, .. }), None) => differences.push(format!(
                "{}\n  is the same now, so this is to be taken out: {why}",
                request.line
            )),
            (_, Some(found)) => differences.push(format!("{}\n{found}", request.line)),
        }
    }
    println!("{requests} requests, {known} deliberate differences");
    assert!(
        differences.is_empty(),
        "{} answers differ:\n\n{}",
        differences.len(),
        differences.join("\n\n")
    );
    let what = format!("{requests} requests of the REST API: the same answers, but for the {known} below");
    shown("Kafka Connect, distributed", kafka::VERSION, &what);
}

/// The requests with deliberate differences, and why; reasons that many share once.
pub(super) fn differences() -> Vec<(String, String)> {
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for request in Script::read().requests() {
        if let Some(Differs { why, .. }) = &request.differs {
            let line = format!("`{} {}`", request.method, request.path.replace('|', "%7C"));
            by_reason.entry(why.clone()).or_default().push(line);
        }
    }
    let shorten = |(why, lines): (String, Vec<String>)| {
        let first = lines.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = lines.len().saturating_sub(3);
        let what = if more > 0 {
            format!("{first} and {more} more")
        } else {
            first
        };
        (what, why)
    };
    by_reason.into_iter().map(shorten).collect()
}

fn answers_of_kafka(script: &Script) -> Vec<Answer> {
    let scratch = Scratch::new("connect-rest-kafka");
    let kafka = RealKafka::start(&scratch, &[]);
    let settings = SETTINGS.map(|(key, value)| format!("{key}={value}"));
    let connect = RealConnect::start(&scratch, kafka.port, &settings);
    ask_all(script, &connect.rest, &scratch)
}

fn answers_of_jackfield(script: &Script) -> Vec<Answer> {
    let scratch = Scratch::new("connect-rest-jackfield");
    let mut worker = Standalone::new(&scratch);
    for (key, value) in SETTINGS {
        worker.property(key, value);
    }
    worker.start(&[]);
    ask_all(script, &worker.rest, &scratch)
}

fn ask_all(script: &Script, rest: &Rest, scratch: &Scratch) -> Vec<Answer> {
    let mut answers = Vec::new();
    for step in &script.0 {
        match step {
            Step::File { name, lines } => drop(scratch.write(name, lines)),
            Step::Ask(request) => answers.push(outside_rebalances(rest.port, request)),
            Step::WaitForState { connector, state } => wait_for_state(rest, connector, state),
            Step::WaitForText { path, text } => wait::until(&format!("{text} in {path}"), || {
                let answer = Answer::get(rest.port, &Request::get(path));
                answer.body.contains(text).then_some(())
            }),
        }
    }
    answers
}

/// A worker of Kafka's refuses what it would have to ask its herder while a change before it is still being assigned, and
/// has done nothing then: that is a matter of time, and asked again.
fn outside_rebalances(port: u16, request: &Request) -> Answer {
    wait::until(
        &format!("an answer outside of rebalances to {}", request.line),
        || {
            let answer = Answer::get(port, request);
            (!answer.body.contains("because a rebalance is expected")).then_some(answer)
        },
    )
}

/// As the harness waits for states; but a connector that does not run need have no tasks.
fn wait_for_state(rest: &Rest, connector: &str, state: &str) {
    wait::until(&format!("connector {connector} to be {state}"), || {
        let status = rest.get(&format!("/connectors/{connector}/status")).body;
        let tasks = status["tasks"].as_array()?;
        let enough = state != "RUNNING" || !tasks.is_empty();
        let all = tasks.iter().all(|task| task["state"] == state);
        (status["connector"]["state"] == state && enough && all).then_some(())
    });
}

//! The runs themselves: a broker alone, and a worker with a pipeline in both plugin forms.

use std::{path::Path, time::Duration};

use crate::{
    harness::{
        program::{Broker, Standalone, binary},
        random, rounds,
        scratch::{Scratch, free_port},
    },
    workload::{
        load::{self, Load, Outcome},
        pipeline::Pipeline,
    },
};

/// Longest time between the first acknowledgements after a start and the kill.
const LONGEST: Duration = Duration::from_millis(700);

/// Runs `program` as a broker under clients, kills it `kills` times and judges what is left.
pub(super) fn run_broker(name: &str, program: &Path, kills: usize) -> Outcome {
    let scratch = Scratch::new(name);
    let port = free_port();
    let properties: Vec<_> = load::PROPERTIES
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let properties: Vec<_> = properties.iter().map(String::as_str).collect();
    let start = || Broker::start_binary(program, &scratch, port, &properties);
    let mut broker = start();
    let go_on = || {};
    kill_under_load(port, kills, go_on, || {
        broker.process.kill_9();
        broker = start();
    })
    .finish()
}

/// As [`run_broker`], with a worker, its embedded broker and a pipeline of connectors in the given plugin form.
pub(super) fn run_worker(name: &str, program: &Path, form: &str, kills: usize) -> Outcome {
    let scratch = Scratch::new(name);
    let mut worker = Standalone::new(&scratch);
    for (key, value) in load::PROPERTIES {
        worker.property(&format!("broker.{key}"), value);
    }
    let pipeline = Pipeline::new(&mut worker, "files", form);
    worker.start_binary(program, &pipeline.connectors());
    let go_on = || pipeline.goes_on();
    let mut load = kill_under_load(worker.kafka_port, kills, go_on, || {
        worker.kill_9();
        worker.start_binary(program, &pipeline.connectors());
    });
    let (lines, problems) = pipeline.finish(&worker);
    println!("{lines} lines");
    load.report(problems);
    load.finish()
}

/// Puts a load on the broker at `port` and calls `restart` at random moments, when the load and what else runs go on.
fn kill_under_load(port: u16, kills: usize, go_on: impl Fn(), mut restart: impl FnMut()) -> Load {
    let mut load = Load::start(port);
    for _ in 0..kills {
        if !load.goes_on() {
            break;
        }
        go_on();
        random::sleep(LONGEST);
        restart();
        load.check();
    }
    load
}

fn judge(outcome: &Outcome, kills: usize) {
    println!("{kills} kills: {}", outcome.summary());
    outcome.assert_good();
}

#[test]
fn a_broker_keeps_its_promises_under_kills() {
    let kills = rounds::of("CRASH_KILLS", 10);
    judge(&run_broker("crash-broker", &binary(), kills), kills);
}

#[test]
fn a_worker_keeps_its_promises_under_kills() {
    let kills = rounds::of("CRASH_KILLS", 10);
    judge(&run_worker("crash-native", &binary(), "native", kills), kills);
}

#[test]
fn a_worker_with_wasm_plugins_keeps_its_promises_under_kills() {
    let kills = rounds::of("CRASH_KILLS", 10);
    judge(&run_worker("crash-wasm", &binary(), "wasm", kills), kills);
}

//! Cuts under a worker with its embedded broker: the pipeline's files, offsets and commits lie on the same disk.

use crate::{
    harness::{
        program::{Standalone, binary},
        random, rounds,
        scratch::Scratch,
    },
    workload::{
        load::{self, Load},
        pipeline::Pipeline,
    },
};

use super::{
    broker::{CUTS_PER_DISK, LONGEST, complaints},
    disk::{self, Disk},
};

/// Cuts the power of a worker under load and with a pipeline in the given plugin form.
fn run(form: &str, cuts: usize) {
    let scratch = Scratch::new(&format!("power-{form}"));
    let mut disk = Disk::new(&scratch);
    let mut worker = Standalone::new(&scratch);
    for (key, value) in load::PROPERTIES {
        worker.property(&format!("broker.{key}"), value);
    }
    let log = scratch.join("standalone.log");
    let pipeline = Pipeline::new(&mut worker, "data/files", form);
    worker.start_binary(&binary(), &pipeline.connectors());
    let mut load = Load::start(worker.kafka_port);
    for _ in 0..cuts {
        if !load.goes_on() {
            break;
        }
        pipeline.goes_on();
        random::sleep(LONGEST);
        load.report(complaints(&log));
        disk.cut(worker.process());
        pipeline.pause();
        disk.remount();
        pipeline.resume();
        std::fs::remove_file(&log).unwrap();
        worker.start_binary(&binary(), &pipeline.connectors());
        load.check();
    }
    let (lines, problems) = pipeline.finish(&worker);
    load.report(problems);
    let outcome = load.finish();
    println!("{cuts} cuts: {lines} lines, {}", outcome.summary());
    outcome.assert_good();
}

fn campaign(form: &str) {
    if disk::is_off() {
        return;
    }
    let mut left = rounds::of("POWER_CUTS", 20) / 5;
    while left > 0 {
        let now = left.min(CUTS_PER_DISK);
        left -= now;
        run(form, now);
    }
}

#[test]
fn a_worker_keeps_its_promises_without_power() {
    campaign("native");
}

#[test]
fn a_worker_with_wasm_plugins_keeps_its_promises_without_power() {
    campaign("wasm");
}

//! An offered load of produce requests: many connections, each with one request at a time, spread over a number of partitions.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{
        batches::{self, Codec},
        wire::Wire,
    },
    spread::Spread,
};

const TOPIC: &str = "bench";
/// A thread that writes and reads a socket needs no more.
const STACK_BYTES: usize = 256 << 10;
/// Partitions created by one request.
const TOPIC_PARTITIONS: i32 = 1000;

/// What is offered.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) partitions: i32,
    pub(crate) connections: i32,
    /// Time between two requests of a connection; zero: no pause.
    pub(crate) period: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    pub(crate) bytes: usize,
}

/// Produces to the broker at `port`: the time of every request from when it was due to its answer.
pub(crate) fn run(port: u16, configs: &[(&str, &str)], load: &Load) -> Spread {
    // As many partitions whatever the load, so that nothing but the number of written ones differs.
    let partitions = load.partitions.max(TOPIC_PARTITIONS);
    Wire::connect(port).create_topic(TOPIC, partitions, configs);
    let ready = Arc::new(Barrier::new(usize::try_from(load.connections).unwrap()));
    let threads: Vec<_> = (0..load.connections)
        .map(|number| {
            let (ready, load) = (Arc::clone(&ready), load.clone());
            thread::Builder::new()
                .stack_size(STACK_BYTES)
                .spawn(move || connection(port, number, &load, &ready))
                .unwrap()
        })
        .collect();
    let times = threads.into_iter().flat_map(|thread| thread.join().unwrap());
    Spread::new(times.collect())
}

fn connection(port: u16, number: i32, load: &Load, ready: &Barrier) -> Vec<Duration> {
    let mut wire = Wire::connect(port);
    let record = batches::record(-1, vec![b'x'; load.bytes]);
    let batch = batches::batch(Codec::None, None, &[record]);
    ready.wait();
    let started = Instant::now();
    let (from, until) = (started + load.warm_up, started + load.warm_up + load.measured);
    // Connections take turns.
    let mut due = started + load.period * number.unsigned_abs() / load.connections.unsigned_abs();
    let mut times = Vec::new();
    while due < until {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        wire.produce(TOPIC, number % load.partitions, batch.clone());
        let now = Instant::now();
        if due >= from {
            times.push(now - due);
        }
        due = if load.period.is_zero() {
            now
        } else {
            due + load.period
        };
    }
    times
}

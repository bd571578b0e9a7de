//! One commit round over many partitions, without a network; and the three ways to make as many files durable.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use jackfield_env::{Env, File, Files, RealFiles};
use jackfield_log::{
    AppendOrigin, Durability, LogConfig, LogManager, LogManagerConfig, PartitionLog, TopicId,
};

use crate::{
    harness::{
        batches::{self, Codec},
        scratch::Scratch,
    },
    spread::Spread,
};

/// Prints what a round costs with each number of partitions.
pub(crate) fn measure(partitions: &[i32], rounds: usize, bytes: usize) {
    let record = batches::record(1_700_000_000_000, vec![b'x'; bytes]);
    let batch = batches::batch(Codec::None, None, &[record]);
    println!(
        "one batch of {} bytes to every partition, {rounds} times",
        batch.len()
    );
    for count in partitions {
        println!(
            "{count:>6} partitions, acknowledged  {}",
            rounds_over(*count, rounds, &batch).line()
        );
        for (name, sync) in WAYS {
            // One after another takes long, and differs little.
            let repeats = if name == "one by one" {
                rounds.min(20)
            } else {
                rounds
            };
            let spread = sync_files(*count, repeats, &batch, sync);
            println!("{:>6} files, {name:<20} {}", count, spread.line());
        }
    }
}

/// Appends to every partition, then waits for all: the time of each such round.
fn rounds_over(count: i32, rounds: usize, batch: &[u8]) -> Spread {
    let scratch = Scratch::new("bench-rounds");
    let config = LogManagerConfig {
        log_dirs: vec![scratch.join("data")],
        durability: Durability::Fsync,
        broker_id: 1,
        cluster_id: String::new(),
        producer_id_expiration_ms: i64::MAX,
        retention_check_interval_ms: i64::MAX,
    };
    let manager = LogManager::open(config, log_config(), Env::real()).unwrap();
    let logs = manager
        .create("bench", TopicId([1; 16]), 0..count, log_config())
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let round = || {
        let started = Instant::now();
        let written: Vec<(&Arc<PartitionLog>, i64)> = logs
            .iter()
            .map(|log| {
                let appended = log.append(BytesMut::from(batch), AppendOrigin::Client).unwrap();
                (log, appended.last_offset)
            })
            .collect();
        for (log, offset) in written {
            runtime.block_on(log.committed(offset)).unwrap();
        }
        started.elapsed()
    };
    round();
    let times: Vec<Duration> = (0..rounds).map(|_| round()).collect();
    manager.close();
    Spread::new(times)
}

fn log_config() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 30,
        segment_ms: i64::MAX,
        segment_jitter_ms: 0,
        segment_index_bytes: 10 << 20,
        index_interval_bytes: 4096,
        retention_bytes: -1,
        retention_ms: -1,
        max_message_bytes: 1 << 20,
        log_append_time: false,
        message_timestamp_before_max_ms: i64::MAX,
        message_timestamp_after_max_ms: i64::MAX,
        file_delete_delay_ms: 60_000,
        delete: true,
        compact: false,
    }
}

type Way = (&'static str, fn(&[Arc<dyn File>]));

const WAYS: [Way; 3] = [
    ("one by one", |files| {
        files.iter().for_each(|file| file.sync_data().unwrap())
    }),
    ("as a round does", |files| {
        RealFiles
            .sync_data_many(files)
            .into_iter()
            .for_each(Result::unwrap);
    }),
    ("one syncfs", |files| {
        rustix::fs::syncfs(files[0].as_std().unwrap()).unwrap();
    }),
];

/// Appends to every file, then makes them durable: the time of the latter.
fn sync_files(count: i32, rounds: usize, batch: &[u8], sync: fn(&[Arc<dyn File>])) -> Spread {
    let scratch = Scratch::new("bench-files");
    let files: Vec<_> = (0..count)
        .map(|number| RealFiles.open(&scratch.join(number.to_string()), true).unwrap())
        .collect();
    settle(scratch.path());
    let mut position = 0;
    let mut round = || {
        for file in &files {
            file.as_std().unwrap().write_all_at(batch, position).unwrap();
        }
        position += batch.len() as u64;
        let started = Instant::now();
        sync(&files);
        started.elapsed()
    };
    round();
    Spread::new((0..rounds).map(|_| round()).collect())
}

/// What was written before is not measured.
fn settle(directory: &Path) {
    rustix::fs::syncfs(fs::File::open(directory).unwrap()).unwrap();
}

//! The Rust clients' part, `rdkafka` and `krafka`: a producer, and a member of a group that writes down what it reads
//! before it commits. Members run in a process of their own, this test program again, so that they can be killed.

use std::{
    fs::File,
    io::{BufWriter, Write},
    process::Command,
    thread,
    time::Duration,
};

use krafka::{Kafka, consumer::AutoOffsetReset};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, CommitMode, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{EACH, HEARTBEAT_INTERVAL, KEYS, SESSION_TIMEOUT, TOPIC};

const POLL_RECORDS: usize = 500;
/// Slow enough to be killed half-way.
const PAUSE: Duration = Duration::from_millis(20);

/// Names the client, the broker's port and the file of a member.
const MEMBER: &str = "JACKFIELD_TEST_MEMBER";

/// A member in a process of its own.
pub(super) fn member(client: &str, port: u16, file: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "interop::clients::rust_members::run_as_a_member"])
        .args(["--ignored", "--nocapture"])
        .env(MEMBER, format!("{client} {port} {file}"));
    command
}

#[test]
#[ignore = "is the process of a member, which the other tests start"]
#[allow(clippy::disallowed_methods, reason = "how the parent tells what to do")]
fn run_as_a_member() {
    let Ok(member) = std::env::var(MEMBER) else { return };
    let [client, port, file] = member.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("{MEMBER}={member}")
    };
    let port = port.parse().unwrap();
    let out = BufWriter::new(File::create(file).unwrap());
    match client {
        "rdkafka" => consume_rdkafka(port, out),
        _ => runtime().block_on(consume_krafka(port, out)),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn rdkafka_config(port: u16) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", format!("127.0.0.1:{port}"));
    config
}

pub(super) fn produce_rdkafka(port: u16) {
    let producer: BaseProducer = rdkafka_config(port)
        .set("enable.idempotence", "true")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .unwrap();
    for number in 0..EACH {
        for key in 0..KEYS {
            let (key, value) = (format!("k{key}"), number.to_string());
            producer
                .send(BaseRecord::to(TOPIC).key(&key).payload(&value))
                .unwrap();
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

fn consume_rdkafka(port: u16, mut out: impl Write) {
    let consumer: BaseConsumer = rdkafka_config(port)
        .set("group.id", "rdkafka")
        .set("session.timeout.ms", SESSION_TIMEOUT.as_millis().to_string())
        .set(
            "heartbeat.interval.ms",
            HEARTBEAT_INTERVAL.as_millis().to_string(),
        )
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    loop {
        let mut read = 0;
        while read < POLL_RECORDS
            && let Some(message) = consumer.poll(Duration::from_millis(100))
        {
            let message = message.unwrap();
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
            writeln!(
                out,
                "{} {} {} {}",
                message.partition(),
                message.offset(),
                text(message.key()),
                text(message.payload())
            )
            .unwrap();
            read += 1;
        }
        if read > 0 {
            out.flush().unwrap();
            thread::sleep(PAUSE);
            consumer.commit_consumer_state(CommitMode::Sync).unwrap();
        }
    }
}

async fn krafka(port: u16) -> Kafka {
    Kafka::builder(format!("127.0.0.1:{port}"))
        .connect()
        .await
        .unwrap()
}

pub(super) fn produce_krafka(port: u16) {
    runtime().block_on(async {
        let producer = krafka(port)
            .await
            .producer()
            .linger(Duration::from_millis(5))
            .build()
            .await
            .unwrap();
        for number in 0..EACH {
            let mut sent = Vec::new();
            for key in 0..KEYS {
                let record = krafka::Record::new(TOPIC, number.to_string()).key(format!("k{key}"));
                sent.push(producer.enqueue(record).await.unwrap());
            }
            for delivery in sent {
                drop(delivery.await.unwrap());
            }
        }
        producer.close().await.unwrap();
    });
}

async fn consume_krafka(port: u16, mut out: impl Write) {
    let consumer = krafka(port)
        .await
        .consumer("krafka")
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .enable_auto_commit(false)
        .max_poll_records(i32::try_from(POLL_RECORDS).unwrap())
        .session_timeout(SESSION_TIMEOUT)
        .heartbeat_interval(HEARTBEAT_INTERVAL)
        .build()
        .await
        .unwrap();
    consumer.subscribe([TOPIC]).await.unwrap();
    loop {
        let records = consumer.poll(Duration::from_millis(100)).await.unwrap();
        if records.is_empty() {
            continue;
        }
        for record in &records {
            let (key, value) = (record.key_str().unwrap(), record.value_str().unwrap());
            writeln!(out, "{} {} {key} {value}", record.partition, record.offset).unwrap();
        }
        out.flush().unwrap();
        tokio::time::sleep(PAUSE).await;
        consumer.commit().await.unwrap();
    }
}

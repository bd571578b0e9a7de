//! Hostile peers: malformed frames and lengths that lie close their own connection and nothing else, and cost no memory.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};

use crate::harness::{
    batches::{self, Codec, record},
    program::Broker,
    scratch::Scratch,
    wait,
    wire::{Wire, text},
};

/// Memory of the process in bytes: resident, and allocated whether touched or not.
fn memory(process: u32) -> [usize; 2] {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    ["VmRSS:", "VmData:"].map(|field| {
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    })
}

/// Whether everything sent to this port was read by its owner.
fn is_read(port: u16) -> bool {
    let ours = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).all(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        !fields[1].ends_with(&ours) || fields[4].ends_with(":00000000")
    })
}

fn socket(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends `data` and waits until the broker closes the connection without an answer.
fn check_closes(port: u16, what: &str, data: &[u8]) {
    let mut stream = socket(port);
    // The broker may have closed before everything was sent.
    stream.write_all(data).ok();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    let timed_out = end
        .as_ref()
        .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!timed_out, "{what}: the connection was kept open");
    assert!(answer.is_empty(), "{what}: answered with {} bytes", answer.len());
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

/// A request header (version 1) with an empty client id.
fn header(api: i16, version: i16) -> Vec<u8> {
    [
        api.to_be_bytes().as_slice(),
        &version.to_be_bytes(),
        &7i32.to_be_bytes(),
        &0i16.to_be_bytes(),
    ]
    .concat()
}

#[test]
fn malformed_frames_close_their_connection_and_nothing_else() {
    let scratch = Scratch::new("hostile");
    let broker = Broker::start(&scratch, &[]);
    let mut bystander = Wire::connect(broker.port);
    bystander.create_topic("kept", 1, &[]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("negative length", (-1i32).to_be_bytes().to_vec()),
        ("length above the limit", i32::MAX.to_be_bytes().to_vec()),
        ("empty frame", frame(&[])),
        ("cut header", frame(&[0, 3, 0])),
        ("unknown api key", frame(&header(999, 0))),
        ("negative api key", frame(&header(-1, 0))),
        ("version of metadata above ours", frame(&header(3, 99))),
        ("negative version", frame(&header(3, -1))),
        ("metadata without a body", frame(&header(3, 8))),
        (
            "2^31 topics in metadata",
            frame(&[header(3, 8), i32::MAX.to_be_bytes().to_vec()].concat()),
        ),
        (
            "a topic name longer than the frame",
            frame(&[header(3, 8), vec![0, 0, 0, 1, 0x7f, 0xff]].concat()),
        ),
        (
            "huge compact array",
            frame(&[header(3, 9), vec![0, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat()),
        ),
        (
            "produce with huge arrays",
            frame(
                &[
                    header(0, 8),
                    vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
                ]
                .concat(),
            ),
        ),
        (
            "produce with huge records",
            frame(
                &[
                    header(0, 8),
                    b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x01\0\x04kept\0\0\0\x01\0\0\0\0\x7f\xff\xff\xff"
                        .to_vec(),
                ]
                .concat(),
            ),
        ),
        (
            "join group with huge metadata",
            frame(
                &[
                    header(11, 5),
                    vec![
                        0, 1, b'g', 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0, 0, 0x7f, 0xff, 0xff, 0xff,
                    ],
                ]
                .concat(),
            ),
        ),
        ("http", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
    ];
    for (what, data) in &cases {
        check_closes(broker.port, what, data);
        let seen = bystander.topics();
        assert!(
            seen.contains_key("kept"),
            "{what}: another connection is served as before"
        );
    }
}

#[test]
fn a_version_that_is_too_new_gets_the_list_of_versions() {
    let scratch = Scratch::new("hostile-versions");
    let broker = Broker::start(&scratch, &[]);
    let mut wire = Wire::connect(broker.port);
    // The header of such a version has tagged fields; none here.
    wire.send(&frame(&[header(18, 99), vec![0]].concat())).unwrap();
    let answer = wire.receive().unwrap();
    assert_eq!(answer[..4], 7i32.to_be_bytes());
    assert_eq!(answer[4..6], 35i16.to_be_bytes(), "unsupported version");
    let known = wire.call(
        3,
        &ApiVersionsRequest::default()
            .with_client_software_name(text("t"))
            .with_client_software_version(text("1")),
    );
    assert_eq!(known.error_code, 0);
    let offered = |api: i16| {
        known
            .api_keys
            .iter()
            .find(|row| row.api_key == api)
            .map(|row| (row.min_version, row.max_version))
    };
    assert_eq!(
        offered(0).map(|versions| versions.0),
        Some(0),
        "old librdkafka wants produce from 0"
    );
    for (api, least) in [
        (0, 11),
        (1, 17),
        (2, 9),
        (3, 12),
        (8, 9),
        (9, 9),
        (10, 6),
        (11, 9),
    ] {
        assert!(
            offered(api).unwrap().1 >= least,
            "api {api} up to the level of Kafka 3.9, is {:?}",
            offered(api)
        );
    }
}

#[test]
fn declared_lengths_cost_no_memory() {
    let scratch = Scratch::new("hostile-memory");
    let broker = Broker::start(&scratch, &[]);
    Wire::connect(broker.port).call(8, &MetadataRequest::default().with_topics(None));
    let before = memory(broker.process.id());
    let declared = (100i32 << 20).to_be_bytes();
    let mut kept: Vec<TcpStream> = (0..100).map(|_| socket(broker.port)).collect();
    for stream in &mut kept {
        stream.write_all(&declared).unwrap();
        stream.write_all(&[0; 64]).unwrap();
    }
    // Accepted, since a later connection is answered, and read.
    Wire::connect(broker.port).call(8, &MetadataRequest::default().with_topics(None));
    wait::until("the broker to read what was sent", || {
        is_read(broker.port).then_some(())
    });
    let after = memory(broker.process.id());
    let [resident, allocated] = [0, 1].map(|at| after[at].saturating_sub(before[at]));
    assert!(
        resident < 32 << 20,
        "{resident} bytes more are resident after 100 declared frames of 100 MiB"
    );
    assert!(
        allocated < 1 << 30,
        "{allocated} bytes more are allocated after 100 declared frames of 100 MiB"
    );
}

#[test]
fn bad_batches_are_refused_and_leave_no_trace() {
    let scratch = Scratch::new("hostile-batches");
    let broker = Broker::start(&scratch, &[]);
    let mut wire = Wire::connect(broker.port);
    wire.create_topic("t", 1, &[("max.message.bytes", "100000")]);
    let good = batches::batch(Codec::None, None, &[record(1_700_000_000_000, "good")]);
    let patched = |at: usize, bytes: &[u8], seal: bool| {
        let mut batch = good.clone();
        batch[at..at + bytes.len()].copy_from_slice(bytes);
        if seal {
            batches::seal(&mut batch);
        }
        batch
    };
    let twice = [good.clone(), good.clone()].concat();
    let cases = [
        ("wrong crc", patched(good.len() - 1, b"!", false), 2),
        ("magic 1", patched(16, &[1], false), 43),
        (
            "record count that lies",
            patched(57, &1_000_000i32.to_be_bytes(), true),
            87,
        ),
        ("control batch", patched(21, &[0, 0x20], true), 87),
        ("unknown codec", patched(21, &[0, 7], true), 76),
        (
            "too large",
            batches::batch(Codec::None, None, &[record(0, vec![b'x'; 200_000])]),
            10,
        ),
        ("two batches", twice, 87),
        ("cut batch", good[..good.len() - 3].to_vec(), 87),
    ];
    for (what, batch, expected) in cases {
        let (code, _) = wire.try_produce("t", 0, batch);
        assert!(code != 0, "{what} was accepted");
        // Kafka's own code for a cut or unreadable batch varies by where it notices; refusing is what counts there.
        if !["magic 1", "cut batch", "unknown codec", "two batches"].contains(&what) {
            assert_eq!(code, expected, "{what}");
        }
    }
    assert_eq!(wire.produce("t", 0, good), 0, "nothing was appended before");
    assert_eq!(wire.read_all("t", 0).len(), 1);
}

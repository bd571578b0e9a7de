//! WASM packages that mean harm, in a running worker. After each of their deeds: that task is FAILED or restarting and its
//! status says why, the memory is there again, and another pipeline, at a quarter of what it can do, was never a second late.

mod pace;
mod rig;

use std::{fs, net::TcpListener, os::unix::fs::symlink};

use rig::Rig;
use rustix::process::Signal;

use crate::harness::wait;

/// What a package does, with which argument, and what the status must say of it.
struct Deed {
    mode: &'static str,
    argument: String,
    says: Vec<String>,
}

fn deed(mode: &'static str, argument: impl ToString, says: &[&str]) -> Deed {
    Deed {
        mode,
        argument: argument.to_string(),
        says: says.iter().map(ToString::to_string).collect(),
    }
}

const STRINGS: &str = "org.apache.kafka.connect.storage.StringConverter";
const TOO_LONG: &str = "it computed for more than 1.5s in one call";
const NO_FILE: &str = "directories this WASM plugin may use (plugin.wasm.directories, plugin.policy): ";

/// Deeds of a source's `start` and `poll`.
fn deeds(rig: &Rig) -> Vec<Deed> {
    let silent = rig.silent.local_addr().unwrap();
    let outside = rig.scratch.write("secret.txt", "secret");
    let (watched, link) = (rig.granted("watched.txt"), rig.granted("link.txt"));
    symlink(&outside, &link).unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    vec![
        deed("loop", "", &["failed in TASK_POLL", TOO_LONG]),
        deed("log", "", &[TOO_LONG]),
        deed("metric", "", &[TOO_LONG]),
        deed("offset", "", &[TOO_LONG]),
        deed("watch", watched.display(), &[TOO_LONG]),
        deed(
            "http",
            format!("http://{silent}/never?key=hidden"),
            &[
                "poll of the WASM plugin did not return within 5 s",
                &format!("it was waiting for the answer to GET http://{silent}\n"),
            ],
        ),
        deed("memory", "", &["MiB of memory, the limit is 64 MiB"]),
        deed(
            "table",
            "",
            &["it wanted tables of 20", " elements, the limit is 200000"],
        ),
        deed("recursion", "", &["call stack exhausted"]),
        deed(
            "result",
            "",
            &[
                "poll of the WASM plugin trapped: ",
                "list pointer/length out of bounds of memory",
            ],
        ),
        deed(
            "trap in start",
            "",
            &["start of the WASM plugin trapped: ", "unreachable"],
        ),
        deed(
            "panic",
            "",
            &["poll of the WASM plugin trapped: ", "panic on purpose"],
        ),
        deed("file", outside.display(), &["secret.txt", NO_FILE]),
        deed("file", link.display(), &["link.txt", NO_FILE]),
        deed(
            "http",
            format!("http://{closed}/"),
            &[&format!(
                "add \"http://{closed}\" to http of [[grant]] package = \"hostile\" (line 2)"
            )],
        ),
        deed(
            "tcp",
            closed,
            &[&format!(
                "add \"{closed}\" to tcp of [[grant]] package = \"hostile\" (line 2)"
            )],
        ),
        deed(
            "tcp",
            format!("localhost:{}", silent.port()),
            &["is a loopback address, which is refused even where the host is granted"],
        ),
    ]
}

#[test]
fn hostile_guests_fail_alone_and_their_status_says_why() {
    let mut rig = Rig::start();
    for Deed { mode, argument, says } in deeds(&rig) {
        let before = rig.resident_kib();
        rig.begin(
            "hostile",
            "HostileSource",
            &[("mode", mode), ("argument", &argument)],
        );
        let trace = rig.failures("hostile", 1).remove(0);
        for part in &says {
            assert!(
                trace.contains(part),
                "{mode} {argument}: {trace} does not say {part:?}"
            );
        }
        assert!(!trace.contains("hidden"), "{trace}");
        rig.end("hostile");
        rig.expect_unharmed(&format!("{mode} {argument}"), before);
    }
    assert!(rig.silent.set_nonblocking(true).is_ok());
    a_sink_that_panics(&mut rig);
    every_length_of_a_batch_wrong_in_turn(&mut rig);
    a_guest_that_ignores_stop(&mut rig);
    a_flood_of_log_lines_is_cut(&rig);
    let Rig { mut worker, pace, .. } = rig;
    drop(pace);
    worker.stop(Signal::TERM);
}

fn a_sink_that_panics(rig: &mut Rig) {
    let before = rig.resident_kib();
    rig.begin(
        "sink",
        "HostileSink",
        &[("mode", "put"), ("topics", "paced"), ("value.converter", STRINGS)],
    );
    let trace = rig.failures("sink", 1).remove(0);
    assert!(trace.contains("put of the WASM plugin trapped: "), "{trace}");
    assert!(trace.contains("put panics on purpose"), "{trace}");
    assert!(trace.contains("restart: by itself in 1 s"), "{trace}");
    rig.end("sink");
    rig.expect_unharmed("a sink that panics", before);
}

/// 15 lengths, each one too large and as large as can be, and 13 of them one too small and none: a task for each, a few at once.
fn every_length_of_a_batch_wrong_in_turn(rig: &mut Rig) {
    const DAMAGES: usize = 56;
    const AT_ONCE: usize = 8;
    let mut before = 0;
    // The allocator keeps what so many tasks have used for the next ones; what is lost shows the second time.
    for first in (0..DAMAGES).step_by(AT_ONCE).chain((0..DAMAGES).step_by(AT_ONCE)) {
        if first == 0 {
            before = rig.resident_kib();
        }
        let (first, at_once) = (first.to_string(), AT_ONCE.to_string());
        let config = [
            ("mode", "malformed"),
            ("damage", &*first),
            ("tasks.max", &*at_once),
        ];
        rig.begin("malformed", "HostileSource", &config);
        for trace in rig.failures("malformed", AT_ONCE) {
            assert!(trace.contains("plugin returned an invalid batch: "), "{trace}");
            assert!(trace.contains(" of the batch)"), "where it is wrong: {trace}");
        }
        rig.end("malformed");
    }
    rig.expect_unharmed("malformed batches", before);
}

fn a_guest_that_ignores_stop(rig: &mut Rig) {
    let before = rig.resident_kib();
    rig.begin("stubborn", "HostileSource", &[("mode", "ignore stop")]);
    rig.worker.rest.wait_for_state("stubborn", "RUNNING");
    let answer = rig.worker.rest.bare("PUT", "/connectors/stubborn/stop");
    assert_eq!(answer.status, 204, "{answer:?}");
    let says = "1 task did not stop within task.shutdown.graceful.timeout.ms=1000 and had to be ended";
    wait::until("it to be stopped, and why that took so long", || {
        let connector = &rig.status("stubborn")["connector"];
        let why = connector["trace"].as_str()?;
        (connector["state"] == "STOPPED" && why.contains(says)).then_some(())
    });
    rig.end("stubborn");
    rig.expect_unharmed("a guest that ignores stop", before);
}

/// What `log` wrote in a second and a half.
fn a_flood_of_log_lines_is_cut(rig: &Rig) {
    let log = rig.worker.log();
    let kept = log.lines().filter(|line| line.contains("flood flood")).count();
    assert!((500..3_000).contains(&kept), "{kept} lines");
    let told = log
        .lines()
        .find(|line| line.contains("plugin log lines left out: too many"));
    assert!(
        told.is_some_and(|line| line.contains("connector=\"hostile\"")),
        "{told:?}"
    );
    assert!(fs::metadata(rig.scratch.join("standalone.log")).unwrap().len() < 8 << 20);
}

//! A running connector goes on with the code that takes the place of its own: nothing is lost, nothing is repeated, and
//! nobody else's task is touched.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;

use super::package::{Package, SINK, SOURCE, worker};
use crate::{
    file::in_both_forms,
    harness::{program::Standalone, scratch::Scratch, wait},
};

const REPLACEMENTS: usize = 20;
const VERSIONS: [&str; 2] = ["0.1.1", "0.1.2"];
const RELOADED: &str = "connector goes on with new plugin code";
const GOES_ON: &str = "connector goes on with the plugin code it has";

/// A source and a sink, each of a package of its own.
struct Pair {
    scratch: Scratch,
    worker: Standalone,
    plugins: PathBuf,
}

impl Pair {
    fn start(name: &str, form: &str, properties: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new(&format!("{name}-{form}"));
        let (mut worker, plugins) = worker(&scratch);
        // What a stop may take is no matter here: a machine with two cores has other work, too.
        worker.property("task.shutdown.graceful.timeout.ms", "30000");
        for (key, value) in properties {
            worker.property(key, value);
        }
        for (directory, class) in [("source", SOURCE), ("sink", SINK)] {
            let version = VERSIONS[0];
            Package { class, version }.write(&plugins.join(directory));
        }
        scratch.write("in.txt", "");
        let source = worker.connector(
            "source",
            &[
                ("connector.class", "FileStreamSource"),
                ("file", "in.txt"),
                ("topic", "lines"),
                ("plugin.form", form),
            ],
        );
        let sink = worker.connector(
            "sink",
            &[
                ("connector.class", "FileStreamSink"),
                ("file", "out.txt"),
                ("topics", "lines"),
                ("plugin.form", form),
            ],
        );
        worker.start(&[&source, &sink]);
        let pair = Self {
            scratch,
            worker,
            plugins,
        };
        for connector in ["source", "sink"] {
            pair.wait_for(connector, VERSIONS[0]);
            pair.stored_states(connector, VERSIONS[0]);
        }
        pair
    }

    fn wait_for(&self, connector: &str, version: &str) {
        wait::until(&format!("{connector} to run version {version}"), || {
            let task = self
                .worker
                .rest
                .get(&format!("/connectors/{connector}/tasks/0/status"))
                .body;
            (task["version"] == version && task["state"] == "RUNNING").then_some(())
        });
    }

    /// How often a text is in the worker's log.
    fn logged(&self, text: &str) -> usize {
        self.worker.log().matches(text).count()
    }

    /// Everything that was ever said of a task's state.
    fn states(&self, connector: &str) -> Vec<String> {
        let mut wire = self.worker.wire();
        let partitions = wire.topics()["connect-status"];
        let key = format!("status-task-{connector}-0");
        (0..partitions)
            .flat_map(|partition| wire.read_all("connect-status", i32::try_from(partition).unwrap()))
            .filter(|record| record.key.as_deref() == Some(key.as_bytes()) && record.value.is_some())
            .map(|record| {
                let state: Value = serde_json::from_str(&record.text()).unwrap();
                format!("{} {}", state["state"], state["version"])
            })
            .collect()
    }

    /// As [`Pair::states`], once the last of them is that the task runs this version.
    fn stored_states(&self, connector: &str, version: &str) -> Vec<String> {
        wait::until(&format!("the state of {connector} to be stored"), || {
            let states = self.states(connector);
            let runs = format!("\"RUNNING\" \"{version}\"");
            (states.last() == Some(&runs)).then_some(states)
        })
    }

    fn expect_out(&self, expected: &str) {
        let mut last = String::new();
        wait::until(&format!("{} bytes in the sink file", expected.len()), || {
            last = fs::read_to_string(self.scratch.join("out.txt")).unwrap_or_default();
            (last.len() >= expected.len()).then_some(())
        });
        let differs = last
            .lines()
            .zip(expected.lines())
            .find(|(found, wanted)| found != wanted);
        assert!(
            last == expected,
            "lines are lost, repeated or in another order: {differs:?}"
        );
    }
}

/// Appends numbered lines until it is told to stop, and returns all of them.
fn write_lines(path: PathBuf, stop: &AtomicBool) -> String {
    let mut file = File::options().append(true).open(path).unwrap();
    let mut all = String::new();
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let lines: String = (number..number + 50)
            .map(|number| format!("line {number}\n"))
            .collect();
        number += 50;
        file.write_all(lines.as_bytes()).unwrap();
        all.push_str(&lines);
        // A load that goes on, and is no test of how much there can be.
        thread::sleep(Duration::from_millis(10));
    }
    all
}

fn a_package_replaced_under_load_loses_and_repeats_nothing(form: &str) {
    let pair = Pair::start("reload", form, &[]);
    let sink_before = pair.states("sink");
    let stop = AtomicBool::new(false);
    let lines = thread::scope(|scope| {
        let path = pair.scratch.join("in.txt");
        let writer = scope.spawn(|| write_lines(path, &stop));
        for round in 1..=REPLACEMENTS {
            let version = VERSIONS[round % 2];
            let package = Package {
                class: SOURCE,
                version,
            };
            let directory = pair.plugins.join("source");
            // Either at once, or file by file over those that are in use.
            if round % 4 < 2 {
                package.swap(&directory);
            } else {
                package.write(&directory);
            }
            pair.wait_for("source", version);
            let size = || fs::metadata(pair.scratch.join("out.txt")).map_or(0, |found| found.len());
            let before = size();
            wait::until("lines of the new code", || (size() > before).then_some(()));
        }
        stop.store(true, Ordering::SeqCst);
        writer.join().unwrap()
    });
    pair.expect_out(&lines);
    let records = pair.worker.wire().read_all("lines", 0);
    assert_eq!(
        records.len(),
        lines.lines().count(),
        "every line is in the topic once"
    );
    assert_eq!(
        pair.states("sink"),
        sink_before,
        "the sink's task is the one it was"
    );
    let log = pair.worker.log();
    let reloads: Vec<_> = log.lines().filter(|line| line.contains(RELOADED)).collect();
    assert_eq!(reloads.len(), REPLACEMENTS, "{reloads:#?}");
    assert_eq!(pair.logged("did not stop in time"), 0);
    let mut worker = pair.worker;
    worker.stop(Signal::TERM);
}

fn a_bad_package_leaves_its_connector_running(form: &str) {
    let pair = Pair::start("reload-bad", form, &[]);
    let append = |text: &str| {
        let mut file = File::options()
            .append(true)
            .open(pair.scratch.join("in.txt"))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append("one\n");
    pair.expect_out("one\n");
    let before = pair.states("source");
    let directory = pair.plugins.join("source");
    let next = Package {
        class: SOURCE,
        version: VERSIONS[1],
    };
    next.write(&directory);
    let manifest = directory.join("plugin.toml");
    let good = fs::read_to_string(&manifest).unwrap();
    pair.wait_for("source", VERSIONS[1]);
    fs::write(&manifest, format!("{good}colour = \"red\"\n")).unwrap();
    wait::until("the reason in the list", || {
        let rows = pair
            .worker
            .rest
            .get("/connector-plugins?connectorsOnly=false")
            .body;
        let rows = rows.as_array()?.clone();
        rows.iter()
            .any(|row| {
                row["error"]
                    .as_str()
                    .is_some_and(|error| error.contains("colour"))
            })
            .then_some(())
    });
    wait::until("the reason in the log", || {
        (pair.logged(GOES_ON) > 0).then_some(())
    });
    append("two\n");
    pair.expect_out("one\ntwo\n");
    // Once the old code ran, and once the new; the bad package changed nothing.
    let after = pair.stored_states("source", VERSIONS[1]);
    assert_eq!(after.len(), before.len() + 2, "{after:?}");
    fs::write(&manifest, good).unwrap();
    let older = Package {
        class: SOURCE,
        version: VERSIONS[0],
    };
    older.swap(&directory);
    pair.wait_for("source", VERSIONS[0]);
    append("three\n");
    pair.expect_out("one\ntwo\nthree\n");
    let mut worker = pair.worker;
    worker.stop(Signal::TERM);
}

fn nothing_is_reloaded_when_the_worker_is_told_so(form: &str) {
    let pair = Pair::start("reload-off", form, &[("plugin.reload.enable", "false")]);
    let package = Package {
        class: SOURCE,
        version: VERSIONS[1],
    };
    package.swap(&pair.plugins.join("source"));
    wait::until("the new version in the list", || {
        let rows = pair.worker.rest.get("/connector-plugins").body;
        let rows = rows.as_array()?.clone();
        rows.iter().any(|row| row["version"] == VERSIONS[1]).then_some(())
    });
    let before = pair.states("source");
    // A restart takes it; so whatever would have come by itself has had its time.
    assert_eq!(
        pair.worker
            .rest
            .bare("POST", "/connectors/sink/restart?includeTasks=true")
            .status,
        202
    );
    wait::until("the sink to run again", || {
        (pair.states("sink").len() > 2).then_some(())
    });
    assert_eq!(pair.states("source"), before);
    assert_eq!(pair.logged(RELOADED), 0);
    let restart = pair
        .worker
        .rest
        .bare("POST", "/connectors/source/restart?includeTasks=true");
    assert_eq!(restart.status, 202, "{restart:?}");
    pair.wait_for("source", VERSIONS[1]);
    let mut worker = pair.worker;
    worker.stop(Signal::TERM);
}

in_both_forms!(
    a_package_replaced_under_load_loses_and_repeats_nothing,
    a_bad_package_leaves_its_connector_running,
    nothing_is_reloaded_when_the_worker_is_told_so,
);

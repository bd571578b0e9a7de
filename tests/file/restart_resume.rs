//! A restart resumes: lines written meanwhile arrive, no line is repeated; the same after kill -9 once offsets are stored.

use rustix::process::Signal;

use super::{in_both_forms, pipeline::Pipeline};

fn text(lines: std::ops::Range<usize>) -> String {
    lines.map(|line| format!("line {line}\n")).collect()
}

fn no_line_is_repeated_or_lost_across_restarts(form: &str) {
    let mut pipeline = Pipeline::new("resume", form, &[]);
    pipeline.append(&text(0..5_000));
    pipeline.start();
    pipeline.expect_sink(&text(0..5_000));
    pipeline.worker.stop(Signal::TERM);

    pipeline.append(&text(5_000..6_000));
    pipeline.start();
    pipeline.expect_sink(&text(0..6_000));
    pipeline.expect_position(text(0..6_000).len());
    pipeline.worker.kill_9();

    pipeline.append(&text(6_000..6_010));
    pipeline.start();
    pipeline.expect_sink(&text(0..6_010));
    let expected: Vec<_> = text(0..6_010).lines().map(ToOwned::to_owned).collect();
    assert_eq!(pipeline.topic(), expected);
    pipeline.worker.stop(Signal::INT);
}

in_both_forms!(no_line_is_repeated_or_lost_across_restarts);

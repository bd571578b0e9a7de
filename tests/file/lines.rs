//! What a line is: CRLF, lone CR, empty lines, any UTF-8, and a last line without its newline.

use rustix::process::Signal;

use super::{in_both_forms, pipeline::Pipeline};

fn line_ends_and_text_are_kafkas(form: &str) {
    let mut pipeline = Pipeline::new("lines", form, &[]);
    let first = "unix\ndos\r\n\nmac\rgr\u{fc}\u{df}e \u{20ac} \u{1f600}\r\n\u{0}\u{1}\ttab\n";
    pipeline.append(first);
    pipeline.start();
    let expected = [
        "unix",
        "dos",
        "",
        "mac",
        "gr\u{fc}\u{df}e \u{20ac} \u{1f600}",
        "\u{0}\u{1}\ttab",
    ];
    pipeline.expect_sink(&(expected.join("\n") + "\n"));
    assert_eq!(pipeline.topic(), expected);
    // Positions are bytes: after text that is not ASCII a restart goes on at the right place.
    pipeline.expect_position(first.len());
    pipeline.worker.stop(Signal::TERM);
    pipeline.append("next\n");
    pipeline.start();
    pipeline.expect_sink(&(expected.join("\n") + "\nnext\n"));
    assert_eq!(pipeline.topic().len(), expected.len() + 1);
}

fn a_last_line_without_newline_is_delivered_after_the_idle_timeout(form: &str) {
    let mut pipeline = Pipeline::new("idle", form, &[("line.idle.timeout.ms", "300")]);
    pipeline.append("whole\npart");
    pipeline.start();
    pipeline.expect_sink("whole\npart\n");
    pipeline.append("\nmore\n");
    pipeline.expect_sink("whole\npart\nmore\n");
    assert_eq!(pipeline.topic(), ["whole", "part", "more"]);
}

in_both_forms!(
    line_ends_and_text_are_kafkas,
    a_last_line_without_newline_is_delivered_after_the_idle_timeout,
);

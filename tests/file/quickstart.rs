//! Kafka's quickstart: two lines, the topic, the sink file, a line appended while it runs, a clean stop.

use std::{fs, io::Write as _, time::Duration};

use rustix::process::Signal;

use super::{in_both_forms, pipeline::Pipeline};

fn lines_arrive_and_the_file_is_followed(form: &str) {
    let mut pipeline = Pipeline::new("quickstart", form, &[]);
    pipeline.append("foo\nbar\n");
    pipeline.start();
    pipeline.expect_sink("foo\nbar\n");
    assert_eq!(pipeline.topic(), ["foo", "bar"]);
    pipeline.append("Another line\n");
    pipeline.expect_sink("foo\nbar\nAnother line\n");
    let mut expected = "foo\nbar\nAnother line\n".to_owned();
    for (signal, line) in [(Signal::TERM, "after TERM\n"), (Signal::INT, "after INT\n")] {
        let took = pipeline.worker.stop(signal);
        assert!(took < Duration::from_secs(2), "stopping took {took:?}");
        pipeline.start();
        // Anything repeated would stand before the line that comes next.
        pipeline.append(line);
        expected.push_str(line);
        pipeline.expect_sink(&expected);
    }
}

fn a_missing_file_is_waited_for(form: &str) {
    let mut pipeline = Pipeline::new("missing", form, &[]);
    pipeline.start();
    pipeline
        .worker
        .rest
        .wait_for_state("local-file-source", "RUNNING");
    pipeline.append("here now\n");
    pipeline.expect_sink("here now\n");
    // The open file is followed, whatever it is called by now.
    let renamed = pipeline.scratch.join("test.txt.1");
    fs::rename(pipeline.scratch.join("test.txt"), &renamed).unwrap();
    let mut file = fs::File::options().append(true).open(renamed).unwrap();
    file.write_all(b"renamed\n").unwrap();
    pipeline.expect_sink("here now\nrenamed\n");
}

in_both_forms!(
    lines_arrive_and_the_file_is_followed,
    a_missing_file_is_waited_for
);

//! Transforms in both forms: what they make of a batch, and what is refused of it.

use bytes::Bytes;
use jackfield_api::ErrorKind;
use jackfield_batch::{Batch, BatchBuilder};

use super::*;
use crate::{HostedTransform, Transformed};

/// The transform of `misbehaving.rs`, started to do this.
async fn started(form: Form, what: &str) -> (tempfile::TempDir, Box<dyn HostedTransform>) {
    let root = tempfile::tempdir().unwrap();
    let [native, wasm] = misbehaving();
    TestPackage {
        class: "jackfield.test.Splitting",
        kind: "transform",
        native: Some(native),
        wasm: Some(wasm),
        ..TestPackage::default()
    }
    .write(root.path());
    let limits = Limits {
        transform_cpu: Duration::from_millis(200),
        ..Limits::default()
    };
    let plugins = Plugins::with_limits(config(root.path(), &[]), limits);
    let class = plugins.load("Splitting", Some(form)).await.unwrap();
    let config = entries(&[("do", what)]);
    let services = Services::default().task();
    let transform = class.start_transform(&config, services).await.unwrap();
    (root, transform)
}

fn batch(texts: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for text in texts {
        builder.record("t").value(*text).push().unwrap();
    }
    builder.record("t").push().unwrap();
    Bytes::from(builder.finish())
}

fn made(transformed: &Transformed) -> Vec<(u32, String)> {
    let Some(batch) = &transformed.batch else {
        return Vec::new();
    };
    let sequences = batch.records().map(|found| found.record.sequence);
    sequences.zip(texts(batch)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_filtered_multiplied_and_rejected() {
    for form in BOTH {
        let (_root, mut transform) = started(form, "split").await;
        let transformed = transform.apply(batch(&["a b", "", "c"])).await.unwrap();
        let expected = [(0, "a"), (0, "b"), (2, "c")].map(|(sequence, text)| (sequence, text.to_owned()));
        assert_eq!(made(&transformed), expected, "{form}");
        let rejected: Vec<_> = transformed
            .rejected
            .iter()
            .map(|error| (error.sequence, error.message.as_str()))
            .collect();
        assert_eq!(rejected, [(3, "not text")], "{form}");
        let nothing = transform.apply(batch(&[])).await.unwrap();
        assert!(nothing.batch.is_none(), "{form}");
        transform.stop().await;
    }
}

/// What the host says of a transform that does this.
async fn refused(form: Form, what: &str) -> PluginError {
    let (_root, mut transform) = started(form, what).await;
    let given = batch(&["a"]);
    assert!(Batch::parse(&given).is_ok());
    transform.apply(given).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_transform_must_not_do_is_refused_and_named() {
    for form in BOTH {
        let error = refused(form, "invent").await;
        assert!(error.message.contains("which was not given"), "{form}: {error}");
        let error = refused(form, "grow").await;
        let says = match form {
            Form::Native => "bytes were made of",
            Form::Wasm => "MiB of memory, the limit is 64 MiB",
        };
        assert!(error.message.contains(says), "{form}: {error}");
        let error = refused(form, "retriable").await;
        assert_eq!(
            (error.kind, error.is_fault),
            (ErrorKind::Retriable, false),
            "{form}: {error}"
        );
        let error = refused(form, "panic").await;
        assert!(
            error.is_fault && error.message.contains("on demand"),
            "{form}: {error}"
        );
    }
    let error = refused(Form::Wasm, "loop").await;
    assert!(
        error.is_fault
            && error
                .message
                .contains("it computed for more than 200ms in one call"),
        "{error}"
    );
}

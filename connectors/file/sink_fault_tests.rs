//! Tests of the sink on a storage that fails.

use std::{
    io,
    sync::{Arc, Mutex},
};

use jackfield_api::{ErrorKind, LocalHost, batch::Value};

use super::{
    tests::{lines, position, put},
    *,
};
use crate::{
    format::Format,
    output::{Output, Storage},
};

/// A file in memory with so much room.
#[derive(Debug, Default)]
struct Room {
    bytes: Vec<u8>,
    synced: usize,
    room: usize,
    fails: Option<io::ErrorKind>,
    /// As in WASI: a write that does not fit writes what does, says nothing about it and closes the file.
    silent: bool,
    closed: bool,
}

#[derive(Clone, Default)]
struct Faulty(Arc<Mutex<Room>>);

impl Storage for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.0.lock().unwrap();
        let mut count = bytes.len().min(room.room - room.bytes.len());
        if room.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if room.silent && count < bytes.len() {
            room.bytes.extend_from_slice(&bytes[..count]);
            room.closed = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        count = count.min(3);
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        room.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut room = self.0.lock().unwrap();
        match room.fails {
            Some(kind) => Err(kind.into()),
            None => {
                room.bytes.truncate(usize::try_from(length).unwrap());
                Ok(())
            }
        }
    }

    fn recover(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().closed = false;
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut room = self.0.lock().unwrap();
        match room.fails {
            Some(kind) => Err(kind.into()),
            None => {
                room.synced = room.bytes.len();
                Ok(())
            }
        }
    }
}

fn faulty(room: usize) -> (Faulty, FileStreamSink) {
    let storage = Faulty(Arc::new(Mutex::new(Room {
        room,
        ..Room::default()
    })));
    let output = Output::new("f".to_owned(), Box::new(storage.clone()), true).unwrap();
    let file = "f".to_owned();
    let file = PlainFile::with_output(Some(file.clone()), file, output, LocalHost::new().sink_context());
    let sink = FileStreamSink {
        destination: Destination::Plain(file),
        formatter: Formatter::new(Format::Text, String::new()),
        text: Vec::new(),
    };
    (storage, sink)
}

#[test]
fn a_full_disk_loses_nothing() {
    for silent in [false, true] {
        full_disk(silent);
    }
}

fn full_disk(silent: bool) {
    let (storage, mut sink) = faulty(10);
    storage.0.lock().unwrap().silent = silent;
    lines(&mut sink, &["first"]);
    for _ in 0..3 {
        let error = put(&mut sink, &[Value::Utf8("second"), Value::Utf8("third")]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Retriable);
        assert!(error.message.contains("cannot write f"), "{error}");
        assert_eq!(
            storage.0.lock().unwrap().bytes,
            b"first\n",
            "no part of a batch stays"
        );
    }
    let committed = sink.pre_commit(&[position(0, 1, "")]).unwrap();
    assert!(committed[0].metadata.contains("\"position\":6"), "{committed:?}");
    storage.0.lock().unwrap().room = 100;
    lines(&mut sink, &["second", "third"]);
    assert_eq!(storage.0.lock().unwrap().bytes, b"first\nsecond\nthird\n");
}

#[test]
fn a_batch_that_cannot_be_undone_fails_the_task() {
    let (storage, mut sink) = faulty(10);
    storage.0.lock().unwrap().fails = Some(io::ErrorKind::PermissionDenied);
    let error = put(&mut sink, &[Value::Utf8("longer than ten")]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert!(error.message.contains("cannot cut it back to 0 bytes"), "{error}");
}

#[test]
fn offsets_are_not_given_out_before_the_sync() {
    let (storage, mut sink) = faulty(100);
    lines(&mut sink, &["a"]);
    storage.0.lock().unwrap().fails = Some(io::ErrorKind::Other);
    let error = sink.pre_commit(&[position(0, 1, "")]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Fatal);
    assert!(error.message.contains("cannot sync f"), "{error}");
    storage.0.lock().unwrap().fails = None;
    sink.pre_commit(&[position(0, 1, "")]).unwrap();
    assert_eq!(storage.0.lock().unwrap().synced, 2);
}

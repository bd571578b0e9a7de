//! FileStreamSource and FileStreamSink: lines of a file to a topic and back, with Kafka's class names and keys.
//!
//! # Source
//! Reads a file line by line and follows it as it grows. Value: the line as STRING, not optional, without its
//! terminator; no key; the worker stamps the time. Lines end with `\n`, `\r\n` or `\r` (a `\r` at the very end waits for
//! the next character); empty lines are records. Source partition `{"filename":"<file as configured>"}`, source offset
//! `{"position":N}`: N is the byte position behind the line and its terminator. A missing file is waited for.
//!
//! A last line without a terminator is delivered once nothing was added for `line.idle.timeout.ms`; its position is the
//! end of the file. What follows later is never joined with it and nothing is delivered twice: a terminator that comes
//! next ends that line and is no empty line, text that comes next is a record of its own. The position tells the same
//! after a restart, because the byte before it is not a terminator then. A line that ends in the middle of a UTF-8
//! character is not delivered until the character is complete.
//!
//! A line that is not UTF-8 or longer than `line.max.bytes` is a data error, once: the source goes on behind it. Its
//! bytes belong to the position of the next record.
//!
//! Without `file` the source reads standard input; as in Kafka there is nothing to resume from and both the file name
//! and the position are null.
//!
//! # Sink
//! Appends the value of every record and a newline. Before offsets are committed the file is synced, and the commit's
//! metadata keeps its absolute path and its length. A task that starts cuts that file back to that length, so records
//! delivered again after a crash are in the file once. This holds for all partitions of a task because they are
//! committed together; two tasks could not share a file that way, so the connector always has one task, whatever
//! `tasks.max` says. Nothing else may write to the file meanwhile: a native task locks it, and does not start (a
//! retriable error) while another task or process holds the lock.
//!
//! Text is written as it is, bytes too, schemaless JSON as JSON text (a JSON string without its quotes), a null as
//! `null`, typed data as Connect's `toString` shows it (`Struct{name=x,age=3}`).
//!
//! Without `file` the sink writes to standard output. As WASM component both need `file`.

mod claims;
mod config;
mod decimal;
mod followed;
mod identity;
mod lines;
mod locate;
mod names;
mod output;
mod reader;
mod resume;
mod siblings;
mod sink;
mod source;
mod source_config;
#[cfg(test)]
mod source_tests;
#[cfg(not(target_family = "wasm"))]
mod stdin;
mod stream;
mod text;

pub use sink::FileStreamSink;
pub use source::FileStreamSource;

/// What to look at when a component does not find a file.
fn grant_hint() -> &'static str {
    if cfg!(target_family = "wasm") {
        " (a WASM plugin sees only the directories of plugin.wasm.directories)"
    } else {
        ""
    }
}

jackfield_api::export_plugin!(sources: [FileStreamSource], sinks: [FileStreamSink]);

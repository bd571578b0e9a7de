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
//! Writes the value of every record, in one of three formats. `format=text`: text as it is, bytes too, schemaless JSON as
//! JSON text (a JSON string without its quotes), a null as `null`, typed data as Connect's `toString` shows it
//! (`Struct{name=x,age=3}`), and a newline. `format=json`: one line of JSON as JsonConverter writes it without schemas.
//! `format=raw`: bytes and strings as they are, and `format.raw.separator`.
//!
//! ## One file
//! With `file` it appends, as Kafka's sink does. Before offsets are committed the file is synced, and the commit's metadata
//! keeps its absolute path and its length. A task that starts cuts that file back to the newest length committed by any
//! partition of the connector's group, also one that has left since, so records delivered again after a crash are in the
//! file once. Two tasks could not share a file that way, so the connector always has one task, whatever `tasks.max` says.
//! Nothing else may write to the file meanwhile: a native task locks it, and does not start (a retriable error) while
//! another task or process holds the lock.
//!
//! Without `file` the sink writes to standard output, unless it has `file.directory`. As WASM component both connectors need
//! a file.
//!
//! ## Rolling files
//! With `file.directory` every partition of a topic becomes a sequence of files, named by `file.name.template`
//! (`{topic}/{partition}/{offset}.jsonl.gz`), so several tasks may share the work and partitions may move between them. A
//! file ends with the record that reaches `file.roll.bytes` or `file.roll.records`, or at the offset commit after
//! `file.roll.interval.ms` (every `offset.flush.interval.ms`). Missing directories are created below `file.directory`.
//!
//! A file grows under a hidden name (`.NAME.part`). It is synced when it ends, then its records are committed, and only then
//! it is renamed: a file under its own name is whole, durable and committed, and never changes. So it appears up to
//! `offset.flush.interval.ms` after it ended. A stopped connector leaves the last file hidden and continues it when it
//! starts again.
//!
//! Offsets are committed with the file that grows, not when it ends: what comes again after a kill is bounded by
//! `offset.flush.interval.ms` and not by the size of a file, lag shows the truth, and retention of the topic cannot overtake
//! a file that grows slowly. Every commit therefore ends a gzip member or zstd frame, which cost little at the default
//! interval of a minute (shorter ones compress worse); files of several members are ordinary `.gz` and `.zst` files. A commit
//! remembers the offset before which all files are complete, and length, records and age of the file that begins there.
//! Whoever opens the partition next renames the complete files, cuts that one to its length and removes those that begin
//! later: their records come again. After a change of template, format or compression it is finished as it is.
//!
//! Each partition holds one open file, and between two commits the memory of one compressor.

mod compression;
mod config;
mod decimal;
mod format;
mod json;
mod lines;
mod name_template;
mod output;
mod rolling_file;
mod sink;
mod sink_config;
mod sink_partition;
mod sink_plain;
mod sink_rolling;
mod source;
#[cfg(not(target_family = "wasm"))]
mod stdin;
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

//! FileStreamSource and FileStreamSink: lines of a file to a topic and back, with Kafka's class names and keys.
//!
//! # Source
//! Reads files line by line and follows them as they grow. Value: the line as STRING, not optional, without its
//! terminator; no key; the worker stamps the time. Lines end with `\n`, `\r\n` or `\r` (a `\r` at the very end waits for
//! the next character); empty lines are records. Source partition `{"filename":"<file as configured>"}`. A missing file
//! is waited for.
//!
//! **Identity.** A file is what has its device, inode and first bytes, not what has its name. The source offset tells all
//! of it: `{"position":N,"device":D,"inode":I,"fingerprint":"<16 hex digits>","fingerprint.bytes":K,"modified.ms":M}`.
//! N is the byte position behind the line and its terminator, in a compressed file of its content; the fingerprint
//! begins the SHA-256 of the first K bytes, at most 1,024. `{"position":N}` alone, as Kafka's connector writes it, resumes
//! in the file with the name. While a task runs it also tells files by the time of their creation, where the file system
//! knows that: a file made anew is read, also with the inode and content of a deleted one. One that gets its name back is
//! read on where it was left.
//!
//! **Rotation.** When another file has the name, the one before is read on until nothing was written to it for
//! `file.rotate.wait.ms`, then its younger siblings by the time of their last write (of numbered ones also those that
//! were created later), then the named file from its beginning. All are opened when they are seen, so that they may be renamed, compressed or deleted meanwhile. The same
//! holds for what happened while the task was stopped: the stored file is found wherever it lies in the directory, also as
//! a copy or compressed. Siblings are files named like it with numbers, dates, `old`, `bak` and `gz` (`app.log.2.gz`,
//! `app.log-20261121`, `app-2026-11-21.log`), or what `file.rotated.glob` matches. What is written to a rotated file later
//! than the wait is not read. Behind a link with that name the directory of its target counts as well.
//!
//! **Truncation.** A file that became shorter, or whose first bytes changed, was truncated: reading goes on in its copy
//! among the siblings (`copytruncate`) from where it was, and then in the file from its beginning. Without a copy that is
//! a warning. Files that begin with the same 1,024 bytes cannot be told apart this way.
//!
//! **Patterns.** With `glob` each matching file is a source partition of its own, except rotated siblings of one. The
//! connector has `tasks.max` tasks; each takes the files whose name falls in its share. At most 256 files are open at once:
//! idle ones are closed until something happens to them, others wait (when none can be closed, one more is opened every
//! second). A file that lost its name, by deletion or renaming, is closed `file.rotate.wait.ms` later, also when no other has
//! the name.
//!
//! A file that cannot be opened or read is warned of once and tried again, at first after a second, later after some
//! minutes; its bytes count as lag, and the other files go on. With `file` it is an error.
//!
//! **Compressed files** (`.gz`) are read to the end of their last member. One that ends too early is read again when it
//! grows. What follows the last member and is none is passed over with a warning, as by gzip.
//!
//! A last line without a terminator is delivered once nothing was added for `line.idle.timeout.ms`, or when its file has
//! ended for good; it is never joined with another file's text. Nothing is delivered twice: a terminator that comes
//! next ends that line and is no empty line, text that comes next is a record of its own. The position tells the same
//! after a restart, because the byte before it is not a terminator then. A line that ends in the middle of a UTF-8
//! character is not delivered until the character is complete.
//!
//! A line that is not UTF-8 (see `line.invalid.utf8`) or longer than `line.max.bytes` is a data error, once: the source
//! goes on behind it. Its bytes belong to the position of the next record.
//!
//! Without `file` and `glob` the source reads standard input; as in Kafka there is nothing to resume from and both the
//! file name and the position are null.
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
//! Without `file` the sink writes to standard output, unless it has `file.directory`. As WASM component the sink
//! needs one of them, the source `file` or `glob`.
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

mod claims;
mod compression;
mod decimal;
mod failure;
mod followed;
mod format;
mod identity;
mod json;
mod lines;
mod listing;
mod locate;
mod name_template;
mod names;
mod offset_change;
mod output;
mod reader;
mod resume;
mod rolling_file;
mod siblings;
mod sink;
mod sink_config;
mod sink_partition;
mod sink_plain;
mod sink_rolling;
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

//! The files of one partition in the sink's rolling mode.
//!
//! A file is written under a hidden name and gets its own name only after its records are committed: then nothing can take
//! it back, and a file under its own name never changes. A commit says which files are complete (all that begin before an
//! offset) and how much of the one after them is good, which is enough for whoever opens the partition next, after a kill or
//! in another task.

use std::{fs, io, path::Path};

use jackfield_api::{ConnectError, LogLevel, SinkPosition};

use crate::{
    name_template::{NameTemplate, PartitionNames},
    output::{self, Output},
    rolling_file::RollingFile,
    sink_rolling::Settings,
};

/// The files of a partition.
#[derive(Debug)]
pub(crate) struct PartitionFiles {
    names: PartitionNames,
    /// Records below are in the files.
    next: i64,
    /// The file that grows.
    growing: Option<RollingFile>,
    /// First offsets of complete and durable files that wait for the commit of their records.
    complete: Vec<i64>,
}

/// What a commit remembers.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Metadata {
    directory: String,
    template: String,
    encoding: String,
    /// Files that begin before this offset are complete, and the one that grows begins with it.
    complete_before: i64,
    /// Records below are in the files, even if they are above the committed offset.
    next: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    growing: Option<Growing>,
}

/// How much is good of the file that grows.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Growing {
    position: u64,
    records: u64,
    /// When it got its first record, in milliseconds since the epoch.
    since: u64,
}

impl Metadata {
    /// `None` = not of this mode.
    pub(crate) fn parse(metadata: &str) -> Option<Self> {
        serde_json::from_str(metadata).ok()
    }
}

impl PartitionFiles {
    /// Brings the files to the state that was committed: complete ones get their names, what came later goes.
    pub(crate) fn open(settings: &mut Settings, at: &SinkPosition) -> Result<Self, ConnectError> {
        let mut files = Self {
            names: settings.template.of(&at.topic, at.partition)?,
            next: 0,
            growing: None,
            complete: Vec::new(),
        };
        let Some(committed) = Metadata::parse(&at.metadata) else {
            files.set_aside(settings)?;
            return Ok(files);
        };
        files.next = committed.next;
        // Those of another directory or template, when the config has changed.
        let template = NameTemplate::parse(&committed.directory, &committed.template)
            .map_err(|message| ConnectError::fatal(format!("template of the last commit: {message}")))?;
        let names = template.of(&at.topic, at.partition)?;
        let first = committed.complete_before;
        for found in in_progress(&names)? {
            if found < first {
                finish(&names, found)?;
            } else if found > first || committed.growing.is_none() {
                remove(settings, &names, found)?;
            }
        }
        let Some(growing) = committed.growing else {
            return Ok(files);
        };
        let same_names = committed.directory == settings.template.directory()
            && committed.template == settings.template.text();
        match restore(settings, &names, first, &growing)? {
            Some(output) if same_names && committed.encoding == settings.encoding() => {
                let file = RollingFile::resume(first, output, growing.records, growing.since, settings);
                files.growing = Some(file);
            }
            Some(_) => finish(&names, first)?,
            None => {}
        }
        Ok(files)
    }

    /// Appends a record, unless it is there already.
    pub(crate) fn take(
        &mut self,
        settings: &mut Settings,
        offset: i64,
        text: &[u8],
    ) -> Result<(), ConnectError> {
        if offset < self.next {
            return Ok(());
        }
        // One that could not be completed before.
        self.complete_when(|growing| growing.is_full(&settings.limits))?;
        let growing = match &mut self.growing {
            Some(growing) => growing,
            none => none.insert(create(settings, &self.names, offset)?),
        };
        growing.take(text)?;
        self.next = offset + 1;
        self.complete_when(|growing| growing.is_full(&settings.limits))
    }

    /// Lets others see what was written, as far as it can be read already.
    pub(crate) fn write_out(&mut self) -> Result<(), ConnectError> {
        self.growing.as_mut().map_or(Ok(()), RollingFile::write_out)
    }

    /// Gives the complete files that a commit covers their names.
    pub(crate) fn committed(&mut self, committed: &Metadata) -> Result<(), ConnectError> {
        while let Some(first) = self
            .complete
            .first()
            .filter(|first| **first < committed.complete_before)
        {
            finish(&self.names, *first)?;
            self.complete.remove(0);
        }
        Ok(())
    }

    /// Makes everything durable and says how it is found again.
    pub(crate) fn make_safe(&mut self, settings: &Settings) -> Result<Metadata, ConnectError> {
        let (limits, now) = (&settings.limits, (settings.clock)());
        self.complete_when(|growing| growing.is_full(limits) || growing.is_old(limits, now))?;
        if let Some(growing) = &mut self.growing {
            growing.make_safe()?;
        }
        let growing = self.growing.as_ref();
        Ok(Metadata {
            directory: settings.template.directory().to_owned(),
            template: settings.template.text().to_owned(),
            encoding: settings.encoding(),
            complete_before: growing.map_or(self.next, RollingFile::first),
            next: self.next,
            growing: growing.map(|growing| Growing {
                position: growing.position(),
                records: growing.records(),
                since: growing.since(),
            }),
        })
    }

    /// A file that ends is complete once it is durable.
    fn complete_when(&mut self, ends: impl Fn(&RollingFile) -> bool) -> Result<(), ConnectError> {
        if let Some(growing) = &mut self.growing
            && ends(growing)
        {
            growing.make_safe()?;
            self.complete.push(growing.first());
            self.growing = None;
        }
        Ok(())
    }

    /// Nothing is committed, so nobody knows what the files in progress are: they may hold lines of before the offsets were
    /// reset. They keep their content under another name.
    fn set_aside(&self, settings: &Settings) -> Result<(), ConnectError> {
        for first in in_progress(&self.names)? {
            let from = self.names.in_progress(first);
            let _owned = Output::open(&from.to_string_lossy(), &settings.context)?;
            let free = (1..).map(|number| self.names.set_aside(first, number));
            let to = free
                .into_iter()
                .find(|name| !name.exists())
                .unwrap_or_else(|| from.clone());
            rename(&from, &to)?;
            let message = format!(
                "file {} is not finished and nothing is committed about it (offsets reset?): it is now {}",
                from.display(),
                to.display()
            );
            settings.log(LogLevel::Warn, &message);
        }
        Ok(())
    }
}

/// Begins a file.
fn create(settings: &mut Settings, names: &PartitionNames, first: i64) -> Result<RollingFile, ConnectError> {
    settings.create_directory(names.directory())?;
    let finished = names.finished(first);
    if finished.exists() {
        return Err(exists(&finished));
    }
    let mut output = Output::open(&names.in_progress(first).to_string_lossy(), &settings.context)?;
    if output.length() > 0 {
        output.cut(0)?;
    }
    Ok(RollingFile::begin(first, output, settings))
}

/// Opens the file that grew and cuts it to what is committed; `None` = it is not there.
fn restore(
    settings: &Settings,
    names: &PartitionNames,
    first: i64,
    growing: &Growing,
) -> Result<Option<Output>, ConnectError> {
    let path = names.in_progress(first);
    if !path.exists() {
        if !names.finished(first).exists() {
            let message = format!(
                "file {} with {} committed bytes is missing: it was removed from outside",
                path.display(),
                growing.position
            );
            settings.log(LogLevel::Warn, &message);
        }
        return Ok(None);
    }
    let mut output = Output::open(&path.to_string_lossy(), &settings.context)?;
    let length = output.length();
    if growing.position > length {
        return Err(ConnectError::fatal(format!(
            "file {} has {length} bytes, {} were committed: it was changed from outside; move it away to go on without it",
            path.display(),
            growing.position
        )));
    }
    if growing.position < length {
        output.cut(growing.position)?;
        let message = format!(
            "file {} cut from {length} to the {} committed bytes",
            path.display(),
            growing.position
        );
        settings.log(LogLevel::Info, &message);
    }
    Ok(Some(output))
}

/// Gives a complete file its own name.
fn finish(names: &PartitionNames, first: i64) -> Result<(), ConnectError> {
    let (from, to) = (names.in_progress(first), names.finished(first));
    match (from.exists(), to.exists()) {
        (true, true) => Err(exists(&to)),
        // Renamed before, and not made durable.
        (false, true) => output::sync_entry(&to).map(drop),
        _ => rename(&from, &to),
    }
}

/// Removes a file of records that were not committed and come again.
fn remove(settings: &Settings, names: &PartitionNames, first: i64) -> Result<(), ConnectError> {
    let path = names.in_progress(first);
    let _owned = Output::open(&path.to_string_lossy(), &settings.context)?;
    fs::remove_file(&path).map_err(|cause| output::error("cannot remove", &path.to_string_lossy(), &cause))
}

fn rename(from: &Path, to: &Path) -> Result<(), ConnectError> {
    fs::rename(from, to).map_err(|cause| {
        let name = format!("{} to {}", from.display(), to.display());
        output::error("cannot rename", &name, &cause)
    })?;
    output::sync_entry(to).map(drop)
}

/// First offsets of the files in progress, in order.
fn in_progress(names: &PartitionNames) -> Result<Vec<i64>, ConnectError> {
    let directory = names.directory();
    let failed =
        |cause: &io::Error| output::error("cannot read directory", &directory.to_string_lossy(), cause);
    let entries = match fs::read_dir(directory) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|cause| failed(&cause))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|cause| failed(&cause))?;
        found.extend(entry.file_name().to_str().and_then(|name| names.first_of(name)));
    }
    found.sort_unstable();
    Ok(found)
}

fn exists(finished: &Path) -> ConnectError {
    ConnectError::config(format!(
        "finished file {} exists already and is never changed; were offsets reset? Move it away, or use another file.directory",
        finished.display()
    ))
}

//! Where the sink writes: appends whole batches or nothing, knows how many bytes are good.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use jackfield_api::{ConnectError, LogLevel, SinkContext};

use crate::siblings::directory_of;

/// What the sink needs of a file; tests put failures in its place.
pub(crate) trait Storage: Send {
    /// Writes at the end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts the file to this length.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
    /// Length now.
    fn length(&self) -> io::Result<u64>;
    /// After an error: makes the file one that can be written again.
    fn recover(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// Makes everything written durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// The destination of a sink task.
pub(crate) struct Output {
    /// For messages.
    name: String,
    storage: Box<dyn Storage>,
    /// A regular file: it has a length and can be cut.
    regular: bool,
    /// Bytes of complete batches.
    length: u64,
    /// Whether something was written since the last sync.
    dirty: bool,
}

impl Output {
    /// Opens or creates a file for appending. A regular file belongs to this output alone as long as it lives.
    pub(crate) fn open(path: &str, context: &SinkContext) -> Result<Self, ConnectError> {
        let failed = |cause: io::Error| {
            let hint = match cause.kind() {
                ErrorKind::NotFound => "; create its directory first",
                ErrorKind::PermissionDenied => {
                    "; the worker's user needs write access to the file and its directory"
                }
                _ => "",
            };
            let hint = format!("{hint}{}", crate::grant_hint());
            let message = format!("cannot write {path}: {cause}{hint}");
            match error("", "", &cause).kind {
                jackfield_api::ErrorKind::Retriable => ConnectError::retriable(message),
                _ => ConnectError::config(message),
            }
        };
        let mut options = OpenOptions::new();
        let file = match options.append(true).open(path) {
            // Only now: Linux refuses to create what is a pipe of another user.
            Err(cause) if cause.kind() == ErrorKind::NotFound => options.create(true).open(path),
            opened => opened,
        };
        let file = file.map_err(failed)?;
        let regular = file.metadata().map_err(failed)?.is_file();
        if regular {
            lock(&file, path, context)?;
            // Also of a file that was there: who created it may have died before.
            make_durable(Path::new(path), context)?;
        }
        let disk = Disk {
            path: path.into(),
            file,
            regular,
        };
        Self::new(path.to_owned(), Box::new(disk), regular)
    }

    /// Standard output.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn standard_output() -> Result<Self, ConnectError> {
        Self::new("standard output".to_owned(), Box::new(StandardOutput), false)
    }

    pub(crate) fn new(name: String, storage: Box<dyn Storage>, regular: bool) -> Result<Self, ConnectError> {
        let mut output = Self {
            name,
            storage,
            regular,
            length: 0,
            dirty: false,
        };
        output.look()?;
        Ok(output)
    }

    /// Whether the output has positions.
    pub(crate) fn is_regular(&self) -> bool {
        self.regular
    }

    /// Bytes of complete batches.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Takes the length from the file as it is now.
    pub(crate) fn look(&mut self) -> Result<u64, ConnectError> {
        if self.regular {
            let length = self.storage.length();
            self.length = length.map_err(|cause| self.error("cannot look at", &cause))?;
        }
        Ok(self.length)
    }

    /// Appends all of it or, with an error, nothing.
    pub(crate) fn append(&mut self, text: &[u8]) -> Result<(), ConnectError> {
        let mut written = 0;
        while written < text.len() {
            self.dirty = true;
            match self.storage.write(&text[written..]) {
                Ok(0) => return Err(self.undo(written, &ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) => return Err(self.undo(written, &cause)),
            }
        }
        self.length += text.len() as u64;
        Ok(())
    }

    /// Cuts the file to this length, durably.
    pub(crate) fn cut(&mut self, length: u64) -> Result<(), ConnectError> {
        let cut = self.storage.truncate(length).and_then(|()| self.storage.sync());
        cut.map_err(|cause| {
            ConnectError::fatal(format!("cannot cut {} to {length} bytes: {cause}", self.name))
        })?;
        self.length = length;
        self.dirty = false;
        Ok(())
    }

    /// Makes everything durable. An error is final: what the disk has cannot be known, so the task must start again
    /// from the last commit.
    pub(crate) fn sync(&mut self) -> Result<(), ConnectError> {
        if self.dirty {
            let synced = self.storage.sync();
            synced.map_err(|cause| ConnectError::fatal(format!("cannot sync {}: {cause}", self.name)))?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Removes what a failed append left behind. A write may have written bytes although it failed, in WASI without saying
    /// so.
    fn undo(&mut self, written: usize, cause: &io::Error) -> ConnectError {
        if !self.regular {
            return match written {
                0 => self.error("cannot write", cause),
                _ => ConnectError::fatal(format!("cannot write {}: {cause}", self.name)),
            };
        }
        let undone = self
            .storage
            .recover()
            .and_then(|()| self.storage.truncate(self.length));
        match undone {
            Ok(()) if hides_cause(cause) => ConnectError::retriable(format!(
                "cannot write {}: {cause}; the disk may be full, WASI does not tell",
                self.name
            )),
            Ok(()) => self.error("cannot write", cause),
            Err(second) => ConnectError::fatal(format!(
                "cannot write {}: {cause}; cannot cut it back to {} bytes: {second}",
                self.name, self.length
            )),
        }
    }

    fn error(&self, what: &str, cause: &io::Error) -> ConnectError {
        error(what, &self.name, cause)
    }
}

/// What could not be done with a file or directory, and whether it may succeed later.
pub(crate) fn error(what: &str, name: &str, cause: &io::Error) -> ConnectError {
    let hint = match cause.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; the worker's user needs write access to the file and its directory"
        }
        _ => "",
    };
    let message = format!("{what} {name}: {cause}{hint}");
    match cause.kind() {
        ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::WouldBlock
        | ErrorKind::TimedOut
        | ErrorKind::ResourceBusy => ConnectError::retriable(message),
        _ => ConnectError::fatal(message),
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Output({}, {} bytes)", self.name, self.length)
    }
}

struct Disk {
    path: PathBuf,
    file: File,
    regular: bool,
}

impl Storage for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn recover(&mut self) -> io::Result<()> {
        // WASI's stream of a file is closed for good by an error. Elsewhere the lock must not be given up.
        if cfg!(target_family = "wasm") {
            self.file = OpenOptions::new().append(true).open(&self.path)?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        // Devices and pipes have nothing to sync.
        if self.regular {
            self.file.sync_data()
        } else {
            Ok(())
        }
    }
}

#[cfg(not(target_family = "wasm"))]
struct StandardOutput;

#[cfg(not(target_family = "wasm"))]
impl Storage for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut output = io::stdout().lock();
        output.write_all(bytes)?;
        output.flush()?;
        Ok(bytes.len())
    }

    fn truncate(&mut self, _length: u64) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn sync(&mut self) -> io::Result<()> {
        io::stdout().lock().flush()
    }
}

/// WASI's stream of a file fails with this whatever the reason is, a full disk too.
fn hides_cause(cause: &io::Error) -> bool {
    const WASI_IO: i32 = 29;
    cfg!(target_family = "wasm") && cause.raw_os_error() == Some(WASI_IO)
}

/// Keeps other writers out until the file is closed: what they append would be cut, or cut what is appended here. WASI
/// has no locks, and not every file system has.
fn lock(file: &File, path: &str, context: &SinkContext) -> Result<(), ConnectError> {
    if cfg!(target_family = "wasm") {
        return Ok(());
    }
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(ConnectError::retriable(format!(
            "cannot write {path}: another task or process writes it"
        ))),
        Err(TryLockError::Error(cause)) => {
            let message = format!("cannot lock {path}, nothing else may write it: {cause}");
            context.log(LogLevel::Warn, &message);
            Ok(())
        }
    }
}

/// Makes the entry of a new file or directory durable; warns where that is not possible.
pub(crate) fn make_durable(path: &Path, context: &SinkContext) -> Result<(), ConnectError> {
    if let Some(cause) = sync_entry(path)? {
        let message = format!(
            "cannot sync the directory of {}, a power failure may lose a new file: {cause}",
            path.display()
        );
        context.log(LogLevel::Warn, &message);
    }
    Ok(())
}

/// Makes the entry of a file durable, or says why its directory is one that cannot be synced.
pub(crate) fn sync_entry(path: &Path) -> Result<Option<io::Error>, ConnectError> {
    match sync_directory(path) {
        Ok(()) => Ok(None),
        Err(cause) if cannot_sync(&cause) => Ok(Some(cause)),
        Err(cause) => Err(ConnectError::fatal(format!(
            "cannot sync the directory of {}: {cause}",
            path.display()
        ))),
    }
}

/// Whether a directory cannot be synced because of what it is, not because something broke.
fn cannot_sync(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::InvalidInput
    )
}

fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(directory_of(path)) {
        Ok(directory) => directory.sync_all(),
        // WASI may not let a component open the granted directory itself; the host syncs nothing more then.
        Err(_) if cfg!(target_family = "wasm") => Ok(()),
        Err(cause) => Err(cause),
    }
}

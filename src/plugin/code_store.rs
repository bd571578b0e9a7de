//! A directory for code this program runs: ours alone, written whole or not at all, bounded.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// More files than this are thinned out, oldest first.
const MAX_FILES: usize = 64;

/// Files of one kind in a directory that nobody else can write to.
#[derive(Debug)]
pub(crate) struct CodeStore {
    directory: PathBuf,
    extension: &'static str,
}

impl CodeStore {
    /// Touches nothing yet.
    pub(crate) fn new(directory: PathBuf, extension: &'static str) -> Self {
        Self { directory, extension }
    }

    /// Path of a file.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.{}", self.extension))
    }

    /// The content of a file, `None` when it is not there.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let content = match fs::read(self.path(name)) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            content => content?,
        };
        self.check_directory()?;
        Ok(Some(content))
    }

    /// Writes a file by renaming; whoever has the old one mapped keeps it.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        static WRITES: AtomicU64 = AtomicU64::new(0);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        self.check_directory()?;
        let path = self.path(name);
        let write = WRITES.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{}-{write}.tmp", std::process::id()));
        fs::write(&temporary, content)
            .and_then(|()| fs::rename(&temporary, &path))
            .inspect_err(|_| drop(fs::remove_file(&temporary)))?;
        self.thin_out(&path)
    }

    /// Nobody else may put code there.
    fn check_directory(&self) -> io::Result<()> {
        let metadata = fs::metadata(&self.directory)?;
        let ours = rustix::process::geteuid().as_raw();
        let shown = self.directory.display();
        if metadata.uid() != ours {
            let owner = metadata.uid();
            return Err(io::Error::other(format!(
                "{shown} belongs to user {owner}, not to this program's user {ours}"
            )));
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(&self.directory, fs::Permissions::from_mode(0o700))?;
        }
        if metadata.mode() & 0o022 != 0 {
            // Somebody may have been there already.
            for (_, path) in self.files()? {
                fs::remove_file(path)?;
            }
            return Err(io::Error::other(format!(
                "{shown} was writable by others: emptied"
            )));
        }
        Ok(())
    }

    fn thin_out(&self, newest: &Path) -> io::Result<()> {
        let mut files = self.files()?;
        files.retain(|(_, path)| path != newest);
        files.sort();
        let surplus = (files.len() + 1).saturating_sub(MAX_FILES);
        for (_, path) in files.into_iter().take(surplus) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<(std::time::SystemTime, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let path = entry.path();
            if path
                .extension()
                .is_some_and(|extension| extension == self.extension)
            {
                files.push((entry.metadata()?.modified()?, path));
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bounded_and_the_newest_stay() {
        let directory = tempfile::tempdir().unwrap();
        let store = CodeStore::new(directory.path().join("code"), "so");
        for number in 0..MAX_FILES + 3 {
            store.write(&number.to_string(), b"code").unwrap();
            // Times of files written one after the other may be equal.
            let age = std::time::Duration::from_secs(1_000_000 + number as u64);
            let file = fs::File::options()
                .write(true)
                .open(store.path(&number.to_string()))
                .unwrap();
            file.set_modified(std::time::SystemTime::UNIX_EPOCH + age)
                .unwrap();
        }
        assert_eq!(
            fs::read_dir(directory.path().join("code")).unwrap().count(),
            MAX_FILES
        );
        assert_eq!(store.read("0").unwrap(), None);
        assert_eq!(
            store.read(&(MAX_FILES + 2).to_string()).unwrap().as_deref(),
            Some(&b"code"[..])
        );
    }

    #[test]
    fn what_others_could_write_is_thrown_away() {
        let directory = tempfile::tempdir().unwrap();
        let code = directory.path().join("code");
        let store = CodeStore::new(code.clone(), "so");
        store.write("a", b"code").unwrap();
        assert_eq!(fs::metadata(&code).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&code, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(
            store
                .read("a")
                .unwrap_err()
                .to_string()
                .contains("was writable by others")
        );
        assert_eq!(store.read("a").unwrap(), None);
        store.write("a", b"new").unwrap();
        assert_eq!(fs::metadata(&code).unwrap().mode() & 0o777, 0o700);
    }
}

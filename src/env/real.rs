//! The operating system behind the traits.

use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{Clock, Entry, File, Files, Random, Space, sync};

/// The operating system's wall clock.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place where the clock is read")]
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The operating system's randomness.
#[derive(Debug)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) {
        let mut filled = 0;
        while filled < out.len() {
            filled += rustix::rand::getrandom(&mut out[filled..], rustix::rand::GetRandomFlags::empty())
                .expect("getrandom never fails for small requests");
        }
    }
}

/// The operating system's files.
#[derive(Debug)]
pub struct RealFiles;

#[derive(Debug)]
struct RealFile {
    path: PathBuf,
    file: fs::File,
    is_dir: bool,
}

impl File for RealFile {
    fn path(&self) -> &PathBuf {
        &self.path
    }

    fn read_at(&self, out: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(out, position)
    }

    fn write_all_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        self.file.write_all_at(data, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.is_dir {
            // A new name changes no size, so fdatasync may leave it out of what it writes.
            self.file.sync_all()
        } else {
            self.file.sync_data()
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn as_std(&self) -> Option<&fs::File> {
        Some(&self.file)
    }
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Files for RealFiles {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .open(path)?;
        Ok(Arc::new(RealFile {
            path: path.to_owned(),
            file,
            is_dir: false,
        }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(RealFile {
            path: path.to_owned(),
            file: fs::File::open(path)?,
            is_dir: false,
        }))
    }

    fn open_dir(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(RealFile {
            path: path.to_owned(),
            file: fs::File::open(path)?,
            is_dir: true,
        }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        missing_is_fine(fs::remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        missing_is_fine(fs::remove_dir_all(path))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            // An entry may go away between listing and asking for its size.
            let Ok(metadata) = entry.metadata() else { continue };
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_dir = metadata.is_dir();
            entries.push(Entry {
                name,
                is_dir,
                len: if is_dir { 0 } else { metadata.len() },
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Space {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            usable: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }

    fn sync_data_many(&self, files: &[Arc<dyn File>]) -> Vec<io::Result<()>> {
        sync::sync_data_many(files)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = self.open(path, true)?;
        if let Some(std) = file.as_std() {
            rustix::fs::flock(std, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        }
        Ok(file)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_files_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..70)
            .map(|n| RealFiles.open(&dir.path().join(n.to_string()), true).unwrap())
            .collect();
        for count in [0, 1, 2, 3, 17, 63, 64, 70] {
            for file in &files {
                file.write_all_at(b"x", 0).unwrap();
            }
            let results = RealFiles.sync_data_many(&files[..count]);
            assert_eq!(results.len(), count);
            assert!(results.iter().all(Result::is_ok));
        }
    }

    #[test]
    fn a_lock_is_exclusive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let held = RealFiles.lock(&path).unwrap();
        assert!(RealFiles.lock(&path).is_err());
        drop(held);
        assert!(RealFiles.lock(&path).is_ok());
    }

    #[test]
    fn write_atomic_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        RealFiles.write_atomic(&path, b"one").unwrap();
        RealFiles.write_atomic(&path, b"two").unwrap();
        assert_eq!(RealFiles.read(&path).unwrap(), b"two");
        assert_eq!(RealFiles.read_dir(dir.path()).unwrap().len(), 1);
    }
}

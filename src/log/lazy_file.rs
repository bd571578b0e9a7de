//! A segment's file that is opened when it is first used: of many closed segments few are read.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use jackfield_env::{File, Files};

/// See the file's header.
#[derive(Debug)]
pub(crate) struct LazyFile {
    files: Arc<dyn Files>,
    path: PathBuf,
    opened: OnceLock<Arc<dyn File>>,
}

impl LazyFile {
    pub(crate) fn new(files: &Arc<dyn Files>, path: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            files: Arc::clone(files),
            path,
            opened: OnceLock::new(),
        })
    }

    fn opened(&self) -> io::Result<&Arc<dyn File>> {
        if let Some(file) = self.opened.get() {
            return Ok(file);
        }
        let file = self.files.open(&self.path, false)?;
        // Another thread may have been faster; its file is as good.
        Ok(self.opened.get_or_init(|| file))
    }
}

impl File for LazyFile {
    fn path(&self) -> &PathBuf {
        &self.path
    }

    fn read_at(&self, out: &mut [u8], position: u64) -> io::Result<usize> {
        self.opened()?.read_at(out, position)
    }

    fn write_all_at(&self, data: &[u8], position: u64) -> io::Result<()> {
        self.opened()?.write_all_at(data, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.opened()?.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.opened()?.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.opened()?.len()
    }

    fn ready(&self) -> io::Result<()> {
        self.opened().map(|_| ())
    }

    fn as_std(&self) -> Option<&std::fs::File> {
        self.opened().ok()?.as_std()
    }
}

#[cfg(test)]
mod tests {
    use jackfield_env::RealFiles;

    use super::*;

    #[test]
    fn it_is_opened_once_and_stays_readable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let files: Arc<dyn Files> = Arc::new(RealFiles);
        let file = LazyFile::new(&files, path.clone());
        assert!(
            file.ready().is_err() && file.as_std().is_none(),
            "it is not there"
        );
        std::fs::write(&path, "content").unwrap();
        assert_eq!(file.len().unwrap(), 7);
        std::fs::remove_file(&path).unwrap();
        let mut out = [0; 3];
        assert_eq!(file.read_at(&mut out, 4).unwrap(), 3);
        assert_eq!(&out, b"ent");
    }
}

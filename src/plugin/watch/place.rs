//! What the operating system has to be asked about for a path, and whether its answer is complete.
//!
//! Directories are named by their real path: two names of one directory are one watch to the operating system, and giving
//! one of them back would end it.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Something in a watched directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    directory: PathBuf,
    /// One entry of the directory; `None` = all of them.
    file: Option<PathBuf>,
}

/// All places of a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) places: Vec<Place>,
    /// No change goes unnoticed.
    pub(super) complete: bool,
}

impl Place {
    fn of_file(file: PathBuf) -> Option<Self> {
        Some(Self {
            directory: file.parent()?.to_owned(),
            file: Some(file),
        })
    }

    /// The directory to be watched.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// As [`Self::directory`].
    pub(super) fn into_directory(self) -> PathBuf {
        self.directory
    }

    /// Whether an event at `path` is one of this place, and then whether the path that is watched may mean something else
    /// by now. `moved` = something came, went or was renamed; `link` = it is a link.
    pub(super) fn touched_by(&self, path: &Path, moved: bool, link: bool) -> Option<bool> {
        if path == self.directory && moved {
            return Some(true);
        }
        match &self.file {
            Some(file) => (path == file).then_some(moved),
            // A new link leads to where nobody looks.
            None => (path.parent() == Some(&self.directory)).then_some(link),
        }
    }
}

impl Places {
    /// Of an absolute path; an error when the directory it lies in is not there.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let real = path.canonicalize();
        let mut places = Vec::new();
        let mut complete = path.parent().is_none();
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            let parent = parent.canonicalize()?;
            let file = parent.join(name);
            // A link on the way can be changed where nobody looks.
            complete = file == path;
            if let Ok(target) = &real
                && *target != file
            {
                complete = false;
                places.extend(Place::of_file(target.clone()));
            }
            places.extend(Place::of_file(file));
        }
        if let Ok(directory) = real
            && directory.is_dir()
        {
            complete &= !has_links(&directory)?;
            places.push(Place {
                directory,
                file: None,
            });
        }
        if places.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        complete &= !places.iter().any(|place| is_shared(&place.directory));
        Ok(Self { places, complete })
    }
}

fn has_links(directory: &Path) -> io::Result<bool> {
    for entry in directory.read_dir()? {
        if entry?.file_type()?.is_symlink() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether files there can be changed without this machine, or this mount, being told.
fn is_shared(directory: &Path) -> bool {
    /// NFS, SMB, CIFS, SMB2, 9P, AFS (two), Ceph, Coda, FUSE, OCFS2, GFS2, Lustre, VirtualBox, overlayfs, eCryptfs.
    const SHARED: [u64; 16] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x0102_1997,
        0x5346_414f,
        0x6b41_4653,
        0x00c3_6400,
        0x7375_7245,
        0x6573_5546,
        0x7461_636f,
        0x0116_1970,
        0x0bd0_0bd0,
        0x786f_4256,
        0x794c_7630,
        0xf15f,
    ];
    rustix::fs::statfs(directory).is_ok_and(|found| {
        #[allow(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "a magic number of 32 bits"
        )]
        let magic = u64::from(found.f_type as u32);
        SHARED.contains(&magic)
    })
}

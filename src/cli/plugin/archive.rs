//! Archives of packages: `NAME-VERSION.tar.gz` with one directory of that name. The same files make the same bytes.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use flate2::{Compression, GzBuilder, read::GzDecoder};
use jackfield_plugin::manifest::{MANIFEST_FILE, Manifest};
use tar::{EntryType, Header};

/// Packages hold code, not data: what unpacks to more is none.
const MOST_BYTES: u64 = 1 << 30;
const MOST_ENTRIES: usize = 10_000;

/// Packs the manifest and the files it names into a directory called `name`.
///
/// # Errors
/// Something cannot be read, or the archive cannot be made.
pub(super) fn pack(package: &Path, manifest: &Manifest, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut files: Vec<&Path> = manifest.files().collect();
    files.push(Path::new(MANIFEST_FILE));
    files.sort_unstable();
    files.dedup();
    let zip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    let mut archive = tar::Builder::new(zip);
    let mut directories: Vec<PathBuf> = Vec::new();
    for file in files {
        let inside = Path::new(name).join(file);
        let mut above: Vec<_> = inside.ancestors().skip(1).map(Path::to_owned).collect();
        above.reverse();
        for directory in above {
            if !directory.as_os_str().is_empty() && !directories.contains(&directory) {
                let mut header = header(EntryType::Directory, 0o755, 0);
                archive.append_data(&mut header, format!("{}/", directory.display()), io::empty())?;
                directories.push(directory);
            }
        }
        let content = fs::read(package.join(file))
            .with_context(|| format!("cannot read {}", package.join(file).display()))?;
        let mut header = header(EntryType::Regular, 0o644, content.len() as u64);
        archive.append_data(&mut header, &inside, content.as_slice())?;
    }
    Ok(archive.into_inner()?.finish()?)
}

/// Nothing of the machine or the moment: no owner, no time.
fn header(kind: EntryType, mode: u32, bytes: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Unpacks an archive below `into` and returns the package's directory.
///
/// # Errors
/// It is none, it is too large, or it reaches out of its directory.
pub(super) fn unpack(archive: &Path, into: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(into)?;
    let file = File::open(archive)?;
    let mut archive = tar::Archive::new(GzDecoder::new(file).take(MOST_BYTES));
    let mut entries = 0;
    for entry in archive.entries()? {
        let mut entry = entry.map_err(|error| anyhow!("it is no archive of a package (.tar.gz): {error}"))?;
        entries += 1;
        let path = entry.path()?.into_owned();
        let plain = path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !plain || entries > MOST_ENTRIES {
            bail!("it holds '{}', which no package has", path.display());
        }
        let target = into.join(&path);
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(&target)?,
            EntryType::Regular => {
                fs::create_dir_all(target.parent().unwrap_or(into))?;
                io::copy(&mut entry, &mut File::create(&target)?)?;
            }
            kind => bail!(
                "'{}' is a {kind:?}, packages have files and directories",
                path.display()
            ),
        }
    }
    let mut roots: Vec<_> = fs::read_dir(into)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    match (roots.pop(), roots.pop()) {
        (Some(root), None) if root.join(MANIFEST_FILE).is_file() => Ok(root),
        _ => bail!("it is not one directory with a {MANIFEST_FILE}"),
    }
}

#[cfg(test)]
mod tests {
    use jackfield_plugin::Form;

    use super::*;
    use crate::plugin::stamp::{Built, install};

    const TEXT: &str = "schema = 1\n[package]\nname = \"x\"\nversion = \"0.1.0\"\n\
        [[plugin]]\nclass = \"X\"\nkind = \"source\"\n";

    #[test]
    fn the_same_files_make_the_same_archive_and_come_out_again() {
        let root = tempfile::tempdir().unwrap();
        let code = root.path().join("libx.so");
        fs::write(&code, vec![7; 100_000]).unwrap();
        let pack_in = |name: &str| {
            let package = root.path().join(name);
            let built = Built {
                form: Form::Native,
                file: code.clone(),
            };
            install(&package, TEXT, &[built]).unwrap();
            fs::write(package.join("notes.txt"), "not named by the manifest").unwrap();
            let manifest =
                Manifest::parse(&fs::read_to_string(package.join(MANIFEST_FILE)).unwrap()).unwrap();
            pack(&package, &manifest, "x-0.1.0").unwrap()
        };
        let archive = pack_in("one");
        assert_eq!(archive, pack_in("two"));
        let file = root.path().join("x.tar.gz");
        fs::write(&file, &archive).unwrap();
        let unpacked = unpack(&file, &root.path().join("out")).unwrap();
        assert_eq!(unpacked, root.path().join("out/x-0.1.0"));
        let manifest = Manifest::parse(&fs::read_to_string(unpacked.join(MANIFEST_FILE)).unwrap()).unwrap();
        let library = manifest.files().next().unwrap();
        assert_eq!(fs::read(unpacked.join(library)).unwrap(), vec![7; 100_000]);
        assert!(!unpacked.join("notes.txt").exists());
    }

    /// An archive with one entry must be refused with a message that contains `wanted`.
    fn check(kind: EntryType, path: &str, wanted: &str) {
        let root = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(GzBuilder::new().write(Vec::new(), Compression::fast()));
        let mut header = header(kind, 0o644, 0);
        header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        archive.append(&header, io::empty()).unwrap();
        let file = root.path().join("x.tar.gz");
        fs::write(&file, archive.into_inner().unwrap().finish().unwrap()).unwrap();
        let error = unpack(&file, &root.path().join("out")).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error:?} does not say {wanted:?}");
        assert!(!root.path().join("escaped").exists());
    }

    #[test]
    fn nothing_leaves_the_directory() {
        check(
            EntryType::Regular,
            "../escaped",
            "'../escaped', which no package has",
        );
        check(EntryType::Regular, "/escaped", "which no package has");
        check(
            EntryType::Symlink,
            "x/link",
            "packages have files and directories",
        );
        check(
            EntryType::Regular,
            "x/other",
            "not one directory with a plugin.toml",
        );
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("x.tar.gz");
        fs::write(&file, "text").unwrap();
        let error = unpack(&file, &root.path().join("out")).unwrap_err().to_string();
        assert!(error.contains("no archive of a package"), "{error}");
    }
}

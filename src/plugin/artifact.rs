//! What can be seen of an artifact without running it: that it begins as code of its kind does, and its digest.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::Digest as _;

use crate::manifest::{HOST_TARGET, Sha256};

/// Bytes read at once for a digest.
const PIECE_BYTES: usize = 64 * 1024;

/// Begins with `\0asm`; then the version of the format and the layer: 1 = component, 0 = core module.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const WASM: [u8; 4] = *b"\0asm";
const ELF: [u8; 4] = *b"\x7fELF";
/// 64 bits, either byte order, and one file for several machines.
const MACH_O: [[u8; 4]; 3] = [
    [0xcf, 0xfa, 0xed, 0xfe],
    [0xfe, 0xed, 0xfa, 0xcf],
    [0xca, 0xfe, 0xba, 0xbe],
];

/// Whether a file can be a WASM component.
pub(crate) fn check_component(file: &Path) -> Result<(), String> {
    match first_bytes(file)? {
        begin if begin == COMPONENT => Ok(()),
        begin if begin.starts_with(&WASM) => {
            Err("a core WASM module, not a component: build the package again for wasm32-wasip2".to_owned())
        }
        _ => Err("no WASM component: build or install the package again".to_owned()),
    }
}

/// Whether a file can be a library of the machine this program runs on.
pub(crate) fn check_library(file: &Path) -> Result<(), String> {
    let begin = first_bytes(file)?;
    let fits = if HOST_TARGET.contains("apple") {
        MACH_O.iter().any(|magic| begin.starts_with(magic))
    } else {
        begin.starts_with(&ELF)
    };
    if fits {
        return Ok(());
    }
    Err("no library: build or install the package again".to_owned())
}

fn first_bytes(file: &Path) -> Result<Vec<u8>, String> {
    let mut begin = Vec::new();
    let length = COMPONENT.len() as u64;
    let read = File::open(file).and_then(|file| file.take(length).read_to_end(&mut begin));
    read.map_err(|cause| format!("cannot be read: {cause}"))?;
    Ok(begin)
}

/// The digest of a file, without having it in memory as a whole.
pub(crate) fn digest(file: &Path) -> io::Result<Sha256> {
    let mut file = File::open(file)?;
    let mut hasher = sha2::Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Sha256(hasher.finalize().into())),
            read => hasher.update(&piece[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_what_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("code");
        let component = |content: &[u8]| {
            std::fs::write(&file, content).unwrap();
            check_component(&file)
        };
        assert_eq!(component(b"\0asm\x0d\0\x01\0 and more"), Ok(()));
        assert!(
            component(b"\0asm\x01\0\0\0")
                .unwrap_err()
                .contains("a core WASM module")
        );
        assert!(component(b"\0as").unwrap_err().contains("no WASM component"));
        assert!(component(b"").unwrap_err().contains("no WASM component"));
        std::fs::write(&file, "#!/bin/sh").unwrap();
        assert!(check_library(&file).unwrap_err().contains("no library"));
        std::fs::copy(std::env::current_exe().unwrap(), &file).unwrap();
        assert_eq!(check_library(&file), Ok(()));
        assert!(check_library(&directory.path().join("missing")).is_err());
    }

    #[test]
    fn a_digest_is_that_of_the_whole_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("large");
        let content = vec![7; PIECE_BYTES * 2 + 1];
        std::fs::write(&file, &content).unwrap();
        assert_eq!(digest(&file).unwrap(), Sha256::of(&content));
    }
}

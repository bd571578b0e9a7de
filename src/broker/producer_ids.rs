//! Producer ids: never handed out twice, also not after a crash.
//!
//! Ids are reserved in blocks of 1000, as Kafka's controller does. The end of the reserved block is stored durably before the
//! first id of it is given out, so a crash skips at most one block.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use jackfield_env::Env;

use crate::blocking;

const BLOCK: i64 = 1_000;

/// The end of the reserved block with its checksum, three times: a smaller number would hand out ids again.
fn render(end: i64) -> String {
    let line = format!("{end} {:08x}\n", crc32c::crc32c(end.to_string().as_bytes()));
    line.repeat(3)
}

/// The largest number in a good line. Earlier versions wrote the number alone.
fn parse(content: &[u8]) -> Option<i64> {
    let text = String::from_utf8_lossy(content);
    if let Ok(alone) = text.trim().parse() {
        return Some(alone);
    }
    let good = |line: &str| {
        let (end, crc) = line.split_once(' ')?;
        let is_good = crc == format!("{:08x}", crc32c::crc32c(end.as_bytes()));
        is_good.then(|| end.parse().ok()).flatten()
    };
    text.lines().filter_map(good).max()
}

/// Hands out producer ids.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    env: Env,
    path: PathBuf,
    /// Next id and end of the reserved block.
    range: Mutex<(i64, i64)>,
}

impl ProducerIds {
    /// Continues behind the last reserved block.
    ///
    /// # Errors
    /// A message when the file cannot be read or understood.
    pub(crate) fn open(env: Env, log_dir: &std::path::Path) -> Result<Self, String> {
        let path = log_dir.join("producer-ids");
        let mut next = 0;
        if env.files.exists(&path) {
            let content = env
                .files
                .read(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            next = parse(&content).ok_or_else(|| {
                format!(
                    "{}: is damaged: restore it from a copy, or write a number into it that is larger than any producer id in use",
                    path.display()
                )
            })?;
        }
        Ok(Self {
            env,
            path,
            range: Mutex::new((next, next)),
        })
    }

    /// The next id.
    ///
    /// # Errors
    /// The file system's, when a new block cannot be reserved.
    pub(crate) fn next(&self) -> std::io::Result<i64> {
        let mut range = self.range.lock().unwrap_or_else(PoisonError::into_inner);
        if range.0 == range.1 {
            let end = range.1 + BLOCK;
            let content = render(end);
            blocking::run(|| self.env.files.write_atomic(&self.path, content.as_bytes()))?;
            range.1 = end;
        }
        range.0 += 1;
        Ok(range.0 - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_never_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let open = || ProducerIds::open(Env::real(), dir.path()).unwrap();
        let first = open();
        assert_eq!((first.next().unwrap(), first.next().unwrap()), (0, 1));
        let second = open();
        assert_eq!(second.next().unwrap(), 1_000);
        for _ in 0..BLOCK {
            second.next().unwrap();
        }
        assert_eq!(open().next().unwrap(), 3_000);
    }

    #[test]
    fn no_flipped_bit_brings_ids_back() {
        let text = render(12_000);
        for bit in 0..text.len() * 8 {
            let mut content = text.clone().into_bytes();
            content[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&content), Some(12_000), "bit {bit}");
        }
        assert_eq!(parse(b"3000\n"), Some(3_000), "earlier versions");
        assert_eq!(parse(b"rubbish"), None);
    }
}

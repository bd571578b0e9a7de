//! Which file a file is, whatever its name: device, inode and a fingerprint of its first bytes. Source offsets carry it:
//!
//! `{"position":N,"device":D,"inode":I,"fingerprint":"<16 hex digits>","fingerprint.bytes":K,"modified.ms":M}`
//!
//! The fingerprint is the beginning of the SHA-256 of the first K bytes, as many as were there, at most 1,024; of a
//! compressed file, of its content. M is when the file was last written as far as was known, and puts files into their
//! order when the stored one is gone.

use std::{
    cmp::Ordering,
    fs::{File, Metadata},
    hash::{Hash, Hasher},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use jackfield_api::ConnectError;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Most bytes a fingerprint covers.
pub(crate) const HEAD_BYTES: usize = 1_024;

/// Device and inode, both cut to what fits Connect's INT64, and when the file was created: inodes are used again.
#[derive(Debug, Clone, Copy, Eq)]
pub(crate) struct FileKey {
    device: u64,
    inode: u64,
    /// Since 1970; `None` = the file system does not say, or it is from a source offset.
    pub(crate) created_ns: Option<u64>,
}

/// What a look at a file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) key: FileKey,
    pub(crate) size: u64,
    /// Since 1970.
    pub(crate) modified_ns: u64,
    /// Names it has; 0 = deleted.
    pub(crate) links: u64,
    pub(crate) is_file: bool,
}

/// Hash of a file's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    hash: u64,
    bytes: usize,
}

/// What a source offset tells about its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) key: FileKey,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) modified_ms: u64,
}

/// A source offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) position: u64,
    /// Missing in offsets that Kafka's connector wrote.
    pub(crate) identity: Option<Identity>,
}

/// A file that was read to its end, which was this position of its content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Left {
    pub(crate) identity: Identity,
    pub(crate) position: u64,
}

/// Looks at what is at `path`, behind links.
pub(crate) fn look(path: &Path) -> std::io::Result<Seen> {
    let metadata = std::fs::metadata(path)?;
    #[cfg(unix)]
    let node = node(&metadata);
    #[cfg(not(unix))]
    let node = node(&rustix::fs::stat(path)?);
    Ok(Seen::new(&metadata, node))
}

/// Looks at an open file.
pub(crate) fn look_at(file: &File) -> std::io::Result<Seen> {
    let metadata = file.metadata()?;
    #[cfg(unix)]
    let node = node(&metadata);
    #[cfg(not(unix))]
    let node = node(&rustix::fs::fstat(file)?);
    Ok(Seen::new(&metadata, node))
}

/// Device, inode and number of names.
#[cfg(unix)]
fn node(metadata: &Metadata) -> (u64, u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino(), metadata.nlink())
}

#[cfg(not(unix))]
fn node(found: &rustix::fs::Stat) -> (u64, u64, u64) {
    (found.st_dev, found.st_ino, found.st_nlink)
}

impl Seen {
    fn new(metadata: &Metadata, (device, inode, links): (u64, u64, u64)) -> Self {
        // WASI gives the time of the last change instead.
        let created_ns = if cfg!(unix) {
            nanos(metadata.created())
        } else {
            None
        };
        Self {
            key: FileKey {
                device: device & (u64::MAX >> 1),
                inode: inode & (u64::MAX >> 1),
                created_ns,
            },
            size: metadata.len(),
            modified_ns: nanos(metadata.modified()).unwrap_or(0),
            links,
            is_file: metadata.is_file(),
        }
    }
}

/// Since 1970.
fn nanos(time: std::io::Result<SystemTime>) -> Option<u64> {
    let since = time.ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

impl PartialEq for FileKey {
    /// As far as both are known: a network file system may tell the time of creation now and then only.
    fn eq(&self, other: &Self) -> bool {
        let created = self.created_ns.zip(other.created_ns);
        (self.device, self.inode) == (other.device, other.inode)
            && created.is_none_or(|(one, two)| one == two)
    }
}

impl Hash for FileKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.device, self.inode).hash(state);
    }
}

impl FileKey {
    /// Whether only the device differs, as after another mount.
    pub(crate) fn same_inode(self, other: Self) -> bool {
        self.inode == other.inode
    }
}

impl Fingerprint {
    /// Of all these bytes.
    pub(crate) fn of(head: &[u8]) -> Self {
        Self {
            hash: hash64(head),
            bytes: head.len(),
        }
    }

    /// Whether a file that begins like this may be the same one. An empty file is nobody's.
    pub(crate) fn matches(self, head: &[u8]) -> bool {
        self.bytes > 0 && head.len() >= self.bytes && hash64(&head[..self.bytes]) == self.hash
    }

    /// How many bytes it covers.
    pub(crate) fn bytes(self) -> usize {
        self.bytes
    }
}

impl Identity {
    /// The part of the source offset behind the position, to the closing brace.
    pub(crate) fn offset_suffix(&self) -> String {
        format!(
            ",\"device\":{},\"inode\":{},\"fingerprint\":\"{:016x}\",\"fingerprint.bytes\":{},\"modified.ms\":{}}}",
            self.key.device, self.key.inode, self.fingerprint.hash, self.fingerprint.bytes, self.modified_ms
        )
    }
}

impl Left {
    /// Where to go on in the file; `None` = nothing is new in it.
    pub(crate) fn goes_on(&self, seen: &Seen, is_gzip: bool) -> Option<u64> {
        let was_written = seen.modified_ns / 1_000_000 != self.identity.modified_ms;
        match seen.size.cmp(&self.position) {
            _ if is_gzip => was_written.then_some(self.position),
            Ordering::Less => Some(0),
            // Maybe another file with the same inode and content.
            Ordering::Equal if seen.key.created_ns.is_none() => was_written.then_some(0),
            Ordering::Equal => None,
            Ordering::Greater => Some(self.position),
        }
    }
}

impl Stored {
    /// Reads a source offset; `None` = it has no position, as that of standard input.
    pub(crate) fn parse(partition: &str, offset: &str) -> Result<Option<Self>, ConnectError> {
        let invalid = |what: &str| {
            ConnectError::fatal(format!(
                "the stored offset {offset} of {partition} has no valid {what}: alter or delete the connector's offsets"
            ))
        };
        let parsed: Value = serde_json::from_str(offset).map_err(|_| invalid("position"))?;
        let position = match parsed.get("position") {
            None | Some(Value::Null) => return Ok(None),
            Some(position) => position.as_u64().ok_or_else(|| invalid("position"))?,
        };
        let Some(hash) = parsed.get("fingerprint") else {
            return Ok(Some(Self {
                position,
                identity: None,
            }));
        };
        let number = |name: &str| {
            parsed
                .get(name)
                .and_then(Value::as_u64)
                .ok_or_else(|| invalid(name))
        };
        let hash = hash.as_str().filter(|text| text.len() == 16);
        let hash = hash.and_then(|text| u64::from_str_radix(text, 16).ok());
        let bytes = usize::try_from(number("fingerprint.bytes")?).unwrap_or(usize::MAX);
        if bytes > HEAD_BYTES {
            return Err(invalid("fingerprint.bytes"));
        }
        let identity = Identity {
            key: FileKey {
                device: number("device")?,
                inode: number("inode")?,
                created_ns: None,
            },
            fingerprint: Fingerprint {
                hash: hash.ok_or_else(|| invalid("fingerprint"))?,
                bytes,
            },
            modified_ms: number("modified.ms")?,
        };
        Ok(Some(Self {
            position,
            identity: Some(identity),
        }))
    }
}

/// The same on every machine and in every version.
pub(crate) fn hash64(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            key: FileKey {
                device: 66_306,
                inode: u64::MAX >> 1,
                created_ns: None,
            },
            fingerprint: Fingerprint::of(b"2026-11-21 start"),
            modified_ms: 1_795_212_345_678,
        }
    }

    #[test]
    fn an_offset_is_read_as_it_was_written() {
        let offset = format!("{{\"position\":77{}", identity().offset_suffix());
        let expected = Stored {
            position: 77,
            identity: Some(identity()),
        };
        assert_eq!(Stored::parse("{}", &offset).unwrap(), Some(expected));
        let kafkas = Stored::parse("{}", r#"{"position":77}"#).unwrap().unwrap();
        assert_eq!((kafkas.position, kafkas.identity), (77, None));
        assert_eq!(Stored::parse("{}", r#"{"position":null}"#).unwrap(), None);
    }

    #[test]
    fn files_are_told_by_their_creation_where_it_is_known() {
        let created = |created_ns| FileKey {
            created_ns,
            ..identity().key
        };
        assert_ne!(created(Some(1)), created(Some(2)));
        assert_eq!(created(Some(1)), created(None));
    }

    #[test]
    fn every_part_of_an_offset_must_make_sense() {
        let good = format!("{{\"position\":77{}", identity().offset_suffix());
        for (from, to, what) in [
            ("77", "-7", "position"),
            ("66306", "\"x\"", "device"),
            ("\"inode\"", "\"node\"", "inode"),
            (
                "\"fingerprint.bytes\":16",
                "\"fingerprint.bytes\":1025",
                "fingerprint.bytes",
            ),
            ("\"fingerprint\":\"", "\"fingerprint\":\"x", "fingerprint"),
            ("1795212345678", "1.5", "modified.ms"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            let error = Stored::parse(r#"{"filename":"f"}"#, &bad).unwrap_err();
            assert!(
                error.message.contains(&format!("has no valid {what}:")),
                "{error}"
            );
            assert!(error.message.contains(r#"of {"filename":"f"}"#), "{error}");
        }
    }

    #[test]
    fn a_fingerprint_covers_what_was_there() {
        let fingerprint = Fingerprint::of(b"head");
        assert!(fingerprint.matches(b"head") && fingerprint.matches(b"head and more"));
        assert!(!fingerprint.matches(b"hea") && !fingerprint.matches(b"heap and more"));
        assert!(!Fingerprint::of(b"").matches(b""), "an empty file is nobody's");
        assert_eq!(
            Fingerprint::of(b"abc").hash,
            0xba78_16bf_8f01_cfea,
            "SHA-256's first bytes"
        );
    }
}

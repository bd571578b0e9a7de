//! One open file, plain or compressed: bytes from a position on, and whether it still is the file it was.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use flate2::read::MultiGzDecoder;

use crate::identity::{FileKey, Fingerprint, HEAD_BYTES, Identity, Seen, look_at};

/// What the decoder says of bytes that begin no member.
const NO_MEMBER: &str = "invalid gzip header";

/// A file being read, or about to be.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// Where it lay when it was opened.
    pub(crate) path: PathBuf,
    pub(crate) key: FileKey,
    /// Its first bytes, as many as are known.
    pub(crate) head: Vec<u8>,
    /// As of the last look.
    pub(crate) modified_ns: u64,
    /// Where reading begins.
    pub(crate) start: u64,
    /// The byte before that.
    pub(crate) before: Option<u8>,
    /// The end of its bytes is its end: nobody writes to it any more.
    pub(crate) complete: bool,
    /// It was cut while it was read: what is in it now is no continuation.
    pub(crate) cut: bool,
    /// When a younger file was first seen, and when this one had last been written to by then.
    pub(crate) younger_since: Option<(Instant, u64)>,
    content: Content,
    /// The source offset behind the position.
    offset_suffix: String,
}

#[derive(Debug)]
enum Content {
    Plain(File),
    Gzip {
        file: Arc<File>,
        decoder: Box<MultiGzDecoder<BufReader<Arc<File>>>>,
        /// Content before `start` that is still to be passed over.
        skip: u64,
        /// Size of the file when it was opened: one that is still being written is read again from its start.
        size: u64,
        /// It was read to its end: the decoder is not asked again.
        ended: bool,
        /// It ends in the middle of a member.
        torn: bool,
        /// It has content.
        any: bool,
        /// What follows its last member is no member.
        garbage: bool,
    },
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// New content; 0 = no more for now.
    Bytes(usize),
    /// Content before the position.
    Skipped(usize),
}

/// Whether the name says that the file is compressed.
pub(crate) fn is_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

/// The first bytes of a file's content; fewer when it ends, or is damaged, before.
pub(crate) fn read_head(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if is_gzip(path) {
        return Ok(gzip_head(&file));
    }
    let mut head = Vec::new();
    read_to(&mut &file, &mut head)?;
    Ok(head)
}

/// The first bytes of a compressed file's content, as far as there are good ones.
fn gzip_head(file: &File) -> Vec<u8> {
    let mut head = Vec::new();
    read_to(&mut MultiGzDecoder::new(BufReader::new(file)), &mut head).ok();
    head
}

/// Bytes of a file's content. A compressed one tells them modulo 2^32, of its last member.
pub(crate) fn content_bytes(path: &Path, size: u64) -> std::io::Result<u64> {
    if !is_gzip(path) {
        return Ok(size);
    }
    let mut last = [0; 4];
    let mut file = File::open(path)?;
    // It may have grown since it was listed.
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut last)?;
    Ok(u64::from(u32::from_le_bytes(last)))
}

fn read_to(input: &mut impl Read, head: &mut Vec<u8>) -> std::io::Result<()> {
    input.take(HEAD_BYTES as u64).read_to_end(head).map(drop)
}

impl Content {
    /// A compressed file, to be read from its first byte.
    fn gzip(file: Arc<File>, skip: u64, size: u64) -> Self {
        Self::Gzip {
            decoder: Box::new(MultiGzDecoder::new(BufReader::new(Arc::clone(&file)))),
            file,
            skip,
            size,
            ended: false,
            torn: false,
            any: false,
            garbage: false,
        }
    }
}

impl OpenFile {
    /// Opens the file to be read from this position of its content; `None` = it is gone.
    pub(crate) fn open(path: &Path, start: u64) -> std::io::Result<Option<Self>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause),
        };
        let seen = look_at(&file)?;
        let mut head = Vec::new();
        let mut before = None;
        let content = if is_gzip(path) {
            match read_head(path) {
                Ok(found) => head = found,
                Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
                Err(cause) => return Err(cause),
            }
            Content::gzip(Arc::new(file), start, seen.size)
        } else {
            read_to(&mut &file, &mut head)?;
            if start > 0 {
                let mut byte = [0];
                file.seek(SeekFrom::Start(start - 1))?;
                file.read_exact(&mut byte)?;
                before = Some(byte[0]);
            } else {
                file.seek(SeekFrom::Start(0))?;
            }
            Content::Plain(file)
        };
        let mut opened = Self {
            path: path.to_owned(),
            key: seen.key,
            head,
            modified_ns: seen.modified_ns,
            start,
            before,
            complete: false,
            cut: false,
            younger_since: None,
            content,
            offset_suffix: String::new(),
        };
        opened.identify();
        Ok(Some(opened))
    }

    /// What a source offset tells about it.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            key: self.key,
            fingerprint: Fingerprint::of(&self.head),
            modified_ms: self.modified_ns / 1_000_000,
        }
    }

    /// The source offset behind the position, to the closing brace.
    pub(crate) fn offset_suffix(&self) -> &str {
        &self.offset_suffix
    }

    fn identify(&mut self) {
        self.offset_suffix = self.identity().offset_suffix();
    }

    /// Whether content before the position is still to be read.
    pub(crate) fn is_skipping(&self) -> bool {
        matches!(self.content, Content::Gzip { skip: 1.., .. })
    }

    /// Whether it is read as it is.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.content, Content::Plain(_))
    }

    /// Looks at the open file, whatever its name is now.
    pub(crate) fn look(&self) -> std::io::Result<Seen> {
        match &self.content {
            Content::Plain(file) => look_at(file),
            Content::Gzip { file, .. } => look_at(file),
        }
    }

    /// Remembers when it was last written.
    pub(crate) fn saw(&mut self, seen: &Seen) {
        if seen.modified_ns != self.modified_ns {
            self.modified_ns = seen.modified_ns;
            self.identify();
        }
    }

    /// Bytes of the file behind this position of its content; of a compressed one, its bytes not yet read.
    pub(crate) fn left(&self, position: u64) -> u64 {
        match &self.content {
            Content::Plain(file) => file
                .metadata()
                .map_or(0, |metadata| metadata.len().saturating_sub(position)),
            Content::Gzip {
                file, decoder, size, ..
            } => {
                let mut file = file.as_ref();
                let unread = decoder.get_ref().buffer().len() as u64;
                file.stream_position()
                    .map_or(0, |read| (size + unread).saturating_sub(read))
            }
        }
    }

    /// Reads on. Content before the position comes first and does not count.
    pub(crate) fn read(&mut self, space: &mut [u8]) -> std::io::Result<Given> {
        match &mut self.content {
            Content::Plain(file) => Ok(Given::Bytes(uninterrupted(file, space)?)),
            Content::Gzip { ended: true, .. } => Ok(Given::Bytes(0)),
            Content::Gzip {
                decoder,
                skip,
                ended,
                torn,
                any,
                garbage,
                ..
            } => {
                let wanted = usize::try_from(*skip).unwrap_or(usize::MAX).min(space.len());
                let space = if wanted > 0 { &mut space[..wanted] } else { space };
                let count = match uninterrupted(decoder, space) {
                    Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => {
                        *torn = true;
                        0
                    }
                    Err(cause) if *any && cause.to_string() == NO_MEMBER => {
                        *garbage = true;
                        0
                    }
                    result => result?,
                };
                *ended = count == 0;
                *any |= count > 0;
                if wanted == 0 || count == 0 {
                    return Ok(Given::Bytes(count));
                }
                *skip -= count as u64;
                self.before = Some(space[count - 1]);
                Ok(Given::Skipped(count))
            }
        }
    }

    /// Its first bytes as they are now.
    pub(crate) fn head_now(&self) -> std::io::Result<Vec<u8>> {
        let Content::Plain(file) = &self.content else {
            return Ok(self.head.clone());
        };
        let mut space = [0; HEAD_BYTES];
        let count = read_first(file, &mut space)?;
        Ok(space[..count].to_vec())
    }

    /// Whether the first bytes are still those that were read; learns more of them as the file grows.
    pub(crate) fn is_the_same(&mut self) -> std::io::Result<bool> {
        let Content::Plain(file) = &self.content else {
            return Ok(true);
        };
        let mut space = [0; HEAD_BYTES];
        let count = read_first(file, &mut space)?;
        if !space[..count].starts_with(&self.head) {
            return Ok(false);
        }
        if count > self.head.len() {
            self.head = space[..count].to_vec();
            self.identify();
        }
        Ok(true)
    }

    /// At the end of the content: whether a compressed file has grown since reading it began. Then it is read from its
    /// start again, up to what is known.
    pub(crate) fn grew(&mut self, known: u64) -> std::io::Result<bool> {
        let Content::Gzip { file, size, torn, .. } = &self.content else {
            return Ok(false);
        };
        let now = look_at(file)?.size;
        if now == *size {
            self.complete |= !torn;
            return Ok(false);
        }
        let file = Arc::clone(file);
        if self.head.len() < HEAD_BYTES {
            file.as_ref().seek(SeekFrom::Start(0))?;
            self.head = gzip_head(&file);
            self.identify();
        }
        file.as_ref().seek(SeekFrom::Start(0))?;
        self.content = Content::gzip(file, known, now);
        Ok(true)
    }

    /// Begins anew with what is in the file now.
    pub(crate) fn rewind(&mut self) -> std::io::Result<()> {
        self.head.clear();
        self.start = 0;
        self.before = None;
        self.cut = false;
        if let Content::Plain(file) = &mut self.content {
            file.seek(SeekFrom::Start(0))?;
            read_to(file, &mut self.head)?;
            file.seek(SeekFrom::Start(0))?;
        }
        self.modified_ns = self.look()?.modified_ns;
        self.identify();
        Ok(())
    }

    /// Whether it is compressed and its last member is not whole.
    pub(crate) fn is_torn(&self) -> bool {
        matches!(self.content, Content::Gzip { torn: true, .. })
    }

    /// Whether it is compressed and something else follows that; tells it once.
    pub(crate) fn has_garbage(&mut self) -> bool {
        match &mut self.content {
            Content::Gzip { garbage, .. } => std::mem::take(garbage),
            Content::Plain(_) => false,
        }
    }

    /// Lets the next read find what was appended since the last one found nothing.
    pub(crate) fn refresh(&mut self, known: u64) -> std::io::Result<()> {
        // WASI's stream of a file has ended for good; a seek makes the next read open a new one.
        match &mut self.content {
            Content::Plain(file) if cfg!(target_family = "wasm") => {
                file.seek(SeekFrom::Start(known)).map(drop)
            }
            _ => Ok(()),
        }
    }
}

/// Reads the first bytes of a file that is being read elsewhere.
#[cfg(unix)]
fn read_first(file: &File, space: &mut [u8]) -> std::io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut count = 0;
    while count < space.len() {
        match file.read_at(&mut space[count..], count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(count)
}

#[cfg(not(unix))]
fn read_first(mut file: &File, space: &mut [u8]) -> std::io::Result<usize> {
    let next = file.stream_position()?;
    file.seek(SeekFrom::Start(0))?;
    let mut count = 0;
    while count < space.len() {
        match uninterrupted(&mut file, &mut space[count..])? {
            0 => break,
            more => count += more,
        }
    }
    file.seek(SeekFrom::Start(next))?;
    Ok(count)
}

fn uninterrupted(input: &mut impl Read, space: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match input.read(space) {
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

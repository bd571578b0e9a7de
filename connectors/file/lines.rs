//! Finds lines in a growing buffer of bytes. Knows no file and no record.

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 256 << 10;
/// A buffer larger than this is given back once the long line that needed it is gone.
const KEEP_BYTES: usize = 1 << 20;

/// What the bytes before the buffer's start say about the next ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// A line starts.
    Line,
    /// A line ended with `\r` before it was known what follows: a `\n` belongs to it.
    CarriageReturn,
    /// A line was delivered without terminator: a terminator that follows belongs to it.
    Unterminated,
    /// A line was given up before its end was read: everything up to its terminator belongs to it.
    GivenUp,
}

/// A line in the buffer, not yet taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Bytes of its text.
    pub(crate) text: usize,
    /// Bytes of text and terminator.
    pub(crate) total: usize,
    /// What is known when it is taken.
    after: Before,
}

/// Bytes read and not yet delivered: `start..end`, without a terminator in `start..scanned`.
pub(crate) struct LineBuffer {
    bytes: Vec<u8>,
    start: usize,
    scanned: usize,
    end: usize,
    before: Before,
}

impl LineBuffer {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            scanned: 0,
            end: 0,
            before: Before::Line,
        }
    }

    /// Forgets all bytes and continues behind this one (`None` = at the start of a file).
    pub(crate) fn continue_after(&mut self, byte: Option<u8>) {
        self.forget();
        self.before = match byte {
            None | Some(b'\n') => Before::Line,
            Some(b'\r') => Before::CarriageReturn,
            Some(_) => Before::Unterminated,
        };
    }

    /// Forgets all bytes: the same come again.
    pub(crate) fn forget(&mut self) {
        (self.start, self.scanned, self.end) = (0, 0, 0);
    }

    /// Gives its memory back while there is nothing in it.
    pub(crate) fn release(&mut self) {
        if self.pending() == 0 {
            self.forget();
            self.bytes = Vec::new();
        }
    }

    /// Free space to read into, then [`LineBuffer::filled`].
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.scanned, self.end) = (0, 0, 0);
        }
        let pending = self.end - self.start;
        if self.bytes.len() > KEEP_BYTES && pending < CHUNK_BYTES {
            let mut smaller = vec![0; 2 * CHUNK_BYTES];
            smaller[..pending].copy_from_slice(&self.bytes[self.start..self.end]);
            self.bytes = smaller;
            (self.start, self.scanned, self.end) = (0, self.scanned - self.start, pending);
        }
        if self.bytes.len() - self.end < CHUNK_BYTES && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.scanned, self.end) = (0, self.scanned - self.start, pending);
        }
        if self.bytes.len() - self.end < CHUNK_BYTES {
            self.bytes
                .resize((2 * self.bytes.len()).max(self.end + CHUNK_BYTES), 0);
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes were read into [`LineBuffer::space`].
    pub(crate) fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// Adds bytes that were read elsewhere.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let count = bytes.len().min(space.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.filled(count);
            bytes = &bytes[count..];
        }
    }

    /// What was read and not taken.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Bytes that are no complete line (after [`LineBuffer::line`] returned none).
    pub(crate) fn pending(&self) -> usize {
        self.end - self.start
    }

    /// Skips what belongs to a line already delivered or given up. Returns the bytes skipped.
    pub(crate) fn skip_old(&mut self) -> usize {
        let bytes = &self.bytes[self.start..self.end];
        let (skipped, before) = match (self.before, bytes) {
            (Before::Line, _) | (_, []) => return 0,
            (Before::GivenUp, _) => behind_terminator(bytes),
            (Before::CarriageReturn | Before::Unterminated, [b'\n', ..]) => (1, Before::Line),
            (Before::Unterminated, [b'\r', b'\n', ..]) => (2, Before::Line),
            (Before::Unterminated, [b'\r', ..]) => (1, Before::CarriageReturn),
            (Before::CarriageReturn | Before::Unterminated, _) => (0, Before::Line),
        };
        self.before = before;
        self.advance(skipped);
        skipped
    }

    /// Gives up the unfinished line: [`LineBuffer::skip_old`] skips it, now and as its rest comes.
    pub(crate) fn give_up(&mut self) {
        self.before = Before::GivenUp;
    }

    /// Whether the line that comes was given up.
    pub(crate) fn is_given_up(&self) -> bool {
        self.before == Before::GivenUp
    }

    /// The next complete line.
    #[inline]
    pub(crate) fn line(&mut self) -> Option<Line> {
        let Some(found) = memchr::memchr2(b'\n', b'\r', &self.bytes[self.scanned..self.end]) else {
            self.scanned = self.end;
            return None;
        };
        let at = self.scanned + found;
        let text = at - self.start;
        // Found again at once when the line is not taken, or when the character after `\r` has come.
        self.scanned = at;
        let total = match (self.bytes[at], self.bytes[..self.end].get(at + 1)) {
            (b'\n', _) => text + 1,
            (_, Some(b'\n')) => text + 2,
            (_, Some(_)) => text + 1,
            (_, None) => return None,
        };
        Some(Line {
            text,
            total,
            after: Before::Line,
        })
    }

    /// What there is of a line without complete terminator.
    pub(crate) fn unfinished_line(&self) -> Option<Line> {
        match &self.bytes[self.start..self.end] {
            [] => None,
            [text @ .., b'\r'] => Some(Line {
                text: text.len(),
                total: text.len() + 1,
                after: Before::CarriageReturn,
            }),
            text => Some(Line {
                text: text.len(),
                total: text.len(),
                after: Before::Unterminated,
            }),
        }
    }

    /// The text of a line.
    #[inline]
    pub(crate) fn text(&self, line: Line) -> &[u8] {
        &self.bytes[self.start..self.start + line.text]
    }

    /// Goes behind a line.
    #[inline]
    pub(crate) fn take(&mut self, line: Line) {
        self.before = line.after;
        self.advance(line.total);
    }

    fn advance(&mut self, count: usize) {
        self.start += count;
        self.scanned = self.scanned.max(self.start);
    }
}

/// How much of the bytes belongs to a line that was given up, and what is known behind that.
fn behind_terminator(bytes: &[u8]) -> (usize, Before) {
    let Some(at) = memchr::memchr2(b'\n', b'\r', bytes) else {
        return (bytes.len(), Before::GivenUp);
    };
    match (bytes[at], bytes.get(at + 1)) {
        (b'\r', Some(b'\n')) => (at + 2, Before::Line),
        (b'\r', None) => (at + 1, Before::CarriageReturn),
        _ => (at + 1, Before::Line),
    }
}

/// Whether the text ends in the middle of a character that may still become complete.
pub(crate) fn cut_character(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_err_and(|error| error.error_len().is_none())
}

impl std::fmt::Debug for LineBuffer {
    /// Sizes only: the bytes are record contents.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "LineBuffer({} of {} bytes, {:?})",
            self.pending(),
            self.bytes.len(),
            self.before
        )
    }
}

//! One name that is followed: the file behind it now, those that came after, and when to go from one to the next.
//!
//! ```text
//!            begin                        end is certain
//!   Begin ──────────▶ current ◀─────────────────────────── next: younger files, oldest first,
//!     ▲                 │  │                                     the named one last
//!     └──── parked ─────┘  └── cut (truncated) ──▶ its copy, else itself from 0
//! ```
//!
//! The handle is what is followed, not the name. As soon as another file has the name, it and all files between the two
//! are opened, so that none can be deleted unread. The current file is left when it gave nothing for
//! `file.rotate.wait.ms` while a younger one was there.

mod parking;
mod successors;

use self::parking::Parked;

use std::{
    collections::VecDeque,
    io::Error,
    path::Path,
    time::{Duration, Instant},
};

use jackfield_api::{ConnectError, LogLevel, SourceContext};

use crate::{
    claims::{Claims, StreamId},
    failure::Failure,
    identity::{Seen, look},
    lines::LineBuffer,
    locate::Known,
    reader::{Given, OpenFile},
    resume::{Begin, Search, look_at_name},
    siblings::Name,
    source_config::{FollowConfig, PastEnd},
};

/// When nothing watches the file, the task looks by itself this often.
pub(crate) const LOOK_AGAIN_MS: u64 = 1_000;
/// Most files that are held open for what comes after the current one; more are found again when it is their turn.
const MOST_NEXT: usize = 32;
/// How many files are remembered to be told from their compressed copies.
const MOST_KNOWN: usize = 32;

/// One followed name.
#[derive(Debug)]
pub(crate) struct Followed {
    id: StreamId,
    name: Name,
    config: FollowConfig,
    context: SourceContext,
    begin: Begin,
    current: Option<OpenFile>,
    /// The stream knows that it reads `current`.
    announced: bool,
    /// Younger files, oldest first.
    next: VecDeque<OpenFile>,
    /// Files that were read to their end.
    known: VecDeque<Known>,
    /// Since when the current file has given nothing while it is no longer the named one.
    quiet_since: Option<Instant>,
    /// The file was closed to save handles.
    parked: Option<Parked>,
    reported_missing: bool,
    watched: bool,
    /// A file that lost its name is closed, even when no other has it.
    closes_gone: bool,
}

/// What reading more found.
#[derive(Debug)]
pub(crate) enum Filled {
    /// So many bytes are in the buffer.
    Bytes(usize),
    /// Something else happened, which read so many bytes: ask again.
    Again(usize),
    /// What comes next is from a file at this position; the byte before it is given.
    Opened { position: u64, before: Option<u8> },
    /// The current file's end is certain: [`Followed::leave`] it when its last line is delivered.
    Ended,
    /// Nothing now; look again after so many ms (`None` = when woken).
    Nothing(Option<u64>),
    /// A file is to be opened when fewer are open.
    Crowded,
}

/// Where the stream is in the current file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    /// Behind the last line that was delivered.
    pub(crate) position: u64,
    /// Behind the last byte that was read.
    pub(crate) known: u64,
}

/// The task around a stream.
pub(crate) struct Around<'a> {
    pub(crate) now: Instant,
    pub(crate) claims: &'a mut Claims,
    /// One more file may be opened to begin with.
    pub(crate) may_open: bool,
}

/// Whether there is a file to begin with.
enum Begun {
    Reading,
    /// None yet.
    Nothing,
    Crowded,
}

impl Followed {
    pub(crate) fn new(
        id: StreamId,
        name: Name,
        config: FollowConfig,
        context: SourceContext,
        begin: Begin,
        watched: bool,
        closes_gone: bool,
    ) -> Self {
        Self {
            id,
            name,
            config,
            context,
            begin,
            current: None,
            announced: false,
            next: VecDeque::new(),
            known: VecDeque::new(),
            quiet_since: None,
            parked: None,
            reported_missing: false,
            watched,
            closes_gone,
        }
    }

    /// Which stream of its task this is.
    pub(crate) fn id(&self) -> StreamId {
        self.id
    }

    /// The file being read, or, when there is none, its name.
    pub(crate) fn path(&self) -> &Path {
        self.current.as_ref().map_or(&self.name.path, |file| &file.path)
    }

    /// The source offset behind the position, to the closing brace.
    pub(crate) fn offset_suffix(&self) -> &str {
        self.current.as_ref().map_or("}", OpenFile::offset_suffix)
    }

    /// Files that are open.
    pub(crate) fn open_files(&self) -> usize {
        usize::from(self.current.is_some()) + self.next.len()
    }

    /// Bytes not delivered and files not finished.
    pub(crate) fn lag(&self, at: At) -> (u64, u64) {
        if self.open_files() == 0 {
            return self.lag_unopened();
        }
        let current = self.current.iter().map(|file| match file.left(at.position) {
            left if file.cut => left.min(at.known - at.position),
            left => left,
        });
        let next = self.next.iter().map(|file| file.left(0));
        let left = current.chain(next).filter(|left| *left > 0);
        left.fold((0, 0), |(bytes, files), left| (bytes + left, files + 1))
    }

    /// Reads more into the buffer. Never waits.
    pub(crate) fn fill(
        &mut self,
        at: At,
        buffer: &mut LineBuffer,
        around: &mut Around<'_>,
    ) -> Result<Filled, Failure> {
        if self.current.is_none() {
            match self.begin(around)? {
                Begun::Reading => {}
                Begun::Crowded => return Ok(Filled::Crowded),
                Begun::Nothing => {
                    let is_there = self.parked.is_none() && look(&self.name.path).is_ok();
                    return Ok(if is_there {
                        Filled::Nothing(Some(LOOK_AGAIN_MS))
                    } else {
                        self.nothing()
                    });
                }
            }
        }
        let Some(current) = &mut self.current else {
            return Ok(self.nothing());
        };
        if current.cut {
            return Ok(Filled::Ended);
        }
        if !self.announced && !current.is_skipping() {
            self.announced = true;
            return Ok(Filled::Opened {
                position: current.start,
                before: current.before,
            });
        }
        let failed = |cause: Error, path: &Path| {
            let message = format!("cannot read {} at byte {}: {cause}", path.display(), at.known);
            Failure::File(ConnectError::fatal(message))
        };
        let given = current
            .read(buffer.space())
            .map_err(|cause| failed(cause, &current.path))?;
        match given {
            Given::Skipped(count) => return Ok(Filled::Again(count)),
            Given::Bytes(0) if current.has_garbage() => {
                let path = current.path.display();
                let message = format!(
                    "{path} has bytes behind its compressed data that are none: they are passed over"
                );
                self.context.log(LogLevel::Warn, &message);
            }
            Given::Bytes(0) => {}
            Given::Bytes(_) if current.head.is_empty() && current.is_plain() => {
                // It was empty until now, so its first bytes do not tell whether it had others meanwhile.
                self.first_bytes(around)?;
                return Ok(Filled::Again(0));
            }
            Given::Bytes(count) => {
                // Looked at afterwards: when the first bytes are the same now, those just read belonged to them.
                let same = current.is_the_same();
                if !same.map_err(|cause| failed(cause, &current.path))? {
                    return self.truncated(at, around);
                }
                self.quiet_since = None;
                buffer.filled(count);
                return Ok(Filled::Bytes(count));
            }
        }
        match self.at_end(at) {
            Ok(End::Cut) => self.truncated(at, around),
            Ok(End::More) => Ok(Filled::Again(0)),
            Ok(End::Here(seen)) => self.wait(&seen, around),
            Err(cause) => Err(failed(cause, self.path())),
        }
    }

    /// Opens the file to begin with.
    fn begin(&mut self, around: &mut Around<'_>) -> Result<Begun, Failure> {
        if self.stays_parked(around.now) {
            return Ok(Begun::Nothing);
        }
        let named = look_at_name(&self.name.path)?;
        let may_be_there =
            named.is_some() || self.parked.is_some() || !matches!(self.begin, Begin::New { .. });
        if !around.may_open && may_be_there {
            return Ok(Begun::Crowded);
        }
        let claims = &*around.claims;
        let search = Search {
            name: &self.name,
            past_end: match self.parked {
                // What happens to a file while the task runs is no question of what was stored.
                Some(_) => PastEnd::Beginning,
                None => self.config.past_end,
            },
            context: &self.context,
            unread: &|entries| self.unread(entries, claims),
        };
        let found = search.begin(self.begin, named)?;
        let was_parked = (found.is_some() || named.is_none()) && self.unpark(found.is_some(), around.claims);
        let Some(file) = found else {
            if named.is_none() && !was_parked && !self.reported_missing {
                let path = self.name.path.display();
                let message = format!("file {path} does not exist, waiting for it");
                self.context.log(LogLevel::Warn, &message);
                self.reported_missing = true;
            }
            return Ok(Begun::Nothing);
        };
        let level = if was_parked {
            LogLevel::Debug
        } else {
            LogLevel::Info
        };
        self.now_reading(file, level, around);
        Ok(Begun::Reading)
    }

    fn now_reading(&mut self, file: OpenFile, level: LogLevel, around: &mut Around<'_>) {
        let message = format!("reading {} from byte {}", file.path.display(), file.start);
        self.context.log(level, &message);
        around.claims.open(file.key, self.id);
        self.announced = false;
        self.quiet_since = None;
        self.current = Some(file);
    }

    /// Looks at the file itself after it gave nothing.
    fn at_end(&mut self, at: At) -> Result<End, Error> {
        let Some(current) = &mut self.current else {
            return Ok(End::More);
        };
        let seen = current.look()?;
        if !current.is_the_same()? {
            return Ok(End::Cut);
        }
        if current.is_plain() && seen.size < at.known {
            return Ok(End::Cut);
        }
        if current.grew(at.known)? {
            return Ok(End::More);
        }
        current.saw(&seen);
        current.refresh(at.known)?;
        Ok(End::Here(seen))
    }

    /// What to do at the end that was reached: it is the file's last when a younger one is there, or its name is gone, and
    /// nothing was written to it for a while since.
    fn wait(&mut self, seen: &Seen, around: &mut Around<'_>) -> Result<Filled, Failure> {
        let before = self.next.len();
        let is_named = self.look(around)?;
        if self.next.len() > before && before == 0 {
            // What was written before the name changed is read before the wait begins.
            return Ok(Filled::Again(0));
        }
        if self.next.is_empty() && (is_named || !self.closes_gone) {
            self.quiet_since = None;
            // What is written under a name that the file has got meanwhile wakes nobody.
            return Ok(if is_named {
                self.nothing()
            } else {
                Filled::Nothing(Some(LOOK_AGAIN_MS))
            });
        }
        let left = self.wait_left(seen, around.now);
        if !left.is_zero() {
            let left_ms = u64::try_from(left.as_millis())
                .unwrap_or(u64::MAX)
                .saturating_add(1);
            return Ok(Filled::Nothing(Some(if self.watched {
                left_ms
            } else {
                left_ms.min(LOOK_AGAIN_MS)
            })));
        }
        Ok(Filled::Ended)
    }

    /// What is left of `file.rotate.wait.ms`.
    fn wait_left(&mut self, seen: &Seen, now: Instant) -> Duration {
        if self.current.as_ref().is_some_and(|file| file.complete) {
            return Duration::ZERO;
        }
        let since = *self.quiet_since.get_or_insert(now);
        // What was there before the file's turn came is not waited for one file after the other.
        let younger = self.current.as_ref().and_then(|file| file.younger_since);
        let since = match younger {
            Some((at, modified_ns)) if modified_ns == seen.modified_ns => since.min(at),
            _ => since,
        };
        let quiet = now.saturating_duration_since(since).max(self.was_quiet(seen));
        self.config.rotate_wait.saturating_sub(quiet)
    }

    /// For how long nothing was written to the current file while a younger one was there, as the files tell: what was
    /// rotated long before it is read here is not waited for again.
    fn was_quiet(&self, seen: &Seen) -> Duration {
        let quiet_ns = || {
            let younger = self.next.front()?;
            let there_ns = match younger.key.created_ns {
                Some(created_ns) => created_ns,
                None => younger.look().ok()?.modified_ns,
            };
            let until_ns = self.next.back()?.look().ok()?.modified_ns;
            until_ns.checked_sub(there_ns.max(seen.modified_ns))
        };
        Duration::from_nanos(quiet_ns().unwrap_or(0))
    }

    fn nothing(&self) -> Filled {
        Filled::Nothing(if self.watched { None } else { Some(LOOK_AGAIN_MS) })
    }

    /// Whether nothing is left of the file and its name.
    pub(crate) fn is_gone(&self) -> bool {
        self.current.is_none() && self.parked.is_none() && look(&self.name.path).is_err()
    }
}

/// What the end of the bytes means.
enum End {
    Here(Seen),
    /// There is more after all.
    More,
    /// It was truncated.
    Cut,
}

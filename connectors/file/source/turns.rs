//! Whose turn it is: streams deliver one after the other, and few of them have open files.

use std::time::{Duration, Instant};

use jackfield_api::{ConnectError, LogLevel};

use super::{FEW_STREAMS, FileStreamSource};
use crate::{
    claims::StreamId,
    failure::Failure,
    followed::Followed,
    stream::{Round, Target, Turn, earlier},
};

/// A poll that found no end of line yet comes back after this much, to keep its host responsive.
const READ_PER_POLL_BYTES: usize = 8 << 20;
/// A poll goes on with the next one after this much time, however many files there are.
const TURNS: Duration = Duration::from_millis(50);
/// What a stream reads before it is the next one's turn.
const READ_PER_TURN_BYTES: usize = 256 << 10;
/// More files than this are not open at once.
const MOST_OPEN: usize = 256;
/// When a file has to wait for that, idle ones are closed down to this many.
const FEW_OPEN: usize = 128;
/// How long it waits when none of the open files can be closed.
const WAIT_TO_OPEN: Duration = Duration::from_secs(1);
const IDLE_STREAM_LOOK: Duration = Duration::from_millis(100);

/// How soon a file is looked at again that had to wait for that.
const CROWDED_LOOK_MS: u64 = 100;

/// What an idle stream has come to.
enum Rest {
    Open,
    Parked,
    /// It is removed, and the next one has its place.
    Ended,
}

impl FileStreamSource {
    /// Lets the streams fill the batch; `Some` = all are idle, and when the first of them wants to look again.
    pub(super) fn take_turns(
        &mut self,
        now: Instant,
        target: &mut Target<'_>,
    ) -> Result<Option<Option<u64>>, ConnectError> {
        let began = Instant::now();
        let (mut idle, mut read, mut again_ms) = (0, 0, None);
        let single = self.streams.len() == 1;
        while idle < self.streams.len() {
            self.turn %= self.streams.len();
            let id = self.streams[self.turn].followed().map(Followed::id);
            if let Some(after) = id.and_then(|id| self.look_after.get(&id))
                && *after > now
            {
                let left = after.saturating_duration_since(now).as_millis();
                again_ms = earlier(again_ms, Some(u64::try_from(left).unwrap_or(u64::MAX) + 1));
                idle += 1;
                self.turn += 1;
                continue;
            }
            match self.take_turn(now, target, single)? {
                Turn::Full => {
                    if target.is_full() {
                        self.turn += 1;
                    }
                    return Ok(None);
                }
                Turn::More(count) => {
                    read += count;
                    idle = 0;
                    self.turn += 1;
                }
                Turn::Crowded => {
                    self.crowded = true;
                    self.crowded_since.get_or_insert(now);
                    again_ms = earlier(again_ms, Some(CROWDED_LOOK_MS));
                    idle += 1;
                    self.turn += 1;
                }
                Turn::Failed(wait) => {
                    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    again_ms = earlier(again_ms, Some(wait_ms));
                    if !matches!(self.rest(now, id), Rest::Ended) {
                        self.look_after.extend(id.map(|id| (id, now + wait)));
                        idle += 1;
                        self.turn += 1;
                    }
                }
                Turn::Idle(ms) => {
                    again_ms = earlier(again_ms, ms);
                    self.streams[self.turn].recovered();
                    match self.rest(now, id) {
                        Rest::Ended => {}
                        Rest::Open => {
                            idle += 1;
                            self.turn += 1;
                        }
                        Rest::Parked => {
                            // There is room for one that had to wait.
                            idle = 0;
                            self.turn += 1;
                        }
                    }
                }
            }
            if read > READ_PER_POLL_BYTES || began.elapsed() > TURNS {
                return Ok(None);
            }
        }
        Ok(Some(again_ms))
    }

    fn take_turn(
        &mut self,
        now: Instant,
        target: &mut Target<'_>,
        single: bool,
    ) -> Result<Turn, ConnectError> {
        target.partition = None;
        let waited = |since: Instant| now.saturating_duration_since(since) >= WAIT_TO_OPEN;
        let may_open = self.open_files < MOST_OPEN || self.crowded_since.is_some_and(waited);
        let open_before = self.open_in_turn();
        let stream = &mut self.streams[self.turn];
        let turn = stream.advance(&mut Round {
            now,
            lines: &self.config.lines,
            claims: &mut self.claims,
            may_open,
            target,
            most_bytes: if single {
                READ_PER_POLL_BYTES
            } else {
                READ_PER_TURN_BYTES
            },
        });
        let turn = match turn {
            Err(Failure::File(error)) if self.by_patterns => {
                let (first, wait) = stream.fail(now, &mut self.claims);
                if first {
                    let advice = "trying again later (repair or remove it, or exclude it from glob)";
                    self.context.log(LogLevel::Warn, &format!("{error}: {advice}"));
                }
                Ok(Turn::Failed(wait))
            }
            turn => turn.map_err(Failure::into_error),
        };
        let open_now = self.open_in_turn();
        self.open_files = (self.open_files + open_now).saturating_sub(open_before);
        if open_now > open_before || self.open_files < MOST_OPEN {
            self.crowded_since = None;
        }
        turn
    }

    /// Open files of the stream whose turn it is.
    fn open_in_turn(&self) -> usize {
        self.streams[self.turn].followed().map_or(0, Followed::open_files)
    }

    /// What an idle stream gives back when there are many.
    fn rest(&mut self, now: Instant, id: Option<StreamId>) -> Rest {
        let (Some(finder), Some(id)) = (&mut self.finder, id) else {
            return Rest::Open;
        };
        let stream = &mut self.streams[self.turn];
        if stream.followed().is_some_and(Followed::is_gone) {
            stream.give_up(&mut self.claims);
            self.streams.remove(self.turn);
            for known in finder.followed.values_mut() {
                *known = known.filter(|known| *known != id);
            }
            self.look_after.remove(&id);
            return Rest::Ended;
        }
        if self.streams.len() > FEW_STREAMS {
            self.look_after.insert(id, now + IDLE_STREAM_LOOK);
            self.streams[self.turn].buffer.release();
        }
        self.crowded &= self.open_files > FEW_OPEN;
        if self.crowded && self.open_in_turn() > 0 && self.streams[self.turn].park(&self.config.lines) {
            self.open_files -= 1;
            return Rest::Parked;
        }
        Rest::Open
    }
}

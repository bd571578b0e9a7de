//! What a session's client knows is what full fetches would tell it, whatever is asked, changed and forgotten.

use std::collections::BTreeMap;

use jackfield_log::TopicId;
use proptest::prelude::*;

use super::{super::request::TopicKey, *};

const PLACES: u8 = 6;

fn place(number: u8) -> Place {
    Place {
        topic: TopicKey::Id(TopicId([number / 3; 16])),
        partition: i32::from(number % 3),
    }
}

fn wanted(offset: i64) -> Wanted {
    Wanted {
        leader_epoch: -1,
        offset,
        last_fetched_epoch: -1,
        max_bytes: 100,
    }
}

/// A partition as the broker has it. Everything from the offset of a client to the high watermark is returned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Truth {
    high_watermark: i64,
    log_start_offset: i64,
    is_broken: bool,
}

impl Truth {
    fn seen(self, offset: i64) -> Seen {
        if self.is_broken {
            return Seen {
                high_watermark: -1,
                log_start_offset: -1,
                has_records: false,
                is_refused: true,
            };
        }
        Seen {
            high_watermark: self.high_watermark,
            log_start_offset: self.log_start_offset,
            has_records: offset < self.high_watermark,
            is_refused: false,
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Delete(u8),
    Break(u8),
    Ask(u8),
    Forget(u8),
    Fetch,
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 0..PLACES;
    prop_oneof![
        number().prop_map(Step::Append),
        number().prop_map(Step::Delete),
        number().prop_map(Step::Break),
        number().prop_map(Step::Ask),
        number().prop_map(Step::Forget),
        Just(Step::Fetch),
    ]
}

/// A client that asks for changes only and believes what it was told.
#[derive(Debug, Default)]
struct Client {
    positions: BTreeMap<u8, i64>,
    view: BTreeMap<u8, Seen>,
    asks: Vec<u8>,
    forgets: Vec<u8>,
}

impl Client {
    fn fetch(&mut self, session: &mut Session, truth: &[Truth]) {
        let asks: Vec<_> = self.asks.drain(..).collect();
        let asks: Vec<_> = asks
            .iter()
            .map(|number| (place(*number), wanted(self.positions[number])))
            .collect();
        self.view.retain(|number, _| !self.forgets.contains(number));
        let forgets: Vec<_> = self.forgets.drain(..).map(place).collect();
        session.update(&asks, &forgets);
        session.advance();
        let turns: Vec<_> = session
            .turns
            .values()
            .map(|cached| (cached.place.clone(), cached.wanted))
            .collect();
        let seen: Vec<_> = turns
            .iter()
            .map(|(asked, wanted)| {
                let number = (0..PLACES).find(|number| place(*number) == *asked).unwrap();
                assert_eq!(self.positions.get(&number), Some(&wanted.offset), "{number}");
                (number, truth[usize::from(number)].seen(wanted.offset))
            })
            .collect();
        let is_sent = session.tell_all(seen.iter().map(|(_, seen)| *seen));
        let mut given = Vec::new();
        for ((number, seen), is_sent) in seen.into_iter().zip(is_sent) {
            if is_sent {
                self.view.insert(number, seen);
                if seen.has_records {
                    // It will ask from behind the records.
                    self.positions.insert(number, seen.high_watermark);
                    self.asks.push(number);
                    given.push(place(number));
                }
            } else {
                assert!(!seen.has_records && !seen.is_refused);
                let told = self.view.get(&number);
                let told = told.map(|told| (told.high_watermark, told.log_start_offset));
                let is = (seen.high_watermark, seen.log_start_offset);
                assert_eq!(told, Some(is), "{number} was not told");
            }
        }
        let order: Vec<_> = session
            .turns
            .values()
            .map(|cached| cached.place.clone())
            .collect();
        assert!(
            order.ends_with(&given),
            "who was given records waits for the others"
        );
    }
}

proptest! {
    #[test]
    fn a_client_knows_what_full_fetches_would_tell(steps in prop::collection::vec(step(), 1..80)) {
        let mut session = Session::new(1, true);
        let mut truth = [Truth::default(); PLACES as usize];
        let mut client = Client::default();
        for step in steps {
            match step {
                Step::Append(number) => truth[usize::from(number)].high_watermark += 1,
                Step::Delete(number) => {
                    let partition = &mut truth[usize::from(number)];
                    partition.log_start_offset = partition.high_watermark;
                }
                Step::Break(number) => truth[usize::from(number)].is_broken ^= true,
                Step::Ask(number) => {
                    client.forgets.retain(|forgotten| *forgotten != number);
                    client.positions.entry(number).or_insert(0);
                    client.asks.push(number);
                }
                Step::Forget(number) => {
                    client.positions.remove(&number);
                    client.asks.retain(|asked| *asked != number);
                    client.forgets.push(number);
                }
                Step::Fetch => {
                    client.fetch(&mut session, &truth);
                    prop_assert_eq!(session.len(), client.positions.len());
                    prop_assert_eq!(session.places.len(), session.turns.len());
                    for (number, seen) in &client.view {
                        let truth = truth[usize::from(*number)];
                        prop_assert_eq!(seen.high_watermark, truth.seen(0).high_watermark);
                        prop_assert_eq!(seen.log_start_offset, truth.seen(0).log_start_offset);
                    }
                }
            }
        }
    }
}

#[test]
fn epochs_go_on_behind_the_last_one() {
    assert_eq!(next_epoch(0), 1);
    assert_eq!(next_epoch(i32::MAX), 1);
}

#[test]
fn an_error_that_is_over_is_told() {
    let mut session = Session::new(1, true);
    session.update(&[(place(0), wanted(0))], &[]);
    let good = Truth::default();
    let bad = Truth {
        is_broken: true,
        ..good
    };
    let told: Vec<_> = [good, good, bad, bad, good, good]
        .iter()
        .flat_map(|truth| session.tell_all(std::iter::once(truth.seen(0))))
        .collect();
    assert_eq!(told, [true, false, true, true, true, false]);
}

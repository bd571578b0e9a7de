//! A random walk: clients that do what real ones do, in any order, with lost answers and restarts of the coordinator.

use proptest::{prelude::*, test_runner::TestRunner};

use super::*;

/// What a client knows and holds.
#[derive(Debug, Clone, Default)]
struct Consumer {
    epoch: i32,
    topics: BTreeSet<String>,
    /// Partitions it works on.
    held: Assignment,
    /// What it was last told to hold.
    told: Assignment,
    /// Everything is to be told with the next heartbeat.
    tells_all: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Join(usize, Vec<bool>),
    Beat(usize),
    /// As `Beat`, but the answer is lost.
    LostBeat(usize),
    /// Gives up what it was told to give up, and takes what it was given.
    Work(usize),
    Resubscribe(usize, Vec<bool>),
    Leave(usize),
    Wait(u64),
    Grow(usize),
    Restart,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn step() -> impl Strategy<Value = Step> {
    let topics = || proptest::collection::vec(any::<bool>(), NAMES.len());
    prop_oneof![
        2 => (0..4usize, topics()).prop_map(|(who, topics)| Step::Join(who, topics)),
        8 => (0..4usize).prop_map(Step::Beat),
        1 => (0..4usize).prop_map(Step::LostBeat),
        6 => (0..4usize).prop_map(Step::Work),
        1 => (0..4usize, topics()).prop_map(|(who, topics)| Step::Resubscribe(who, topics)),
        1 => (0..4usize).prop_map(Step::Leave),
        1 => (1..20_000u64).prop_map(Step::Wait),
        1 => (0..NAMES.len()).prop_map(Step::Grow),
        1 => Just(Step::Restart),
    ]
}

struct Walk {
    rig: Rig,
    consumers: BTreeMap<usize, Consumer>,
}

fn chosen(picked: &[bool]) -> BTreeSet<String> {
    let names = NAMES.iter().zip(picked).filter(|(_, picked)| **picked);
    names.map(|(name, _)| (*name).to_owned()).collect()
}

impl Walk {
    fn new() -> Self {
        let mut rig = rig();
        rig.topic("c", 3, 1);
        rig.settings.assignment_interval_ms = 1_000;
        Self {
            rig,
            consumers: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Join(who, topics) => {
                let consumer = Consumer {
                    topics: chosen(topics),
                    ..Consumer::default()
                };
                if !self.consumers.contains_key(who) {
                    self.consumers.insert(*who, consumer);
                    self.beat(*who, true);
                }
            }
            Step::Beat(who) => self.beat(*who, true),
            Step::LostBeat(who) => self.beat(*who, false),
            Step::Work(who) => {
                if let Some(consumer) = self.consumers.get_mut(who) {
                    consumer.held.clone_from(&consumer.told);
                }
            }
            Step::Resubscribe(who, topics) => {
                if let Some(consumer) = self.consumers.get_mut(who) {
                    consumer.topics = chosen(topics);
                    consumer.tells_all = true;
                }
            }
            Step::Leave(who) => {
                if self.consumers.remove(who).is_some() {
                    let _gone = self.rig.send(&staying(&format!("m{who}"), LEAVING_EPOCH));
                }
            }
            Step::Wait(ms) => self.rig.advance(*ms),
            Step::Grow(which) => {
                let name = NAMES[*which];
                let (id, count) = self.rig.image.topics[name];
                self.rig
                    .image
                    .topics
                    .insert(name.to_owned(), (id, (count + 1).min(6)));
                self.rig.image.version += 1;
            }
            Step::Restart => {
                self.rig.assert_restart_finds_the_same();
                let group = self.rig.restored();
                let timers = group.loaded_timers(&self.rig.settings);
                self.rig.group = group;
                self.rig.group.set_timers(timers, self.rig.now);
            }
        }
        self.check();
    }

    fn beat(&mut self, who: usize, is_answered: bool) {
        let Some(consumer) = self.consumers.get_mut(&who) else {
            return;
        };
        let id = format!("m{who}");
        let all = consumer.epoch == 0 || consumer.tells_all;
        let request = ConsumerHeartbeat {
            member_epoch: consumer.epoch,
            rebalance_timeout_ms: all.then_some(REBALANCE_MS),
            subscribed_topics: all.then(|| consumer.topics.clone()),
            owned: Some(consumer.held.clone()),
            ..staying(&id, 0)
        };
        let answer = self.rig.send(&request);
        if !is_answered {
            consumer.tells_all = true;
            return;
        }
        match answer {
            Ok(answer) => {
                consumer.epoch = answer.member_epoch;
                consumer.tells_all = false;
                consumer.told = answer.assignment.unwrap_or_else(|| consumer.told.clone());
            }
            Err(GroupError::FencedMemberEpoch | GroupError::UnknownMemberId) => {
                *consumer = Consumer {
                    topics: consumer.topics.clone(),
                    ..Consumer::default()
                };
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Nobody holds what another holds, in the coordinator's books.
    fn check(&self) {
        let mut owners: BTreeMap<(TopicId, i32), &str> = BTreeMap::new();
        for member in self.rig.group.members() {
            let current = &member.current;
            for (topic, partitions) in current.assigned.iter().chain(&current.pending_revocation) {
                for partition in partitions.keys() {
                    let other = owners.insert((*topic, *partition), &member.id);
                    assert!(other.is_none(), "{other:?} and {} hold {partition}", member.id);
                }
            }
        }
    }

    /// After enough heartbeats everyone has what the last target gives it, and everything is given.
    fn settle(&mut self) {
        self.rig.advance(1_000);
        for _ in 0..12 {
            for who in 0..4 {
                self.beat(who, true);
                self.step(&Step::Work(who));
            }
            self.rig.advance(1_000);
        }
        let expected = if self.consumers.is_empty() {
            State::Empty
        } else {
            State::Stable
        };
        assert_eq!(self.rig.group.state(), expected, "{:?}", self.rig.group);
        let mut held: BTreeMap<(TopicId, i32), usize> = BTreeMap::new();
        for (who, consumer) in &self.consumers {
            for (topic, partitions) in &consumer.held {
                let (name, _) = self.rig.image.by_id(*topic).expect("topics stay");
                assert!(consumer.topics.contains(&*name), "{who} holds of {name}");
                for partition in partitions {
                    assert_eq!(held.insert((*topic, *partition), *who), None, "held twice");
                }
            }
        }
        let wanted: BTreeSet<&String> = self
            .consumers
            .values()
            .flat_map(|consumer| &consumer.topics)
            .collect();
        let count: i32 = wanted.iter().map(|name| self.rig.image.topics[*name].1).sum();
        assert_eq!(held.len(), usize::try_from(count).unwrap());
        self.rig.assert_restart_finds_the_same();
    }
}

#[test]
fn no_partition_is_held_twice_and_all_are_in_the_end() {
    let mut runner = TestRunner::default();
    let steps = proptest::collection::vec(step(), 1..60);
    let outcome = runner.run(&steps, |steps| {
        let mut walk = Walk::new();
        for step in &steps {
            walk.step(step);
        }
        walk.settle();
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

//! A random walk: clients that do what real ones do, in any order, with lost answers, failed writes and restarts of the
//! coordinator. Some are static, some are subscribed by a regular expression, some use the classic protocol.

use proptest::{prelude::*, test_runner::TestRunner};

use super::{classic_members::join_request, *};
use crate::groups::consumer_protocol::Subscription;

/// What a client knows and holds.
#[derive(Debug, Clone, Default)]
struct Consumer {
    id: String,
    epoch: i32,
    topics: BTreeSet<String>,
    /// Which of the patterns it is subscribed to.
    pattern: Option<usize>,
    /// Partitions it works on.
    held: Assignment,
    /// What it was last told to hold.
    told: Assignment,
    /// Everything is to be told with the next heartbeat.
    tells_all: bool,
    /// A static member that left and will come back.
    is_away: bool,
}

/// A client of the classic protocol that gives up only what it is told to.
#[derive(Debug, Clone, Default)]
struct ClassicConsumer {
    generation: i32,
    topics: BTreeSet<String>,
    held: Assignment,
    must_join: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Join(usize, Vec<bool>),
    Beat(usize),
    /// As `Beat`, but the answer is lost.
    LostBeat(usize),
    /// As `Beat`, but nothing of it could be written.
    UnwrittenBeat(usize),
    /// Gives up what it was told to give up, and takes what it was given.
    Work(usize),
    Resubscribe(usize, Vec<bool>),
    Regex(usize, usize),
    Leave(usize),
    /// The static member goes away for a while.
    Away,
    Return,
    ClassicJoin(usize, Vec<bool>),
    ClassicBeat(usize),
    ClassicLeave(usize),
    Wait(u64),
    Grow(usize),
    Restart,
}

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Regular expressions, and what they match.
const PATTERNS: [(&str, &[&str]); 3] = [("[ab]", &["a", "b"]), ("a|c", &["a", "c"]), (".*", &NAMES)];
const CONSUMERS: usize = 4;
const CLASSIC_CONSUMERS: usize = 2;
/// The one with an instance id.
const STATIC: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let topics = || proptest::collection::vec(any::<bool>(), NAMES.len());
    let (who, classic) = (|| 0..CONSUMERS, || 0..CLASSIC_CONSUMERS);
    prop_oneof![
        4 => (who(), topics()).prop_map(|(who, topics)| Step::Join(who, topics)),
        16 => who().prop_map(Step::Beat),
        2 => who().prop_map(Step::LostBeat),
        1 => who().prop_map(Step::UnwrittenBeat),
        12 => who().prop_map(Step::Work),
        2 => (who(), topics()).prop_map(|(who, topics)| Step::Resubscribe(who, topics)),
        2 => (who(), 0..PATTERNS.len()).prop_map(|(who, pattern)| Step::Regex(who, pattern)),
        2 => who().prop_map(Step::Leave),
        2 => Just(Step::Away),
        2 => Just(Step::Return),
        2 => (classic(), topics()).prop_map(|(who, topics)| Step::ClassicJoin(who, topics)),
        8 => classic().prop_map(Step::ClassicBeat),
        1 => classic().prop_map(Step::ClassicLeave),
        2 => (1..20_000u64).prop_map(Step::Wait),
        2 => (0..NAMES.len()).prop_map(Step::Grow),
        2 => Just(Step::Restart),
    ]
}

struct Walk {
    rig: Rig,
    consumers: BTreeMap<usize, Consumer>,
    classic: BTreeMap<usize, ClassicConsumer>,
    /// How many ids the static member has had.
    lives: usize,
}

fn chosen(picked: &[bool]) -> BTreeSet<String> {
    let names = NAMES.iter().zip(picked).filter(|(_, picked)| **picked);
    names.map(|(name, _)| (*name).to_owned()).collect()
}

impl Consumer {
    fn wants(&self, topic: &str) -> bool {
        let by_pattern = self
            .pattern
            .is_some_and(|which| PATTERNS[which].1.contains(&topic));
        by_pattern || self.topics.contains(topic)
    }

    /// As it is when it must begin anew.
    fn fenced(&self) -> Self {
        Self {
            id: self.id.clone(),
            topics: self.topics.clone(),
            pattern: self.pattern,
            ..Self::default()
        }
    }

    fn request(&self, who: usize) -> ConsumerHeartbeat {
        let all = self.epoch == 0 || self.tells_all;
        let regex = self.pattern.map_or("", |which| PATTERNS[which].0);
        ConsumerHeartbeat {
            member_epoch: self.epoch,
            instance_id: (who == STATIC).then(|| "i".to_owned()),
            rebalance_timeout_ms: all.then_some(REBALANCE_MS),
            subscribed_topics: all.then(|| self.topics.clone()),
            subscribed_regex: all.then(|| regex.to_owned()),
            owned: Some(self.held.clone()),
            ..staying(&self.id, 0)
        }
    }
}

impl Walk {
    fn new() -> Self {
        let mut rig = rig();
        rig.topic("c", 3, 1);
        rig.settings.assignment_interval_ms = 1_000;
        Self {
            rig,
            consumers: BTreeMap::new(),
            classic: BTreeMap::new(),
            lives: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Join(who, topics) => self.join(*who, chosen(topics)),
            Step::Beat(who) => self.beat(*who, true),
            Step::LostBeat(who) => self.beat(*who, false),
            Step::UnwrittenBeat(who) => {
                if let Some(consumer) = self.consumers.get_mut(who).filter(|consumer| !consumer.is_away) {
                    let request = consumer.request(*who);
                    let _unwritten = self.rig.group.heartbeat(&request, self.rig.world());
                    consumer.tells_all = true;
                }
            }
            Step::Work(who) => {
                if let Some(consumer) = self.consumers.get_mut(who) {
                    consumer.held.clone_from(&consumer.told);
                }
            }
            Step::Resubscribe(who, topics) => self.subscribe(*who, chosen(topics), None),
            Step::Regex(who, pattern) => self.subscribe(*who, BTreeSet::new(), Some(*pattern)),
            Step::Leave(who) => {
                if let Some(consumer) = self.consumers.remove(who).filter(|consumer| !consumer.is_away) {
                    let leaving = ConsumerHeartbeat {
                        member_epoch: LEAVING_EPOCH,
                        ..consumer.request(*who)
                    };
                    let _gone = self.rig.send(&leaving);
                }
            }
            Step::Away => self.go_away(),
            Step::Return => self.come_back(),
            Step::ClassicJoin(who, topics) => {
                let consumer = ClassicConsumer {
                    topics: chosen(topics),
                    must_join: true,
                    ..ClassicConsumer::default()
                };
                self.classic.entry(*who).or_insert(consumer);
                self.classic_beat(*who);
            }
            Step::ClassicBeat(who) => self.classic_beat(*who),
            Step::ClassicLeave(who) => {
                let id = format!("k{who}");
                if self.classic.remove(who).is_some() && self.rig.group.member(&id).is_some() {
                    self.rig.remove(&id);
                }
            }
            Step::Wait(ms) => self.rig.advance(*ms),
            Step::Grow(which) => {
                let (id, count) = self.rig.image.topics[NAMES[*which]];
                let grown = (id, (count + 1).min(6));
                self.rig.image.topics.insert(NAMES[*which].to_owned(), grown);
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

    fn join(&mut self, who: usize, topics: BTreeSet<String>) {
        if self.consumers.contains_key(&who) {
            return;
        }
        self.lives += 1;
        let consumer = Consumer {
            id: if who == STATIC {
                format!("s{}", self.lives)
            } else {
                format!("m{who}")
            },
            topics,
            ..Consumer::default()
        };
        self.consumers.insert(who, consumer);
        self.beat(who, true);
    }

    fn subscribe(&mut self, who: usize, topics: BTreeSet<String>, pattern: Option<usize>) {
        if let Some(consumer) = self.consumers.get_mut(&who) {
            consumer.topics = topics;
            consumer.pattern = pattern;
            consumer.tells_all = true;
        }
    }

    fn go_away(&mut self) {
        let Some(consumer) = self
            .consumers
            .get_mut(&STATIC)
            .filter(|consumer| !consumer.is_away)
        else {
            return;
        };
        let away = ConsumerHeartbeat {
            member_epoch: -2,
            ..consumer.request(STATIC)
        };
        consumer.held.clear();
        consumer.told.clear();
        consumer.is_away = true;
        // It may have been put out before.
        let _gone = self.rig.send(&away);
    }

    fn come_back(&mut self) {
        let Some(consumer) = self.consumers.get(&STATIC).filter(|consumer| consumer.is_away) else {
            return;
        };
        self.lives += 1;
        let back = Consumer {
            id: format!("s{}", self.lives),
            ..consumer.fenced()
        };
        self.consumers.insert(STATIC, back);
        self.beat(STATIC, true);
    }

    fn beat(&mut self, who: usize, is_answered: bool) {
        let Some(consumer) = self.consumers.get_mut(&who).filter(|consumer| !consumer.is_away) else {
            return;
        };
        let answer = self.rig.send(&consumer.request(who));
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
            Err(GroupError::FencedMemberEpoch | GroupError::UnknownMemberId) => *consumer = consumer.fenced(),
            // Its place is free when the session ends of what it was before.
            Err(GroupError::UnreleasedInstanceId) if who == STATIC => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// A heartbeat, and a join and a sync when it is time for them.
    fn classic_beat(&mut self, who: usize) {
        let Some(consumer) = self.classic.get_mut(&who) else {
            return;
        };
        let id = format!("k{who}");
        if !consumer.must_join {
            match self.rig.classic_beat(&id, consumer.generation) {
                Ok(()) => return,
                Err(GroupError::RebalanceInProgress) => {}
                Err(GroupError::UnknownMemberId | GroupError::IllegalGeneration) => consumer.held.clear(),
                Err(error) => panic!("{error}"),
            }
        }
        let owned = consumer.held.iter().map(|(topic, partitions)| {
            let (name, _) = self.rig.image.by_id(*topic).expect("topics stay");
            (name.to_string(), partitions.iter().copied().collect())
        });
        let mut request = join_request(&id, &[]);
        request.protocols[0].metadata = Subscription {
            topics: consumer.topics.iter().cloned().collect(),
            owned: owned.collect(),
            ..Subscription::default()
        }
        .encode();
        consumer.must_join = true;
        consumer.generation = self.rig.classic_join(&request).expect("no refusal").generation;
        match self.rig.classic_sync(&id, consumer.generation) {
            Ok(assigned) => {
                let kept = |topic, partition| assigned.get(topic).is_some_and(|all| all.contains(partition));
                // What it has given up it tells with another join.
                consumer.must_join = consumer
                    .held
                    .iter()
                    .any(|(topic, held)| held.iter().any(|partition| !kept(topic, partition)));
                consumer.held = assigned;
            }
            Err(GroupError::RebalanceInProgress) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Nobody holds what another holds, in the coordinator's books; and nothing is due for who is not there.
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
        let mut end_of_time = self.rig.now;
        end_of_time.monotonic_ms = u64::MAX;
        for (id, timer) in self.rig.group.overdue(end_of_time) {
            assert!(self.rig.group.member(&id).is_some(), "{timer:?} of {id}");
        }
    }

    /// After enough heartbeats everyone has what the last target gives it, and everything is given.
    fn settle(&mut self) {
        self.come_back();
        // Classic members by themselves would be a classic group.
        if self.consumers.is_empty() && !self.classic.is_empty() {
            self.join(0, chosen(&[true, false, false]));
        }
        // Longer than a session: the static member may have to wait for one.
        for _ in 0..70 {
            self.rig.advance(1_000);
            for who in 0..CONSUMERS {
                self.beat(who, true);
                self.step(&Step::Work(who));
            }
            for who in 0..CLASSIC_CONSUMERS {
                self.classic_beat(who);
            }
        }
        let expected = if self.consumers.is_empty() {
            State::Empty
        } else {
            State::Stable
        };
        assert_eq!(self.rig.group.state(), expected, "{:?}", self.rig.group);
        let by_name = |topic: &str| {
            let consumers = self.consumers.values().any(|consumer| consumer.wants(topic));
            consumers
                || self
                    .classic
                    .values()
                    .any(|consumer| consumer.topics.contains(topic))
        };
        let mut held: BTreeSet<(TopicId, i32)> = BTreeSet::new();
        let consumers = self.consumers.values().map(|consumer| &consumer.held);
        let classic = self.classic.values().map(|consumer| &consumer.held);
        for (topic, partitions) in consumers.chain(classic).flatten() {
            for partition in partitions {
                assert!(held.insert((*topic, *partition)), "{partition} is held twice");
            }
        }
        for consumer in self.consumers.values() {
            for topic in consumer.held.keys() {
                let (name, _) = self.rig.image.by_id(*topic).expect("topics stay");
                assert!(consumer.wants(&name), "{} holds of {name}", consumer.id);
            }
        }
        let wanted = NAMES.iter().filter(|name| by_name(name));
        let count: i32 = wanted.map(|name| self.rig.image.topics[*name].1).sum();
        assert_eq!(held.len(), usize::try_from(count).unwrap());
        self.rig.assert_restart_finds_the_same();
    }
}

#[test]
fn no_partition_is_held_twice_and_all_are_in_the_end() {
    let mut runner = TestRunner::default();
    let steps = proptest::collection::vec(step(), 1..80);
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

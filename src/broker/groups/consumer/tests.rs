//! The state machine alone: requests and time in, answers and records out.

mod classic_members;
mod heartbeats;
mod records;
mod refusals;
mod walk;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jackfield_log::TopicId;

use super::{
    group::{ConsumerGroup, State},
    heartbeat::{ConsumerHeartbeat, ConsumerHeartbeatAnswer},
    leave::Leaving,
    member::{Assignment, LEAVING_EPOCH},
    outcome::{Outcome, TimerKind, World},
    records::ConsumerRecord,
    regex,
    settings::ConsumerSettings,
    topics::TopicImage,
};
use crate::groups::{
    classic::effects::Now,
    error::GroupError,
    records::{GroupRecord, RecordKey},
};

/// Topics that exist only here; the id of a topic is its number.
#[derive(Default)]
struct Image {
    topics: BTreeMap<String, (TopicId, i32)>,
    version: u64,
}

impl TopicImage for Image {
    fn by_name(&self, name: &str) -> Option<(TopicId, i32)> {
        self.topics.get(name).copied()
    }

    fn by_id(&self, id: TopicId) -> Option<(Arc<str>, i32)> {
        let found = self.topics.iter().find(|(_, (of, _))| *of == id);
        found.map(|(name, (_, count))| (name.as_str().into(), *count))
    }

    fn names(&self) -> Vec<Arc<str>> {
        self.topics.keys().map(|name| name.as_str().into()).collect()
    }

    fn version(&self) -> u64 {
        self.version
    }
}

fn topic_id(number: u8) -> TopicId {
    TopicId([number; 16])
}

/// A group with a clock and topics, and all records it wrote.
struct Rig {
    group: ConsumerGroup,
    image: Image,
    settings: ConsumerSettings,
    now: Now,
    records: Vec<ConsumerRecord>,
}

const SESSION_MS: u64 = 45_000;
const REBALANCE_MS: i32 = 60_000;

/// Topics `a` with two partitions and `b` with three.
fn rig() -> Rig {
    let mut rig = Rig {
        group: ConsumerGroup::new("g"),
        image: Image::default(),
        settings: ConsumerSettings {
            assignment_interval_ms: 0,
            ..ConsumerSettings::default()
        },
        now: Now {
            monotonic_ms: 0,
            wall_ms: 1_000_000,
        },
        records: Vec::new(),
    };
    rig.topic("a", 1, 2);
    rig.topic("b", 2, 3);
    rig
}

/// A heartbeat that joins by topic names.
fn joining(id: &str, topics: &[&str]) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group_id: "g".into(),
        member_id: id.into(),
        rebalance_timeout_ms: Some(REBALANCE_MS),
        subscribed_topics: Some(topics.iter().map(ToString::to_string).collect()),
        owned: Some(Assignment::new()),
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        has_own_id: true,
        ..ConsumerHeartbeat::default()
    }
}

/// A heartbeat without news.
fn staying(id: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        member_epoch: epoch,
        rebalance_timeout_ms: None,
        subscribed_topics: None,
        owned: None,
        ..joining(id, &[])
    }
}

fn of_instance(instance: &str, request: ConsumerHeartbeat) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        instance_id: Some(instance.into()),
        ..request
    }
}

/// `a:0,1 b:2` as an assignment.
fn partitions(text: &str) -> Assignment {
    let topic = |part: &str| {
        let (name, partitions) = part.split_once(':').expect("topic:partitions");
        let id = topic_id(if name == "a" { 1 } else { 2 });
        let partitions: BTreeSet<i32> = partitions
            .split(',')
            .map(|number| number.parse().unwrap())
            .collect();
        (id, partitions)
    };
    text.split_whitespace().map(topic).collect()
}

impl Rig {
    fn topic(&mut self, name: &str, number: u8, count: i32) {
        self.image
            .topics
            .insert(name.to_owned(), (topic_id(number), count));
        self.image.version += 1;
    }

    fn world(&self) -> World<'_> {
        World {
            topics: &self.image,
            settings: &self.settings,
            now: self.now,
        }
    }

    /// What the shard does with an outcome.
    fn take<T>(&mut self, mut outcome: Outcome<T>) -> T {
        for record in std::mem::take(&mut outcome.records) {
            self.group.apply(record.clone());
            self.records.push(record);
        }
        self.group.settle(&mut outcome, self.now);
        if outcome.resolve_regexes {
            let world = World {
                topics: &self.image,
                settings: &self.settings,
                now: self.now,
            };
            let matched = regex::matched(self.group.regexes_in_use(), &self.image);
            let resolved = self.group.resolved(matched, world);
            self.take(resolved);
        }
        outcome.value
    }

    fn send(&mut self, request: &ConsumerHeartbeat) -> Result<ConsumerHeartbeatAnswer, GroupError> {
        request
            .validate(&self.settings)
            .map_err(|refusal| refusal.error)?;
        if request.leaves() {
            match self.group.leave(request).map_err(|refusal| refusal.error)? {
                Leaving::Keep(outcome) => self.take(outcome),
                Leaving::Remove(id) => self.remove(&id),
            }
            return Ok(super::leave::left(request));
        }
        let outcome = self
            .group
            .heartbeat(request, self.world())
            .map_err(|refusal| refusal.error)?;
        Ok(self.take(outcome))
    }

    fn remove(&mut self, id: &str) {
        let outcome = self.group.without(&BTreeSet::from([id.to_owned()]), &self.image);
        self.take(outcome);
    }

    fn join(&mut self, id: &str, topics: &[&str]) -> ConsumerHeartbeatAnswer {
        self.send(&joining(id, topics)).expect("no refusal")
    }

    /// A heartbeat of a member that is where the coordinator thinks it is, holding what it names.
    fn beat(&mut self, id: &str, owned: Option<&str>) -> ConsumerHeartbeatAnswer {
        let epoch = self.group.member(id).expect("a member").current.epoch;
        let request = ConsumerHeartbeat {
            owned: owned.map(partitions),
            ..staying(id, epoch)
        };
        self.send(&request).expect("no refusal")
    }

    fn advance(&mut self, ms: u64) {
        let until = self.now.monotonic_ms + ms;
        while let Some(deadline) = self.group.next_deadline().filter(|deadline| *deadline <= until) {
            self.at(deadline.max(self.now.monotonic_ms));
            for (id, _) in self.group.overdue(self.now) {
                self.remove(&id);
            }
        }
        self.at(until);
    }

    fn at(&mut self, monotonic_ms: u64) {
        self.now.wall_ms += i64::try_from(monotonic_ms - self.now.monotonic_ms).unwrap();
        self.now.monotonic_ms = monotonic_ms;
    }

    /// The group as a restart finds it, read from the bytes of its records.
    fn restored(&self) -> ConsumerGroup {
        let mut group = ConsumerGroup::new("g");
        for record in GroupRecord::of_consumer_group("g", self.records.clone()) {
            let (key, value) = record.encode();
            let Ok(RecordKey::Consumer { group: id, key }) = RecordKey::decode(&key) else {
                panic!("{record:?}")
            };
            assert_eq!(id, "g");
            group.apply(ConsumerRecord::decode(key, value.as_deref()).expect("our own bytes"));
        }
        group
    }

    fn assert_restart_finds_the_same(&self) {
        let restored = self.restored();
        assert_eq!(restored.members, self.group.members);
        assert_eq!(restored.target, self.group.target);
        assert_eq!(restored.regexes, self.group.regexes);
        assert_eq!(restored.static_members, self.group.static_members);
        let epochs = |group: &ConsumerGroup| (group.epoch, group.assignment_epoch, group.metadata_hash);
        assert_eq!(epochs(&restored), epochs(&self.group));
    }
}

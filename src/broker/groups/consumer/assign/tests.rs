//! The assignors, on tables and on random groups.

use proptest::{prelude::*, test_runner::TestRunner};

use super::*;

fn topic(number: u8) -> TopicId {
    TopicId([number; 16])
}

type Previous = BTreeMap<String, Assignment>;

struct Members(Vec<(&'static str, Option<&'static str>, Vec<u8>)>);

impl Members {
    fn assign(&self, assignor: Assignor, previous: &Previous, counts: &[i32]) -> Previous {
        let candidates: Candidates<'_> = self
            .0
            .iter()
            .map(|(id, instance, topics)| {
                let candidate = Candidate {
                    instance_id: *instance,
                    topics: topics.iter().map(|number| topic(*number)).collect(),
                    previous: previous.get(*id),
                };
                (*id, candidate)
            })
            .collect();
        let homogeneous = self.0.iter().all(|(_, _, topics)| *topics == self.0[0].2);
        assign(assignor, &candidates, homogeneous, &|of| {
            counts[usize::from(of.0[0])]
        })
    }
}

/// Topics by number with their partitions.
type Expected<'a> = &'a [(u8, &'a [i32])];

fn check(assigned: &Previous, expected: &[(&str, Expected<'_>)]) {
    let expected: Previous = expected
        .iter()
        .map(|(id, topics)| {
            let topics = topics
                .iter()
                .map(|(number, partitions)| (topic(*number), partitions.iter().copied().collect()));
            ((*id).to_owned(), topics.collect())
        })
        .collect();
    assert_eq!(*assigned, expected);
}

#[test]
fn range_gives_runs_and_keeps_equal_topics_together() {
    let members = Members(vec![("m1", None, vec![0, 1]), ("m2", None, vec![0, 1])]);
    let assigned = members.assign(Assignor::Range, &Previous::new(), &[3, 3]);
    check(
        &assigned,
        &[
            ("m1", &[(0, &[0, 1]), (1, &[0, 1])]),
            ("m2", &[(0, &[2]), (1, &[2])]),
        ],
    );
    // More members than partitions, and members with a subscription of their own.
    let members = Members(vec![
        ("m1", None, vec![0]),
        ("m2", None, vec![0, 1]),
        ("m3", None, vec![0]),
    ]);
    let assigned = members.assign(Assignor::Range, &Previous::new(), &[2, 2]);
    check(
        &assigned,
        &[
            ("m1", &[(0, &[0])]),
            ("m2", &[(0, &[1]), (1, &[0, 1])]),
            ("m3", &[]),
        ],
    );
}

#[test]
fn range_goes_by_instance_ids_where_there_are_some() {
    let members = Members(vec![
        ("m1", Some("i2"), vec![0]),
        ("m2", Some("i1"), vec![0]),
        ("m0", None, vec![0]),
    ]);
    let assigned = members.assign(Assignor::Range, &Previous::new(), &[3]);
    check(
        &assigned,
        &[("m0", &[(0, &[2])]), ("m1", &[(0, &[1])]), ("m2", &[(0, &[0])])],
    );
}

#[test]
fn uniform_moves_no_more_than_it_must() {
    let two = Members(vec![("m1", None, vec![0]), ("m2", None, vec![0])]);
    let first = two.assign(Assignor::Uniform, &Previous::new(), &[5]);
    check(&first, &[("m1", &[(0, &[0, 1])]), ("m2", &[(0, &[2, 3, 4])])]);
    let three = Members(vec![
        ("m1", None, vec![0]),
        ("m2", None, vec![0]),
        ("m3", None, vec![0]),
    ]);
    let second = three.assign(Assignor::Uniform, &first, &[5]);
    check(
        &second,
        &[
            ("m1", &[(0, &[0, 1])]),
            ("m2", &[(0, &[2, 3])]),
            ("m3", &[(0, &[4])]),
        ],
    );
    let grown = three.assign(Assignor::Uniform, &second, &[6]);
    check(
        &grown,
        &[
            ("m1", &[(0, &[0, 1])]),
            ("m2", &[(0, &[2, 3])]),
            ("m3", &[(0, &[4, 5])]),
        ],
    );
}

#[test]
fn uniform_levels_members_with_different_subscriptions() {
    let members = Members(vec![("m1", None, vec![0, 1]), ("m2", None, vec![1])]);
    let assigned = members.assign(Assignor::Uniform, &Previous::new(), &[2, 4]);
    check(
        &assigned,
        &[("m1", &[(0, &[0, 1]), (1, &[3])]), ("m2", &[(1, &[0, 1, 2])])],
    );
    // What a member had of a topic it is not subscribed to any more goes to the others.
    let previous = Previous::from([(
        "m2".to_owned(),
        Assignment::from([(topic(0), BTreeSet::from([0, 1]))]),
    )]);
    let assigned = members.assign(Assignor::Uniform, &previous, &[2, 4]);
    check(
        &assigned,
        &[("m1", &[(0, &[0, 1]), (1, &[3])]), ("m2", &[(1, &[0, 1, 2])])],
    );
}

const IDS: [&str; 5] = ["m1", "m2", "m3", "m4", "m5"];

fn subscriptions() -> impl Strategy<Value = Vec<Option<Vec<u8>>>> {
    let topics = proptest::sample::subsequence(vec![0u8, 1, 2], 0..=3);
    proptest::collection::vec(proptest::option::of(topics), IDS.len())
}

fn members(subscriptions: &[Option<Vec<u8>>]) -> Members {
    let present = IDS
        .iter()
        .zip(subscriptions)
        .filter_map(|(id, topics)| Some((*id, None, topics.clone()?)));
    Members(present.collect())
}

/// Every partition of a topic someone wants has one owner, who wants it.
fn check_complete(members: &Members, assigned: &Previous, counts: &[i32]) {
    let mut seen = BTreeSet::new();
    for (id, _, topics) in &members.0 {
        for (of, partitions) in assigned.get(*id).into_iter().flatten() {
            assert!(topics.contains(&of.0[0]), "{id} is not subscribed");
            for partition in partitions {
                assert!((0..counts[usize::from(of.0[0])]).contains(partition));
                assert!(seen.insert((of.0[0], *partition)), "assigned twice");
            }
        }
    }
    let wanted: BTreeSet<u8> = members
        .0
        .iter()
        .flat_map(|(_, _, topics)| topics.clone())
        .collect();
    let count: i32 = wanted.iter().map(|number| counts[usize::from(*number)]).sum();
    assert_eq!(seen.len(), usize::try_from(count).unwrap());
}

fn load(assigned: &Previous, id: &str) -> usize {
    assigned
        .get(id)
        .map_or(0, |topics| topics.values().map(BTreeSet::len).sum())
}

#[test]
fn every_partition_is_assigned_once_and_loads_are_level() {
    let counts = proptest::collection::vec(1..7i32, 3);
    let mut runner = TestRunner::default();
    let outcome = runner.run(
        &(subscriptions(), subscriptions(), counts),
        |(first, second, counts)| {
            for assignor in [Assignor::Uniform, Assignor::Range] {
                let mut previous = Previous::new();
                for members in [members(&first), members(&second)]
                    .iter()
                    .filter(|members| !members.0.is_empty())
                {
                    let assigned = members.assign(assignor, &previous, &counts);
                    check_complete(members, &assigned, &counts);
                    let same = members.0.iter().all(|(_, _, topics)| *topics == members.0[0].2);
                    if assignor == Assignor::Uniform && same {
                        let loads = || members.0.iter().map(|(id, _, _)| load(&assigned, id));
                        assert!(loads().max().unwrap() - loads().min().unwrap() <= 1);
                    }
                    if assignor == Assignor::Uniform {
                        let again = members.assign(assignor, &assigned, &counts);
                        assert_eq!(again, assigned, "nothing moves without a reason");
                    }
                    previous = assigned;
                }
            }
            Ok(())
        },
    );
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

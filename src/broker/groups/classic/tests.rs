//! The state machine alone: requests and time in, answers and records out.

use bytes::Bytes;

use super::{
    effects::{
        Effects, JoinRefused, JoinRequest, Joined, LeavingMember, Now, Reply, Settings, SyncRequest, Synced,
        Ticket,
    },
    group::{ClassicGroup, State},
    member::Protocol,
};
use crate::groups::{consumer_protocol::Subscription, error::GroupError, records::GroupRecord};

const DELAY_MS: u32 = 3_000;
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

/// A group with a clock, and what came out of it.
struct Rig {
    group: ClassicGroup,
    settings: Settings,
    now: Now,
    tickets: u64,
    records: Vec<GroupRecord>,
    replies: Vec<Reply>,
    /// What the log answers to the next append.
    append: Result<(), GroupError>,
}

fn rig() -> Rig {
    let now = Now {
        monotonic_ms: 0,
        wall_ms: 1_000_000,
    };
    Rig {
        group: ClassicGroup::new("g", now),
        settings: Settings {
            initial_rebalance_delay_ms: DELAY_MS,
            max_size: usize::MAX,
        },
        now,
        tickets: 0,
        records: Vec::new(),
        replies: Vec::new(),
        append: Ok(()),
    }
}

fn protocol(name: &str, metadata: &[u8]) -> Protocol {
    Protocol {
        name: name.into(),
        metadata: Bytes::copy_from_slice(metadata),
    }
}

fn request(member_id: &str) -> JoinRequest {
    JoinRequest {
        group_id: "g".into(),
        member_id: member_id.into(),
        group_instance_id: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range", b"r"), protocol("roundrobin", b"rr")],
        require_known_member_id: false,
        supports_skip_assignment: true,
        initial_rebalance_delay_ms: None,
    }
}

fn fixed(instance: &str, member_id: &str) -> JoinRequest {
    JoinRequest {
        group_instance_id: Some(instance.into()),
        ..request(member_id)
    }
}

impl Rig {
    fn take(&mut self, effects: Effects) {
        let mut next = Some(effects);
        while let Some(effects) = next.take() {
            let result = if effects.records.is_empty() {
                Ok(())
            } else {
                self.append
            };
            if result.is_ok() {
                self.records.extend(effects.records);
            }
            if let Some(on_appended) = effects.on_appended {
                next = Some(self.group.appended(on_appended, result, self.now, &self.settings));
            }
            self.replies.extend(effects.replies);
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Sends a join; its new id, if it gets one, ends with the number of its ticket.
    fn join(&mut self, request: JoinRequest) -> Ticket {
        let ticket = self.ticket();
        let fresh = format!("{}", ticket.0);
        let effects = self.group.join(request, &fresh, ticket, self.now, &self.settings);
        self.take(effects);
        ticket
    }

    fn sync(&mut self, member_id: &str, generation: i32, assignments: &[(&str, &[u8])]) -> Ticket {
        let ticket = self.ticket();
        let request = SyncRequest {
            group_id: "g".into(),
            member_id: member_id.into(),
            group_instance_id: None,
            generation,
            protocol_type: None,
            protocol_name: None,
            assignments: assignments
                .iter()
                .map(|(id, data)| ((*id).to_owned(), Bytes::copy_from_slice(data)))
                .collect(),
        };
        let effects = self.group.sync(request, ticket, self.now);
        self.take(effects);
        ticket
    }

    fn heartbeat(&mut self, member_id: &str, generation: i32) -> Result<(), GroupError> {
        self.group.heartbeat(member_id, None, generation, self.now)
    }

    fn leave(&mut self, member_id: &str, instance: Option<&str>) -> Result<(), GroupError> {
        let leaving = LeavingMember {
            member_id: member_id.into(),
            group_instance_id: instance.map(str::to_owned),
        };
        let (result, effects) = self.group.leave(&[leaving], self.now, &self.settings);
        self.take(effects);
        result.and_then(|results| results[0])
    }

    fn advance(&mut self, ms: u64) {
        let until = self.now.monotonic_ms + ms;
        while let Some(deadline) = self.group.next_deadline().filter(|deadline| *deadline <= until) {
            self.at(deadline.max(self.now.monotonic_ms));
            let effects = self.group.on_timer(self.now, &self.settings);
            self.take(effects);
        }
        self.at(until);
    }

    fn at(&mut self, monotonic_ms: u64) {
        self.now.wall_ms += i64::try_from(monotonic_ms - self.now.monotonic_ms).unwrap();
        self.now.monotonic_ms = monotonic_ms;
    }

    fn join_reply(&mut self, ticket: Ticket) -> Option<Result<Joined, JoinRefused>> {
        let at = self
            .replies
            .iter()
            .position(|reply| matches!(reply, Reply::Join(of, _) if *of == ticket))?;
        let Reply::Join(_, reply) = self.replies.remove(at) else {
            unreachable!()
        };
        Some(reply)
    }

    fn joined(&mut self, ticket: Ticket) -> Joined {
        self.join_reply(ticket).expect("an answer").expect("no refusal")
    }

    fn refused(&mut self, ticket: Ticket) -> GroupError {
        self.join_reply(ticket)
            .expect("an answer")
            .expect_err("a refusal")
            .error
    }

    fn synced(&mut self, ticket: Ticket) -> Option<Result<Synced, GroupError>> {
        let at = self
            .replies
            .iter()
            .position(|reply| matches!(reply, Reply::Sync(of, _) if *of == ticket))?;
        let Reply::Sync(_, reply) = self.replies.remove(at) else {
            unreachable!()
        };
        Some(reply)
    }

    fn assignment(&mut self, ticket: Ticket) -> Bytes {
        self.synced(ticket)
            .expect("an answer")
            .expect("no refusal")
            .assignment
    }

    /// Two members, `c-1` (leader) and `c-2`, Stable in generation 1.
    fn stable_pair(&mut self) {
        let (first, second) = (self.join(request("")), self.join(request("")));
        self.advance(2 * u64::from(DELAY_MS));
        assert_eq!(self.joined(first).generation, 1);
        assert_eq!(self.joined(second).leader, "c-1");
        let follower = self.sync("c-2", 1, &[]);
        let leader = self.sync("c-1", 1, &[("c-1", b"one"), ("c-2", b"two")]);
        assert_eq!(self.assignment(leader), "one");
        assert_eq!(self.assignment(follower), "two");
        assert_eq!(self.group.state(), State::Stable);
        self.records.clear();
    }
}

fn member_ids(record: &GroupRecord) -> Vec<String> {
    let GroupRecord::Group {
        value: Some(value), ..
    } = record
    else {
        panic!("{record:?}")
    };
    value
        .members
        .iter()
        .map(|member| member.member_id.clone())
        .collect()
}

#[test]
fn the_first_rebalance_waits_for_more_members_and_ends() {
    let mut rig = rig();
    let first = rig.join(request(""));
    rig.advance(2_000);
    assert_eq!(rig.join_reply(first), None);
    let second = rig.join(request(""));
    // A second member came within the delay: it is prolonged once.
    rig.advance(1_500);
    assert_eq!(rig.join_reply(first), None);
    rig.advance(3_000);
    let joined = rig.joined(first);
    assert_eq!(
        (joined.generation, joined.leader.as_str(), joined.members.len()),
        (1, "c-1", 2)
    );
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    let joined = rig.joined(second);
    assert_eq!(
        (
            joined.member_id.as_str(),
            joined.leader.as_str(),
            joined.members.len()
        ),
        ("c-2", "c-1", 0)
    );
    assert_eq!(rig.group.state(), State::CompletingRebalance);
}

#[test]
fn new_members_cannot_prolong_the_first_rebalance_beyond_the_rebalance_timeout() {
    let mut rig = rig();
    let short = |member| JoinRequest {
        rebalance_timeout_ms: 6_000,
        ..request(member)
    };
    let first = rig.join(short(""));
    for _ in 0..5 {
        rig.advance(1_900);
        rig.join(short(""));
    }
    assert_eq!(rig.joined(first).generation, 1);
}

#[test]
fn a_join_may_bring_its_own_initial_delay() {
    let mut rig = rig();
    let ticket = rig.join(JoinRequest {
        initial_rebalance_delay_ms: Some(0),
        ..request("")
    });
    rig.advance(0);
    assert_eq!(rig.joined(ticket).generation, 1);
}

#[test]
fn member_id_required_is_a_round_trip_with_an_end() {
    let mut rig = rig();
    let known = |member| JoinRequest {
        require_known_member_id: true,
        ..request(member)
    };
    let ticket = rig.join(known(""));
    let refused = rig.join_reply(ticket).expect("an answer").expect_err("a refusal");
    assert_eq!(
        refused,
        JoinRefused {
            error: GroupError::MemberIdRequired,
            member_id: "c-1".into()
        }
    );
    assert_eq!(rig.group.state(), State::Empty);
    let ticket = rig.join(known("c-1"));
    rig.advance(u64::from(DELAY_MS));
    assert_eq!(rig.joined(ticket).member_id, "c-1");
    // Nobody comes back with c-3 within its session: it is forgotten.
    let ticket = rig.join(known(""));
    assert_eq!(rig.refused(ticket), GroupError::MemberIdRequired);
    assert!(rig.group.pending_joins.contains_key("c-3"));
    assert_eq!(rig.heartbeat("c-1", 1), Ok(()));
    rig.advance(SESSION_MS as u64);
    assert!(rig.group.pending_joins.is_empty());
    let ticket = rig.join(known("c-3"));
    assert_eq!(rig.refused(ticket), GroupError::UnknownMemberId);
}

#[test]
fn a_rebalance_waits_for_a_pending_member_until_it_is_gone() {
    let mut rig = rig();
    rig.stable_pair();
    let pending = JoinRequest {
        require_known_member_id: true,
        session_timeout_ms: 6_000,
        ..request("")
    };
    rig.join(pending);
    let (first, second) = (rig.join(request("c-1")), rig.join(request("c-2")));
    assert_eq!((rig.join_reply(first), rig.join_reply(second)), (None, None));
    rig.advance(6_000);
    assert_eq!(rig.joined(first).generation, 2);
    assert_eq!(rig.joined(second).generation, 2);
}

#[test]
fn errors_by_state_and_generation() {
    let mut rig = rig();
    // Empty.
    assert_eq!(rig.heartbeat("c-1", 0), Err(GroupError::UnknownMemberId));
    let sync = rig.sync("c-1", 0, &[]);
    assert_eq!(rig.synced(sync), Some(Err(GroupError::UnknownMemberId)));
    assert_eq!(rig.leave("c-1", None), Err(GroupError::UnknownMemberId));
    let ticket = rig.join(request("c-9"));
    assert_eq!(rig.refused(ticket), GroupError::UnknownMemberId);
    // Stable.
    rig.tickets = 0;
    rig.stable_pair();
    assert_eq!(rig.heartbeat("c-1", 1), Ok(()));
    assert_eq!(rig.heartbeat("c-1", 0), Err(GroupError::IllegalGeneration));
    assert_eq!(rig.heartbeat("x", 1), Err(GroupError::UnknownMemberId));
    let sync = rig.sync("c-2", 1, &[]);
    assert_eq!(rig.assignment(sync), "two");
    // PreparingRebalance.
    rig.join(request("c-1"));
    assert_eq!(rig.group.state(), State::PreparingRebalance);
    assert_eq!(rig.heartbeat("c-2", 1), Err(GroupError::RebalanceInProgress));
    let sync = rig.sync("c-2", 1, &[]);
    assert_eq!(rig.synced(sync), Some(Err(GroupError::RebalanceInProgress)));
    // CompletingRebalance.
    rig.join(request("c-2"));
    assert_eq!(rig.group.state(), State::CompletingRebalance);
    assert_eq!(rig.heartbeat("c-2", 2), Ok(()));
    let sync = rig.sync("c-2", 1, &[]);
    assert_eq!(rig.synced(sync), Some(Err(GroupError::IllegalGeneration)));
    // Dead.
    rig.group.die(rig.now);
    assert_eq!(rig.heartbeat("c-1", 2), Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(rig.leave("c-1", None), Err(GroupError::CoordinatorNotAvailable));
    let ticket = rig.join(request("c-1"));
    assert_eq!(rig.refused(ticket), GroupError::CoordinatorNotAvailable);
}

#[test]
fn sync_checks_protocol_type_and_name() {
    let mut rig = rig();
    rig.stable_pair();
    for (protocol_type, protocol_name, expected) in [
        (Some("consumer"), Some("range"), None),
        (Some("connect"), None, Some(GroupError::InconsistentGroupProtocol)),
        (
            None,
            Some("roundrobin"),
            Some(GroupError::InconsistentGroupProtocol),
        ),
    ] {
        let ticket = rig.ticket();
        let request = SyncRequest {
            group_id: "g".into(),
            member_id: "c-2".into(),
            group_instance_id: None,
            generation: 1,
            protocol_type: protocol_type.map(str::to_owned),
            protocol_name: protocol_name.map(str::to_owned),
            assignments: Vec::new(),
        };
        let effects = rig.group.sync(request, ticket, rig.now);
        rig.take(effects);
        assert_eq!(
            rig.synced(ticket).expect("an answer").err(),
            expected,
            "{protocol_type:?} {protocol_name:?}"
        );
    }
}

#[test]
fn the_leaders_assignment_is_stored_before_anyone_gets_it() {
    let mut rig = rig();
    let (first, second) = (rig.join(request("")), rig.join(request("")));
    rig.advance(2 * u64::from(DELAY_MS));
    rig.joined(first);
    rig.joined(second);
    let ticket = rig.ticket();
    let request = SyncRequest {
        group_id: "g".into(),
        member_id: "c-1".into(),
        group_instance_id: None,
        generation: 1,
        protocol_type: None,
        protocol_name: None,
        assignments: vec![
            ("c-1".into(), Bytes::from_static(b"one")),
            ("stranger".into(), Bytes::from_static(b"x")),
        ],
    };
    let effects = rig.group.sync(request, ticket, rig.now);
    assert_eq!(effects.replies, []);
    assert_eq!(member_ids(&effects.records[0]), ["c-1", "c-2"]);
    assert_eq!(rig.group.state(), State::CompletingRebalance);
    rig.take(effects);
    assert_eq!(rig.assignment(ticket), "one");
    // Whom the leader forgot gets an empty assignment.
    let sync = rig.sync("c-2", 1, &[]);
    assert_eq!(rig.assignment(sync), "");
}

#[test]
fn an_assignment_that_cannot_be_stored_starts_over() {
    let mut rig = rig();
    let (first, second) = (rig.join(request("")), rig.join(request("")));
    rig.advance(2 * u64::from(DELAY_MS));
    rig.joined(first);
    rig.joined(second);
    rig.append = Err(GroupError::UnknownServerError);
    let (follower, leader) = (rig.sync("c-2", 1, &[]), rig.sync("c-1", 1, &[("c-1", b"one")]));
    assert_eq!(rig.synced(follower), Some(Err(GroupError::UnknownServerError)));
    assert_eq!(rig.synced(leader), Some(Err(GroupError::UnknownServerError)));
    assert_eq!(rig.group.state(), State::PreparingRebalance);
    assert_eq!(rig.records, []);
}

#[test]
fn a_follower_that_rejoins_unchanged_gets_the_current_generation() {
    let mut rig = rig();
    rig.stable_pair();
    let ticket = rig.join(request("c-2"));
    assert_eq!(rig.joined(ticket).generation, 1);
    assert_eq!(rig.group.state(), State::Stable);
    // Changed metadata, or the leader: a rebalance.
    let changed = JoinRequest {
        protocols: vec![protocol("range", b"new")],
        ..request("c-2")
    };
    let follower = rig.join(changed);
    assert_eq!(rig.group.state(), State::PreparingRebalance);
    let leader = rig.join(request("c-1"));
    assert_eq!(
        (rig.joined(follower).generation, rig.joined(leader).generation),
        (2, 2)
    );
    // The answer of the join was lost: the same again, with the members for the leader.
    let again = rig.join(request("c-1"));
    let again = rig.joined(again);
    assert_eq!(
        (
            again.generation,
            again.members.len(),
            again.members[1].metadata.as_ref()
        ),
        (2, 2, b"new".as_ref())
    );
}

#[test]
fn a_new_member_makes_the_others_rejoin_and_the_generation_rises_once() {
    let mut rig = rig();
    rig.stable_pair();
    let third = rig.join(request(""));
    assert_eq!(rig.heartbeat("c-1", 1), Err(GroupError::RebalanceInProgress));
    assert_eq!(rig.heartbeat("c-2", 1), Err(GroupError::RebalanceInProgress));
    let (first, second) = (rig.join(request("c-1")), rig.join(request("c-2")));
    for ticket in [first, second, third] {
        assert_eq!(rig.joined(ticket).generation, 2);
    }
    assert_eq!(rig.group.member_count(), 3);
}

#[test]
fn members_that_do_not_rejoin_in_time_are_removed_and_another_leads() {
    let mut rig = rig();
    rig.stable_pair();
    let second = rig.join(JoinRequest {
        protocols: vec![protocol("range", b"new")],
        ..request("c-2")
    });
    // The leader keeps its session but does not rejoin.
    for _ in 0..7 {
        let _ = rig.heartbeat("c-1", 1);
        rig.advance(9_000);
    }
    let joined = rig.joined(second);
    assert_eq!(
        (joined.generation, joined.leader.as_str(), joined.members.len()),
        (2, "c-2", 1)
    );
    assert_eq!(rig.heartbeat("c-1", 1), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_silent_member_loses_its_place() {
    let mut rig = rig();
    rig.stable_pair();
    rig.advance(9_000);
    assert_eq!(rig.heartbeat("c-1", 1), Ok(()));
    rig.advance(1_500);
    assert_eq!(rig.group.state(), State::PreparingRebalance);
    assert_eq!(rig.heartbeat("c-2", 1), Err(GroupError::UnknownMemberId));
    let first = rig.join(request("c-1"));
    assert_eq!(rig.joined(first).generation, 2);
    // The last one goes silent too: the group empties and says so in the log.
    rig.sync("c-1", 2, &[("c-1", b"all")]);
    rig.records.clear();
    rig.advance(SESSION_MS as u64);
    assert_eq!((rig.group.state(), rig.group.generation()), (State::Empty, 3));
    assert_eq!(member_ids(&rig.records[0]), Vec::<String>::new());
    let GroupRecord::Group {
        value: Some(value), ..
    } = &rig.records[0]
    else {
        panic!()
    };
    assert_eq!(
        (value.protocol_type.as_str(), &value.protocol, &value.leader),
        ("consumer", &None, &None)
    );
}

#[test]
fn a_parked_request_is_no_silence_but_a_new_member_waits_no_longer_than_five_minutes() {
    let mut rig = rig();
    rig.stable_pair();
    let second = rig.join(JoinRequest {
        protocols: vec![protocol("range", b"new")],
        ..request("c-2")
    });
    for _ in 0..4 {
        let _ = rig.heartbeat("c-1", 1);
        rig.advance(9_000);
    }
    // 36 s parked, three sessions long: still there.
    assert_eq!(rig.join_reply(second), None);
    assert_eq!(rig.group.member_count(), 2);
    let mut rig = self::rig();
    let long = |member| JoinRequest {
        rebalance_timeout_ms: 3_600_000,
        session_timeout_ms: 1_800_000,
        ..request(member)
    };
    let first = rig.join(long(""));
    rig.advance(u64::from(DELAY_MS));
    rig.joined(first);
    rig.sync("c-1", 1, &[("c-1", b"x")]);
    let newcomer = rig.join(long(""));
    rig.advance(300_000);
    assert_eq!(rig.refused(newcomer), GroupError::UnknownMemberId);
    assert_eq!(rig.group.member_count(), 1);
}

#[test]
fn members_that_send_no_sync_are_removed() {
    let mut rig = rig();
    let (first, second) = (rig.join(request("")), rig.join(request("")));
    rig.advance(2 * u64::from(DELAY_MS));
    rig.joined(first);
    rig.joined(second);
    let leader = rig.sync("c-1", 1, &[("c-1", b"one"), ("c-2", b"two")]);
    assert_eq!(rig.assignment(leader), "one");
    for _ in 0..8 {
        let _ = rig.heartbeat("c-1", 1);
        let _ = rig.heartbeat("c-2", 1);
        rig.advance(8_000);
    }
    assert_eq!(rig.heartbeat("c-2", 1), Err(GroupError::UnknownMemberId));
    assert_eq!(rig.heartbeat("c-1", 1), Err(GroupError::RebalanceInProgress));
}

#[test]
fn leaving_hands_over_at_once() {
    let mut rig = rig();
    rig.stable_pair();
    assert_eq!(rig.leave("c-1", None), Ok(()));
    assert_eq!(rig.heartbeat("c-2", 1), Err(GroupError::RebalanceInProgress));
    let second = rig.join(request("c-2"));
    let joined = rig.joined(second);
    assert_eq!((joined.generation, joined.leader.as_str()), (2, "c-2"));
    assert_eq!(rig.leave("c-2", None), Ok(()));
    assert_eq!((rig.group.state(), rig.group.generation()), (State::Empty, 3));
    assert_eq!(rig.records.len(), 1);
}

#[test]
fn leaving_answers_what_the_member_had_parked() {
    let mut rig = rig();
    let first = rig.join(request(""));
    assert_eq!(rig.leave("c-1", None), Ok(()));
    assert_eq!(rig.refused(first), GroupError::UnknownMemberId);
    let pending = JoinRequest {
        require_known_member_id: true,
        ..request("")
    };
    rig.join(pending);
    assert_eq!(rig.leave("c-2", None), Ok(()));
    assert!(rig.group.pending_joins.is_empty());
    // The initial rebalance ends with nobody there.
    rig.advance(u64::from(DELAY_MS));
    assert_eq!(rig.group.state(), State::Empty);
}

#[test]
fn the_protocol_with_most_votes_that_all_support_wins() {
    let mut rig = rig();
    let with = |names: &[&str]| JoinRequest {
        protocols: names.iter().map(|name| protocol(name, b"")).collect(),
        ..request("")
    };
    let first = rig.join(with(&["range", "sticky", "roundrobin"]));
    rig.join(with(&["sticky", "range"]));
    rig.join(with(&["sticky", "range", "roundrobin"]));
    let stranger = rig.join(with(&["other"]));
    assert_eq!(rig.refused(stranger), GroupError::InconsistentGroupProtocol);
    let connect = rig.join(JoinRequest {
        protocol_type: "connect".into(),
        ..with(&["range"])
    });
    assert_eq!(rig.refused(connect), GroupError::InconsistentGroupProtocol);
    rig.advance(2 * u64::from(DELAY_MS));
    assert_eq!(rig.joined(first).protocol_name.as_deref(), Some("sticky"));
    let nothing = rig.join(JoinRequest {
        protocols: Vec::new(),
        ..request("")
    });
    assert_eq!(rig.refused(nothing), GroupError::InconsistentGroupProtocol);
}

#[test]
fn a_static_member_keeps_its_place_across_a_restart() {
    let mut rig = rig();
    let (first, second) = (rig.join(fixed("i1", "")), rig.join(fixed("i2", "")));
    rig.advance(2 * u64::from(DELAY_MS));
    assert_eq!(rig.joined(first).member_id, "i1-1");
    rig.joined(second);
    let follower = rig.sync("i2-2", 1, &[]);
    let leader = rig.sync("i1-1", 1, &[("i1-1", b"one"), ("i2-2", b"two")]);
    assert_eq!(
        (rig.assignment(leader), rig.assignment(follower)),
        ("one".into(), "two".into())
    );
    rig.records.clear();
    // The follower restarts: same generation, new id, stored.
    let again = rig.join(fixed("i2", ""));
    let joined = rig.joined(again);
    assert_eq!(
        (
            joined.member_id.as_str(),
            joined.generation,
            joined.skip_assignment
        ),
        ("i2-5", 1, false)
    );
    assert_eq!(rig.group.state(), State::Stable);
    assert_eq!(member_ids(&rig.records[0]), ["i1-1", "i2-5"]);
    let sync = rig.sync("i2-5", 1, &[]);
    assert_eq!(rig.assignment(sync), "two");
    assert_eq!(
        rig.group.heartbeat("i2-2", Some("i2"), 1, rig.now),
        Err(GroupError::FencedInstanceId)
    );
    assert_eq!(
        rig.group.heartbeat("i2-5", Some("i3"), 1, rig.now),
        Err(GroupError::UnknownMemberId)
    );
    // The leader restarts: it is told not to assign again, and old clients that they do not lead.
    let again = rig.join(fixed("i1", ""));
    let joined = rig.joined(again);
    assert_eq!(
        (
            joined.leader.as_str(),
            joined.skip_assignment,
            joined.members.len()
        ),
        ("i1-7", true, 2)
    );
    let old_client = JoinRequest {
        supports_skip_assignment: false,
        ..fixed("i1", "")
    };
    let again = rig.join(old_client);
    let joined = rig.joined(again);
    assert_eq!(
        (joined.member_id.as_str(), joined.leader.as_str()),
        ("i1-8", "i1-7")
    );
    assert_eq!(joined.members, []);
}

#[test]
fn a_static_member_that_cannot_be_stored_stays_who_it_was() {
    let mut rig = rig();
    let first = rig.join(fixed("i1", ""));
    rig.advance(u64::from(DELAY_MS));
    rig.joined(first);
    rig.sync("i1-1", 1, &[("i1-1", b"one")]);
    rig.append = Err(GroupError::NotCoordinator);
    let again = rig.join(fixed("i1", ""));
    assert_eq!(rig.refused(again), GroupError::NotCoordinator);
    assert_eq!(rig.heartbeat("i1-1", 1), Ok(()));
    assert!(rig.group.is_leader("i1-1"));
}

#[test]
fn a_static_member_that_returns_during_the_assignment_restarts_the_rebalance() {
    let mut rig = rig();
    let (first, second) = (rig.join(fixed("i1", "")), rig.join(fixed("i2", "")));
    rig.advance(2 * u64::from(DELAY_MS));
    rig.joined(first);
    rig.joined(second);
    let parked = rig.sync("i2-2", 1, &[]);
    let again = rig.join(fixed("i2", ""));
    assert_eq!(rig.synced(parked), Some(Err(GroupError::FencedInstanceId)));
    assert_eq!(rig.group.state(), State::PreparingRebalance);
    let leader = rig.join(fixed("i1", "i1-1"));
    assert_eq!(
        (rig.joined(leader).generation, rig.joined(again).generation),
        (2, 2)
    );
    // Static members are not dropped for missing a rebalance, and an administrator can remove them by instance id.
    assert_eq!(rig.leave("", Some("i2")), Ok(()));
    assert_eq!(rig.leave("", Some("i2")), Err(GroupError::UnknownMemberId));
    assert_eq!(rig.group.member_count(), 1);
}

#[test]
fn a_static_member_that_does_not_rejoin_stays_until_its_session_ends() {
    let mut rig = rig();
    let with_long_session = |instance, member| JoinRequest {
        session_timeout_ms: 1_800_000,
        ..fixed(instance, member)
    };
    let (first, second) = (
        rig.join(with_long_session("i1", "")),
        rig.join(with_long_session("i2", "")),
    );
    rig.advance(2 * u64::from(DELAY_MS));
    rig.joined(first);
    rig.joined(second);
    rig.sync("i2-2", 1, &[]);
    rig.sync("i1-1", 1, &[("i1-1", b"one"), ("i2-2", b"two")]);
    let leader = rig.join(with_long_session("i1", "i1-1"));
    rig.advance(REBALANCE_MS as u64);
    let joined = rig.joined(leader);
    assert_eq!((joined.generation, joined.members.len()), (2, 2));
}

#[test]
fn the_group_has_a_limit() {
    let mut rig = rig();
    rig.settings.max_size = 2;
    rig.join(request(""));
    rig.join(request(""));
    let third = rig.join(request(""));
    assert_eq!(rig.refused(third), GroupError::GroupMaxSizeReached);
    rig.advance(2 * u64::from(DELAY_MS));
    let fourth = rig.join(request(""));
    assert_eq!(rig.refused(fourth), GroupError::GroupMaxSizeReached);
    // Members may come again.
    let first = rig.join(request("c-1"));
    assert_eq!(rig.joined(first).generation, 1);
}

#[test]
fn a_second_request_of_a_member_supersedes_its_parked_one() {
    let mut rig = rig();
    rig.stable_pair();
    let changed = || JoinRequest {
        protocols: vec![protocol("range", b"new")],
        ..request("c-2")
    };
    let (lost, again) = (rig.join(changed()), rig.join(changed()));
    assert_eq!(rig.refused(lost), GroupError::RebalanceInProgress);
    rig.join(request("c-1"));
    assert_eq!(rig.joined(again).generation, 2);
    let (lost, again) = (rig.sync("c-2", 2, &[]), rig.sync("c-2", 2, &[]));
    assert_eq!(rig.synced(lost), Some(Err(GroupError::RebalanceInProgress)));
    assert_eq!(rig.synced(again), None);
}

#[test]
fn a_rebalance_while_syncs_are_parked_sends_them_back() {
    let mut rig = rig();
    let (first, second) = (rig.join(request("")), rig.join(request("")));
    rig.advance(2 * u64::from(DELAY_MS));
    rig.joined(first);
    rig.joined(second);
    let parked = rig.sync("c-2", 1, &[]);
    rig.join(request(""));
    assert_eq!(rig.synced(parked), Some(Err(GroupError::RebalanceInProgress)));
}

#[test]
fn commits_follow_the_state() {
    let mut rig = rig();
    let commit = |rig: &mut Rig, member: &str, generation| {
        rig.group.validate_commit(member, None, generation, rig.now)
    };
    // Empty: who assigns itself may commit, members may not.
    assert_eq!(commit(&mut rig, "", -1), Ok(()));
    assert_eq!(commit(&mut rig, "c-1", 0), Err(GroupError::UnknownMemberId));
    rig.stable_pair();
    assert_eq!(commit(&mut rig, "", -1), Err(GroupError::UnknownMemberId));
    assert_eq!(commit(&mut rig, "c-1", 0), Err(GroupError::IllegalGeneration));
    // A commit keeps the session alive.
    rig.advance(9_000);
    assert_eq!(commit(&mut rig, "c-1", 1), Ok(()));
    assert_eq!(commit(&mut rig, "c-2", 1), Ok(()));
    rig.advance(9_000);
    assert_eq!(rig.group.state(), State::Stable);
    // The old generation may commit while the next one gathers, not while it gets its assignment.
    rig.join(request("c-1"));
    assert_eq!(commit(&mut rig, "c-2", 1), Ok(()));
    rig.join(request("c-2"));
    assert_eq!(rig.group.state(), State::CompletingRebalance);
    assert_eq!(commit(&mut rig, "c-2", 2), Err(GroupError::RebalanceInProgress));
}

#[test]
fn a_stored_group_comes_back_stable_and_expects_heartbeats() {
    let mut rig = rig();
    let subscription = Subscription {
        topics: vec!["t".into()],
        ..Subscription::default()
    }
    .encode();
    let subscribed = |member| JoinRequest {
        protocols: vec![Protocol {
            name: "range".into(),
            metadata: subscription.clone(),
        }],
        ..request(member)
    };
    let first = rig.join(subscribed(""));
    rig.advance(u64::from(DELAY_MS));
    rig.joined(first);
    rig.sync("c-1", 1, &[("c-1", b"one")]);
    let Some(GroupRecord::Group {
        value: Some(value), ..
    }) = rig.records.pop()
    else {
        panic!()
    };
    rig.group = ClassicGroup::restored("g", value, rig.now);
    assert_eq!((rig.group.state(), rig.group.generation()), (State::Stable, 1));
    assert!(rig.group.is_subscribed_to("t") && !rig.group.is_subscribed_to("u"));
    let sync = rig.sync("c-1", 1, &[]);
    assert_eq!(rig.assignment(sync), "one");
    let follower = rig.join(subscribed(""));
    let leader = rig.join(subscribed("c-1"));
    assert_eq!(
        (rig.joined(leader).generation, rig.joined(follower).generation),
        (2, 2)
    );
    let mut rig = self::rig();
    rig.stable_pair();
    rig.join(request("c-1"));
    rig.join(request("c-2"));
    rig.sync("c-1", 2, &[]);
    let Some(GroupRecord::Group {
        value: Some(value), ..
    }) = rig.records.pop()
    else {
        panic!()
    };
    rig.group = ClassicGroup::restored("g", value, rig.now);
    rig.advance(SESSION_MS as u64);
    assert_eq!(rig.group.state(), State::Empty);
}

mod random_walk {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Join {
            who: usize,
            known_id: bool,
            fixed: bool,
            metadata: u8,
        },
        Sync {
            who: usize,
        },
        Heartbeat {
            who: usize,
        },
        Leave {
            who: usize,
        },
        Commit {
            who: usize,
        },
        Wait {
            ms: u64,
        },
        Append {
            works: bool,
        },
    }

    fn op() -> impl Strategy<Value = Op> {
        let who = 0..4usize;
        prop_oneof![
            4 => (who.clone(), any::<bool>(), any::<bool>(), 0..2u8)
                .prop_map(|(who, known_id, fixed, metadata)| Op::Join { who, known_id, fixed, metadata }),
            3 => who.clone().prop_map(|who| Op::Sync { who }),
            2 => who.clone().prop_map(|who| Op::Heartbeat { who }),
            1 => who.clone().prop_map(|who| Op::Leave { who }),
            1 => who.prop_map(|who| Op::Commit { who }),
            3 => prop_oneof![0..4_000u64, 0..70_000u64].prop_map(|ms| Op::Wait { ms }),
            1 => any::<bool>().prop_map(|works| Op::Append { works }),
        ]
    }

    /// Four clients as they would behave, except that they forget answers and come at any time.
    struct Walk {
        rig: Rig,
        ids: [String; 4],
        generations: [i32; 4],
        open: BTreeSet<u64>,
        of: std::collections::BTreeMap<u64, usize>,
    }

    impl Walk {
        fn run(&mut self, op: &Op) {
            match *op {
                Op::Join {
                    who,
                    known_id,
                    fixed,
                    metadata,
                } => {
                    let member_id = if fixed { "" } else { self.ids[who].as_str() };
                    let request = JoinRequest {
                        group_instance_id: (who == 0).then(|| "i0".to_owned()),
                        protocols: vec![protocol("range", &[metadata]), protocol("sticky", b"")],
                        require_known_member_id: known_id,
                        ..request(member_id)
                    };
                    let ticket = self.rig.join(request);
                    self.open.insert(ticket.0);
                    self.of.insert(ticket.0, who);
                }
                Op::Sync { who } => {
                    let id = self.ids[who].clone();
                    let assignments: Vec<(&str, &[u8])> = vec![(id.as_str(), b"x")];
                    let ticket = self.rig.sync(&id, self.generations[who], &assignments);
                    self.open.insert(ticket.0);
                }
                Op::Heartbeat { who } => {
                    let _any = self.rig.heartbeat(&self.ids[who].clone(), self.generations[who]);
                }
                Op::Leave { who } => {
                    let _any = self.rig.leave(&self.ids[who].clone(), None);
                }
                Op::Commit { who } => {
                    let (id, generation) = (self.ids[who].clone(), self.generations[who]);
                    let _any = self
                        .rig
                        .group
                        .validate_commit(&id, None, generation, self.rig.now);
                }
                Op::Wait { ms } => self.rig.advance(ms),
                Op::Append { works } => {
                    self.rig.append = if works {
                        Ok(())
                    } else {
                        Err(GroupError::NotCoordinator)
                    };
                }
            }
            self.take_answers();
        }

        fn take_answers(&mut self) {
            for reply in std::mem::take(&mut self.rig.replies) {
                let (Reply::Join(ticket, _) | Reply::Sync(ticket, _)) = &reply;
                assert!(
                    self.open.remove(&ticket.0),
                    "answered twice, or never asked: {reply:?}"
                );
                let Reply::Join(ticket, answer) = reply else {
                    continue;
                };
                let who = self.of[&ticket.0];
                match answer {
                    Ok(joined) => {
                        assert!(joined.generation <= self.rig.group.generation());
                        self.ids[who] = joined.member_id;
                        self.generations[who] = joined.generation;
                    }
                    Err(refused) => self.ids[who] = refused.member_id,
                }
            }
        }

        fn check(&self, generation_before: i32) {
            let group = &self.rig.group;
            assert!(group.generation() >= generation_before);
            let parked: BTreeSet<u64> = group
                .members
                .values()
                .flat_map(|member| [member.awaiting_join, member.awaiting_sync])
                .flatten()
                .map(|ticket| ticket.0)
                .collect();
            assert_eq!(
                parked, self.open,
                "what is not answered is parked with a member, and nothing else is"
            );
            assert_eq!(group.leader.is_some(), !group.members.is_empty());
            assert!(
                group
                    .leader
                    .as_ref()
                    .is_none_or(|leader| group.members.contains_key(leader))
            );
            for (instance, member_id) in &group.static_members {
                assert_eq!(
                    group.members[member_id].group_instance_id.as_ref(),
                    Some(instance)
                );
            }
            match group.state() {
                State::Empty => assert!(group.members.is_empty() && group.join_timer.is_none()),
                // Somebody or something ends the phase.
                State::PreparingRebalance => {
                    assert!(group.join_timer.is_some() || !group.pending_joins.is_empty())
                }
                State::CompletingRebalance => {
                    assert!(group.sync_deadline.is_some() && !group.members.is_empty())
                }
                State::Stable => assert!(
                    !group.members.is_empty()
                        && group
                            .members
                            .values()
                            .all(|member| member.heartbeat_deadline.is_some())
                ),
                State::Dead => panic!("nobody removed the group"),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn whatever_clients_do_every_request_is_answered_once_and_the_group_empties(
            ops in proptest::collection::vec(op(), 1..120)
        ) {
            let mut walk = Walk {
                rig: rig(),
                ids: Default::default(),
                generations: [0; 4],
                open: BTreeSet::new(),
                of: std::collections::BTreeMap::new(),
            };
            for op in &ops {
                let generation = walk.rig.group.generation();
                walk.run(op);
                walk.check(generation);
            }
            // Everyone goes silent: the group empties by itself, and nobody is left waiting.
            walk.rig.append = Ok(());
            for _ in 0..20 {
                walk.rig.advance(100_000);
                walk.take_answers();
            }
            prop_assert_eq!(walk.rig.group.state(), State::Empty);
            prop_assert!(walk.open.is_empty());
            prop_assert_eq!(walk.rig.group.next_deadline(), None);
        }
    }
}

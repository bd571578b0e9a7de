//! Which sessions make room for which, by Kafka's rules; time is passed as a number.

use jackfield_env::Env;
use jackfield_log::TopicId;

use super::{super::request::TopicKey, *};

const SEEN: Seen = Seen {
    high_watermark: 0,
    log_start_offset: 0,
    has_records: false,
    is_refused: false,
};

fn partitions(count: i32) -> Vec<(Place, Wanted)> {
    let wanted = Wanted {
        leader_epoch: -1,
        offset: 0,
        last_fetched_epoch: -1,
        max_bytes: 1,
    };
    let topic = TopicKey::Id(TopicId([1; 16]));
    let place = |partition| Place {
        topic: topic.clone(),
        partition,
    };
    (0..count).map(|partition| (place(partition), wanted)).collect()
}

fn create(sessions: &FetchSessions, count: i32, now_ms: i64) -> i32 {
    let answered: Vec<_> = partitions(count)
        .into_iter()
        .map(|(place, wanted)| (place, wanted, Found::default(), SEEN))
        .collect();
    sessions.create(&*Env::real().random, answered.into_iter(), true, now_ms)
}

/// A request that changes `count` partitions of a session.
fn request(id: i32, epoch: i32, count: i32) -> Request {
    Request {
        max_wait: std::time::Duration::ZERO,
        min_bytes: 0,
        max_bytes: 0,
        session_id: id,
        session_epoch: epoch,
        partitions: partitions(count),
        forgotten: Vec::new(),
    }
}

/// The next request of a session; whether it still is there.
fn goes_on(sessions: &FetchSessions, id: i32, epoch: i32, now_ms: i64) -> bool {
    sessions.proceed(&request(id, epoch, 0), true, now_ms).is_ok()
}

#[test]
fn without_slots_there_are_no_sessions() {
    assert_eq!(create(&FetchSessions::new(0), 1, 0), NO_SESSION);
}

#[test]
fn a_full_cache_keeps_young_sessions() {
    let sessions = FetchSessions::new(1);
    let first = create(&sessions, 1, 0);
    assert!(first > 0);
    assert_eq!(create(&sessions, 9, EVICTION_MS), NO_SESSION);
    assert!(goes_on(&sessions, first, 1, EVICTION_MS));
}

#[test]
fn a_session_nobody_uses_makes_room() {
    let sessions = FetchSessions::new(2);
    let (idle, used) = (create(&sessions, 5, 0), create(&sessions, 1, 0));
    assert!(goes_on(&sessions, used, 1, 1000));
    let new = create(&sessions, 1, EVICTION_MS + 1);
    assert!(new > 0 && new != idle);
    assert!(!goes_on(&sessions, idle, 1, EVICTION_MS + 1));
    assert!(goes_on(&sessions, used, 2, EVICTION_MS + 1));
}

#[test]
fn an_old_session_makes_room_for_a_larger_one_only() {
    let sessions = FetchSessions::new(2);
    let (small, large) = (create(&sessions, 2, 0), create(&sessions, 4, 0));
    let now_ms = EVICTION_MS + 1;
    for id in [small, large] {
        assert!(goes_on(&sessions, id, 1, EVICTION_MS / 2));
        assert!(goes_on(&sessions, id, 2, now_ms));
    }
    assert_eq!(create(&sessions, 2, now_ms), NO_SESSION);
    assert!(create(&sessions, 3, now_ms) > 0);
    assert!(!goes_on(&sessions, small, 3, now_ms));
    assert!(goes_on(&sessions, large, 3, now_ms));
}

#[test]
fn partitions_of_all_sessions_are_limited() {
    let sessions = FetchSessions::with_limits(10, 5);
    let first = create(&sessions, 3, 0);
    assert_eq!(create(&sessions, 3, 0), NO_SESSION);
    let second = create(&sessions, 2, 0);
    assert!(second > 0);
    // It grows beyond what there is room for, and ends.
    let grown = sessions.proceed(&request(second, 1, 3), true, 0);
    assert_eq!(grown.unwrap_err(), ResponseError::FetchSessionIdNotFound);
    assert_eq!(sessions.lock().partitions, 3);
    assert!(create(&sessions, 2, 0) > 0);
    sessions.lock().remove(first);
    assert_eq!(sessions.lock().partitions, 2);
}

//! Who waits for a log: each once, woken once, and forgotten when gone.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use tokio::sync::Notify;

use super::rig::{Rig, batch, wait, wait_until};
use crate::AppendOrigin;

#[test]
fn a_waiter_is_kept_once_and_woken_once() {
    let rig = Rig::new();
    let log = rig.log();
    let busy = Arc::new(Notify::new());
    let other = Arc::new(Notify::new());
    for _ in 0..1_000 {
        log.notify_on_advance(&busy);
        log.notify_on_advance(&other);
    }
    assert_eq!(log.waiters(), 2);
    rig.append(batch(&["a"]));
    // The wake-up waits for whoever was not waiting at that moment.
    wait(busy.notified());
    wait(other.notified());
    let woken = {
        let mut again = pin!(busy.notified());
        again.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    assert!(woken.is_pending(), "it has to register again");
    log.notify_on_advance(&busy);
    assert_eq!(log.waiters(), 1);
}

#[test]
fn waiters_that_gave_up_are_forgotten() {
    let rig = Rig::new();
    let log = rig.log();
    for _ in 0..1_000 {
        log.notify_on_advance(&Arc::new(Notify::new()));
        assert_eq!(log.waiters(), 1);
    }
    rig.faults.hold_sync(true);
    let appended = log.append(batch(&["a"]), AppendOrigin::Client).unwrap();
    for _ in 0..1_000 {
        // A client that asks, and goes away before the answer.
        let mut committed = pin!(log.committed(appended.last_offset));
        let polled = committed.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    }
    assert!(log.waiters() <= 64, "{} waiters", log.waiters());
    rig.faults.hold_sync(false);
    wait(log.committed(appended.last_offset)).unwrap();
}

/// Whoever waits hears of a disk that broke, of a topic that was deleted and of a shutdown; nobody waits for ever.
#[test]
fn waiters_hear_of_every_end() {
    type End = fn(&Rig);
    let ends: [(&str, End, &str); 3] = [
        ("broken", |rig| rig.faults.fail_sync_below(&rig.path()), "sync of"),
        (
            "deleted",
            |rig| {
                rig.manager()
                    .delete(super::rig::TOPIC, crate::TopicId([7; 16]))
                    .unwrap()
            },
            "was deleted",
        ),
        ("closed", |rig| rig.manager().close(), "shutting down"),
    ];
    for (what, end, expected) in ends {
        let rig = Rig::new();
        let log = rig.log();
        let fetch = Arc::new(Notify::new());
        log.notify_on_advance(&fetch);
        // Nothing was appended at this offset, so only the end can end the wait.
        let waiting = {
            let log = Arc::clone(&log);
            std::thread::spawn(move || wait(log.committed(5)).unwrap_err().to_string())
        };
        wait_until("both wait", || log.waiters() == 2);
        end(&rig);
        if what == "broken" {
            log.append(batch(&["lost"]), AppendOrigin::Client).unwrap();
        }
        let error = waiting.join().unwrap();
        assert!(error.contains(expected), "{what}: {error}");
        wait(fetch.notified());
        assert_eq!(log.high_watermark(), 0, "{what}");
    }
}

//! Group commit: when an append is acknowledged, what rounds share, and what a failed sync means.

use std::{path::Path, sync::Arc};

use super::rig::{Rig, TOPIC, batch, config, wait, wait_until};
use crate::{AppendError, AppendOrigin, Durability, ReadError};

#[test]
fn nothing_is_acknowledged_or_read_before_it_is_synced() {
    let rig = Rig::new();
    let log = rig.log();
    rig.append(batch(&["a"]));
    rig.faults.hold_sync(true);
    let appended = log.append(batch(&["b"]), AppendOrigin::Client).unwrap();
    assert_eq!((log.log_end_offset(), log.high_watermark()), (2, 1));
    assert!(log.read(1, 1 << 20, true).unwrap().slice.is_none());
    assert_eq!(rig.consume(0).len(), 1);
    let waiter = Arc::new(tokio::sync::Notify::new());
    log.notify_on_advance(&waiter);
    rig.faults.hold_sync(false);
    wait(log.committed(appended.last_offset)).unwrap();
    wait(waiter.notified());
    assert_eq!(log.high_watermark(), 2);
    assert_eq!(rig.consume(0).len(), 2);
}

/// While a round runs, the next one collects: forty appends to eight partitions need two.
#[test]
fn rounds_are_shared() {
    let rig = Rig::new();
    let logs: Vec<_> = (0..8).map(|n| rig.partition(n)).collect();
    let before = (rig.faults.rounds(), rig.faults.synced_files());
    rig.faults.hold_sync(true);
    logs[0].append(batch(&["first"]), AppendOrigin::Client).unwrap();
    wait_until("the first round", || rig.faults.rounds() == before.0 + 1);
    for _ in 0..5 {
        for log in &logs {
            log.append(batch(&["x"]), AppendOrigin::Client).unwrap();
        }
    }
    assert_eq!(logs[0].high_watermark(), 0);
    rig.faults.hold_sync(false);
    for log in &logs {
        wait(log.committed(log.log_end_offset() - 1)).unwrap();
    }
    assert_eq!(rig.faults.rounds() - before.0, 2);
    assert_eq!(rig.faults.synced_files() - before.1, 1 + 8);
}

#[test]
fn a_failed_sync_takes_its_directory_offline() {
    let mut rig = Rig::new();
    rig.append(batch(&["kept"]));
    let logs = [rig.partition(0), rig.partition(1)];
    assert_ne!(
        logs[0].log_dir, logs[1].log_dir,
        "partitions are spread over the directories"
    );
    rig.faults.fail_sync_below(&rig.path());
    let lost = logs[0].append(batch(&["lost"]), AppendOrigin::Client).unwrap();
    let refused = wait(logs[0].committed(lost.last_offset)).unwrap_err();
    assert!(
        matches!(&refused, AppendError::Storage(why) if why.contains("sync of")),
        "{refused}"
    );
    assert_eq!(logs[0].high_watermark(), 1);
    rig.faults.fail_sync_below(Path::new("/nowhere"));
    // It stays offline: a later success would say nothing about what was lost.
    assert!(matches!(
        logs[0].append(batch(&["x"]), AppendOrigin::Client),
        Err(AppendError::Storage(_))
    ));
    assert!(matches!(logs[0].read(0, 100, true), Err(ReadError::Storage(_))));
    let other = logs[1].append(batch(&["fine"]), AppendOrigin::Client).unwrap();
    wait(logs[1].committed(other.last_offset)).unwrap();
    drop(logs);
    assert!(rig.manager().get(TOPIC, 0).is_some());
    rig.restart();
    assert_eq!(rig.consume(0)[0].1, "kept");
}

#[test]
fn the_page_cache_is_enough_where_it_is_asked_for() {
    let mut config = config();
    config.segment_bytes = 300;
    let mut rig = Rig::with(config);
    rig.close();
    rig.durability = Durability::Os;
    rig.open();
    let log = rig.log();
    let before = rig.faults.rounds();
    rig.faults.hold_sync(true);
    for n in 0..3 {
        let appended = log.append(batch(&["some value"]), AppendOrigin::Client).unwrap();
        assert_eq!(appended.base_offset, n);
        wait(log.committed(n)).unwrap();
    }
    assert_eq!(rig.faults.rounds(), before, "no round while the segment is open");
    for _ in 0..3 {
        log.append(batch(&["some value"]), AppendOrigin::Client).unwrap();
    }
    wait_until("closed segments are synced", || rig.faults.rounds() == before + 1);
    assert_eq!(log.high_watermark(), 6, "nobody waits for it");
    rig.faults.hold_sync(false);
    drop(log);
    rig.crash();
    assert_eq!(rig.consume(0).len(), 6);
}

#[test]
fn a_closed_log_takes_nothing() {
    let rig = Rig::new();
    let log = rig.log();
    let appended = log.append(batch(&["a"]), AppendOrigin::Client).unwrap();
    rig.manager().close();
    assert_eq!(log.high_watermark(), 1, "what was appended is acknowledged");
    wait(log.committed(appended.last_offset)).unwrap();
    let refused = log
        .append(batch(&["b"]), AppendOrigin::Client)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("shutting down"), "{refused}");
    assert!(wait(log.committed(7)).is_err(), "nobody waits for ever");
}

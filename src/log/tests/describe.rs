//! What administrators ask.

use super::rig::{Rig, batch};

#[test]
fn the_end_of_an_epoch_is_where_the_next_one_begins() {
    let rig = Rig::new();
    rig.append(batch(&["a", "b", "c"]));
    let log = rig.log();
    log.lock().epochs = vec![(2, 0), (5, 1), (6, 2)];
    for (asked, expected) in [
        // Older than all: nothing of it is here.
        (1, Some((1, 0))),
        (2, Some((2, 1))),
        // Not one of the log's: the one before it.
        (4, Some((2, 1))),
        (5, Some((5, 2))),
        (6, Some((6, 3))),
        (7, None),
    ] {
        assert_eq!(log.end_offset_of_epoch(asked), expected, "epoch {asked}");
    }
    for (offset, epoch) in [(0, 2), (1, 5), (2, 6), (9, 6), (-1, -1)] {
        assert_eq!(log.leader_epoch_at(offset), epoch, "offset {offset}");
    }
}

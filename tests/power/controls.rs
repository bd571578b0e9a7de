//! What must be seen to lose, or the harness is wrong.

use super::{broker, disk, moments};
use crate::harness::{planted, program::binary, scratch::Scratch};

/// A broker that promises the page cache loses at every cut; a few more make sure.
const CUTS_OF_PAGE_CACHE: usize = 5;
const CUTS_OF_PLANTED: usize = 20;

#[test]
fn a_promise_of_the_page_cache_is_lost() {
    if disk::is_off() {
        return;
    }
    let outcomes: Vec<_> = (0..CUTS_OF_PAGE_CACHE)
        .map(|_| broker::run("power-os", &binary(), "os", 1, |outcome| outcome))
        .take_while(|outcome| !outcome.is_losing())
        .collect();
    println!("lost at cut {}", outcomes.len() + 1);
    assert!(
        outcomes.len() < CUTS_OF_PAGE_CACHE,
        "nothing was lost: {outcomes:?}"
    );
}

#[test]
fn acknowledging_before_the_sync_is_caught() {
    if disk::is_off() {
        return;
    }
    let scratch = Scratch::new("ack-before-sync");
    let program = planted::program(&scratch, "ack-before-sync");
    let caught = moments::run("power-planted", &program, CUTS_OF_PLANTED);
    let (cut, problems) = caught.expect("a loss");
    println!("caught at cut {cut}: {}", problems.join("; "));
}

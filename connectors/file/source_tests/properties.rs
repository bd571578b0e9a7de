//! Any text in any pieces gives the same lines.

use proptest::prelude::*;

use super::fixture::{Fixture, Seen};

/// What Kafka's rules make of a text, computed the simple way: lines and the positions behind them.
fn lines_of(text: &str) -> (Vec<Seen>, usize) {
    let bytes = text.as_bytes();
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            (b'\n', _) => at + 1,
            (b'\r', Some(b'\n')) => at + 2,
            (b'\r', Some(_)) => at + 1,
            (b'\r', None) => break,
            _ => {
                at += 1;
                continue;
            }
        };
        lines.push((text[start..at].to_owned(), end as u64));
        (start, at) = (end, end);
    }
    (lines, start)
}

fn any_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("\n"),
        Just("\r\n"),
        Just("\r"),
        Just("é€😀"),
        Just("abc"),
        Just("")
    ];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn chunks_anywhere_make_the_same_lines(
        text in any_text(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        batch_size in 1..5_u32,
    ) {
        let (expected, _) = lines_of(&text);
        let mut fixture =
            Fixture::new().with("line.idle.timeout.ms", "0").with("batch.size", &batch_size.to_string()).start();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let (mut found, mut from) = (Vec::new(), 0);
        for cut in cuts {
            fixture.append(&text.as_bytes()[from..cut]);
            from = cut;
            found.extend(fixture.drain().0);
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn every_position_resumes_with_the_next_line(text in any_text()) {
        let (expected, _) = lines_of(&text);
        let mut fixture = Fixture::new().with("line.idle.timeout.ms", "0");
        fixture.append(&text);
        for (index, (_, position)) in expected.iter().enumerate() {
            fixture.restart_at(*position);
            prop_assert_eq!(&fixture.drain().0, &expected[index + 1..]);
        }
    }

    /// With idle times at arbitrary moments and a restart at each of them: all text arrives, nothing twice.
    #[test]
    fn idle_times_lose_and_repeat_nothing(
        text in any_text(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        restart in any::<bool>(),
    ) {
        let mut fixture = Fixture::new().start();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        let (mut found, mut from): (Vec<Seen>, _) = (Vec::new(), 0);
        for cut in cuts {
            fixture.append(&text.as_bytes()[from..cut]);
            from = cut;
            found.extend(fixture.drain().0);
            fixture.wait(5_000);
            found.extend(fixture.drain().0);
            if restart && let Some((_, position)) = found.last() {
                let position = *position;
                fixture.restart_at(position);
            }
        }
        let delivered: String = found.iter().map(|(text, _)| text.as_str()).collect();
        let terminators: &[char] = &['\r', '\n'];
        prop_assert_eq!(delivered, text.replace(terminators, ""));
        prop_assert!(found.windows(2).all(|pair| pair[0].1 < pair[1].1), "positions rise: {found:?}");
        prop_assert!(found.len() <= lines_of(&text).0.len() + 7, "at most one more per cut and the last");
    }
}

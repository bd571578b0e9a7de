//! What differs between two brokers in whatever a tool prints: ids, times, directories, the order of hash tables.

/// Kafka has it as the cluster's default since eligible leader replicas: on one node every replica is in sync.
const KAFKA_ALONE: &str = "min.insync.replicas=1";

/// Digits of a time in milliseconds.
const TIME_DIGITS: usize = 13;

/// A tool's lines, sorted, with what differs masked.
pub(super) fn masked(text: &str) -> String {
    let mut lines: Vec<_> = text
        .replace(&format!("{KAFKA_ALONE},"), "")
        .replace(KAFKA_ALONE, "")
        .lines()
        .map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" "))
        // Stack traces, and where they begin.
        .filter(|line| !line.is_empty() && !line.starts_with("at ") && !line.starts_with("... "))
        .collect();
    // Rows come in the order of hash tables.
    lines.sort_unstable();
    lines.join("\n")
}

fn is_id(word: &str) -> bool {
    let is_of_id = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    word.len() == 22 && word.chars().all(is_of_id)
}

fn word(word: &str) -> String {
    // "[2026-01-31" and "18:06:48,136]" in front of a line of the tool's log.
    let is_time = word.starts_with("[20") || word.ends_with(']') && word.contains(',') && word.contains(':');
    if is_id(word) || is_time {
        "MASKED".to_owned()
    } else {
        times(&member_ids(word))
    }
}

/// Masks the random part of member ids: a UUID in lower case.
fn member_ids(word: &str) -> String {
    const UUID: usize = 36;
    let is_uuid = |text: &[u8]| {
        text.iter().enumerate().all(|(at, letter)| match at {
            8 | 13 | 18 | 23 => *letter == b'-',
            _ => letter.is_ascii_hexdigit() && !letter.is_ascii_uppercase(),
        })
    };
    let mut word = word.to_owned();
    while let Some(at) = word.as_bytes().windows(UUID).position(is_uuid) {
        word.replace_range(at..at + UUID, "MEMBER");
    }
    word
}

/// Masks times in milliseconds, but not those of the script's own records.
fn times(word: &str) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    let flush = |digits: &mut String, out: &mut String| {
        let is_time = digits.len() == TIME_DIGITS && !digits.starts_with("17000000");
        out.push_str(if is_time { "TIME" } else { digits });
        digits.clear();
    };
    for letter in word.chars() {
        if letter.is_ascii_digit() {
            digits.push(letter);
        } else {
            flush(&mut digits, &mut out);
            out.push(letter);
        }
    }
    flush(&mut digits, &mut out);
    out
}

/// Masks every number: figures of speed, sizes that depend on how records were batched. Ids stay.
pub(super) fn figures(text: &str) -> String {
    let words = |line: &str| line.split_whitespace().map(figure).collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect::<Vec<_>>().join("\n")
}

fn figure(word: &str) -> String {
    if is_id(word) {
        return word.to_owned();
    }
    let mut out = String::new();
    let mut in_number = false;
    for letter in word.chars() {
        let goes_on = letter.is_ascii_digit() || in_number && ".-:E,".contains(letter);
        if !goes_on {
            out.push(letter);
        } else if !in_number {
            out.push('#');
        }
        in_number = goes_on;
    }
    out
}

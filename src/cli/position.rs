//! Positions in a partition as people write them: `latest`, `1234`, `-100`, `-1h`, a time.

use std::{fmt, str::FromStr};

use crate::times;

/// Where in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// The oldest record.
    Earliest,
    /// Behind the newest record.
    Latest,
    /// An offset.
    Offset(i64),
    /// This many records before the end.
    BeforeEnd(i64),
    /// This many records behind the start.
    BehindStart(i64),
    /// The first record at or after a time in milliseconds since 1970.
    Time(i64),
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text, times::now_ms())
    }
}

fn parse(text: &str, now_ms: i64) -> Result<Position, String> {
    let count = |digits: &str| {
        digits
            .parse::<i64>()
            .ok()
            .filter(|_| !digits.starts_with(['-', '+']))
    };
    match text {
        "earliest" | "beginning" | "start" => return Ok(Position::Earliest),
        "latest" | "end" => return Ok(Position::Latest),
        _ => {}
    }
    if let Some(offset) = count(text) {
        return Ok(Position::Offset(offset));
    }
    if let Some(behind) = text.strip_prefix('+').and_then(count) {
        return Ok(Position::BehindStart(behind));
    }
    let time = text.strip_prefix('@').unwrap_or(text);
    if let Some(ago) = time.strip_prefix('-') {
        if let Some(before) = count(ago).filter(|_| time == text) {
            return Ok(Position::BeforeEnd(before));
        }
        if let Ok(ago) = times::duration(ago) {
            let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
            return Ok(Position::Time(now_ms.saturating_sub(ago)));
        }
    }
    times::timestamp(time).map(Position::Time).map_err(|_| {
        format!(
            "'{text}' is no position; write earliest, latest, an offset, -100 (before the end), +100 (behind the \
             start), -1h (an hour ago), a time such as 2026-01-31T12:00:00Z, or @ and milliseconds since 1970"
        )
    })
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => formatter.write_str("earliest"),
            Self::Latest => formatter.write_str("latest"),
            Self::Offset(offset) => write!(formatter, "offset {offset}"),
            Self::BeforeEnd(count) => write!(formatter, "{count} before the end"),
            Self::BehindStart(count) => write!(formatter, "{count} behind the start"),
            Self::Time(time) => formatter.write_str(&times::show(*time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions() {
        for (text, position) in [
            ("earliest", Position::Earliest),
            ("end", Position::Latest),
            ("0", Position::Offset(0)),
            ("1234", Position::Offset(1234)),
            ("-100", Position::BeforeEnd(100)),
            ("+100", Position::BehindStart(100)),
            ("-1h", Position::Time(6_400_000)),
            ("@-1h", Position::Time(6_400_000)),
            ("2026-01-31T12:00:00Z", Position::Time(1_769_860_800_000)),
            ("@1769860800000", Position::Time(1_769_860_800_000)),
        ] {
            assert_eq!(parse(text, 10_000_000), Ok(position), "{text}");
        }
        for text in ["", "--1", "+-1", "-", "now", "-1x"] {
            let error = parse(text, 0).unwrap_err();
            assert!(
                error.starts_with(&format!("'{text}' is no position; write earliest")),
                "{error}"
            );
        }
    }
}

//! Times and durations as people write them.

use std::time::Duration;

use jackfield_env::{Clock as _, SystemClock};
use jiff::{Span, SpanRelativeTo, Timestamp, civil::DateTime, tz::TimeZone};

/// Milliseconds since 1970, now.
pub(crate) fn now_ms() -> i64 {
    SystemClock.now_ms()
}

/// `90s`, `1h30m`, `7d` or ISO 8601 (`PT1H`, `P7D`).
///
/// # Errors
/// Says which forms there are.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration; write 500ms, 90s, 1h30m, 7d or PT1H");
    let span: Span = text.trim().parse().map_err(|_| wrong())?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| format!("{}; months and years have no fixed length", wrong()))?;
    Duration::try_from(duration).map_err(|_| wrong())
}

/// A point in time in milliseconds since 1970: RFC 3339, a date with or without a time in local time, or such a number.
///
/// # Errors
/// Says which forms there are.
pub(crate) fn timestamp(text: &str) -> Result<i64, String> {
    in_zone(text, &TimeZone::system())
}

fn in_zone(text: &str, zone: &TimeZone) -> Result<i64, String> {
    let text = text.trim();
    if let Ok(milliseconds) = text.strip_prefix('@').unwrap_or(text).parse() {
        return Ok(milliseconds);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp.as_millisecond());
    }
    let local = text.parse::<DateTime>().ok();
    let zoned = local.and_then(|local| local.to_zoned(zone.clone()).ok());
    zoned
        .map(|zoned| zoned.timestamp().as_millisecond())
        .ok_or_else(|| {
            format!(
                "'{text}' is no time; write 2026-01-31T12:00:00Z, 2026-01-31T12:00+01:00, 2026-01-31 12:00 (local \
                 time), 2026-01-31, or milliseconds since 1970"
            )
        })
}

/// A time in milliseconds since 1970 for people, in UTC.
pub(crate) fn show(timestamp_ms: i64) -> String {
    Timestamp::from_millisecond(timestamp_ms)
        .map_or_else(|_| timestamp_ms.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("7d", 604_800_000),
            ("PT1H", 3_600_000),
            ("P1DT1S", 86_401_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "-1h", "1mo", "P1Y", "soon"] {
            let error = duration(text).unwrap_err();
            assert!(
                error.starts_with(&format!("'{text}' is no duration; write 500ms")),
                "{error}"
            );
        }
    }

    #[test]
    fn times() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        for (text, milliseconds) in [
            ("2026-01-31T12:00:00Z", 1_769_860_800_000),
            ("2026-01-31T12:00:00.250Z", 1_769_860_800_250),
            ("2026-01-31T13:00+01:00", 1_769_860_800_000),
            ("2026-01-31T13:00", 1_769_860_800_000),
            ("2026-01-31 13:00:00", 1_769_860_800_000),
            ("2026-01-31", 1_769_814_000_000),
            ("1769860800000", 1_769_860_800_000),
            ("@17", 17),
        ] {
            assert_eq!(in_zone(text, &zone), Ok(milliseconds), "{text}");
        }
        let error = in_zone("tomorrow", &zone).unwrap_err();
        assert!(
            error.starts_with("'tomorrow' is no time; write 2026-01-31T12:00:00Z"),
            "{error}"
        );
    }

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(show(1_769_860_800_250), "2026-01-31T12:00:00.25Z");
        assert_eq!(show(i64::MAX), i64::MAX.to_string());
    }
}

//! Java's text forms of numbers and dates, which Kafka's converters print.
//!
//! Doubles and floats are written as `Double.toString` and `Float.toString` of JDK 19 and later do (the shortest
//! text that reads back the same; older JDKs sometimes print a digit more).

use std::io::Write as _;

use num_bigint::BigInt;

/// `Double.toString`.
pub(super) fn double(value: f64, out: &mut Vec<u8>) {
    if not_finite(value, out) {
        return;
    }
    let mut text = Text::default();
    let shortest = text.format(format_args!("{value:e}"));
    if let Some(one_digit) = one_digit(shortest) {
        // With one digit enough, Java prints the nearest of two digits.
        let mut two = Text::default();
        let candidate = two.format(format_args!("{value:.1e}"));
        if candidate
            .parse::<f64>()
            .is_ok_and(|read| read.to_bits() == value.to_bits())
        {
            return scientific_to_java(candidate, out);
        }
        return scientific_to_java(one_digit, out);
    }
    scientific_to_java(shortest, out);
}

/// `Float.toString`.
pub(super) fn float(value: f32, out: &mut Vec<u8>) {
    if not_finite(f64::from(value), out) {
        return;
    }
    let mut text = Text::default();
    let shortest = text.format(format_args!("{value:e}"));
    if let Some(one_digit) = one_digit(shortest) {
        let mut two = Text::default();
        let candidate = two.format(format_args!("{value:.1e}"));
        if candidate
            .parse::<f32>()
            .is_ok_and(|read| read.to_bits() == value.to_bits())
        {
            return scientific_to_java(candidate, out);
        }
        return scientific_to_java(one_digit, out);
    }
    scientific_to_java(shortest, out);
}

/// `BigDecimal.toString` of an unscaled value (two's complement, big endian) and a scale.
pub(super) fn decimal(unscaled: &[u8], scale: i32, out: &mut Vec<u8>) {
    let text = BigInt::from_signed_bytes_be(unscaled).to_string();
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", text.as_str()), |rest| ("-", rest));
    out.extend_from_slice(sign.as_bytes());
    if scale == 0 {
        return out.extend_from_slice(digits.as_bytes());
    }
    let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let adjusted = length - 1 - i64::from(scale);
    if scale > 0 && adjusted >= -6 {
        let point = length - i64::from(scale);
        match usize::try_from(point) {
            Ok(point) if point > 0 => {
                out.extend_from_slice(&digits.as_bytes()[..point]);
                out.push(b'.');
                out.extend_from_slice(&digits.as_bytes()[point..]);
            }
            _ => {
                out.extend_from_slice(b"0.");
                out.extend(std::iter::repeat_n(b'0', usize::try_from(-point).unwrap_or(0)));
                out.extend_from_slice(digits.as_bytes());
            }
        }
        return;
    }
    out.push(digits.as_bytes()[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits.as_bytes()[1..]);
    }
    if adjusted != 0 {
        let sign = if adjusted > 0 { "+" } else { "" };
        // Writing to a Vec cannot fail.
        let _ = write!(out, "E{sign}{adjusted}");
    }
}

/// `java.util.Date.toString` in UTC, of milliseconds since the epoch.
pub(super) fn date(millis: i64, out: &mut Vec<u8>) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = millis.div_euclid(86_400_000);
    let second = millis.rem_euclid(86_400_000) / 1000;
    let (year, month, day) = civil(days);
    let weekday = DAYS[usize::try_from(days.rem_euclid(7)).unwrap_or(0)];
    let month = MONTHS[usize::try_from(month - 1).unwrap_or(0)];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}"
    );
}

/// Year, month and day of a day number since 1970-01-01 (proleptic Gregorian).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn not_finite(value: f64, out: &mut Vec<u8>) -> bool {
    let text = if value.is_nan() {
        "NaN"
    } else if value == f64::INFINITY {
        "Infinity"
    } else if value == f64::NEG_INFINITY {
        "-Infinity"
    } else {
        return false;
    };
    out.extend_from_slice(text.as_bytes());
    true
}

/// The text itself when its mantissa has a single digit that is not zero.
fn one_digit(scientific: &str) -> Option<&str> {
    let digits = scientific.strip_prefix('-').unwrap_or(scientific);
    (digits.as_bytes().get(1) == Some(&b'e') && !digits.starts_with('0')).then_some(scientific)
}

/// Turns `-d.ddde-5` into Java's form: plain between 1e-3 and 1e7, `d.dddE-5` otherwise.
fn scientific_to_java(text: &str, out: &mut Vec<u8>) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = mantissa.strip_prefix('-').map_or(mantissa, |rest| {
        out.push(b'-');
        rest
    });
    let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let rest = rest.trim_end_matches('0').as_bytes();
    match exponent {
        0..=6 => {
            let whole = usize::try_from(exponent).unwrap_or(0);
            out.extend_from_slice(first.as_bytes());
            out.extend_from_slice(&rest[..whole.min(rest.len())]);
            out.extend(std::iter::repeat_n(b'0', whole.saturating_sub(rest.len())));
            out.push(b'.');
            fraction(rest.get(whole..).unwrap_or_default(), out);
        }
        -3..=-1 => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(
                b'0',
                usize::try_from(-exponent - 1).unwrap_or(0),
            ));
            out.extend_from_slice(first.as_bytes());
            out.extend_from_slice(rest);
        }
        _ => {
            out.extend_from_slice(first.as_bytes());
            out.push(b'.');
            fraction(rest, out);
            // Writing to a Vec cannot fail.
            let _ = write!(out, "E{exponent}");
        }
    }
}

fn fraction(digits: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(if digits.is_empty() { b"0" } else { digits });
}

/// A number's text on the stack.
#[derive(Default)]
struct Text {
    bytes: [u8; 32],
}

impl Text {
    fn format(&mut self, arguments: std::fmt::Arguments<'_>) -> &str {
        let mut rest = &mut self.bytes[..];
        let capacity = rest.len();
        // The longest shortest form ("-1.7976931348623157e-308") has 24 bytes.
        let _ = rest.write_fmt(arguments);
        let length = capacity - rest.len();
        std::str::from_utf8(&self.bytes[..length]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_read_back_the_same() {
        for bits in [
            0x1u64,
            0x3ff3_c0ca_428c_59fb,
            0x7fef_ffff_ffff_ffff,
            0x4350_0000_0000_0001,
        ] {
            let value = f64::from_bits(bits);
            let printed = text(|out| double(value, out));
            assert_eq!(
                printed.replace('E', "e").parse::<f64>().unwrap().to_bits(),
                bits,
                "{printed}"
            );
        }
        assert_eq!(text(|out| double(1.0E23, out)), "1.0E23");
        assert_eq!(text(|out| double(2e-3, out)), "0.002");
    }

    #[test]
    fn dates_around_the_epoch_and_leap_days() {
        assert_eq!(
            text(|out| date(951_782_400_000, out)),
            "Tue Feb 29 00:00:00 UTC 2000"
        );
        assert_eq!(text(|out| date(-1000, out)), "Wed Dec 31 23:59:59 UTC 1969");
    }
}

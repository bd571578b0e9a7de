//! Numbers as Java prints them: `Double.toString` and `Float.toString` of JDK 19 and newer.
//!
//! Kafka's JSON and `Struct` texts contain them, and byte equality needs the same digits.

/// `Double.toString`.
pub fn double(number: f64) -> String {
    java(
        number.is_nan(),
        number.is_infinite(),
        number.is_sign_negative(),
        number == 0.0,
        || {
            let shortest = format!("{:e}", number.abs());
            if significant(&shortest) == 1 {
                format!("{:.1e}", number.abs())
            } else {
                shortest
            }
        },
    )
}

/// `Float.toString`.
pub fn float(number: f32) -> String {
    java(
        number.is_nan(),
        number.is_infinite(),
        number.is_sign_negative(),
        number == 0.0,
        || {
            let shortest = format!("{:e}", number.abs());
            // With a single digit Java takes the two digits that are nearest.
            if significant(&shortest) == 1 {
                format!("{:.1e}", number.abs())
            } else {
                shortest
            }
        },
    )
}

fn significant(scientific: &str) -> usize {
    scientific
        .bytes()
        .take_while(|byte| *byte != b'e')
        .filter(u8::is_ascii_digit)
        .count()
}

fn java(nan: bool, infinite: bool, negative: bool, zero: bool, digits: impl FnOnce() -> String) -> String {
    if nan {
        return "NaN".to_owned();
    }
    let sign = if negative { "-" } else { "" };
    if infinite {
        return format!("{sign}Infinity");
    }
    if zero {
        return format!("{sign}0.0");
    }
    let scientific = digits();
    let (mantissa, exponent) = scientific.split_once('e').expect("{:e} prints an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} prints an exponent");
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let or_zero = |text: &str| {
        if text.is_empty() {
            "0".to_owned()
        } else {
            text.to_owned()
        }
    };
    if (-3..7).contains(&exponent) {
        let Ok(whole) = usize::try_from(exponent + 1) else {
            return format!(
                "{sign}0.{}{digits}",
                "0".repeat(exponent.unsigned_abs() as usize - 1)
            );
        };
        if whole == 0 {
            return format!("{sign}0.{digits}");
        }
        let padded = format!("{digits:0<whole$}");
        let (integer, fraction) = padded.split_at(whole);
        return format!("{sign}{integer}.{}", or_zero(fraction));
    }
    let (first, rest) = digits.split_at(1);
    format!("{sign}{first}.{}E{exponent}", or_zero(rest))
}

#[cfg(test)]
mod tests {
    #[test]
    fn doubles_are_javas() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (100.0, "100.0"),
            (0.1, "0.1"),
            (0.012, "0.012"),
            (0.001, "0.001"),
            (0.00099, "9.9E-4"),
            (1_234_567.0, "1234567.0"),
            (9_999_999.5, "9999999.5"),
            (1e7, "1.0E7"),
            (-1.5e10, "-1.5E10"),
            (123_456_789.125, "1.23456789125E8"),
            (1e23, "1.0E23"),
            (2e-3, "0.002"),
            (f64::MIN_POSITIVE, "2.2250738585072014E-308"),
            (5e-324, "4.9E-324"),
            (f64::MAX, "1.7976931348623157E308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(super::double(number), text);
        }
    }

    #[test]
    fn floats_are_javas() {
        for (number, text) in [
            (0.1_f32, "0.1"),
            (3.4e38, "3.4E38"),
            (16_777_216.0, "1.6777216E7"),
            (1e-45, "1.4E-45"),
            (33_554_432.0, "3.3554432E7"),
            (2.5, "2.5"),
        ] {
            assert_eq!(super::float(number), text);
        }
    }
}

//! `BigDecimal.toString` for Connect's `Decimal`.

use num_bigint::BigInt;

/// Longer numbers are refused: printing one takes time that grows with the square of its length.
const MAX_BYTES: usize = 64 << 10;

/// Appends a big-endian two's complement number with this scale; after an error `out` is as before.
pub(crate) fn write(out: &mut Vec<u8>, unscaled: &[u8], scale: i32) -> Result<(), String> {
    if unscaled.len() > MAX_BYTES {
        return Err(format!(
            "decimal of {} bytes, at most {MAX_BYTES} are written",
            unscaled.len()
        ));
    }
    let text = BigInt::from_signed_bytes_be(unscaled).to_string();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", &*text),
    };
    out.extend_from_slice(sign.as_bytes());
    let adjusted = i64::try_from(digits.len()).unwrap_or(i64::MAX) - 1 - i64::from(scale);
    match usize::try_from(scale) {
        Ok(places) if adjusted >= -6 => plain(out, digits, places),
        _ => scientific(out, digits, adjusted),
    }
    Ok(())
}

/// With so many digits behind the point.
fn plain(out: &mut Vec<u8>, digits: &str, places: usize) {
    if let Some(point) = digits.len().checked_sub(places).filter(|point| *point > 0) {
        out.extend_from_slice(&digits.as_bytes()[..point]);
        if places > 0 {
            out.push(b'.');
        }
        out.extend_from_slice(&digits.as_bytes()[point..]);
        return;
    }
    out.extend_from_slice(b"0.");
    out.extend(std::iter::repeat_n(b'0', places - digits.len()));
    out.extend_from_slice(digits.as_bytes());
}

/// With one digit before the point.
fn scientific(out: &mut Vec<u8>, digits: &str, exponent: i64) {
    let (first, rest) = digits.split_at(1);
    out.extend_from_slice(first.as_bytes());
    if !rest.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest.as_bytes());
    }
    if exponent != 0 {
        out.extend_from_slice(format!("E{exponent:+}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unscaled: &[u8], scale: i32) -> String {
        let mut out = Vec::new();
        write(&mut out, unscaled, scale).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_are_written_as_java_does() {
        for (bytes, scale, expected) in [
            (&[0x01, 0x02][..], 2, "2.58"),
            (&[0xff], 2, "-0.01"),
            (&[0x80], 0, "-128"),
            (&[0x00], 1, "0.0"),
            (&[0x00], 6, "0.000000"),
            (&[0x00], 7, "0E-7"),
            (&[0x00], -3, "0E+3"),
            (&[], 0, "0"),
            (&[0x05], -2, "5E+2"),
            (&[0x7b], -2, "1.23E+4"),
            (&[0x85], -1, "-1.23E+3"),
            (&[0x7b], 3, "0.123"),
            (&[0x7b], 8, "0.00000123"),
            (&[0x7b], 9, "1.23E-7"),
            (&[0x01], i32::MAX, "1E-2147483647"),
            (&[0x01], i32::MIN, "1E+2147483648"),
            (
                &[0x0d, 0xe0, 0xb6, 0xb3, 0xa7, 0x64, 0x00, 0x00],
                18,
                "1.000000000000000000",
            ),
        ] {
            assert_eq!(text(bytes, scale), expected, "{bytes:?} scale {scale}");
        }
    }

    #[test]
    fn absurd_lengths_are_refused_and_large_ones_are_quick() {
        let error = write(&mut Vec::new(), &[1; MAX_BYTES + 1], 0).unwrap_err();
        assert!(
            error.contains("decimal of 65537 bytes, at most 65536 are written"),
            "{error}"
        );
        let started = std::time::Instant::now();
        assert_eq!(text(&[1; MAX_BYTES], 0).len(), 157_825);
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }
}

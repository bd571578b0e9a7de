//! Versions of plugins: which is newer, and which are in a range written as Maven writes it.

use std::cmp::Ordering;

/// Compares versions part by part, numbers as numbers; a pre-release (`-…`) comes before its release.
pub(crate) fn compare_versions(one: &str, other: &str) -> std::cmp::Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        text.split('.')
            .map(|part| (part.parse().unwrap_or(0), part.to_owned()))
            .collect()
    };
    let split = |version: &str| {
        let version = version.split('+').next().unwrap_or_default().to_owned();
        match version.split_once('-') {
            Some((release, pre)) => (parts(release), false, parts(pre)),
            None => (parts(&version), true, Vec::new()),
        }
    };
    split(one).cmp(&split(other))
}

/// Whether a version is in a range: a version alone is that one, `[1.0,2.0)` has its ends or not, several ranges stand
/// between commas, and an end may be left out. `None` for what is no range.
pub fn is_version_in(version: &str, range: &str) -> Option<bool> {
    let mut rest = range.trim();
    if rest.is_empty() {
        return None;
    }
    if !rest.contains(['[', '(', ']', ')', ',']) {
        return Some(compare_versions(version, rest) == Ordering::Equal);
    }
    let mut found = false;
    while !rest.is_empty() {
        let end = rest.find([']', ')'])?;
        let (set, behind) = rest.split_at(end + 1);
        found |= is_in_set(version, set)?;
        rest = behind.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
            if rest.is_empty() {
                return None;
            }
        }
    }
    Some(found)
}

/// One set between brackets.
fn is_in_set(version: &str, set: &str) -> Option<bool> {
    let opens = set.strip_prefix('[').or_else(|| set.strip_prefix('('))?;
    let (with_least, with_most) = (set.starts_with('['), set.ends_with(']'));
    let inner = opens.trim_end_matches([']', ')']);
    if inner.contains(['[', '(']) {
        return None;
    }
    let (least, most) = match inner.split_once(',') {
        Some((least, most)) if !most.contains(',') => (least.trim(), most.trim()),
        None if with_least && with_most && !inner.trim().is_empty() => (inner.trim(), inner.trim()),
        _ => return None,
    };
    let above = match compare_versions(version, least) {
        _ if least.is_empty() => true,
        Ordering::Equal => with_least,
        order => order == Ordering::Greater,
    };
    let below = match compare_versions(version, most) {
        _ if most.is_empty() => true,
        Ordering::Equal => with_most,
        order => order == Ordering::Less,
    };
    Some(above && below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_maven_writes_them() {
        for (range, expected) in [
            ("1.2.0", Some(true)),
            ("1.2", Some(false)),
            ("[1.2.0]", Some(true)),
            ("[1.0,2.0)", Some(true)),
            ("(1.2.0,2.0)", Some(false)),
            ("[1.0,1.2.0)", Some(false)),
            ("(,1.2.0]", Some(true)),
            ("[2.0,)", Some(false)),
            ("[3.0,4.0],[1.0,2.0]", Some(true)),
            ("[1.0", None),
            ("1.0]", None),
            ("[1.0,2.0],", None),
            ("(1.0)", None),
            ("[1.0,[2.0]", None),
            ("", None),
        ] {
            assert_eq!(is_version_in("1.2.0", range), expected, "{range}");
        }
    }
}

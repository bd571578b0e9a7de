//! Subscriptions by regular expression: RE2 syntax, matched with the whole name of a topic.
//!
//! A new expression is only checked when it comes; it is matched with the topics after the step and outside the lock, and
//! again when the topics change, but not more often than every ten seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use regex::bytes::{Regex, RegexBuilder};

use super::{
    super::error::GroupError,
    group::ConsumerGroup,
    member::ConsumerMember,
    metadata_hash::metadata_hash,
    outcome::{Outcome, Refusal, World},
    records::{ConsumerRecord, ResolvedRegex},
    topics::TopicImage,
};

/// Shortest time between two looks at the topics.
const REFRESH_INTERVAL_MIN_MS: i64 = 10_000;

/// Most bytes an expression may take when it is compiled: whoever asks for more wants to keep the coordinator busy.
const COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// What a member's change means for its regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RegexChange {
    pub(super) changed: bool,
    /// It changed to one of which the topics are known, or to none.
    pub(super) changed_and_resolved: bool,
    /// The expressions are to be matched with the topics.
    pub(super) resolve: bool,
}

/// What expressions matched.
#[derive(Debug)]
pub(crate) struct Matched {
    /// Of the topics that were looked at.
    version: u64,
    topics: BTreeMap<String, BTreeSet<String>>,
}

impl ConsumerGroup {
    /// What a member's new regular expression, which is a valid one, means to the group; forgets the old one when nobody
    /// else uses it.
    pub(super) fn regex_change(
        &self,
        member: &ConsumerMember,
        updated: &ConsumerMember,
        world: World<'_>,
        records: &mut Vec<ConsumerRecord>,
    ) -> RegexChange {
        let (old, new) = (member.regex(), updated.regex());
        let mut change = RegexChange {
            changed: old != new,
            changed_and_resolved: false,
            resolve: false,
        };
        if change.changed {
            tracing::debug!(group = %self.id, member = %updated.id, regex = new, "subscribed regular expression");
            let users = |regex: &str| {
                let members = self.members.values();
                members.filter(|member| member.regex() == Some(regex)).count()
            };
            if let Some(old) = old.filter(|old| users(old) == 1) {
                records.push(ConsumerRecord::Regex(old.to_owned(), None));
            }
            match new {
                Some(new) if users(new) == 0 => change.resolve = true,
                Some(new) => change.changed_and_resolved = self.regexes.contains_key(new),
                None => change.changed_and_resolved = true,
            }
        }
        change.resolve = self.is_refresh_due(change.resolve, updated, world);
        change
    }

    fn is_refresh_due(&self, is_new: bool, updated: &ConsumerMember, world: World<'_>) -> bool {
        let last_ms = self.regexes.values().map(|resolved| resolved.timestamp_ms).max();
        let now_ms = world.now.wall_ms;
        if last_ms.is_some_and(|last| now_ms <= last.saturating_add(REFRESH_INTERVAL_MIN_MS)) {
            return false;
        }
        let after: BTreeSet<&str> = self
            .members_with(updated)
            .filter_map(ConsumerMember::regex)
            .collect();
        let is_old =
            last_ms.is_none_or(|last| now_ms > last.saturating_add(world.settings.regex_refresh_interval_ms));
        let due = is_new
            || after.len() != self.regexes.len()
            || self.checked_regexes != Some(world.topics.version())
            || is_old;
        due && !after.is_empty()
    }

    /// The expressions members are subscribed to.
    pub(crate) fn regexes_in_use(&self) -> BTreeSet<String> {
        let regexes = self.members.values().filter_map(ConsumerMember::regex);
        regexes.map(str::to_owned).collect()
    }

    /// Takes over what expressions match, as far as members are still subscribed to them.
    pub(crate) fn resolved(&self, matched: Matched, world: World<'_>) -> Outcome<()> {
        let in_use = self.regexes_in_use();
        let mut resolved_group = self.clone_regexes();
        let (mut records, mut any_changed) = (Vec::new(), false);
        let still = matched
            .topics
            .into_iter()
            .filter(|(regex, _)| in_use.contains(regex));
        for (regex, topics) in still {
            let old = self.regexes.get(&regex).map(|resolved| &resolved.topics);
            any_changed |= old.map_or(!topics.is_empty(), |old| *old != topics);
            let resolved = ResolvedRegex {
                topics,
                version: i64::try_from(matched.version).unwrap_or(i64::MAX),
                timestamp_ms: world.now.wall_ms,
            };
            resolved_group.regexes.insert(regex.clone(), resolved.clone());
            records.push(ConsumerRecord::Regex(regex, Some(resolved)));
        }
        let subscriptions = resolved_group.subscriptions(self.members.values());
        let hash = metadata_hash(subscriptions.topics(), world.topics);
        if any_changed || hash != self.metadata_hash {
            let epoch = self.epoch + 1;
            tracing::info!(group = %self.id, epoch, "topics of regular expressions changed, consumer group epoch");
            records.push(ConsumerRecord::Epoch(Some((epoch, hash))));
        }
        let mut outcome = Outcome::new(records, ());
        outcome.checked_topics = Some(matched.version);
        outcome.checked_regexes = Some(matched.version);
        outcome
    }

    /// A group of which only the expressions matter.
    fn clone_regexes(&self) -> Self {
        let mut group = Self::new(&self.id);
        group.regexes.clone_from(&self.regexes);
        group
    }
}

/// Checks an expression of a member.
pub(super) fn validate(regex: &str) -> Result<(), Refusal> {
    let Err(error) = compile(regex) else { return Ok(()) };
    // The last line says what is wrong, those before show where.
    let error = error.to_string();
    let why = error
        .lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .trim_end_matches('.');
    let message = format!("SubscribedTopicRegex `{regex}` is not a valid regular expression: {why}.");
    Err(Refusal::new(GroupError::InvalidRegularExpression, message))
}

/// Matches expressions with the topics as they are now. May take its time, so nobody is to wait for it.
pub(crate) fn matched(regexes: BTreeSet<String>, topics: &dyn TopicImage) -> Matched {
    // First: what comes while the names are collected is seen next time.
    let version = topics.version();
    let names = topics.names();
    let topics = regexes.into_iter().map(|regex| {
        let topics = matching(&regex, &names);
        (regex, topics)
    });
    Matched {
        version,
        topics: topics.collect(),
    }
}

fn matching(regex: &str, names: &[Arc<str>]) -> BTreeSet<String> {
    // It was checked when it came; one that an older version took matches nothing.
    let Ok(compiled) = compile(regex) else {
        tracing::error!(
            regex,
            "a subscribed regular expression is not understood and matches nothing"
        );
        return BTreeSet::new();
    };
    let matching = names.iter().filter(|name| compiled.is_match(name.as_bytes()));
    matching.map(ToString::to_string).collect()
}

/// Compiles an expression so that it matches whole names only.
fn compile(regex: &str) -> Result<Regex, regex::Error> {
    let regex = without_quotes(regex);
    // Names are ASCII, and so are the classes of RE2, which are much smaller then.
    let has_unicode = check_syntax(&regex, false).is_err();
    if has_unicode {
        check_syntax(&regex, true)?;
    }
    RegexBuilder::new(&format!("^(?:{regex})$"))
        .unicode(has_unicode)
        .size_limit(COMPILED_BYTES_MAX)
        .build()
}

/// Checks the expression by itself: a stray parenthesis must not close ours. It is read, but not compiled.
fn check_syntax(regex: &str, unicode: bool) -> Result<(), regex::Error> {
    match RegexBuilder::new(regex).unicode(unicode).size_limit(0).build() {
        Err(error @ regex::Error::Syntax(_)) => Err(error),
        _ => Ok(()),
    }
}

/// RE2 takes what stands between `\Q` and `\E` literally; the crate does not know these.
fn without_quotes(regex: &str) -> String {
    let mut out = String::with_capacity(regex.len());
    let mut rest = regex;
    while let Some(at) = start_of_quote(rest) {
        out.push_str(&rest[..at]);
        let quoted = &rest[at + 2..];
        let (literal, behind) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
        out.push_str(&regex::escape(literal));
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Where a `\Q` stands that is not an escaped backslash and a Q.
fn start_of_quote(regex: &str) -> Option<usize> {
    let bytes = regex.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        match (bytes[at], bytes[at + 1]) {
            (b'\\', b'Q') => return Some(at),
            (b'\\', _) => at += 2,
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_match_and_quotes_are_literal() {
        for (regex, name, matches) in [
            ("topic-[0-9]+", "topic-12", true),
            ("topic", "topic-12", false),
            ("a|b", "ab", false),
            (r"\Qa.b\E.*", "a.bc", true),
            (r"\Qa.b\E.*", "axbc", false),
            (r"\\Q", r"\Q", true),
            (".*", "", true),
            (r"[\w.-]{1,249}", "a_b.c-1", true),
            ("[^b]+", "acd", true),
            (r"\pL\d", "a1", true),
            (r"\w|ä|[ö]", "a", true),
        ] {
            let compiled = compile(regex).unwrap();
            assert_eq!(compiled.is_match(name.as_bytes()), matches, "{regex} {name}");
        }
        for bad in ["(", "[", ")(", "a**b(", "(?x)a #"] {
            assert!(compile(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_expression_that_becomes_large_is_refused() {
        let refusal = validate(r"(\pL{50}){50}").unwrap_err();
        assert_eq!(refusal.error, GroupError::InvalidRegularExpression);
        assert!(
            refusal.message.ends_with("size limit of 1048576 bytes."),
            "{refusal}"
        );
    }
}

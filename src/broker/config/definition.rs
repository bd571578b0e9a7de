//! What one configuration option is: its name, type, default, valid values and meaning. The options of each kind of resource
//! are a table of these; parsing, validation, DescribeConfigs and the reference page derive from it.

use super::valid::{Kind, Valid};

/// One option.
#[derive(Debug)]
pub(crate) struct Definition {
    /// Kafka's key.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// As it would be written in a file; `None` = not set.
    pub(crate) default: Option<&'static str>,
    pub(crate) valid: Valid,
    /// How much Kafka makes of it: `high`, `medium` or `low`.
    pub(crate) importance: &'static str,
    pub(crate) scope: Scope,
    /// Why it has no effect here, where it has none.
    pub(crate) no_effect: Option<&'static str>,
    /// What it means, in a sentence.
    pub(crate) meaning: &'static str,
}

/// Where an option can be set, or where its default is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Of a broker, in its file.
    ReadOnly,
    /// Of a broker, while it runs.
    PerBroker,
    /// Of a broker or of all, while they run.
    ClusterWide,
    /// As `ClusterWide`, and not in the file.
    DynamicOnly,
    /// Not described unless it is set.
    Internal,
    /// Of a topic or a group; its default is the broker's option of this name, where there is one.
    Defaulted(Option<&'static str>),
}

impl Definition {
    /// What is wrong with a value, in Kafka's words.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        self.kind.check(self.name, value)?;
        self.valid.check(self.name, self.kind, value)
    }

    /// The meaning, and what is to be known about it here.
    pub(crate) fn documentation(&self) -> String {
        match self.no_effect {
            Some(why) => format!("{}. No effect here: {why}.", self.meaning),
            None => format!("{}.", self.meaning),
        }
    }

    /// A value as Kafka shows it once it was parsed.
    pub(crate) fn shown(&self, value: &str) -> String {
        self.kind.normalized(value)
    }

    /// Whether values are secrets, which nobody is told.
    pub(crate) fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// One line of a table: name, type, default, valid values, importance, scope, reason, meaning.
    fn parse(line: &'static str) -> Option<Self> {
        let columns: Vec<_> = line.split(" | ").collect();
        let [name, kind, default, valid, importance, scope, no_effect, meaning] = columns[..] else {
            return None;
        };
        let default = match default {
            "null" => None,
            "\"\"" => Some(""),
            text => Some(text),
        };
        Some(Self {
            name,
            kind: Kind::parse(kind)?,
            default,
            valid: Valid::parse(valid)?,
            importance,
            scope: Scope::parse(scope),
            no_effect: if no_effect == "-" {
                None
            } else {
                Some(reason(no_effect)?)
            },
            meaning,
        })
    }
}

impl Scope {
    fn parse(text: &'static str) -> Self {
        match text {
            "read-only" => Self::ReadOnly,
            "per-broker" => Self::PerBroker,
            "cluster-wide" => Self::ClusterWide,
            "dynamic-only" => Self::DynamicOnly,
            "internal" => Self::Internal,
            "-" => Self::Defaulted(None),
            key => Self::Defaulted(Some(key)),
        }
    }

    /// Whether the option of a broker can change while it runs.
    pub(crate) fn is_dynamic(self) -> bool {
        matches!(self, Self::PerBroker | Self::ClusterWide | Self::DynamicOnly)
    }
}

/// Why options have no effect here, by the word in the tables.
#[rustfmt::skip]
const REASONS: [(&str, &str); 16] = [
    ("classes", "there is no Java to load classes of"),
    ("compaction", "topics are not compacted yet"),
    ("compression", "batches are stored as their producers compressed them"),
    ("durability", "the key durability says when records are synced"),
    ("groups", "classic and consumer are always served"),
    ("peers", "there are no other brokers"),
    ("preallocate", "segments grow as they are written"),
    ("quorum", "there is no controller quorum, this broker is one node"),
    ("quotas", "there are no quotas"),
    ("sasl", "clients are not authenticated"),
    ("share", "share groups are not supported"),
    ("streams", "streams groups are not supported"),
    ("telemetry", "clients are not asked for metrics"),
    ("tiered", "tiered storage is not supported"),
    ("tls", "connections are not encrypted"),
    ("transactions", "transactions are not supported yet"),
];
/// As [`REASONS`], of what is neither here nor missed.
const UNTUNED: [(&str, &str); 2] = [
    ("tuning", "nothing here is tuned by it"),
    ("unstable", "nothing unstable is offered"),
];

fn reason(word: &str) -> Option<&'static str> {
    let known = REASONS.iter().chain(&UNTUNED);
    known.clone().find(|(name, _)| *name == word).map(|(_, why)| *why)
}

/// No option has a longer name.
const NAME_MAX_BYTES: usize = 100;

/// Options by name, sorted.
#[derive(Debug)]
pub(crate) struct Table(Vec<Definition>);

impl Table {
    /// Of a text with one option a line.
    pub(crate) fn parse(text: &'static str) -> Self {
        let parse = |line| Definition::parse(line).unwrap_or_else(|| unreachable!("not an option: {line}"));
        Self(text.lines().map(parse).collect())
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Definition> {
        self.0.iter()
    }

    /// Looks an option up.
    pub(crate) fn find(&self, name: &str) -> Option<&Definition> {
        let position = self.0.binary_search_by(|definition| definition.name.cmp(name));
        position.ok().map(|index| &self.0[index])
    }

    /// The option whose name is closest to an unknown one, when it is close enough to be meant.
    pub(crate) fn suggestion(&self, unknown: &str) -> Option<&'static str> {
        // Comparing takes as long as the names are.
        if unknown.len() > NAME_MAX_BYTES {
            return None;
        }
        let closeness = |definition: &Definition| {
            let name = definition.name;
            (name, strsim::jaro_winkler(unknown, name))
        };
        let (best, _) = self.iter().map(closeness).max_by(|a, b| a.1.total_cmp(&b.1))?;
        let distance = strsim::damerau_levenshtein(unknown, best);
        (distance <= 2.max(unknown.len() / 4)).then_some(best)
    }
}

/// The words of a comma-separated list.
pub(crate) fn split_list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tables;

    #[test]
    fn close_names_are_suggested() {
        let suggest = |name| tables::broker().suggestion(name);
        assert_eq!(suggest("num.partition"), Some("num.partitions"));
        assert_eq!(suggest("log.dri"), Some("log.dir"));
        assert_eq!(suggest("log.retention.msec"), Some("log.retention.ms"));
        assert_eq!(suggest("colour"), None);
    }

    #[test]
    fn documentation_says_what_has_no_effect() {
        let of = |name| tables::broker().find(name).unwrap().documentation();
        assert_eq!(
            of("num.partitions"),
            "Partitions of a topic when its creator does not say."
        );
        assert_eq!(
            of("request.timeout.ms"),
            "How long the broker waits for answers of others. No effect here: there are no other brokers."
        );
    }

    #[test]
    fn every_reason_is_used() {
        let tables = [
            tables::broker(),
            tables::topic(),
            tables::group(),
            tables::client_metrics(),
        ];
        for (word, why) in REASONS.iter().chain(&UNTUNED) {
            let used = tables
                .iter()
                .flat_map(|table| table.iter())
                .any(|definition| definition.no_effect == Some(why));
            assert!(used, "{word}");
        }
    }
}

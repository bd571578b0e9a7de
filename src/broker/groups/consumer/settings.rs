//! Settings of consumer groups, as the state machine needs them.

/// A partition assignor of the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignors of a list of names, in that order; names that are none are left out.
    pub fn list<'a>(names: impl Iterator<Item = &'a str>) -> &'static [Self] {
        let of = |name: &str| {
            [Self::Uniform, Self::Range]
                .into_iter()
                .find(|assignor| assignor.name() == name)
        };
        let found: Vec<Self> = names.filter_map(of).collect();
        let both = found.contains(&Self::Uniform) && found.contains(&Self::Range);
        match found.first() {
            Some(Self::Range) if both => &[Self::Range, Self::Uniform],
            Some(Self::Range) => &[Self::Range],
            Some(Self::Uniform) if !both => &[Self::Uniform],
            _ => &[Self::Uniform, Self::Range],
        }
    }
}

/// `group.consumer.migration.policy`: which groups with members may change their protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub enum MigrationPolicy {
    Bidirectional,
    Upgrade,
    Downgrade,
    Disabled,
}

impl MigrationPolicy {
    /// By Kafka's name, in any case.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "bidirectional" => Self::Bidirectional,
            "upgrade" => Self::Upgrade,
            "downgrade" => Self::Downgrade,
            "disabled" => Self::Disabled,
            _ => return None,
        })
    }

    pub(crate) fn upgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Upgrade)
    }

    pub(crate) fn downgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Downgrade)
    }
}

/// Settings of consumer groups; the fields are Kafka's `group.consumer.*` keys in their units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names")]
pub struct ConsumerSettings {
    pub session_timeout_ms: u32,
    pub heartbeat_interval_ms: i32,
    pub max_size: usize,
    /// The first is taken when the members have no wish.
    pub assignors: &'static [Assignor],
    pub migration_policy: MigrationPolicy,
    pub assignment_interval_ms: i64,
    pub regex_refresh_interval_ms: i64,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            max_size: i32::MAX as usize,
            assignors: &[Assignor::Uniform, Assignor::Range],
            migration_policy: MigrationPolicy::Bidirectional,
            assignment_interval_ms: 1_000,
            regex_refresh_interval_ms: 600_000,
        }
    }
}

impl ConsumerSettings {
    pub(crate) fn assignor(&self, name: &str) -> Option<Assignor> {
        self.assignors
            .iter()
            .copied()
            .find(|assignor| assignor.name() == name)
    }

    pub(crate) fn default_assignor(&self) -> Assignor {
        self.assignors.first().copied().unwrap_or(Assignor::Uniform)
    }
}

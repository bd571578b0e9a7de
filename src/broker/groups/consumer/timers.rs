//! The timers of members: how long they may be silent, hold on to partitions, or not join again.

use super::{
    super::classic::member::timeout_ms,
    group::ConsumerGroup,
    member::{ConsumerMember, MemberState},
    outcome::{TimerChange, TimerKind},
    settings::ConsumerSettings,
};

impl ConsumerMember {
    /// A classic member told its session timeout itself.
    pub(super) fn classic_session(&self) -> Option<TimerChange> {
        let classic = self.metadata.classic.as_ref()?;
        let after_ms = timeout_ms(classic.session_timeout_ms);
        Some(TimerChange::Set(self.id.clone(), TimerKind::Session, after_ms))
    }

    /// A classic member that is to join again has its rebalance timeout for it.
    pub(super) fn join_timer(&self) -> TimerChange {
        let after_ms = timeout_ms(self.metadata.rebalance_timeout_ms);
        TimerChange::SetIfAbsent(self.id.clone(), TimerKind::Join, after_ms)
    }

    /// A member that is to give up partitions has its rebalance timeout for it.
    pub(super) fn rebalance_timer(&self) -> TimerChange {
        if self.current.state == MemberState::UnrevokedPartitions {
            let after_ms = timeout_ms(self.metadata.rebalance_timeout_ms);
            TimerChange::Set(self.id.clone(), TimerKind::Rebalance, after_ms)
        } else {
            TimerChange::Cancel(self.id.clone(), TimerKind::Rebalance)
        }
    }
}

impl ConsumerGroup {
    /// Sessions of the members that use the classic protocol.
    pub(crate) fn classic_sessions(&self) -> Vec<TimerChange> {
        self.members()
            .filter_map(ConsumerMember::classic_session)
            .collect()
    }

    /// Timers of a group that was loaded: as Kafka does, everyone has a whole session.
    pub(crate) fn loaded_timers(&self, settings: &ConsumerSettings) -> Vec<TimerChange> {
        let mut timers = Vec::new();
        for member in self.members() {
            let after_ms = u64::from(settings.session_timeout_ms);
            timers.push(TimerChange::Set(member.id.clone(), TimerKind::Session, after_ms));
            if !member.uses_classic_protocol() {
                timers.push(member.rebalance_timer());
            }
        }
        timers
    }
}

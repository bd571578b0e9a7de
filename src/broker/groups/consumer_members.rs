//! Requests of the consumer group protocol, and questions about its groups.

use std::collections::BTreeSet;

use super::{
    classic::effects::Now,
    consumer::{
        describe::DescribedConsumerGroup,
        heartbeat::{ConsumerHeartbeat, ConsumerHeartbeatAnswer},
        outcome::{Refusal, World},
        regex::matched,
        settings::ConsumerSettings,
    },
    coordinator::Groups,
    error::GroupError,
};
use crate::blocking;

impl Groups {
    /// Settings of a group: its own, or the broker's.
    pub(super) fn consumer_settings(&self, group_id: &str) -> ConsumerSettings {
        let broker = self.inner.config.consumer;
        let own = |option| (self.inner.group_configs.0)(group_id, option);
        let session = u32::try_from(own("consumer.session.timeout.ms"));
        let heartbeat = i32::try_from(own("consumer.heartbeat.interval.ms"));
        ConsumerSettings {
            session_timeout_ms: session.unwrap_or(broker.session_timeout_ms),
            heartbeat_interval_ms: heartbeat.unwrap_or(broker.heartbeat_interval_ms),
            assignment_interval_ms: own("consumer.assignment.interval.ms"),
            ..broker
        }
    }

    pub(super) fn world<'a>(&'a self, settings: &'a ConsumerSettings, now: Now) -> World<'a> {
        World {
            topics: self.inner.topics.as_ref(),
            settings,
            now,
        }
    }

    /// Handles a heartbeat of the consumer protocol.
    ///
    /// # Errors
    /// As Kafka refuses heartbeats.
    pub async fn consumer_heartbeat(
        &self,
        mut request: ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatAnswer, Refusal> {
        let settings = self.consumer_settings(&request.group_id);
        match &request.subscribed_regex {
            // It is compiled, which may take a while.
            Some(_) => blocking::run(|| request.validate(&settings))?,
            None => request.validate(&settings)?,
        }
        if request.member_id.is_empty() {
            request.member_id = self.random_id();
        }
        self.ensure_offsets_topic().await?;
        let (answer, after_offset) = self.start_consumer_heartbeat(&request, &settings)?;
        self.durable(&request.group_id, after_offset).await?;
        Ok(answer)
    }

    fn start_consumer_heartbeat(
        &self,
        request: &ConsumerHeartbeat,
        settings: &ConsumerSettings,
    ) -> Result<(ConsumerHeartbeatAnswer, i64), Refusal> {
        let world = self.world(settings, self.now());
        let mut shard = self.open_shard(&request.group_id)?;
        let answer = shard.consumer_heartbeat(request, world)?;
        let after_offset = shard.newest_record(&request.group_id);
        let regexes = shard.regexes_to_match(&request.group_id);
        drop(shard);
        self.deadlines_changed();
        self.match_regexes(&request.group_id, regexes, settings);
        Ok((answer, after_offset))
    }

    /// Matches the regular expressions of a group with the topics, when a step found that it is time. The group goes on
    /// meanwhile.
    pub(super) fn match_regexes(
        &self,
        group_id: &str,
        regexes: Option<BTreeSet<String>>,
        settings: &ConsumerSettings,
    ) {
        let Some(regexes) = regexes else { return };
        let matched = blocking::run(|| matched(regexes, self.inner.topics.as_ref()));
        let world = self.world(settings, self.now());
        self.lock(self.shard_of(group_id))
            .store_matched(group_id, matched, world);
    }

    /// Describes a group of the consumer protocol.
    ///
    /// # Errors
    /// `GroupIdNotFound`, also for groups of the classic protocol; when the group is not served here or now.
    pub async fn describe_consumer_group(&self, group_id: &str) -> Result<DescribedConsumerGroup, Refusal> {
        if group_id.is_empty() {
            return Err(Refusal::new(
                GroupError::InvalidGroupId,
                GroupError::InvalidGroupId.to_string(),
            ));
        }
        let settings = self.consumer_settings(group_id);
        let (described, after_offset) = {
            let shard = self.open_shard(group_id)?;
            let group = shard.consumer_group(group_id)?;
            let described = group.described(self.inner.topics.as_ref(), &settings);
            (described, shard.newest_record(group_id))
        };
        self.durable(group_id, after_offset).await?;
        Ok(described)
    }
}

//! Requests of members: join, sync, heartbeat, leave.

use jackfield_log::TopicId;
use jackfield_protocol::reader::STRING_BYTES_MAX;
use tokio::sync::{oneshot, watch};

use super::{
    classic::effects::{
        Effects, JoinRefused, JoinRequest, Joined, LeavingMember, SyncRequest, Synced, Ticket,
    },
    coordinator::Groups,
    error::GroupError,
    shard::{Gated, Waiter},
};

/// What a member id has besides the name it begins with: a dash and a UUID.
const GIVEN_ID_BYTES: usize = 37;

impl Groups {
    /// Joins a group; waits for the rebalance. Dropping the future is a requester that went away: its member stays
    /// until its session ends.
    ///
    /// # Errors
    /// As Kafka refuses joins.
    pub async fn join(&self, request: JoinRequest) -> Result<Joined, JoinRefused> {
        let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
        let refused = |error| JoinRefused {
            error,
            member_id: member_id.clone(),
        };
        let sessions = self.inner.config.min_session_timeout_ms..=self.inner.config.max_session_timeout_ms;
        if group_id.is_empty() {
            return Err(refused(GroupError::InvalidGroupId));
        }
        if !sessions.contains(&request.session_timeout_ms) {
            return Err(refused(GroupError::InvalidSessionTimeout));
        }
        let named_after = request.group_instance_id.as_ref().unwrap_or(&request.client_id);
        if member_id.is_empty() && named_after.len() + GIVEN_ID_BYTES > STRING_BYTES_MAX {
            // Its member id could not be written. Kafka fails when it tries to.
            return Err(refused(GroupError::UnknownServerError));
        }
        self.ensure_offsets_topic().await.map_err(refused)?;
        let (sender, receiver) = oneshot::channel();
        let _parked = self.start_join(request, sender).map_err(refused)?;
        let Gated { value, after_offset } = receiver
            .await
            .map_err(|_| refused(GroupError::CoordinatorNotAvailable))?;
        self.durable(&group_id, after_offset).await.map_err(refused)?;
        value
    }

    fn start_join(
        &self,
        request: JoinRequest,
        sender: oneshot::Sender<Gated<Result<Joined, JoinRefused>>>,
    ) -> Result<Parked<'_>, GroupError> {
        let group_id = request.group_id.clone();
        let now = self.now();
        let mut shard = self.open_shard(&group_id)?;
        let settings = self.consumer_settings(&group_id);
        let is_consumer_group = shard
            .consumer_group(&group_id)
            .is_ok_and(|group| !group.is_empty());
        if is_consumer_group {
            let world = self.world(&settings, now);
            let value = shard.classic_join_of_consumer_group(&request, &self.random_id(), world);
            let ticket = shard.park(Waiter::Join(sender));
            shard.answer_join(ticket, &group_id, value);
            let regexes = shard.regexes_to_match(&group_id);
            drop(shard);
            self.deadlines_changed();
            self.match_regexes(&group_id, regexes, &settings);
            return Ok(self.parked(&group_id, ticket));
        }
        let fresh_id = self.random_uuid().to_string();
        shard.prepare_classic_group(&request, now)?;
        let ticket = shard.park(Waiter::Join(sender));
        shard.step(&group_id, now, |group, settings| {
            ((), group.join(request, &fresh_id, ticket, now, settings))
        });
        drop(shard);
        self.deadlines_changed();
        Ok(self.parked(&group_id, ticket))
    }

    fn parked(&self, group_id: &str, ticket: Ticket) -> Parked<'_> {
        Parked {
            groups: self,
            shard: self.shard_of(group_id),
            ticket,
        }
    }

    /// A random id as Kafka gives members of consumer groups: one that starts with a dash would look like an option.
    pub(super) fn random_id(&self) -> String {
        let id = TopicId(*self.random_uuid().as_bytes()).to_base64();
        match id.strip_prefix('-') {
            Some(rest) => format!("A{rest}"),
            None => id,
        }
    }

    fn random_uuid(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        self.inner.env.random.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Hands in the leader's assignment, or waits for it.
    ///
    /// # Errors
    /// As Kafka refuses syncs.
    pub async fn sync(&self, request: SyncRequest) -> Result<Synced, GroupError> {
        let group_id = request.group_id.clone();
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let (sender, receiver) = oneshot::channel();
        let _parked = self.start_sync(request, sender)?;
        let Gated { value, after_offset } =
            receiver.await.map_err(|_| GroupError::CoordinatorNotAvailable)?;
        self.durable(&group_id, after_offset).await?;
        value
    }

    fn start_sync(
        &self,
        request: SyncRequest,
        sender: oneshot::Sender<Gated<Result<Synced, GroupError>>>,
    ) -> Result<Parked<'_>, GroupError> {
        let group_id = request.group_id.clone();
        let now = self.now();
        let mut shard = self.open_shard(&group_id)?;
        let ticket = shard.park(Waiter::Sync(sender));
        let stepped = if shard.consumer_group(&group_id).is_ok() {
            let settings = self.consumer_settings(&group_id);
            let value = shard.classic_sync_of_consumer_group(&request, self.world(&settings, now));
            shard.answer_sync(ticket, &group_id, value);
            Some(())
        } else {
            shard.step(&group_id, now, |group, _| ((), group.sync(request, ticket, now)))
        };
        // Its drop takes the lock.
        drop(shard);
        let parked = self.parked(&group_id, ticket);
        self.deadlines_changed();
        stepped.map(|()| parked).ok_or(GroupError::UnknownMemberId)
    }

    /// Tells that a member lives.
    ///
    /// # Errors
    /// `RebalanceInProgress` when the member is to join again; otherwise as Kafka refuses heartbeats.
    pub fn heartbeat(
        &self,
        group_id: &str,
        member_id: &str,
        group_instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let now = self.now();
        let mut shard = self.open_shard(group_id)?;
        if shard.consumer_group(group_id).is_ok() {
            let answer = shard.classic_heartbeat_of_consumer_group(
                group_id,
                member_id,
                group_instance_id,
                generation,
                now,
            );
            drop(shard);
            // One that is to join again has less time for it than for its session.
            self.deadlines_changed();
            return answer;
        }
        let stepped = shard.step(group_id, now, |group, _| {
            (
                group.heartbeat(member_id, group_instance_id, generation, now),
                Effects::default(),
            )
        });
        stepped.unwrap_or(Err(GroupError::UnknownMemberId))
    }

    /// Takes members out of the group; one result per member.
    ///
    /// # Errors
    /// As Kafka refuses the whole request.
    pub async fn leave(
        &self,
        group_id: &str,
        members: &[LeavingMember],
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let (left, after_offset) = self.start_leave(group_id, members)?;
        self.durable(group_id, after_offset).await?;
        left
    }

    #[allow(
        clippy::type_complexity,
        reason = "a result per member inside the request's result"
    )]
    fn start_leave(
        &self,
        group_id: &str,
        members: &[LeavingMember],
    ) -> Result<(Result<Vec<Result<(), GroupError>>, GroupError>, i64), GroupError> {
        let now = self.now();
        let mut shard = self.open_shard(group_id)?;
        let left = if shard.consumer_group(group_id).is_ok() {
            let settings = self.consumer_settings(group_id);
            Some(shard.leave_consumer_group(group_id, members, self.world(&settings, now)))
        } else {
            shard.step(group_id, now, |group, settings| {
                group.leave(members, now, settings)
            })
        };
        let after_offset = shard.newest_record(group_id);
        drop(shard);
        self.deadlines_changed();
        let nobody = || Ok(members.iter().map(|_| Err(GroupError::UnknownMemberId)).collect());
        Ok((left.unwrap_or_else(nobody), after_offset))
    }

    /// Ids of the members that a client of this name joined, as the group was loaded or has changed since.
    ///
    /// # Errors
    /// When the group is not served here or now.
    pub fn members_of_client(&self, group_id: &str, client_id: &str) -> Result<Vec<String>, GroupError> {
        let shard = self.open_shard(group_id)?;
        let entry = shard.groups.get(group_id);
        Ok(entry.map_or_else(Vec::new, |entry| entry.group.members_of_client(client_id)))
    }

    /// Follows a group's rebalances: the value changes whenever the group's state does, so that members in this
    /// process need not wait for their next heartbeat.
    pub fn watch_rebalances(&self, group_id: &str) -> watch::Receiver<u64> {
        self.lock(self.shard_of(group_id)).watch(group_id)
    }
}

/// Takes a parked request out again when its requester goes away.
#[derive(Debug)]
struct Parked<'a> {
    groups: &'a Groups,
    shard: usize,
    ticket: Ticket,
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.groups.lock(self.shard).forget(self.ticket);
    }
}

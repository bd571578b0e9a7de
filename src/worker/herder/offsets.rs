//! Offsets of connectors: what is stored, and changing it while the connector is stopped.
//!
//! A source's are rows of the offsets topic, a sink's are the committed positions of its consumer group.

mod sink;

use std::sync::Arc;

use jackfield_plugin::Kind;
use serde_json::Value;

use super::{ConnectorOffset, Herder, HerderError, Inner, Live, Slot, TargetState, not_found};
use crate::stores::offsets::OffsetsError;

/// What is to become of the offsets.
enum Change {
    /// Rows; a null offset takes one out.
    Alter(Vec<ConnectorOffset>),
    /// All are taken out.
    Reset,
}

impl Herder {
    /// `GET …/offsets`.
    ///
    /// # Errors
    /// No such connector, or its class or offsets cannot be had.
    pub async fn offsets(&self, name: &str) -> Result<Vec<ConnectorOffset>, HerderError> {
        let slot = self.inner.slot(name, not_found)?;
        self.inner.offsets(&slot).await
    }

    /// `PATCH …/offsets`. The flag says whether the connector itself was asked and has agreed.
    ///
    /// # Errors
    /// No such connector, one that is not stopped, or offsets that are none.
    pub async fn alter_offsets(
        &self,
        name: &str,
        offsets: Vec<ConnectorOffset>,
    ) -> Result<bool, HerderError> {
        self.change_offsets(name, Change::Alter(offsets)).await
    }

    /// `DELETE …/offsets`. The flag is that of [`Herder::alter_offsets`].
    ///
    /// # Errors
    /// No such connector, or one that is not stopped.
    pub async fn reset_offsets(&self, name: &str) -> Result<bool, HerderError> {
        self.change_offsets(name, Change::Reset).await
    }

    async fn change_offsets(&self, name: &str, change: Change) -> Result<bool, HerderError> {
        let (inner, name) = (Arc::clone(&self.inner), name.to_owned());
        self.finish(format!("offsets-{name}"), async move {
            let slot = inner.slot(&name, not_found)?;
            // Held to the end, so that no task starts meanwhile.
            let live = slot.live.lock().await;
            if live.deleted {
                return Err(not_found(&name));
            }
            check_stopped(&slot, &live)?;
            inner.change_offsets(&slot, change).await?;
            tracing::info!(connector = name, "offsets changed");
            Ok(false)
        })
        .await
    }
}

impl Inner {
    async fn offsets(&self, slot: &Slot) -> Result<Vec<ConnectorOffset>, HerderError> {
        let config = slot.view().config.clone();
        let (plugin, checked) = self.check(&config).await?;
        if plugin.info().kind == Kind::Sink {
            let committed = self.shared.cluster.group_offsets(&checked.group_id).await;
            let committed = committed.map_err(|error| {
                HerderError::Internal(format!(
                    "Failed to retrieve consumer group offsets for sink connector {}: {error}",
                    slot.name
                ))
            })?;
            return Ok(sink::rows(committed));
        }
        let stored = self.shared.offsets.read(&slot.name).await?;
        let rows = stored.iter().filter_map(|(partition, offset)| {
            Some(ConnectorOffset {
                partition: serde_json::from_str(partition).ok()?,
                offset: serde_json::from_str(offset).ok()?,
            })
        });
        Ok(rows.collect())
    }

    async fn change_offsets(&self, slot: &Slot, change: Change) -> Result<(), HerderError> {
        let config = slot.view().config.clone();
        let (plugin, checked) = self.check(&config).await?;
        match (plugin.info().kind, change) {
            (Kind::Sink, Change::Alter(rows)) => {
                let offsets = sink::parse(&rows)?;
                let altered = self
                    .shared
                    .cluster
                    .alter_group_offsets(&checked.group_id, &offsets);
                let altered = altered.await;
                altered.map_err(|error| sink::failed("alter", &slot.name, &error))
            }
            (Kind::Sink, Change::Reset) => {
                let deleted = self.shared.cluster.delete_group(&checked.group_id).await;
                deleted.map_err(|error| sink::failed("reset", &slot.name, &error))
            }
            (Kind::Source, change) => {
                let rows = match change {
                    Change::Alter(rows) => rows.into_iter().map(source_row).collect::<Result<_, _>>()?,
                    Change::Reset => {
                        let stored = self.shared.offsets.read(&slot.name).await?;
                        let rows = stored.iter();
                        rows.map(|(partition, _)| (partition.to_owned(), None)).collect()
                    }
                };
                let written = self.shared.offsets.write(&slot.name, &rows).await;
                written.map_err(|error| match error {
                    OffsetsError::Conversion(error) => HerderError::BadRequest(error.0),
                    OffsetsError::Store(error) => HerderError::from(error),
                })
            }
        }
    }
}

/// Offsets are changed only where no task can overwrite them.
fn check_stopped(slot: &Slot, live: &Live) -> Result<(), HerderError> {
    if slot.view().target == TargetState::Stopped && live.tasks.is_empty() {
        return Ok(());
    }
    Err(HerderError::BadRequest(format!(
        "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
         specified connector by issuing a 'PUT' request to the '/connectors/{}/stop' endpoint",
        slot.name
    )))
}

fn source_row(row: ConnectorOffset) -> Result<(String, Option<String>), HerderError> {
    let offset = match row.offset {
        Value::Null => None,
        offset => Some(offset.to_string()),
    };
    match row.partition {
        Value::Null => Err(HerderError::Internal(
            "Partition objects cannot be null".to_owned(),
        )),
        partition => Ok((partition.to_string(), offset)),
    }
}

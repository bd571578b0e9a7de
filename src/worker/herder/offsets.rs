//! Offsets of connectors: what is stored, and changing it while the connector is stopped.
//!
//! A source's are rows of the offsets topic, a sink's are the committed positions of its consumer group.

mod sink;

use std::sync::Arc;

use jackfield_api::OffsetChange;
use jackfield_plugin::{ConnectorPlugin, Kind};
use serde_json::Value;

use super::{ConnectorOffset, Herder, HerderError, Inner, Live, Slot, TargetState, not_found};
use crate::{
    ConfigMap,
    connector_config::sorted,
    stores::offsets::{OffsetsError, Rows},
};

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
            let known_to_connector = inner.change_offsets(&slot, change).await?;
            tracing::info!(connector = name, "offsets changed");
            Ok(known_to_connector)
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

    /// Asks the connector, then changes them. The flag is the connector's answer.
    async fn change_offsets(&self, slot: &Slot, change: Change) -> Result<bool, HerderError> {
        let config = slot.view().config.clone();
        let (plugin, checked) = self.check(&config).await?;
        let (cluster, group) = (&self.shared.cluster, &checked.group_id);
        if plugin.info().kind == Kind::Source {
            let rows = match change {
                Change::Alter(rows) => rows.into_iter().map(source_row).collect(),
                Change::Reset => {
                    let stored = self.shared.offsets.read(&slot.name).await?;
                    let partitions = stored.iter().map(|(partition, _)| partition.to_owned());
                    partitions.map(|partition| (partition, None)).collect()
                }
            };
            let known = ask(&plugin, &config, changes(&rows)).await?;
            let written = self.shared.offsets.write(&slot.name, &rows).await;
            written.map_err(|error| match error {
                OffsetsError::Conversion(error) => HerderError::BadRequest(error.0),
                OffsetsError::Store(error) => HerderError::from(error),
            })?;
            return Ok(known);
        }
        match change {
            Change::Alter(rows) => {
                let offsets = sink::parse(&rows)?;
                let known = ask(&plugin, &config, sink::changes(&offsets)).await?;
                let altered = cluster.alter_group_offsets(group, &offsets).await;
                altered.map_err(|error| sink::failed("alter", &slot.name, &error))?;
                Ok(known)
            }
            Change::Reset => {
                let failed = |error| sink::failed("reset", &slot.name, &error);
                let committed = cluster.group_offsets(group).await.map_err(failed)?;
                let gone = committed.into_iter().map(|committed| (committed.partition, None));
                let known = ask(&plugin, &config, sink::changes(&gone.collect::<Vec<_>>())).await?;
                cluster.delete_group(group).await.map_err(failed)?;
                Ok(known)
            }
        }
    }
}

async fn ask(
    plugin: &Arc<dyn ConnectorPlugin>,
    config: &ConfigMap,
    changes: Vec<OffsetChange>,
) -> Result<bool, HerderError> {
    let asked = plugin.alter_offsets(&sorted(config), &changes).await;
    asked.map_err(|error| HerderError::Internal(error.message))
}

fn changes(rows: &Rows) -> Vec<OffsetChange> {
    let change = |(partition, offset): &(String, Option<String>)| OffsetChange {
        partition: partition.clone(),
        offset: offset.clone(),
    };
    rows.iter().map(change).collect()
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

fn source_row(row: ConnectorOffset) -> (String, Option<String>) {
    let offset = match row.offset {
        Value::Null => None,
        offset => Some(offset.to_string()),
    };
    (row.partition.to_string(), offset)
}

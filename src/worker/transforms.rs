//! `transforms`: what changes records between a source and its topics, or between topics and a sink.
//!
//! Every task has its own chain. A transform gets a batch and gives one back in which every record names, by its `sequence`,
//! the record it was made of; so what becomes of one record is known to the end of the chain, and offsets are accounted for
//! without the transforms' help.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use jackfield_batch::{Batch, RecordRef};
use jackfield_plugin::{ConnectorPlugin, HostedTransform, PolledBatch, RecordError, StoredOffsets, Wanted};

use crate::{
    errors::{RecordFailure, Stage, Tolerance},
    task::{TaskContext, TaskFailure},
};

/// A transform of a connector's config, loaded and checked.
#[derive(Debug, Clone)]
pub(crate) struct TransformSpec {
    /// The user's name for it.
    pub(crate) alias: String,
    /// What the config asks for.
    pub(crate) wanted: Wanted,
    /// Its class.
    pub(crate) plugin: Arc<dyn ConnectorPlugin>,
    /// Its options.
    pub(crate) options: BTreeMap<String, String>,
}

/// The transforms of one task, in their order.
pub(crate) struct TransformChain {
    steps: Vec<(String, Box<dyn HostedTransform>)>,
}

/// Transforms have no offsets to ask for.
#[derive(Debug)]
struct NoOffsets;

impl StoredOffsets for NoOffsets {}

impl TransformChain {
    /// Starts the transforms of the task's connector.
    pub(crate) async fn start(context: &TaskContext) -> Result<Self, TaskFailure> {
        let mut chain = Self { steps: Vec::new() };
        for TransformSpec {
            alias,
            plugin,
            options,
            ..
        } in &context.config.transforms
        {
            let services = context.services_beside(Arc::new(NoOffsets));
            match plugin.start_transform(options, services).await {
                Ok(transform) => chain.steps.push((alias.clone(), transform)),
                Err(error) => {
                    chain.stop().await;
                    return Err(context.plugin_failure(&format!("start of transform {alias}"), &error));
                }
            }
        }
        Ok(chain)
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What becomes of a batch; `None` = nothing is left of it. A record that a transform cannot take is passed over, or
    /// fails the task: `coordinates` names it.
    pub(crate) async fn apply(
        &mut self,
        context: &TaskContext,
        tolerance: &mut Tolerance,
        batch: Bytes,
        coordinates: &(dyn Fn(u32) -> Vec<(&'static str, String)> + Sync),
    ) -> Result<Option<PolledBatch>, TaskFailure> {
        let mut given = batch;
        let mut made = None;
        for (alias, transform) in &mut self.steps {
            let stage = format!("{} of {alias}", Stage::Transformation.name());
            let transformed = transform.apply(given.clone()).await;
            let transformed = transformed.map_err(|error| context.plugin_failure(&stage, &error))?;
            for RecordError { sequence, message } in transformed.rejected {
                let mut coordinates = coordinates(sequence);
                coordinates.push(("transform", alias.clone()));
                let failure = RecordFailure {
                    stage: Stage::Transformation,
                    cause: message,
                    coordinates,
                };
                tolerance.decide(context, failure)?;
            }
            let Some(batch) = transformed.batch else {
                return Ok(None);
            };
            given = batch.get_ref().clone();
            made = Some(batch);
        }
        Ok(made)
    }

    /// Ends the transforms.
    pub(crate) async fn stop(self) {
        for (_, transform) in self.steps {
            transform.stop().await;
        }
    }
}

/// Records of a source must be numbered as they come in their batch, because transforms keep the number.
pub(crate) fn check_sequences<B: AsRef<[u8]>>(batch: &Batch<B>) -> Result<(), String> {
    let wrong = |(index, found): &(u32, RecordRef<'_>)| found.record.sequence != *index;
    match (0..).zip(batch.records()).find(wrong) {
        None => Ok(()),
        Some((index, found)) => Err(format!(
            "record {index} of the plugin's batch has sequence {}: transforms need records that are numbered from 0",
            found.record.sequence
        )),
    }
}

//! `errors.tolerance`: what happens to a record that cannot be processed.

use crate::{
    converters::ConversionError,
    task::{TaskContext, TaskFailure},
};

/// Where a record failed; the names are Connect's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Poll,
    Put,
    KeyConverter,
    ValueConverter,
    HeaderConverter,
    Transformation,
    Produce,
}

impl Stage {
    /// Connect's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Poll => "TASK_POLL",
            Self::Put => "TASK_PUT",
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
            Self::Transformation => "TRANSFORMATION",
            Self::Produce => "KAFKA_PRODUCE",
        }
    }
}

/// A record that failed.
#[derive(Debug)]
pub(crate) struct RecordFailure {
    /// Where.
    pub(crate) stage: Stage,
    /// Why.
    pub(crate) cause: String,
    /// The record's coordinates.
    pub(crate) coordinates: Vec<(&'static str, String)>,
}

impl RecordFailure {
    /// A converter's error; coordinates are added by whoever knows them.
    pub(crate) fn conversion(stage: Stage, error: ConversionError) -> Self {
        Self {
            stage,
            cause: error.0,
            coordinates: Vec::new(),
        }
    }
}

/// Counts what was passed over.
#[derive(Debug, Default)]
pub(crate) struct Tolerance {
    skipped: u64,
}

impl Tolerance {
    /// Passes over the record, or fails the task.
    pub(crate) fn decide(
        &mut self,
        context: &TaskContext,
        failure: RecordFailure,
    ) -> Result<(), TaskFailure> {
        let mut details = failure.coordinates;
        if !context.config.tolerate_errors {
            details.push(("hint", "errors.tolerance=all passes over such records".to_owned()));
            return Err(context.failure(false, failure.stage.name(), &failure.cause, &details));
        }
        self.skipped += 1;
        if context.config.log_errors {
            let coordinates = if context.config.log_coordinates {
                details
                    .iter()
                    .map(|(name, value)| format!("{name} {value}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            } else {
                String::new()
            };
            tracing::warn!(
                connector = context.connector,
                task = context.task,
                stage = failure.stage.name(),
                error = failure.cause,
                record = coordinates,
                skipped = self.skipped,
                "record skipped"
            );
        }
        Ok(())
    }

    /// Says at a task's end how many records were passed over.
    pub(crate) fn report(&self, context: &TaskContext) {
        if self.skipped > 0 {
            tracing::info!(
                connector = context.connector,
                task = context.task,
                records = self.skipped,
                "records were skipped"
            );
        }
    }
}

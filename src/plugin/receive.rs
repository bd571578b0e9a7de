//! Looks at what a plugin hands over, once: after this the worker trusts it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use jackfield_api::schema_json;
use jackfield_batch::{
    Batch, RecordRef, Value,
    typed::{self, Schema},
};

use crate::{
    PluginError, PollLimits, PolledBatch, SinkPosition,
    limits::{
        MAX_PARTITION_BYTES, MAX_SCHEMA_BYTES, MAX_TABLES_BYTES, TRANSFORM_OUTPUT_BYTES,
        TRANSFORM_OUTPUT_TIMES,
    },
};

/// Schemas remembered per task; when there are more, all are forgotten.
const MAX_SCHEMAS: usize = 256;

/// Checks the batches of one source task.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    /// Parsed once per content.
    schemas: HashMap<Box<str>, Schema>,
}

impl Receiver {
    /// Checks a polled batch. An error is a defect of the plugin, which believes the records delivered: it is fatal.
    pub(crate) fn receive(&mut self, bytes: Bytes, limits: PollLimits) -> Result<PolledBatch, PluginError> {
        let batch = Batch::parse(bytes).map_err(|cause| invalid(&cause.to_string()))?;
        check_limits(&batch, limits)?;
        check_tables(&batch)?;
        for partition in batch.source_partitions() {
            if !is_json_object(partition) {
                return Err(invalid(&format!(
                    "source partition {} is not a JSON object",
                    shortened(partition)
                )));
            }
        }
        self.check_typed(&batch)?;
        Ok(batch)
    }

    /// Checks what a transform made of a batch; no bytes and no records are `None`. An error is a defect of the transform.
    pub(crate) fn receive_transformed(
        &mut self,
        bytes: Bytes,
        given: &[u8],
    ) -> Result<Option<PolledBatch>, PluginError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let most = (given.len() * TRANSFORM_OUTPUT_TIMES).max(TRANSFORM_OUTPUT_BYTES);
        if bytes.len() > most {
            let (made, given) = (bytes.len(), given.len());
            return Err(invalid(&format!(
                "{made} bytes were made of {given}, at most {most} are taken"
            )));
        }
        let batch = Batch::parse(bytes).map_err(|cause| invalid(&cause.to_string()))?;
        check_tables(&batch)?;
        let given = Batch::parse(given).map_err(|cause| invalid(&cause.to_string()))?;
        let known: HashSet<u32> = given.records().map(|found| found.record.sequence).collect();
        let mut last = None;
        for found in batch.records() {
            let sequence = found.record.sequence;
            if !known.contains(&sequence) {
                return Err(invalid(&format!(
                    "record of sequence {sequence}, which was not given"
                )));
            }
            if last > Some(sequence) {
                return Err(invalid(&format!(
                    "record of sequence {sequence} behind one of a later record"
                )));
            }
            last = Some(sequence);
        }
        self.check_typed(&batch)?;
        Ok((!batch.is_empty()).then_some(batch))
    }

    fn check_typed(&mut self, batch: &PolledBatch) -> Result<(), PluginError> {
        if batch.schemas().next().is_none() {
            return Ok(());
        }
        if self.schemas.len() > MAX_SCHEMAS {
            self.schemas.clear();
        }
        for text in batch.schemas() {
            if !self.schemas.contains_key(text) {
                let schema = schema_json::parse(text)
                    .map_err(|cause| invalid(&format!("schema {}: {cause}", shortened(text))))?;
                self.schemas.insert(text.into(), schema);
            }
        }
        let schemas: Vec<&Schema> = batch.schemas().map(|text| &self.schemas[text]).collect();
        for found in batch.records() {
            let headers = found.headers().map(|header| header.value);
            for value in [found.record.key, found.record.value].into_iter().chain(headers) {
                if let Value::Typed { schema, data } = value {
                    typed::validate(schemas[usize::from(schema)], data).map_err(|cause| {
                        invalid(&format!(
                            "record {}: value does not fit its schema: {cause}",
                            found.record.sequence
                        ))
                    })?;
                }
            }
        }
        Ok(())
    }
}

fn check_limits(batch: &PolledBatch, limits: PollLimits) -> Result<(), PluginError> {
    if batch.is_empty() {
        return Err(invalid("a batch without records"));
    }
    if batch.len() > limits.max_records as usize {
        return Err(invalid(&format!(
            "{} records, at most {} were asked for",
            batch.len(),
            limits.max_records
        )));
    }
    let bytes = batch.as_bytes().len();
    let max_bytes = limits.max_bytes as usize;
    if bytes <= max_bytes {
        return Ok(());
    }
    // The limit is soft: the record that passes it is still delivered. Tables do not count.
    let tables: usize = batch
        .topics()
        .chain(batch.source_partitions())
        .chain(batch.schemas())
        .map(str::len)
        .sum();
    let last = batch.records().last().as_ref().map_or(0, payload_bytes);
    if bytes - tables - last > max_bytes.saturating_add(batch.len() * RECORD_OVERHEAD) {
        return Err(invalid(&format!(
            "{bytes} bytes in {} records, at most {max_bytes} and one record were asked for",
            batch.len()
        )));
    }
    Ok(())
}

/// Tables are parsed as JSON, so they are no place for whatever does not fit elsewhere.
fn check_tables(batch: &PolledBatch) -> Result<(), PluginError> {
    let mut total: usize = batch.topics().map(str::len).sum();
    for (what, text, max) in (batch
        .source_partitions()
        .map(|text| ("source partition", text, MAX_PARTITION_BYTES)))
    .chain(batch.schemas().map(|text| ("schema", text, MAX_SCHEMA_BYTES)))
    {
        if text.len() > max {
            let bytes = text.len();
            return Err(invalid(&format!(
                "a {what} of {bytes} bytes, at most {max} are taken"
            )));
        }
        total += text.len();
    }
    if total > MAX_TABLES_BYTES {
        return Err(invalid(&format!(
            "tables of {total} bytes, at most {MAX_TABLES_BYTES} are taken"
        )));
    }
    Ok(())
}

/// Fixed fields of a record and of the batch header, which plugins need not count.
const RECORD_OVERHEAD: usize = 96;

fn payload_bytes(found: &RecordRef<'_>) -> usize {
    let value = |value: Value<'_>| match value {
        Value::Null => 0,
        Value::Bytes(data) | Value::Typed { data, .. } => data.len(),
        Value::Utf8(text) | Value::Json(text) => text.len(),
    };
    let headers: usize = found
        .headers()
        .map(|header| header.key.len() + value(header.value))
        .sum();
    value(found.record.key)
        + value(found.record.value)
        + headers
        + found.record.source_offset.map_or(0, str::len)
}

fn invalid(what: &str) -> PluginError {
    PluginError::fatal(format!("plugin returned an invalid batch: {what}"))
}

fn is_json_object(text: &str) -> bool {
    // Nothing is kept of it. A struct is read from an array, too.
    #[derive(serde::Deserialize)]
    struct Object {}
    text.trim_start().starts_with('{') && serde_json::from_str::<Object>(text).is_ok()
}

/// Enough of a text for a message.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 100;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Checks the positions a sink returns from `preCommit`: a subset of what it was asked for, not beyond it.
pub(crate) fn positions(
    current: &[SinkPosition],
    safe: Vec<jackfield_api::SinkPosition>,
) -> Result<Vec<SinkPosition>, PluginError> {
    let mut checked: Vec<SinkPosition> = Vec::with_capacity(safe.len());
    for position in safe {
        let jackfield_api::SinkPosition {
            topic,
            partition,
            offset,
            metadata,
        } = position;
        let refused = |what: &str| {
            PluginError::fatal(format!(
                "plugin returned position {offset} of {topic}-{partition} from preCommit: {what}"
            ))
        };
        let same = |at: &&SinkPosition| *at.topic == *topic && at.partition == partition;
        let Some(asked) = current.iter().find(same) else {
            return Err(refused("the task does not have that partition"));
        };
        if offset > asked.offset {
            return Err(refused(&format!("nothing beyond {} was put", asked.offset)));
        }
        if checked.iter().any(|at| same(&at)) {
            return Err(refused("the partition is there twice"));
        }
        checked.push(SinkPosition {
            topic: Arc::clone(&asked.topic),
            partition,
            offset,
            metadata,
        });
    }
    Ok(checked)
}

/// Checks the configs of a connector's tasks.
pub(crate) fn task_configs(
    configs: Vec<BTreeMap<String, String>>,
    max_tasks: u32,
) -> Result<Vec<BTreeMap<String, String>>, PluginError> {
    if configs.len() > max_tasks as usize {
        return Err(PluginError::fatal(format!(
            "plugin returned {} task configs, at most {max_tasks} were asked for",
            configs.len()
        )));
    }
    Ok(configs)
}

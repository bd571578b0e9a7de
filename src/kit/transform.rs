//! Transforms: that what they give does not depend on how records are batched, and that odd records do not break them.

use jackfield_plugin::{HostedTransform, Transformed};

use crate::{
    Entry, Verdict, checks,
    given::{self, Given},
    stage::{Stage, Stored, said},
};

pub(crate) const CHECKS: &[Entry] = checks![
    "starts, transforms, stops" => transforms,
    "gives the same of records one by one as of a batch" => one_by_one,
    "gives the same after a restart" => restarts,
    "an empty batch gives nothing" => empty,
    "tombstones, null keys and headers are transformed or rejected" => tombstones,
    "a huge record is transformed or rejected" => huge,
];

const RECORDS: usize = 100;
const HUGE: usize = 5 * 1024 * 1024;

struct Run<'a> {
    stage: &'a Stage<'a>,
    transform: Box<dyn HostedTransform>,
}

impl<'a> Run<'a> {
    async fn start(stage: &'a Stage<'a>) -> Result<Self, String> {
        let services = stage.services(Stored::default());
        let transform = stage.plugin.start_transform(&stage.config, services).await;
        Ok(Self {
            stage,
            transform: transform.map_err(|error| said("start", &error))?,
        })
    }

    async fn apply(&mut self, records: &[Given]) -> Result<Transformed, String> {
        let batch = given::batch(self.stage.scenario.values, records)?;
        self.transform
            .apply(batch)
            .await
            .map_err(|error| said("apply", &error))
    }

    /// What becomes of these records in batches of this size.
    async fn all(&mut self, records: &[Given], size: usize) -> Result<Vec<String>, String> {
        let mut given = Vec::new();
        for records in records.chunks(size) {
            given.extend(shown(&self.apply(records).await?));
        }
        Ok(given)
    }
}

/// The records without what depends on their batch.
fn shown(transformed: &Transformed) -> Vec<String> {
    let Some(batch) = &transformed.batch else {
        return Vec::new();
    };
    let show = |found: jackfield_batch::RecordRef<'_>| {
        let record = found.record;
        let headers: Vec<_> = found.headers().collect();
        format!(
            "{} {:?} {:?} {:?} {:?} {headers:?}",
            batch.topic(record.topic),
            record.partition,
            record.timestamp,
            record.key,
            record.value
        )
    };
    batch.records().map(show).collect()
}

fn records(stage: &Stage<'_>) -> Vec<Given> {
    given::records(stage.scenario.values, RECORDS)
}

async fn transforms(stage: &Stage<'_>) -> Verdict {
    let mut run = Run::start(stage).await?;
    let transformed = run.apply(&records(stage)).await?;
    let rejected = transformed.rejected.len();
    run.transform.stop().await;
    if rejected > 0 {
        let first = &transformed.rejected[0].message;
        return Err(format!(
            "{rejected} of {RECORDS} good records were rejected, the first because {first}"
        ));
    }
    Ok(None)
}

async fn one_by_one(stage: &Stage<'_>) -> Verdict {
    if stage.scenario.stateful {
        return Ok(Some("conformance.toml says that it is stateful".to_owned()));
    }
    compare(stage, RECORDS, 1).await
}

async fn restarts(stage: &Stage<'_>) -> Verdict {
    compare(stage, RECORDS, RECORDS).await
}

/// Two runs with batches of these sizes give the same.
async fn compare(stage: &Stage<'_>, one: usize, other: usize) -> Verdict {
    let mut results = Vec::new();
    for size in [one, other] {
        let mut run = Run::start(stage).await?;
        results.push(run.all(&records(stage), size).await?);
        run.transform.stop().await;
    }
    let differs = results[0]
        .iter()
        .zip(&results[1])
        .find(|(one, other)| one != other);
    if let Some((expected, found)) = differs {
        return Err(format!("expected {expected}, found {found}"));
    }
    let (expected, found) = (results[0].len(), results[1].len());
    if expected != found {
        return Err(format!("expected {expected} records, found {found}"));
    }
    Ok(None)
}

async fn empty(stage: &Stage<'_>) -> Verdict {
    let mut run = Run::start(stage).await?;
    let transformed = run.apply(&[]).await?;
    run.transform.stop().await;
    match shown(&transformed).len() {
        0 => Ok(None),
        records => Err(format!("{records} records came of none")),
    }
}

async fn tombstones(stage: &Stage<'_>) -> Verdict {
    let plain = given::record(stage.scenario.values, 0, "");
    let odd = [
        Given {
            value: None,
            ..plain.clone()
        },
        Given {
            key: None,
            ..plain.clone()
        },
        Given {
            headers: 3,
            ..plain.clone()
        },
        Given {
            headers: 1_000,
            key: Some(String::new()),
            ..plain
        },
    ];
    let mut run = Run::start(stage).await?;
    for given in odd {
        run.apply(&[given]).await?;
    }
    run.transform.stop().await;
    Ok(None)
}

async fn huge(stage: &Stage<'_>) -> Verdict {
    let filling = "x".repeat(HUGE);
    let mut run = Run::start(stage).await?;
    run.apply(&[given::record(stage.scenario.values, 0, &filling)])
        .await?;
    run.transform.stop().await;
    Ok(None)
}

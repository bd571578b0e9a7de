//! `jackfield offsets`: where partitions start and end, and where a time lies in them.

use serde_json::{Value, json};

use crate::{
    arguments::OffsetsArguments,
    client::Connection,
    configuration::Environment,
    kafka::{Kafka, Partitions},
    output::Output,
};

/// Prints the table.
pub(crate) fn run(arguments: &OffsetsArguments, environment: &Environment) -> anyhow::Result<()> {
    let connection = Connection::new(&arguments.client, environment)?;
    let output = Output::new(arguments.output, environment);
    let mut kafka = Kafka::connect(&connection)?;
    let topics = kafka.topics(&arguments.topics)?;
    let partitions = Partitions::of(&topics, &arguments.partition)?;
    if let Some(position) = arguments.at {
        let offsets = kafka.resolve(&partitions, position)?;
        let object = |((topic, partition), offset): (&(String, i32), &i64)| json!({"topic": topic, "partition": partition, "offset": offset});
        let row = |((topic, partition), offset): (&(String, i32), &i64)| {
            vec![topic.clone(), partition.to_string(), offset.to_string()]
        };
        let rows: Vec<_> = offsets.iter().map(row).collect();
        let document = offsets.iter().map(object).collect();
        return output.print(&Value::Array(document), || {
            output.table(&["TOPIC", "PARTITION", "OFFSET"], &rows)
        });
    }
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    for ((topic, partition), range) in kafka.ends(&partitions)? {
        let records = range.end - range.start;
        let numbers =
            [partition.into(), range.start, range.end, records].map(|number: i64| number.to_string());
        rows.push(std::iter::once(topic.clone()).chain(numbers).collect());
        objects.push(json!({
            "topic": topic,
            "partition": partition,
            "start": range.start,
            "end": range.end,
            "records": records,
        }));
    }
    output.print(&Value::Array(objects), || {
        output.table(&["TOPIC", "PARTITION", "START", "END", "RECORDS"], &rows)
    })
}

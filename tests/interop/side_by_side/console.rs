//! `kafka-console-producer` and `kafka-console-consumer`.

use super::Side;

const PRODUCER: &str = "ConsoleProducer";
const CONSUMER: &str = "consumer.ConsoleConsumer";
const TOPIC: [&str; 2] = ["--topic", "console"];

/// Options, each behind the name they share.
fn properties<'a>(name: &'a str, values: &[&'a str]) -> Vec<&'a str> {
    values.iter().flat_map(|value| [name, value]).collect()
}

/// Records that [`produce`] leaves.
const PRODUCED: &str = "17";

pub(super) fn script(side: &mut Side<'_>) {
    side.run("TopicCommand", &[&["--create"][..], &TOPIC].concat());
    produce(side);
    consume(side);
    side.run("TopicCommand", &[&["--delete"][..], &TOPIC].concat());
}

fn produce(side: &mut Side<'_>) {
    let input = "a\nb\n\nlast without an end";
    side.feed(PRODUCER, input, &[&TOPIC[..], &["--sync"]].concat());
    let keyed = properties(
        "--reader-property",
        &[
            "parse.key=true",
            "key.separator=:",
            "parse.headers=true",
            "null.marker=NULL",
        ],
    );
    side.feed(
        PRODUCER,
        "h1:v1,h2:v2\tk:one\nh1:v1\tk:NULL\nNULL\tNULL:two\nh:é\tk:ü\n",
        &[&TOPIC[..], &keyed].concat(),
    );
    side.feed(PRODUCER, "h:v\tno separator\n", &[&TOPIC[..], &keyed].concat());
    for codec in ["none", "gzip", "snappy", "lz4", "zstd", "unknown"] {
        let line = format!("{codec}\n");
        side.feed(
            PRODUCER,
            &line,
            &[&TOPIC[..], &["--compression-codec", codec]].concat(),
        );
    }
    for more in [
        &["--request-required-acks", "0"][..],
        &["--request-required-acks", "1"],
        &["--command-property", "enable.idempotence=false"],
        &["--batch-size", "1", "--timeout", "10"],
    ] {
        side.feed(PRODUCER, "more\n", &[&TOPIC[..], more].concat());
    }
}

fn consume(side: &mut Side<'_>) {
    let all = properties(
        "--formatter-property",
        &[
            "print.timestamp=true",
            "print.key=true",
            "print.headers=true",
            "print.offset=true",
            "print.partition=true",
            "print.epoch=true",
            "key.separator=|",
            "headers.separator=;",
            "null.literal=nothing",
        ],
    );
    let keys = properties(
        "--formatter-property",
        &["print.value=false", "print.key=true", "print.offset=true"],
    );
    let deserializer = [
        "--key-deserializer",
        "org.apache.kafka.common.serialization.IntegerDeserializer",
        "--formatter-property",
        "print.key=true",
        "--max-messages",
        PRODUCED,
    ];
    let formatter = [
        "--formatter",
        "org.apache.kafka.tools.consumer.NoOpMessageFormatter",
    ];
    let beginning = ["--from-beginning", "--max-messages", PRODUCED];
    for more in [
        &all[..],
        &keys,
        &formatter,
        &["--isolation-level", "read_committed"],
        &["--command-property", "fetch.max.bytes=1"],
    ] {
        side.run(CONSUMER, &[&TOPIC[..], &beginning, more].concat());
    }
    side.run(CONSUMER, &[&["--include", "con.*"][..], &beginning].concat());
    let from = ["--partition", "0", "--offset"];
    for more in [
        &["2", "--max-messages", "1"][..],
        &["earliest", "--max-messages", "2"],
        &["latest", "--timeout-ms", "700"],
        &["999", "--timeout-ms", "700"],
    ] {
        side.run(CONSUMER, &[&TOPIC[..], &from, more].concat());
    }
    side.run(CONSUMER, &[&TOPIC[..], &from, &["0"], &deserializer].concat());
    for more in [
        &["--partition", "9", "--offset", "0", "--timeout-ms", "700"][..],
        &["--offset", "0"],
        &["--command-property", "group.protocol=nonsense"],
    ] {
        side.run(CONSUMER, &[&TOPIC[..], more].concat());
    }
}

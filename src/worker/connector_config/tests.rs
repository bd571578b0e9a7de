//! Connector configs: what is accepted, refused, and with which words.

use jackfield_api::{ConfigKey, ConfigType, Importance};

use super::*;

fn own(names: &[(&str, bool)]) -> ConfigDef {
    let keys = names.iter().map(|(name, required)| ConfigKey {
        name: (*name).to_owned(),
        kind: ConfigType::String,
        default: None,
        required: *required,
        importance: Importance::High,
        documentation: String::new(),
        display_name: String::new(),
        group: None,
        validator: None,
    });
    ConfigDef { keys: keys.collect() }
}

fn parse(kind: Kind, text: &str) -> Result<ConnectorConfig, Vec<String>> {
    let worker = WorkerConfig::parse(&BTreeMap::from([
        ("value.converter.schemas.enable".to_owned(), "false".to_owned()),
        ("producer.compression.type".to_owned(), "lz4".to_owned()),
    ]))
    .unwrap();
    let config = text.lines().filter_map(|line| line.trim().split_once('='));
    let config = config
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let own = match kind {
        Kind::Source => own(&[("topic", true), ("file", false)]),
        Kind::Sink | Kind::Transform => own(&[("file", false)]),
    };
    ConnectorConfig::parse(&config, kind, &own, &worker)
        .map_err(|problems| problems.iter().map(|problem| problem.message.clone()).collect())
}

#[test]
fn kafkas_file_connectors_are_fine() {
    let source = parse(
        Kind::Source,
        "name=local-file-source\nconnector.class=FileStreamSource\ntasks.max=1\nfile=test.txt\ntopic=connect-test",
    )
    .unwrap();
    assert_eq!(source.tasks_max, 1);
    assert_eq!(source.value_converter.options["schemas.enable"], "false");
    assert_eq!(source.compression, Compression::Lz4);
    let sink = parse(
        Kind::Sink,
        "name=local-file-sink\nconnector.class=FileStreamSink\ntasks.max=1\nfile=test.sink.txt\ntopics=connect-test",
    )
    .unwrap();
    assert_eq!(sink.group_id, "connect-local-file-sink");
    assert!(matches!(&sink.topics, Some(TopicSelection::Names(names)) if names == &["connect-test"]));
}

#[test]
fn problems_are_listed_in_kafkas_words_and_ours() {
    let problems = parse(
        Kind::Source,
        "name=x\nconnector.class=FileStreamSource\ntasks.max=0\nerrors.tolerance=some\ntransforms=insert\n\
         transforms.insert.type=Y\nfiel=a\nvalue.converter=nope\nproducer.override.compression.type=rar",
    )
    .unwrap_err();
    expect_test::expect![[r#"
        Invalid value 0 for configuration tasks.max: Value must be at least 1
        Invalid value some for configuration errors.tolerance: String must be one of: none, all
        Unknown configuration 'fiel': did you mean 'file'?
        Invalid value rar for configuration producer.override.compression.type: String must be one of: none, gzip, snappy, lz4, zstd
        Invalid value nope for configuration value.converter: Class nope could not be found; available: JsonConverter, StringConverter, ByteArrayConverter
        Missing required configuration "topic" which has no default value."#]]
    .assert_eq(&problems.join("\n"));
}

#[test]
fn sinks_need_topics_one_way() {
    let base = "name=x\nconnector.class=FileStreamSink\n";
    let problem = |text: &str| {
        parse(Kind::Sink, &format!("{base}{text}"))
            .unwrap_err()
            .join("\n")
    };
    // Each of the two keys is wrong, so Kafka says it twice.
    let twice = |message: &str| format!("{message}\n{message}");
    assert_eq!(problem(""), twice("Must configure one of topics or topics.regex"));
    assert_eq!(
        problem("topics=a\ntopics.regex=b"),
        twice("topics and topics.regex are mutually exclusive options, but both are set.")
    );
    assert!(problem("topics.regex=(").contains("Invalid regex"));
    assert!(parse(Kind::Sink, &format!("{base}topics.regex=a.*")).is_ok());
}

#[test]
fn a_converter_of_its_own_starts_without_the_workers_options() {
    let config = parse(
        Kind::Source,
        "name=x\nconnector.class=C\ntopic=t\nvalue.converter=JsonConverter\nkey.converter.schemas.enable=false\n\
         producer.override.compression.type=zstd",
    )
    .unwrap();
    assert_eq!(config.value_converter.options.len(), 0);
    assert_eq!(config.key_converter.options["schemas.enable"], "false");
    assert_eq!(config.compression, Compression::Zstd);
}

#[test]
fn unknown_keys_pass_when_asked() {
    assert!(parse(Kind::Source, "name=x\nconnector.class=C\ntopic=t\nmy.key=1").is_err());
    assert!(
        parse(
            Kind::Source,
            "name=x\nconnector.class=C\ntopic=t\nmy.key=1\nconfig.unknown.keys=ignore"
        )
        .is_ok()
    );
}

#[test]
fn overrides_work_or_say_that_they_do_not() {
    let base = "name=x\nconnector.class=C\ntopics=t\n";
    let sink = |text: &str| parse(Kind::Sink, &format!("{base}{text}"));
    let config = sink(
        "consumer.override.group.id=g\nconsumer.override.auto.offset.reset=earliest\n\
         consumer.override.max.poll.records=7\nconsumer.override.fetch.min.bytes=1\n\
         admin.override.sasl.mechanism=PLAIN",
    )
    .unwrap();
    assert_eq!(
        (config.group_id.as_str(), config.max_poll_records),
        ("g", Some(7))
    );
    let notices: Vec<_> = config
        .notices
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        notices,
        [
            "consumer.override.fetch.min.bytes",
            "admin.override.sasl.mechanism"
        ]
    );
    let problems = sink(
        "consumer.override.auto.offset.reset=latest\nconsumer.override.max.pol.records=7\n\
         producer.override.linger=5\nconsumer.override.group.id=",
    )
    .unwrap_err();
    expect_test::expect![[r#"
        consumer.override.auto.offset.reset=latest is not supported yet; remove it or use earliest
        Unknown configuration 'consumer.override.max.pol.records': did you mean 'consumer.override.max.poll.records'?
        Unknown configuration 'producer.override.linger': did you mean 'producer.override.linger.ms'?
        Invalid value  for configuration consumer.override.group.id: String must be non-empty"#]]
    .assert_eq(&problems.join("\n"));
    assert!(sink("consumer.override.nope=1\nconfig.unknown.keys=ignore").is_ok());
}

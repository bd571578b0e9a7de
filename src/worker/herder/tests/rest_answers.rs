//! What REST asks of the herder besides states: patches, checks of configs, topics in use.

use super::{
    plugins::lock,
    rig::{Rig, config, wait_for},
};
use crate::{GivenConfig, HerderError};

const SOURCE: &str = "name=src\nconnector.class=ListSource\ntopic=lines";

fn given(entries: &[(&str, Option<&str>)]) -> GivenConfig {
    let entries = entries.iter();
    entries
        .map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)))
        .collect()
}

#[tokio::test]
async fn a_patch_changes_and_takes_out_single_keys() {
    let rig = Rig::new("").await;
    rig.create(&format!("{SOURCE}\ntasks.max=1")).await;
    let patch = given(&[("topic", Some("other")), ("tasks.max", None)]);
    let info = rig.herder.patch_config("src", patch).await.unwrap();
    assert_eq!(
        info.config,
        config("name=src\nconnector.class=ListSource\ntopic=other")
    );
    for (patch, part) in [
        (
            given(&[("topic", None)]),
            "Missing required configuration \"topic\"",
        ),
        (given(&[("name", Some("x"))]), "doesn't match connector name"),
    ] {
        let refused = rig.herder.patch_config("src", patch).await.unwrap_err();
        assert!(refused.to_string().contains(part), "{refused}");
    }
    assert_eq!(rig.herder.connector("src").await.unwrap().config, info.config);
    assert!(matches!(
        rig.herder.patch_config("nope", given(&[])).await,
        Err(HerderError::NotFound(_))
    ));
    rig.stop().await;
}

#[tokio::test]
async fn a_check_names_every_key_with_what_is_wrong_with_it() {
    let rig = Rig::new("").await;
    let asked = given(&[
        ("connector.class", Some("ListSource")),
        ("tasks.max", Some("0")),
        ("errors.log.enable", Some("TRUE")),
        ("value.converter", Some("JsonConverter")),
        ("value.converter.schemas.enable", Some("x")),
        ("nobody.knows", Some("1")),
        ("nothing", None),
    ]);
    let infos = rig.herder.validate(asked.clone()).await.unwrap();
    let wrong: Vec<_> = infos
        .configs
        .iter()
        .filter(|config| !config.value.errors.is_empty())
        .map(|config| (config.value.name.as_str(), config.definition.is_some()))
        .collect();
    assert_eq!(
        wrong,
        [
            ("nobody.knows", false),
            ("nothing", false),
            ("name", true),
            ("tasks.max", true),
            ("topic", true),
            ("value.converter.schemas.enable", true),
        ]
    );
    assert_eq!(infos.error_count, 6);
    assert!(
        infos
            .groups
            .ends_with(&["Schemas".to_owned(), "Serialization".to_owned()])
    );
    let value = |name: &str| {
        let found = infos.configs.iter().find(|config| config.value.name == name);
        found.unwrap_or_else(|| panic!("{name}")).value.value.clone()
    };
    assert_eq!(value("errors.log.enable").as_deref(), Some("true"));
    assert_eq!(value("value.converter.schemas.enable"), None);
    assert_eq!(
        value("value.converter").as_deref(),
        Some("org.apache.kafka.connect.json.JsonConverter")
    );
    // A connector that is created with a null is told the same.
    let refused = rig.herder.without_nulls(asked).await.unwrap_err();
    assert!(
        refused.to_string().contains("the following 6 error(s)"),
        "{refused}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn topics_that_were_forgotten_are_noted_again_when_they_are_used_again() {
    let rig = Rig::new("").await;
    lock(&rig.source).lines = vec!["a".to_owned()];
    rig.create(SOURCE).await;
    wait_for("the topic", || async { rig.herder.topics("src") == ["lines"] }).await;
    rig.herder.reset_topics("src").await;
    assert_eq!(rig.herder.topics("src"), Vec::<String>::new());
    lock(&rig.source).lines.push("b".to_owned());
    lock(&rig.source).wake.clone().unwrap().notify_one();
    wait_for("the topic again", || async {
        rig.herder.topics("src") == ["lines"]
    })
    .await;
    rig.stop().await;
}

#[tokio::test]
async fn plugins_say_what_they_can_be_told() {
    let rig = Rig::new("").await;
    let keys =
        |keys: Vec<crate::ConfigKeyInfo>| -> Vec<String> { keys.into_iter().map(|key| key.name).collect() };
    let source = keys(rig.herder.plugin_config("ListSource", "latest").await.unwrap());
    assert_eq!(source[..3], ["topic", "extra", "name"]);
    let json = keys(rig.herder.plugin_config("JsonConverter", "latest").await.unwrap());
    assert_eq!(json[..2], ["converter.type", "schemas.enable"]);
    for (class, version, error) in [
        ("Nope", "latest", "Unknown plugin Nope."),
        ("ListSource", "[1.0", "Invalid version specification: [1.0"),
        (
            "ListSource",
            "99.0",
            "Plugin org.example.ListSourceConnector not found that matches the version range [99.0,99.0], available versions: [1.2.3]",
        ),
    ] {
        let refused = rig.herder.plugin_config(class, version).await.unwrap_err();
        assert!(refused.to_string().starts_with(error), "{refused}");
    }
    rig.stop().await;
}

//! The reference page of all options, `docs/configs.md`.

use super::{
    definition::{Definition, Scope, Table},
    tables,
};

/// What stands at the top.
const HEAD: &str = "# Configs

Every config of Apache Kafka 4.3's brokers, topics, groups and client metrics subscriptions is known here, with Kafka's type,
default and valid values. What has no effect says why. This page is generated from the tables in
[`src/broker/config`](../src/broker/config).
";

/// The page, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let sections = [
        (
            "Brokers",
            "In the file of the broker (`server.properties`, or with `broker.` in front a worker's). What is *per-broker* or \
             *cluster-wide* can also change while it runs, with `kafka-configs --entity-type brokers`.",
            tables::broker(),
        ),
        (
            "Topics",
            "With `kafka-configs --entity-type topics`, or when a topic is created. The default is the broker's config.",
            tables::topic(),
        ),
        (
            "Groups",
            "With `kafka-configs --entity-type groups`. The default is the broker's config.",
            tables::group(),
        ),
        (
            "Client metrics",
            "With `kafka-configs --entity-type client-metrics`.",
            tables::client_metrics(),
        ),
    ];
    for (title, text, table) in sections {
        page.push_str(&format!("\n## {title}\n\n{text}\n\n"));
        page.push_str(&rows(table));
    }
    page
}

fn rows(table: &Table) -> String {
    let mut rows =
        "| Config | Type | Default | Valid values | Importance | Change | What it does |\n".to_owned();
    rows.push_str("|---|---|---|---|---|---|---|\n");
    for option in table.iter().filter(|option| option.scope != Scope::Internal) {
        rows.push_str(&row(option));
    }
    rows
}

fn row(option: &Definition) -> String {
    let change = match option.scope {
        Scope::ReadOnly => "restart".to_owned(),
        Scope::PerBroker => "per-broker".to_owned(),
        Scope::ClusterWide => "cluster-wide".to_owned(),
        Scope::DynamicOnly => "cluster-wide, not in the file".to_owned(),
        Scope::Defaulted(Some(key)) => format!("default: `{key}`"),
        Scope::Internal | Scope::Defaulted(None) => String::new(),
    };
    let default = option.default.map_or(String::new(), |value| {
        let value = if value.is_empty() { "\"\"" } else { value };
        format!("`{value}`")
    });
    format!(
        "| `{}` | {} | {default} | {} | {} | {change} | {} |\n",
        option.name,
        option.kind.name().to_lowercase(),
        option.valid.text(),
        option.importance,
        option.documentation()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_EXPECT=1` writes it anew.
    #[test]
    fn the_page_is_up_to_date() {
        expect_test::expect_file!["../../../docs/configs.md"].assert_eq(&reference());
    }
}

//! The `Cargo.lock` of a new project: ours, as far as the SDK goes. So a project is built with the versions that the SDK was
//! tested with, and without a network where these are at hand.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use toml_edit::{ArrayOfTables, Item, Table};

use super::sdk;

/// The SDK's crate that projects depend on.
const SDK: &str = "jackfield-api";

/// The lock file of a project whose only dependency is the SDK.
///
/// # Errors
/// The program's own lock file is not one.
pub(super) fn of_project(name: &str, version: &str) -> anyhow::Result<String> {
    let mut lock = sdk::root_lock()?;
    let packages = lock["package"]
        .as_array_of_tables()
        .context("the program's Cargo.lock has no packages")?;
    let mut by_name: BTreeMap<&str, Vec<&Table>> = BTreeMap::new();
    for package in packages {
        by_name.entry(text(package, "name")).or_default().push(package);
    }
    let mut kept: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut open = vec![SDK.to_owned()];
    let own_tests = sdk::test_dependencies()?;
    while let Some(wanted) = open.pop() {
        let mut words = wanted.split(' ');
        let (wanted, version) = (words.next().unwrap_or_default(), words.next());
        let Some(found) = by_name.get(wanted).and_then(|versions| {
            let mut versions = versions.iter();
            versions.find(|package| version.is_none_or(|version| text(package, "version") == version))
        }) else {
            continue;
        };
        if kept.insert((text(found, "name"), text(found, "version"))) {
            open.extend(
                dependencies(found)
                    .filter(|name| !(is_ours(found) && own_tests.contains(*name)))
                    .map(str::to_owned),
            );
        }
    }
    let mut own = Table::new();
    own.insert("name", toml_edit::value(name));
    own.insert("version", toml_edit::value(version));
    own.insert(
        "dependencies",
        toml_edit::value([SDK].into_iter().collect::<toml_edit::Array>()),
    );
    let mut new: Vec<Table> = packages
        .iter()
        .filter(|package| kept.contains(&(text(package, "name"), text(package, "version"))))
        .map(|package| without(package, &own_tests))
        .chain([own])
        .collect();
    new.sort_by(|one, other| {
        (text(one, "name"), text(one, "version")).cmp(&(text(other, "name"), text(other, "version")))
    });
    for package in &mut new {
        package.set_position(None);
    }
    lock.insert(
        "package",
        Item::ArrayOfTables(new.into_iter().collect::<ArrayOfTables>()),
    );
    Ok(lock.to_string())
}

fn is_ours(package: &Table) -> bool {
    !package.contains_key("source")
}

fn without(package: &Table, names: &BTreeSet<String>) -> Table {
    let mut package = package.clone();
    if is_ours(&package)
        && let Some(dependencies) = package.get_mut("dependencies").and_then(Item::as_array_mut)
    {
        dependencies.retain(|name| !name.as_str().is_some_and(|name| names.contains(name)));
        if dependencies.is_empty() {
            package.remove("dependencies");
        }
    }
    package
}

fn text<'a>(package: &'a Table, key: &str) -> &'a str {
    package.get(key).and_then(Item::as_str).unwrap_or_default()
}

fn dependencies(package: &Table) -> impl Iterator<Item = &str> {
    let list = package.get("dependencies").and_then(Item::as_array);
    list.into_iter()
        .flat_map(|list| list.iter().filter_map(toml_edit::Value::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_the_sdk_needs_and_nothing_else() {
        let text = of_project("acme-counts", "0.1.0").unwrap();
        let lock: toml::Table = toml::from_str(&text).unwrap();
        let packages = lock["package"].as_array().unwrap();
        let names: Vec<_> = packages
            .iter()
            .map(|package| package["name"].as_str().unwrap())
            .collect();
        for wanted in [
            "acme-counts",
            "jackfield-api",
            "jackfield-batch",
            "wit-bindgen",
            "serde_json",
        ] {
            assert!(names.contains(&wanted), "{wanted} in {names:?}");
        }
        for other in ["tokio", "jackfield-cli", "proptest", "wasmtime"] {
            assert!(!names.contains(&other), "{other} in {names:?}");
        }
    }
}

//! Reads the policy file; every error names its line.

use std::{fs, io::Read, ops::Range, path::Path};

use serde::Deserialize;
use toml::Spanned;

use super::{GrantedDirectory, Grants, PolicyError, Section};
use crate::{
    hosts::{self, HttpHosts, TcpHosts},
    manifest::{self, DirectoryAccess},
};

/// Policy files beyond this size are refused.
const MAX_POLICY_BYTES: u64 = 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    #[serde(default)]
    grant: Vec<RawSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSection {
    package: Spanned<String>,
    #[serde(default)]
    directories: Vec<RawDirectory>,
    #[serde(default)]
    http: Vec<Spanned<String>>,
    #[serde(default)]
    tcp: Vec<Spanned<String>>,
    #[serde(default)]
    environment: Vec<Spanned<String>>,
    #[serde(default)]
    clock: bool,
    #[serde(default)]
    addresses: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDirectory {
    path: Spanned<String>,
    access: Access,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Access {
    Read,
    ReadWrite,
}

/// The text of the file, for line numbers.
struct Text<'a> {
    file: &'a Path,
    text: &'a str,
}

/// Reads and checks the file.
pub(super) fn read(file: &Path) -> Result<Grants, PolicyError> {
    let unreadable = |cause| PolicyError::Unreadable {
        file: file.to_owned(),
        cause,
    };
    let mut text = String::new();
    let open = fs::File::open(file).map_err(unreadable)?;
    open.take(MAX_POLICY_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_POLICY_BYTES {
        let too_large = format!("it has more than {MAX_POLICY_BYTES} bytes");
        return Err(unreadable(std::io::Error::other(too_large)));
    }
    parse(file, &text)
}

/// Checks the text of a file.
pub(crate) fn parse(file: &Path, text: &str) -> Result<Grants, PolicyError> {
    let text = Text { file, text };
    let raw: RawPolicy = toml::from_str(text.text).map_err(|cause| text.unparsed(&cause))?;
    let sections = raw.grant.into_iter().map(|raw| text.section(raw));
    Ok(Grants {
        file: Some(file.to_owned()),
        sections: sections.collect::<Result<_, _>>()?,
    })
}

impl Text<'_> {
    fn section(&self, raw: RawSection) -> Result<Section, PolicyError> {
        let package = raw.package.get_ref();
        if package != "*" {
            manifest::check_name(package).map_err(|why| self.wrong("package", &raw.package, &why))?;
        }
        let directories = raw.directories.into_iter().map(|raw| self.directory(raw));
        Ok(Section {
            package: package.clone(),
            line: self.line(&raw.package.span()),
            directories: directories.collect::<Result<_, _>>()?,
            http: self.entries("http", &raw.http, HttpHosts::parse)?,
            tcp: self.entries("tcp", &raw.tcp, TcpHosts::parse)?,
            environment: self.entries("environment", &raw.environment, |name| {
                manifest::check_variable(name).map(|()| name.to_owned())
            })?,
            clock: raw.clock,
            addresses: self.entries("addresses", &raw.addresses, |text| match text.parse() {
                Ok(address) => Ok(ipnet::IpNet::from(std::net::IpAddr::to_canonical(&address))),
                Err(_) => hosts::network(text),
            })?,
        })
    }

    fn directory(&self, raw: RawDirectory) -> Result<GrantedDirectory, PolicyError> {
        let path = Path::new(raw.path.get_ref());
        let up = path
            .components()
            .any(|part| part == std::path::Component::ParentDir);
        if !path.is_absolute() || up {
            let why = "an absolute path without .. is wanted";
            return Err(self.wrong("directories", &raw.path, why));
        }
        Ok(GrantedDirectory {
            path: path.to_owned(),
            access: match raw.access {
                Access::Read => DirectoryAccess::Read,
                Access::ReadWrite => DirectoryAccess::ReadWrite,
            },
            line: self.line(&raw.path.span()),
        })
    }

    fn entries<T>(
        &self,
        key: &str,
        raw: &[Spanned<String>],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, PolicyError> {
        let entry =
            |entry: &Spanned<String>| parse(entry.get_ref()).map_err(|why| self.wrong(key, entry, &why));
        raw.iter().map(entry).collect()
    }

    fn wrong(&self, key: &str, value: &Spanned<String>, why: &str) -> PolicyError {
        PolicyError::Wrong {
            file: self.file.to_owned(),
            line: self.line(&value.span()),
            what: format!("{key}: {:?}: {why}; correct the line", value.get_ref()),
        }
    }

    /// What the TOML reader has to say.
    fn unparsed(&self, cause: &toml::de::Error) -> PolicyError {
        let line = cause.span().map_or(1, |span| self.line(&span));
        let said = self.text.lines().nth(line - 1).unwrap_or_default().trim();
        PolicyError::Wrong {
            file: self.file.to_owned(),
            line,
            what: format!("`{said}`: {}; correct the line", cause.message().trim()),
        }
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or_default();
        before.bytes().filter(|byte| *byte == b'\n').count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = r#"# what packages may reach
[[grant]]
package = "acme-http"
http = ["https://api.example.com",
        "http://localhost:8080"]
tcp = ["db.example.com:5432", "10.0.0.0/8:9092"]
addresses = ["127.0.0.0/8", "169.254.169.254"]
directories = [{ path = "/data/in", access = "read" }]
environment = ["ACME_REGION"]
clock = true

[[grant]]
package = "*"
"#;

    fn example() -> Grants {
        parse(Path::new("policy.toml"), EXAMPLE).unwrap()
    }

    #[test]
    fn the_example_is_read() {
        let grants = example();
        let [acme, all] = &grants.sections[..] else {
            panic!("{grants:?}")
        };
        assert_eq!((acme.package.as_str(), acme.line), ("acme-http", 3));
        assert_eq!((acme.http.len(), acme.tcp.len(), acme.addresses.len()), (2, 2, 2));
        assert_eq!(acme.addresses[1].to_string(), "169.254.169.254/32");
        assert_eq!(acme.environment, ["ACME_REGION"]);
        assert!(acme.clock && !all.clock);
        assert_eq!(acme.directories[0].access, DirectoryAccess::Read);
        assert_eq!(acme.directories[0].line, 8);
        assert_eq!((all.package.as_str(), all.line), ("*", 13));
        assert_eq!(grants.of("acme-http").count(), 2);
        assert_eq!(grants.of("other").count(), 1);
    }

    #[test]
    fn the_examples_of_the_document_are_read() {
        let document = include_str!("../../../docs/plugin-policy.md");
        let examples: Vec<_> = document
            .split("```toml\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap())
            .collect();
        let [policy, asks] = examples[..] else {
            panic!("{examples:?}")
        };
        assert_eq!(parse(Path::new("policy.toml"), policy).unwrap().sections.len(), 3);
        let (_, asks) = asks.split_once("[capabilities]\n").unwrap();
        let asks: manifest::Capabilities = toml::from_str(asks).unwrap();
        asks.check().unwrap();
        assert!(asks.clock);
    }

    /// The example with one text replaced must be refused, with the line and a message that contains `wanted`.
    fn check(from: &str, to: &str, line: usize, wanted: &str) {
        assert!(EXAMPLE.contains(from), "{from:?} is not in the example");
        let text = EXAMPLE.replace(from, to);
        let error = parse(Path::new("/etc/policy.toml"), &text)
            .unwrap_err()
            .to_string();
        let start = format!("plugin.policy: /etc/policy.toml, line {line}: ");
        assert!(
            error.starts_with(&start) && error.contains(wanted) && error.ends_with("; correct the line"),
            "{error} is not {start}{wanted}"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        check("tcp =", "tpc =", 6, "unknown field `tpc`");
        check(
            "clock = true",
            "clock = \"yes\"",
            10,
            "`clock = \"yes\"`: invalid type",
        );
        check("clock = true", "clock = ", 10, "clock =");
        check("clock = true", "clock = true\nclock = true", 11, "duplicate key");
        check(
            "package = \"acme-http\"",
            "package = \"Acme\"",
            3,
            "package: \"Acme\"",
        );
        check(
            "http://localhost:8080",
            "localhost:8080",
            5,
            "http: \"localhost:8080\"",
        );
        check(
            "10.0.0.0/8:9092",
            "10.0.0.1/8:9092",
            6,
            "tcp: \"10.0.0.1/8:9092\"",
        );
        check(
            "127.0.0.0/8",
            "localhost",
            7,
            "addresses: \"localhost\": a network",
        );
        check(
            "/data/in",
            "data/in",
            8,
            "directories: \"data/in\": an absolute path",
        );
        check("/data/in", "/data/../in", 8, "directories: \"/data/../in\"");
        check("\"read\"", "\"write\"", 8, "unknown variant `write`");
        check("ACME_REGION", "ACME=1", 9, "environment: \"ACME=1\"");
        check("package = \"*\"", "", 12, "missing field `package`");
        check(
            "[[grant]]\npackage = \"*\"",
            "[[grants]]",
            12,
            "unknown field `grants`",
        );
    }

    #[test]
    fn a_missing_file_names_the_key() {
        let error = read(Path::new("/nowhere/policy.toml")).unwrap_err().to_string();
        assert!(
            error.starts_with("plugin.policy: /nowhere/policy.toml cannot be read: "),
            "{error}"
        );
    }

    #[test]
    fn a_remedy_is_what_has_to_be_written() {
        let grants = example();
        assert_eq!(
            grants.remedy("acme-http", "http", "\"https://b.example.com\""),
            "add \"https://b.example.com\" to http of [[grant]] package = \"acme-http\" (line 3) in policy.toml"
        );
        assert_eq!(
            grants.remedy("acme-http", "clock", "true"),
            "set clock = true in [[grant]] package = \"acme-http\" (line 3) in policy.toml"
        );
        // The section for all is not offered: it would grant to all.
        for (grants, before) in [
            (grants, "add to policy.toml the lines\n"),
            (
                Grants::default(),
                "set plugin.policy in the worker's config to a file with the lines\n",
            ),
        ] {
            let remedy = grants.remedy("other", "tcp", "\"db:5432\"");
            let lines = remedy.strip_prefix(before).unwrap();
            let written = parse(Path::new("policy.toml"), lines).unwrap();
            assert_eq!(written.sections[0].package, "other");
            assert_eq!(written.sections[0].tcp.len(), 1);
            let remedy = grants.remedy("other", "clock", "true");
            let lines = remedy.strip_prefix(before).unwrap();
            assert!(parse(Path::new("policy.toml"), lines).unwrap().sections[0].clock);
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_bad_one_is_not_obeyed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("policy.toml");
        std::fs::write(&file, "").unwrap();
        let policy = super::super::Policy::read(&file).unwrap();
        assert_eq!(policy.current().sections.len(), 0);
        std::fs::write(&file, EXAMPLE).unwrap();
        assert_eq!(policy.current().sections.len(), 2);
        std::fs::write(&file, "[[grunt]]").unwrap();
        assert_eq!(policy.current().sections.len(), 2);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(policy.current().sections.len(), 2);
        std::fs::write(&file, "[[grant]]\npackage = \"a\"").unwrap();
        assert_eq!(policy.current().sections.len(), 1);
    }
}

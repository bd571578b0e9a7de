//! What is asked and granted is reached, everything else is refused with the line that would grant it.

use std::fs;

use jackfield_api::ErrorKind;
use url::Url;

use super::*;
use crate::manifest::Manifest;

/// The rights of package `acme` with these lines under `[capabilities]`, this policy (`None` = no `plugin.policy`), and
/// this connector config. The policy's file is called `policy.toml`.
pub(crate) fn reach(asks: &str, policy: Option<&str>, config: &[(&str, &str)]) -> Reach {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    let policy = policy.map_or_else(Policy::default, |text| {
        fs::write(&file, text).unwrap();
        Policy::read(&file).unwrap()
    });
    let variables = Variables::new([("REGION".to_owned(), "north".to_owned())]);
    let grantor = Grantor::new(policy, NativePolicy::default(), variables);
    let value = |key: &str| {
        let mut config = config.iter();
        config
            .find(|(name, _)| *name == key)
            .map(|(_, value)| (*value).to_owned())
    };
    grantor.reach(&package(asks), &value)
}

fn package(asks: &str) -> FoundPackage {
    let text = format!(
        "schema = 1\n[package]\nname = \"acme\"\nversion = \"1\"\n[[plugin]]\nclass = \"A\"\nkind = \"source\"\n\
         [artifact.wasm]\nfile = \"a.wasm\"\nsha256 = \"{}\"\ncontract = \"x\"\n[capabilities]\n{asks}\n",
        crate::manifest::Sha256::of(b"")
    );
    FoundPackage {
        directory: "/plugins/acme-1".into(),
        root: "/plugins".into(),
        manifest: Manifest::parse(&text).unwrap(),
        digest: crate::manifest::Sha256::of(text.as_bytes()),
        stamp: 0,
    }
}

fn target(url: &str) -> HttpTarget {
    HttpTarget::of(&Url::parse(url).unwrap()).unwrap()
}

/// A request to `url` must be refused with a message that contains `says`.
fn refused(reach: &Reach, url: &str, says: &str) {
    let error = reach.http(&target(url)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains(says), "{url}: {error} does not say {says}");
}

const ASKS: &str = "http = [\"https://api.example.com\", \"{config:url}\"]\ntcp = [\"db.example.com:5432\"]";

#[test]
fn what_is_not_asked_is_not_had_whatever_is_granted() {
    let reach = reach(
        ASKS,
        Some("[[grant]]\npackage = \"*\"\nhttp = [\"*\"]\ntcp = [\"*:*\"]"),
        &[],
    );
    reach.http(&target("https://api.example.com/path")).unwrap();
    refused(
        &reach,
        "https://other.example.com",
        "\"https://other.example.com\" is missing in http of [capabilities] in /plugins/acme-1/plugin.toml, where it asks \
         for https://api.example.com, {config:url}",
    );
    let error = reach
        .tcp(&TcpTarget::parse("db.example.com:5433").unwrap())
        .unwrap_err();
    assert!(
        error
            .message
            .contains("\"db.example.com:5433\" is missing in tcp of [capabilities]"),
        "{error}"
    );
    let host = Host::parse("other.example.com").unwrap();
    assert!(reach.resolve(&host).is_err());
    assert!(reach.resolve(&Host::parse("db.example.com").unwrap()).is_ok());
}

#[test]
fn the_host_of_the_config_is_asked_for() {
    let policy = "[[grant]]\npackage = \"acme\"\nhttp = [\"http://*.internal:8080\"]";
    let reach = reach(
        ASKS,
        Some(policy),
        &[("url", "http://one.internal:8080/in?token=secret")],
    );
    reach.http(&target("http://one.internal:8080/other")).unwrap();
    refused(&reach, "http://two.internal:8080", "is missing in http");
    refused(
        &reach,
        "https://api.example.com",
        "add \"https://api.example.com\" to http of",
    );
}

#[test]
fn what_is_asked_and_not_granted_names_the_line() {
    let url = "https://api.example.com/path?key=secret";
    refused(
        &reach(ASKS, None, &[]),
        url,
        "package acme may not reach https://api.example.com: set plugin.policy in the worker's config to a file with the \
         lines\n[[grant]]\npackage = \"acme\"\nhttp = [\"https://api.example.com\"]",
    );
    let other = "[[grant]]\npackage = \"other\"\nhttp = [\"*\"]\n[[grant]]\npackage = \"*\"\nclock = true\n";
    refused(
        &reach(ASKS, Some(other), &[]),
        url,
        "policy.toml the lines\n[[grant]]\npackage = \"acme\"\nhttp = [\"https://api.example.com\"]",
    );
    let section = format!("{other}[[grant]]\n# ours\npackage = \"acme\"\n");
    refused(
        &reach(ASKS, Some(&section), &[]),
        url,
        "add \"https://api.example.com\" to http of [[grant]] package = \"acme\" (line 9) in ",
    );
    let reach = reach(ASKS, Some(&section), &[]);
    let db = TcpTarget::parse("db.example.com:5432").unwrap();
    let says = "add \"db.example.com:5432\" to tcp of [[grant]] package = \"acme\" (line 9) in ";
    for error in [reach.tcp(&db).unwrap_err(), reach.resolve(&db.host).unwrap_err()] {
        assert!(error.message.contains(says), "{error}");
    }
}

/// Whoever writes what the refusal says has the right.
#[test]
fn the_lines_that_are_named_grant() {
    let before = "[[grant]]\npackage = \"other\"\n";
    let url = target("https://api.example.com");
    let error = reach(ASKS, Some(before), &[]).http(&url).unwrap_err();
    let (_, lines) = error.message.split_once("the lines\n").unwrap();
    reach(ASKS, Some(&format!("{before}{lines}\n")), &[])
        .http(&url)
        .unwrap();
    for asks in ["clock = true", "environment = [\"REGION\", \"OTHER\"]"] {
        let error = reach(asks, Some(before), &[]).check_start().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        let (_, lines) = error.message.split_once("the lines\n").unwrap();
        reach(asks, Some(&format!("{before}{lines}\n")), &[])
            .check_start()
            .unwrap();
    }
}

#[test]
fn the_clock_and_variables_are_asked_and_granted_or_not_there() {
    let all = "[[grant]]\npackage = \"acme\"\nclock = true\nenvironment = [\"REGION\", \"HOME\"]";
    let has = reach("clock = true\nenvironment = [\"REGION\"]", Some(all), &[]);
    has.check_start().unwrap();
    assert!(has.clock());
    assert_eq!(has.environment(), [("REGION", "north")]);
    let asks_nothing = reach("", Some(all), &[]);
    asks_nothing.check_start().unwrap();
    assert!(!asks_nothing.clock());
    assert!(asks_nothing.environment().is_empty());

    let some = "[[grant]]\npackage = \"acme\"\n\nenvironment = [\"HOME\"]";
    let error = reach("clock = true", Some(some), &[]).check_start().unwrap_err();
    assert!(
        error
            .message
            .contains("set clock = true in [[grant]] package = \"acme\" (line 2) in "),
        "{error}"
    );
    let lacks = reach("environment = [\"REGION\", \"HOME\", \"USER\"]", Some(some), &[]);
    assert!(lacks.environment().is_empty(), "HOME has no value here");
    let error = lacks.check_start().unwrap_err();
    assert!(
        error
            .message
            .contains("add \"REGION\", \"USER\" to environment of [[grant]] package = \"acme\" (line 2) in "),
        "{error}"
    );
}

#[test]
fn a_package_that_may_run_native_code_has_the_clock_it_asks_for() {
    let native = |allow: &str| NativePolicy {
        own_directories: Vec::new(),
        allow: vec![allow.to_owned()],
    };
    let clock = |allow: &str, asks: &str| {
        let grantor = Grantor::new(Policy::default(), native(allow), Variables::default());
        grantor.reach(&package(asks), &|_| None).clock()
    };
    assert!(clock("acme", "clock = true"));
    assert!(!clock("acme", ""));
    assert!(!clock("other", "clock = true"));
}

#[test]
fn special_addresses_are_opened_by_their_section_only() {
    let asks = "http = [\"*\"]";
    let policy = "[[grant]]\npackage = \"acme\"\nhttp = [\"*\"]\n\
                  [[grant]]\npackage = \"acme\"\nhttp = [\"http://a.example\"]\naddresses = [\"127.0.0.0/8\"]\n\
                  [[grant]]\npackage = \"acme\"\nhttp = [\"http://localhost\", \"http://10.0.0.1\", \"http://[::1]\"]";
    let reach = reach(asks, Some(policy), &[]);
    let open = |url: &str, address: &str| {
        let address = address.parse().unwrap();
        reach.http(&target(url)).unwrap().check(address).is_ok()
    };
    assert!(open("http://a.example", "127.0.0.1"));
    assert!(!open("http://a.example", "169.254.169.254"));
    assert!(!open("http://b.example", "127.0.0.1"));
    assert!(open("http://localhost", "127.0.0.1") && open("http://localhost", "::1"));
    reach.http(&target("http://[::1]")).unwrap();
    reach.http(&target("http://10.0.0.2")).unwrap();
    refused(
        &reach,
        "http://[::ffff:127.0.0.1]:8080",
        "127.0.0.1 is a loopback address, which is refused even where the host is granted; add \"http://127.0.0.1:8080\" to \
         http of [[grant]] package = \"acme\" (line 2) in ",
    );
    let host = target("http://b.example");
    let address = "127.0.0.1".parse().unwrap();
    let cause = reach.http(&host).unwrap().check(address).unwrap_err();
    let error = reach.http_refused(&host, &cause);
    assert!(
        error
            .message
            .contains("add \"127.0.0.1\" to addresses of [[grant]] package = \"acme\" (line 2) in "),
        "{error}"
    );
}

#[test]
fn a_network_opens_special_addresses_when_it_has_no_others() {
    let policy = "[[grant]]\npackage = \"acme\"\ntcp = [\"127.0.0.0/8:1\", \"0.0.0.0/0:2\"]";
    let reach = reach("tcp = [\"*:*\"]", Some(policy), &[]);
    let open = |text: &str| reach.tcp(&TcpTarget::parse(text).unwrap()).is_ok();
    assert!(open("127.0.0.1:1") && open("10.0.0.1:2"));
    assert!(!open("127.0.0.1:2") && !open("10.0.0.1:1"));
}

#[test]
fn secrets_are_not_shown() {
    let variables = Variables::new([("PASSWORD".to_owned(), "secret".to_owned())]);
    assert_eq!(format!("{variables:?}"), "Variables(1)");
}

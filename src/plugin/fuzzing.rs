//! The readers of what packages and operators write, and of what libraries say about themselves, as fuzz targets: any bytes
//! are refused or read. Called by `fuzz/targets.rs`; no part of this crate's interface.

use std::path::{Component, Path};

use crate::{
    hosts::{HttpTarget, TcpTarget},
    manifest::Manifest,
    policy::file,
};

/// A `plugin.toml`, and the same text as a policy file. What is read can be used: its hosts can be filled in and compared, its
/// files lie in the package.
pub fn manifest_reader(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let targets: Vec<_> = ["http://localhost:8080/a", "https://api.example.com"]
        .iter()
        .map(|url| HttpTarget::of(&url.parse().expect("a URL")).expect("a target"))
        .collect();
    let mut covered = 0;
    let tcp = TcpTarget::parse("10.1.2.3:5432").expect("a target");
    if let Ok(manifest) = Manifest::parse(text) {
        for file in manifest.files() {
            let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            let inside = file.components().all(plain) && file.file_name().is_some();
            assert!(inside, "{} is no file in the package", file.display());
        }
        // Values a user may write: an address, a list, and whatever this text begins with.
        let values = |key: &str| match key.len() % 3 {
            0 => Some("http://localhost:8080,https://*.example.com".to_owned()),
            1 => Some(text.chars().take(40).collect()),
            _ => None,
        };
        let asked = &manifest.capabilities;
        for hosts in asked.http_hosts(&values) {
            covered += targets.iter().filter(|target| hosts.covers(target)).count();
        }
        for hosts in asked.tcp_hosts(&values) {
            covered += usize::from(hosts.covers(&tcp));
        }
    }
    if let Ok(grants) = file::parse(Path::new("policy.toml"), text) {
        for section in grants.of("acme-http") {
            assert!(section.line <= text.lines().count().max(1));
            for hosts in &section.http {
                covered += targets.iter().filter(|target| hosts.covers(target)).count();
            }
            covered += section.tcp.iter().filter(|hosts| hosts.covers(&tcp)).count();
        }
        assert!(
            grants
                .remedy("acme-http", "http", "\"*\"")
                .contains("policy.toml")
        );
    }
    std::hint::black_box(covered);
}

/// The checks of a native library's descriptor, on descriptors of every damage.
pub fn native_entry(data: &[u8]) {
    crate::native::fuzzing::native_entry(data);
}

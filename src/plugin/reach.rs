//! What one connector may reach: what its package asks for *and* the policy grants, nothing else.
//!
//! A refusal is an error of kind config that names what was wanted and the line that would grant it, or the line that the
//! package's manifest lacks. Native code is trusted with everything and only passes through here.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use ipnet::IpNet;
use jackfield_api::ConnectError;

use crate::{
    NativePolicy,
    addresses::{self, Opened, Refused},
    capabilities::{Capabilities, ConfigValues},
    discover::FoundPackage,
    hosts::{Host, Hosts, HttpHosts, HttpTarget, TcpHosts, TcpTarget},
    manifest::{DirectoryAccess, MANIFEST_FILE},
    policy::{GrantedDirectory, Grants, Policy, Section},
};

/// The environment variables of this process, of which plugins are shown what they are granted.
#[derive(Clone, Default)]
pub struct Variables(Arc<BTreeMap<String, String>>);

/// Who decides what packages may reach.
#[derive(Debug)]
pub(crate) struct Grantor {
    policy: Policy,
    native: NativePolicy,
    variables: Variables,
}

/// The rights of one connector, as they were when it was asked to do something.
#[derive(Debug)]
pub(crate) enum Reach {
    /// Native code.
    Everything,
    Granted(Box<Rights>),
}

/// What a package asks for and what it is granted.
#[derive(Debug)]
pub(crate) struct Rights {
    package: String,
    manifest: PathBuf,
    asked: Capabilities,
    /// Of `asked`, with the connector's config in it.
    http: Vec<HttpHosts>,
    tcp: Vec<TcpHosts>,
    grants: Arc<Grants>,
    /// It might run as native code, which has a clock.
    trusted: bool,
    variables: Variables,
}

impl Grantor {
    pub(crate) fn new(policy: Policy, native: NativePolicy, variables: Variables) -> Self {
        Self {
            policy,
            native,
            variables,
        }
    }

    /// What a package may reach with this connector config.
    pub(crate) fn reach(&self, package: &FoundPackage, values: ConfigValues<'_>) -> Reach {
        let asked = package.manifest.capabilities.clone();
        let name = &package.manifest.package.name;
        Reach::Granted(Box::new(Rights {
            package: name.clone(),
            manifest: package.directory.join(MANIFEST_FILE),
            http: asked.http_hosts(values),
            tcp: asked.tcp_hosts(values),
            asked,
            grants: self.policy.current(),
            trusted: self.native.allows(name, &package.directory),
            variables: self.variables.clone(),
        }))
    }

    /// What a package may reach that is only asked what is in it: nothing.
    pub(crate) fn nothing(package: &FoundPackage) -> Reach {
        Reach::Granted(Box::new(Rights {
            package: package.manifest.package.name.clone(),
            manifest: package.directory.join(MANIFEST_FILE),
            asked: Capabilities::default(),
            http: Vec::new(),
            tcp: Vec::new(),
            grants: Arc::default(),
            trusted: false,
            variables: Variables::default(),
        }))
    }
}

impl Reach {
    /// Whether requests may go there, and to which special addresses.
    pub(crate) fn http(&self, target: &HttpTarget) -> Result<Opened, ConnectError> {
        let Self::Granted(rights) = self else {
            return Ok(Opened::Everything);
        };
        if !rights.http.iter().any(|hosts| hosts.covers(target)) {
            return Err(rights.not_asked("http", &target.to_string(), &rights.asked.http));
        }
        let sections = rights.http_sections(target);
        if sections.is_empty() {
            return Err(rights.not_granted("http", &target.to_string()));
        }
        let named = sections.iter().flat_map(|section| &section.http);
        let named = named.filter(|hosts| hosts.covers(target)).map(HttpHosts::hosts);
        let opened = opened(&sections, named);
        if let Host::Address(address) = target.host {
            let refusal = |refused| self.http_refused(target, &refused);
            opened.check(address).map_err(refusal)?;
        }
        Ok(opened)
    }

    /// The error of requests that lead to a special address.
    pub(crate) fn http_refused(&self, target: &HttpTarget, refused: &Refused) -> ConnectError {
        let Self::Granted(rights) = self else {
            return ConnectError::config(refused.to_string());
        };
        let section = rights.http_sections(target).into_iter().next();
        rights.special("http", &target.to_string(), &target.host, refused, section)
    }

    /// Whether a name may be resolved for TCP connections, and to which special addresses.
    pub(crate) fn resolve(&self, host: &Host) -> Result<Opened, ConnectError> {
        let Self::Granted(rights) = self else {
            return Ok(Opened::Everything);
        };
        let asked = rights.tcp.iter().find(|hosts| hosts.hosts.covers(host));
        // The port is not known yet.
        let port = asked
            .and_then(|asked| asked.port)
            .map_or_else(|| "*".to_owned(), |port| port.to_string());
        let wanted = format!("{host}:{port}");
        if asked.is_none() {
            return Err(rights.not_asked("tcp", &wanted, &rights.asked.tcp));
        }
        let (sections, named) = rights.tcp_sections(|hosts| hosts.hosts.covers(host));
        if sections.is_empty() {
            return Err(rights.not_granted("tcp", &wanted));
        }
        Ok(opened(&sections, named.into_iter()))
    }

    /// Whether connections may be made there, and to which special addresses.
    pub(crate) fn tcp(&self, target: &TcpTarget) -> Result<Opened, ConnectError> {
        let Self::Granted(rights) = self else {
            return Ok(Opened::Everything);
        };
        if !rights.tcp.iter().any(|hosts| hosts.covers(target)) {
            return Err(rights.not_asked("tcp", &target.to_string(), &rights.asked.tcp));
        }
        let (sections, named) = rights.tcp_sections(|hosts| hosts.covers(target));
        if sections.is_empty() {
            return Err(rights.not_granted("tcp", &target.to_string()));
        }
        let opened = opened(&sections, named.into_iter());
        if let Host::Address(address) = target.host {
            let refusal = |refused| self.tcp_refused(&target.host, &target.to_string(), &refused);
            opened.check(address).map_err(refusal)?;
        }
        Ok(opened)
    }

    /// The error of a connection that leads to a special address.
    pub(crate) fn tcp_refused(&self, host: &Host, wanted: &str, refused: &Refused) -> ConnectError {
        let Self::Granted(rights) = self else {
            return ConnectError::config(refused.to_string());
        };
        let (sections, _) = rights.tcp_sections(|hosts| hosts.hosts.covers(host));
        rights.special("tcp", wanted, host, refused, sections.into_iter().next())
    }

    /// Whether it may start at all: it may count on the time and on variables that it asks for.
    pub(crate) fn check_start(&self) -> Result<(), ConnectError> {
        let Self::Granted(rights) = self else {
            return Ok(());
        };
        if rights.asked.clock && !self.clock() {
            let remedy = rights.grants.remedy(&rights.package, "clock", "true");
            return Err(ConnectError::config(format!(
                "package {} asks for the clock, which it is not granted: {remedy}",
                rights.package
            )));
        }
        let asked = rights.asked.environment.iter();
        let missing: Vec<_> = asked.filter(|name| !rights.granted_variable(name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let entries: Vec<_> = missing.iter().map(|name| quoted(name)).collect();
        let entries = entries.join(", ");
        let remedy = rights.grants.remedy(&rights.package, "environment", &entries);
        Err(ConnectError::config(format!(
            "package {} asks for environment variables that it is not granted: {remedy}",
            rights.package
        )))
    }

    /// Whether it may know the time.
    pub(crate) fn clock(&self) -> bool {
        match self {
            Self::Everything => true,
            Self::Granted(rights) => {
                let granted = || rights.sections().any(|section| section.clock);
                rights.asked.clock && (rights.trusted || granted())
            }
        }
    }

    /// The variables it may see.
    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        let Self::Granted(rights) = self else {
            return Vec::new();
        };
        let asked = rights.asked.environment.iter();
        let granted = asked.filter(|name| rights.granted_variable(name));
        let with_value = |name: &'_ String| {
            let (name, value) = rights.variables.0.get_key_value(name)?;
            Some((name.as_str(), value.as_str()))
        };
        granted.filter_map(with_value).collect()
    }

    /// What it asks to do with directories.
    pub(crate) fn directories(&self) -> DirectoryAccess {
        match self {
            Self::Everything => DirectoryAccess::ReadWrite,
            Self::Granted(rights) => rights.asked.directories,
        }
    }

    /// The directories of its own in the policy, and the file's name.
    pub(crate) fn granted_directories(&self) -> Vec<(&GrantedDirectory, &Path)> {
        let Self::Granted(rights) = self else {
            return Vec::new();
        };
        let Some(file) = &rights.grants.file else {
            return Vec::new();
        };
        let sections = rights.sections();
        let directories = sections.flat_map(|section| &section.directories);
        directories.map(|directory| (directory, file.as_path())).collect()
    }

    /// What would grant it the directory of a path.
    pub(crate) fn directory_remedy(&self, path: &Path) -> String {
        let Self::Granted(rights) = self else {
            return String::new();
        };
        let directory = path.parent().filter(|parent| parent.is_absolute());
        let access = match rights.asked.directories {
            DirectoryAccess::ReadWrite => "read-write",
            _ => "read",
        };
        let entry = format!(
            "{{ path = {}, access = \"{access}\" }}",
            quoted(
                &directory
                    .unwrap_or(Path::new("/the/directory"))
                    .display()
                    .to_string()
            )
        );
        rights.grants.remedy(&rights.package, "directories", &entry)
    }
}

impl Rights {
    fn sections(&self) -> impl Iterator<Item = &Section> {
        self.grants.of(&self.package)
    }

    fn http_sections(&self, target: &HttpTarget) -> Vec<&Section> {
        let grants = |section: &&Section| section.http.iter().any(|hosts| hosts.covers(target));
        self.sections().filter(grants).collect()
    }

    /// The sections that grant it, and the hosts they name for it.
    fn tcp_sections(&self, covers: impl Fn(&TcpHosts) -> bool) -> (Vec<&Section>, Vec<&Hosts>) {
        let grants = |section: &&Section| section.tcp.iter().any(&covers);
        let sections: Vec<_> = self.sections().filter(grants).collect();
        let named = sections.iter().flat_map(|section| &section.tcp);
        let named = named.filter(|hosts| covers(hosts)).map(|hosts| &hosts.hosts);
        let named = named.collect();
        (sections, named)
    }

    fn granted_variable(&self, name: &String) -> bool {
        self.sections().any(|section| section.environment.contains(name))
    }

    fn not_asked(&self, key: &str, wanted: &str, asked: &[String]) -> ConnectError {
        let asked = if asked.is_empty() {
            "nothing".to_owned()
        } else {
            asked.join(", ")
        };
        ConnectError::config(format!(
            "package {} may not reach {wanted}: it does not ask for it; {} is missing in {key} of [capabilities] in {}, \
             where it asks for {asked}",
            self.package,
            quoted(wanted),
            self.manifest.display()
        ))
    }

    fn not_granted(&self, key: &str, wanted: &str) -> ConnectError {
        let remedy = self.grants.remedy(&self.package, key, &quoted(wanted));
        ConnectError::config(format!(
            "package {} may not reach {wanted}: {remedy}",
            self.package
        ))
    }

    fn special(
        &self,
        key: &str,
        wanted: &str,
        host: &Host,
        refused: &Refused,
        section: Option<&Section>,
    ) -> ConnectError {
        let file = self.grants.file.as_deref().unwrap_or(Path::new("")).display();
        let section = section.map_or_else(|| "[[grant]]".to_owned(), Section::name);
        let remedy = match host {
            // Naming it is enough.
            Host::Address(_) => format!("add {} to {key} of {section} in {file}", quoted(wanted)),
            Host::Name(_) => format!("add \"{}\" to addresses of {section} in {file}", refused.address),
        };
        ConnectError::config(format!(
            "package {} may not reach {wanted}: {refused}, which is refused even where the host is granted; {remedy} if \
             that is meant",
            self.package
        ))
    }
}

/// The special addresses that sections open by their `addresses`, and by naming them.
fn opened<'a>(sections: &[&Section], named: impl Iterator<Item = &'a Hosts>) -> Opened {
    let mut networks: Vec<IpNet> = sections
        .iter()
        .flat_map(|section| section.addresses.iter().copied())
        .collect();
    for hosts in named {
        match hosts {
            Hosts::Address(address) => networks.push((*address).into()),
            Hosts::Network(network) if addresses::is_special(network) => networks.push(*network),
            Hosts::Name(name) if name == "localhost" => networks.extend(addresses::loopback()),
            _ => {}
        }
    }
    networks.sort_unstable();
    networks.dedup();
    Opened::Networks(networks)
}

/// As TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

impl Variables {
    /// Keeps the variables that are text.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(Arc::new(variables.into_iter().collect()))
    }
}

/// Values may be secret.
impl fmt::Debug for Variables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Variables({})", self.0.len())
    }
}

#[cfg(test)]
pub(crate) mod tests;

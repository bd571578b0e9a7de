//! What the operator grants to packages: the file of the worker key `plugin.policy`.
//!
//! ```toml
//! [[grant]]
//! package = "acme-http"                      # a package's name, "*" = every package
//! http = ["https://api.example.com"]         # hosts it may send HTTP requests to
//! tcp = ["db.example.com:5432"]              # hosts it may open TCP connections to
//! addresses = ["127.0.0.0/8"]                # special addresses that these hosts may resolve to
//! directories = [{ path = "/data/in", access = "read" }]   # or "read-write"
//! environment = ["ACME_REGION"]              # environment variables it may see
//! clock = true                               # it may know the time
//! ```
//!
//! Every key but `package` is optional; how hosts are written is told in `hosts.rs`. Several sections for one package add up.
//! A section opens nothing that the package's `plugin.toml` does not ask for. `addresses` holds for the hosts of its own
//! section: names that resolve to loopback, link-local, unspecified, multicast or broadcast addresses are refused without it,
//! unless the section names the address itself, a network of such addresses, or `localhost`.
//!
//! The file is read when the worker starts, and again when it has changed since: what is started from then on has the new
//! rights, what runs keeps its own. A file that cannot be used keeps the worker from starting; later it is reported and the
//! last good one holds.

pub(crate) mod file;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use ipnet::IpNet;

use crate::{
    hosts::{HttpHosts, TcpHosts},
    manifest::DirectoryAccess,
};

/// The policy of this worker. Clones are the same policy.
#[derive(Debug, Clone, Default)]
pub struct Policy(Option<Arc<PolicyFile>>);

#[derive(Debug)]
struct PolicyFile {
    file: PathBuf,
    last: Mutex<Last>,
}

/// What was last read.
#[derive(Debug)]
struct Last {
    stamp: Option<Stamp>,
    grants: Arc<Grants>,
}

/// Changes when the file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

/// A policy file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is not there, or not readable.
    #[error("plugin.policy: {file} cannot be read: {cause}; create the file or correct the key", file = .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It says something that is not understood.
    #[error("plugin.policy: {file}, line {line}: {what}", file = .file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Key, value and what is wanted.
        what: String,
    },
}

/// The content of the policy file.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    /// `None` = there is no file.
    pub(crate) file: Option<PathBuf>,
    pub(crate) sections: Vec<Section>,
}

/// One `[[grant]]`.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) package: String,
    /// Of `package = …`.
    pub(crate) line: usize,
    pub(crate) directories: Vec<GrantedDirectory>,
    pub(crate) http: Vec<HttpHosts>,
    pub(crate) tcp: Vec<TcpHosts>,
    pub(crate) environment: Vec<String>,
    pub(crate) clock: bool,
    pub(crate) addresses: Vec<IpNet>,
}

/// One entry of `directories`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GrantedDirectory {
    pub(crate) path: PathBuf,
    pub(crate) access: DirectoryAccess,
    pub(crate) line: usize,
}

impl Policy {
    /// Reads the file of `plugin.policy`.
    ///
    /// # Errors
    /// Says what is wrong in which line.
    pub fn read(file: &Path) -> Result<Self, PolicyError> {
        let stamp = stamp(file);
        let grants = Arc::new(file::read(file)?);
        let last = Mutex::new(Last { stamp, grants });
        let file = file.to_owned();
        Ok(Self(Some(Arc::new(PolicyFile { file, last }))))
    }

    /// What is granted now.
    pub(crate) fn current(&self) -> Arc<Grants> {
        let Some(policy) = &self.0 else {
            return Arc::default();
        };
        let mut last = policy.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&policy.file);
        if now != last.stamp {
            last.stamp = now;
            match file::read(&policy.file) {
                Ok(grants) => {
                    tracing::info!(file = %policy.file.display(), "plugin policy read again");
                    last.grants = Arc::new(grants);
                }
                Err(error) => tracing::warn!(%error, "plugin policy cannot be used, the last good one holds"),
            }
        }
        Arc::clone(&last.grants)
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        bytes: metadata.len(),
        inode: metadata.ino(),
    })
}

impl Grants {
    /// The sections that hold for a package.
    pub(crate) fn of<'a>(&'a self, package: &'a str) -> impl Iterator<Item = &'a Section> {
        let holds = move |section: &&Section| section.package == "*" || section.package == package;
        self.sections.iter().filter(holds)
    }

    /// What to write where so that a package has `entry` (a TOML value) under `key`. Never in the section of all packages,
    /// which would grant it to all.
    pub(crate) fn remedy(&self, package: &str, key: &str, entry: &str) -> String {
        let single = key == "clock";
        let section = |value: &str| format!("[[grant]]\npackage = \"{package}\"\n{key} = {value}");
        let value = if single {
            entry.to_owned()
        } else {
            format!("[{entry}]")
        };
        let Some(file) = &self.file else {
            return format!(
                "set plugin.policy in the worker's config to a file with the lines\n{}",
                section(&value)
            );
        };
        let file = file.display();
        match self.sections.iter().find(|section| section.package == package) {
            Some(found) if single => format!(
                "set {key} = {entry} in [[grant]] package = \"{package}\" (line {}) in {file}",
                found.line
            ),
            Some(found) => format!(
                "add {entry} to {key} of [[grant]] package = \"{package}\" (line {}) in {file}",
                found.line
            ),
            None => format!("add to {file} the lines\n{}", section(&value)),
        }
    }
}

impl Section {
    /// For messages.
    pub(crate) fn name(&self) -> String {
        format!("[[grant]] package = \"{}\" (line {})", self.package, self.line)
    }
}

//! Which connections are let in: `max.connections` and its like, which change while the broker runs.

use std::{
    collections::HashMap,
    net::{IpAddr, ToSocketAddrs as _},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use crate::config::{rules, values::Values};

/// Admission by `max.connections` and `max.connections.per.ip`.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: RwLock<ConnectionLimits>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// How many connections there may be.
#[derive(Debug, Clone)]
struct ConnectionLimits {
    all: usize,
    per_address: usize,
    /// Of single addresses.
    overrides: HashMap<IpAddr, usize>,
    /// What that was said in.
    overrides_text: String,
}

impl ConnectionLimits {
    /// Asks for the addresses of hosts when others are named than `before`.
    fn new(values: &Values, before: Option<&Self>) -> Self {
        let text = values.text(rules::OVERRIDES);
        let overrides = match before.filter(|before| before.overrides_text == text) {
            Some(before) => before.overrides.clone(),
            None => of_hosts(rules::overrides(values).unwrap_or_default()),
        };
        Self {
            all: values.size("max.connections"),
            per_address: values.size("max.connections.per.ip"),
            overrides,
            overrides_text: text.to_owned(),
        }
    }
}

/// The addresses of hosts, as far as they can be found.
fn of_hosts(hosts: Vec<(&str, usize)>) -> HashMap<IpAddr, usize> {
    let mut found = HashMap::new();
    for (host, most) in hosts {
        match (host, 0).to_socket_addrs() {
            Ok(addresses) => {
                found.extend(addresses.map(|address| (address.ip().to_canonical(), most)));
            }
            Err(error) => {
                tracing::warn!(key = rules::OVERRIDES, host, %error, "host has no address: max.connections.per.ip holds for it");
            }
        }
    }
    found
}

/// A place among the open connections, given back when dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    pub(crate) fn new(values: &Values) -> Arc<Self> {
        Arc::new(Self {
            limits: RwLock::new(ConnectionLimits::new(values, None)),
            open: Mutex::default(),
        })
    }

    /// From now on other limits hold; those that are open stay open.
    pub(crate) fn limit(&self, values: &Values) {
        let before = self.limits.read().unwrap_or_else(PoisonError::into_inner).clone();
        let limits = ConnectionLimits::new(values, Some(&before));
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// A place for one more connection.
    ///
    /// # Errors
    /// The key of the limit that is reached.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admission, &'static str> {
        let limits = self.limits.read().unwrap_or_else(PoisonError::into_inner);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= limits.all {
            return Err("max.connections");
        }
        let limit = limits.overrides.get(&address.to_canonical());
        let of_address = open.get(&address).copied().unwrap_or_default();
        if of_address >= limit.copied().unwrap_or(limits.per_address) {
            return Err("max.connections.per.ip");
        }
        let of_address = open.entry(address).or_default();
        *of_address += 1;
        Ok(Admission {
            connections: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut open = self
            .connections
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

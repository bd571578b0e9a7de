//! How hosts are written in `plugin.toml` and in the policy file, and what such a text covers.
//!
//! ```text
//! http   https://api.example.com          port 443; http:// has port 80
//!        https://api.example.com:8443     another port
//!        https://*.example.com            every name below example.com, not example.com itself
//!        http://10.1.2.3, http://[fd00::1]:8080
//!        *                                every host, http and https
//! tcp    db.example.com:5432
//!        *.example.com:5432
//!        10.1.2.3:5432, [fd00::1]:5432
//!        10.0.0.0/8:5432, [fd00::/8]:5432 addresses that are used without a name
//!        db.example.com:*                 every port
//!        *:5432                           every host
//! ```
//!
//! Names are compared as the resolver sees them: lower case, Punycode, without a final dot. Addresses are compared in their
//! canonical form, so that `::ffff:10.1.2.3` is `10.1.2.3`.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use ipnet::IpNet;
use url::Url;

/// A host as it is asked for at runtime.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

/// Where an HTTP request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpTarget {
    pub(crate) https: bool,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// Where a TCP connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TcpTarget {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// One entry of an `http` list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HttpHosts {
    Any,
    Of { https: bool, hosts: Hosts, port: u16 },
}

/// One entry of a `tcp` list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TcpHosts {
    pub(crate) hosts: Hosts,
    /// `None` = every port.
    pub(crate) port: Option<u16>,
}

/// The hosts of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hosts {
    Any,
    Name(String),
    Below(String),
    Address(IpAddr),
    Network(IpNet),
}

impl Host {
    /// Reads a host name or an address, with or without brackets.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        let host = url::Host::parse(text).map_err(|cause| format!("host {text:?}: {cause}"))?;
        Ok(Self::of(&host))
    }

    fn of<T: AsRef<str>>(host: &url::Host<T>) -> Self {
        match host {
            url::Host::Domain(name) => {
                let name = name.as_ref();
                Self::Name(name.strip_suffix('.').unwrap_or(name).to_lowercase())
            }
            url::Host::Ipv4(address) => Self::Address((*address).into()),
            url::Host::Ipv6(address) => Self::Address(IpAddr::V6(*address).to_canonical()),
        }
    }
}

impl HttpTarget {
    /// Reads where a URL leads. The error says what is wrong, and nothing of the URL: it may hold secrets.
    pub(crate) fn of(url: &Url) -> Result<Self, String> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err("http:// or https:// is wanted".to_owned()),
        };
        let host = url.host().ok_or("it has no host")?;
        let port = url.port_or_known_default().ok_or("it has no port")?;
        if port == 0 {
            return Err("port 0 is no port".to_owned());
        }
        let host = Host::of(&host);
        Ok(Self { https, host, port })
    }
}

impl TcpTarget {
    /// Reads `host:port`, or a URL with a port such as `postgres://user@host:5432/database`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            let url = Url::parse(text).map_err(|cause| cause.to_string())?;
            let host = url.host_str().ok_or("it has no host")?;
            let port = url.port_or_known_default().ok_or("it has no port")?;
            let host = Host::parse(host)?;
            return Ok(Self { host, port });
        }
        let (host, port) = split_port(text)?;
        let port = port_number(port)?;
        let host = Host::parse(host)?;
        Ok(Self { host, port })
    }
}

impl HttpHosts {
    /// Reads an entry of an `http` list.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const WANTED: &str =
            "\"https://host\", \"http://host:port\", \"https://*.domain\" or \"*\" is wanted";
        if text == "*" {
            return Ok(Self::Any);
        }
        let url = Url::parse(text).map_err(|cause| format!("{cause}; {WANTED}"))?;
        let target = HttpTarget::of(&url).map_err(|cause| format!("{cause}; {WANTED}"))?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(format!("scheme, host and port are enough; {WANTED}"));
        }
        Ok(Self::Of {
            https: target.https,
            hosts: Hosts::of(target.host)?,
            port: target.port,
        })
    }

    /// The entry that covers exactly this.
    pub(crate) fn exactly(target: HttpTarget) -> Self {
        Self::Of {
            https: target.https,
            hosts: Hosts::exactly(target.host),
            port: target.port,
        }
    }

    pub(crate) fn covers(&self, target: &HttpTarget) -> bool {
        match self {
            Self::Any => true,
            Self::Of { https, hosts, port } => {
                *https == target.https && *port == target.port && hosts.covers(&target.host)
            }
        }
    }

    /// The hosts, whatever the scheme and port.
    pub(crate) fn hosts(&self) -> &Hosts {
        match self {
            Self::Any => &Hosts::Any,
            Self::Of { hosts, .. } => hosts,
        }
    }
}

impl TcpHosts {
    /// Reads an entry of a `tcp` list.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const WANTED: &str = "\"host:port\", \"*.domain:port\", \"address:port\", \"network/bits:port\" is wanted, port \
                              \"*\" is every port";
        let (host, port) = split_port(text).map_err(|cause| format!("{cause}; {WANTED}"))?;
        let port = match port {
            "*" => None,
            number => Some(port_number(number).map_err(|cause| format!("{cause}; {WANTED}"))?),
        };
        let hosts = if host == "*" {
            Hosts::Any
        } else if host.contains('/') {
            let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
            Hosts::Network(network(bare.unwrap_or(host))?)
        } else {
            Hosts::of(Host::parse(host)?)?
        };
        Ok(Self { hosts, port })
    }

    /// The entry that covers exactly this.
    pub(crate) fn exactly(target: TcpTarget) -> Self {
        Self {
            hosts: Hosts::exactly(target.host),
            port: Some(target.port),
        }
    }

    pub(crate) fn covers(&self, target: &TcpTarget) -> bool {
        self.port.is_none_or(|port| port == target.port) && self.hosts.covers(&target.host)
    }
}

impl Hosts {
    /// A name may begin with `*.` here.
    fn of(host: Host) -> Result<Self, String> {
        let Host::Name(name) = host else {
            return Ok(Self::exactly(host));
        };
        let (below, rest) = match name.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, name.as_str()),
        };
        if rest.is_empty() || rest.contains('*') {
            return Err(format!(
                "host {name:?}: * is allowed as the first part of a name only"
            ));
        }
        Ok(if below {
            Self::Below(rest.to_owned())
        } else {
            Self::Name(name)
        })
    }

    fn exactly(host: Host) -> Self {
        match host {
            Host::Name(name) => Self::Name(name),
            Host::Address(address) => Self::Address(address),
        }
    }

    pub(crate) fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Name(known), Host::Name(name)) => known == name,
            (Self::Below(domain), Host::Name(name)) => name
                .strip_suffix(domain.as_str())
                .and_then(|front| front.strip_suffix('.'))
                .is_some_and(|front| !front.is_empty()),
            (Self::Address(known), Host::Address(address)) => known == address,
            (Self::Network(network), Host::Address(address)) => network.contains(address),
            _ => false,
        }
    }
}

/// Reads a network; host bits must not be set, because they mean that something else was meant.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let network: IpNet = text
        .parse()
        .map_err(|_| "a network such as 10.0.0.0/8 or fd00::/8 is wanted")?;
    if network != network.trunc() {
        return Err(format!(
            "the address has bits behind the prefix; {} is the network",
            network.trunc()
        ));
    }
    if let IpNet::V6(six) = network
        && six.addr().to_ipv4_mapped().is_some()
    {
        return Err("write it as an IPv4 network".to_owned());
    }
    Ok(network)
}

fn split_port(text: &str) -> Result<(&str, &str), String> {
    let (host, port) = text.rsplit_once(':').ok_or("it has no port")?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || (host.contains(':') && !bracketed) {
        return Err("an IPv6 address stands in brackets".to_owned());
    }
    Ok((host, port))
}

fn port_number(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("port {text:?} is no port")),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(formatter),
            Self::Address(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
        }
    }
}

/// As it is written in an `http` list.
impl fmt::Display for HttpTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(formatter, "{scheme}://{}", self.host)?;
        if self.port != usual {
            write!(formatter, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// As it is written in a `tcp` list.
impl fmt::Display for TcpTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(entry: &str, url: &str) -> bool {
        let target = HttpTarget::of(&Url::parse(url).unwrap()).unwrap();
        HttpHosts::parse(entry).unwrap().covers(&target)
    }

    #[test]
    fn an_http_entry_covers_its_origin_and_nothing_else() {
        for (entry, url) in [
            ("https://api.example.com", "https://api.example.com/a?b=c"),
            ("https://api.example.com", "https://API.Example.COM.:443/"),
            ("https://api.example.com:8443", "https://api.example.com:8443"),
            ("https://*.example.com", "https://a.b.example.com"),
            ("http://10.1.2.3", "http://0xa010203/"),
            ("http://10.1.2.3", "http://[::ffff:10.1.2.3]"),
            ("http://[fd00::1]:8080", "http://[fd00:0::1]:8080/x"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("*", "http://anything:1"),
        ] {
            assert!(http(entry, url), "{entry} {url}");
        }
        for (entry, url) in [
            ("https://api.example.com", "http://api.example.com"),
            ("https://api.example.com", "https://api.example.com:8443"),
            ("https://api.example.com", "https://api.example.com.evil.org"),
            ("https://api.example.com", "https://evil-api.example.com"),
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://evilexample.com"),
            ("https://*.example.com", "https://10.1.2.3"),
            ("http://10.1.2.3", "http://10.1.2.4"),
        ] {
            assert!(!http(entry, url), "{entry} {url}");
        }
    }

    #[test]
    fn a_tcp_entry_covers_its_hosts_and_ports() {
        let covers = |entry: &str, target: &str| {
            TcpHosts::parse(entry)
                .unwrap()
                .covers(&TcpTarget::parse(target).unwrap())
        };
        for (entry, target) in [
            ("db.example.com:5432", "DB.example.com:5432"),
            ("db.example.com:5432", "postgres://me@db.example.com:5432/base"),
            ("db.example.com:*", "db.example.com:1"),
            ("*.example.com:5432", "db.example.com:5432"),
            ("10.0.0.0/8:5432", "10.255.0.1:5432"),
            ("10.0.0.0/8:5432", "[::ffff:10.0.0.1]:5432"),
            ("[fd00::/8]:5432", "[fd00::1]:5432"),
            ("*:5432", "[fd00::1]:5432"),
        ] {
            assert!(covers(entry, target), "{entry} {target}");
        }
        for (entry, target) in [
            ("db.example.com:5432", "db.example.com:5433"),
            ("db.example.com:5432", "10.0.0.1:5432"),
            ("10.0.0.0/8:5432", "11.0.0.1:5432"),
            ("10.0.0.0/8:5432", "db.example.com:5432"),
            ("*:5432", "db.example.com:5433"),
        ] {
            assert!(!covers(entry, target), "{entry} {target}");
        }
    }

    #[test]
    fn what_is_no_entry_is_explained() {
        let http = |text: &str, says: &str| {
            let reason = HttpHosts::parse(text).unwrap_err();
            assert!(reason.contains(says), "{text}: {reason}");
        };
        http("api.example.com", "is wanted");
        http("ftp://api.example.com", "http:// or https:// is wanted");
        http("https://api.example.com/path", "scheme, host and port are enough");
        http(
            "https://user:word@api.example.com",
            "scheme, host and port are enough",
        );
        http("https://api.*.com", "* is allowed as the first part");
        http("https://*", "* is allowed as the first part");
        http("https://api.example.com:0", "port 0");
        let tcp = |text: &str, says: &str| {
            let reason = TcpHosts::parse(text).unwrap_err();
            assert!(reason.contains(says), "{text}: {reason}");
        };
        tcp("db.example.com", "it has no port");
        tcp("db.example.com:http", "is no port");
        tcp("db.example.com:0", "is no port");
        tcp("fd00::1:5432", "in brackets");
        tcp("10.0.0.0/33:1", "a network such as");
        tcp("10.1.2.3/8:1", "10.0.0.0/8 is the network");
        tcp("[::ffff:10.0.0.0/104]:1", "write it as an IPv4 network");
        tcp("a b:1", "host");
    }
}

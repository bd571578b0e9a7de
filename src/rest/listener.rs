//! The `listeners` config, and sockets that are bound long before they listen.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

use tokio::net::TcpSocket;

/// Port of Kafka Connect's REST API.
const DEFAULT_PORT: u16 = 8083;

/// Why an address cannot be used.
#[derive(Debug)]
pub struct ListenerError {
    /// The address.
    pub address: SocketAddr,
    /// The operating system's reason.
    pub source: io::Error,
}

impl std::fmt::Display for ListenerError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "cannot listen on {}: {}", self.address, self.source)
    }
}

impl std::error::Error for ListenerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Parses `http://host:port` of `listeners` or another key. An empty host is loopback: Kafka's default `http://:8083` means every
/// interface there, which is never opened here without being asked for.
///
/// # Errors
/// A sentence that names the value and what is wrong with it.
pub fn parse_listener(key: &str, listener: &str) -> Result<SocketAddr, String> {
    let bad = |reason: &str| format!("{key}: '{listener}' {reason}");
    let lower = listener.to_ascii_lowercase();
    if lower.starts_with("https://") {
        return Err(bad(
            "asks for TLS, which is not supported yet; use http://host:port",
        ));
    }
    let rest = lower
        .strip_prefix("http://")
        .ok_or_else(|| bad("is not of the form http://host:port"))?;
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (
            host,
            port.parse().map_err(|_| bad("has no port between 0 and 65535"))?,
        ),
        _ => (rest, DEFAULT_PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let mut addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| bad(&format!("names no known host ({error})")))?;
    addresses
        .next()
        .ok_or_else(|| bad("names a host without an address"))
}

/// Takes the address without accepting connections; they are refused until the socket listens. So a port in use is
/// found out early, and nobody is let in before everything can serve.
///
/// # Errors
/// When the address is not ours or in use.
pub fn bind(address: SocketAddr) -> Result<TcpSocket, ListenerError> {
    let open = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(socket)
    };
    open().map_err(|source| ListenerError { address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners() {
        for (listener, address) in [
            ("http://:8083", "127.0.0.1:8083"),
            ("http://127.0.0.1:18083", "127.0.0.1:18083"),
            ("HTTP://127.0.0.1", "127.0.0.1:8083"),
            ("http://0.0.0.0:1/", "0.0.0.0:1"),
            ("http://[::1]:9", "[::1]:9"),
            ("http://[::1]", "[::1]:8083"),
        ] {
            assert_eq!(
                parse_listener("listeners", listener),
                Ok(address.parse().unwrap()),
                "{listener}"
            );
        }
        for (listener, part) in [
            ("https://:8083", "TLS"),
            (":8083", "http://host:port"),
            ("http://127.0.0.1:70000", "port"),
        ] {
            let error = parse_listener("listeners", listener).unwrap_err();
            assert!(error.contains(part) && error.contains(listener), "{error}");
        }
    }

    #[tokio::test]
    async fn a_bound_socket_refuses_until_it_listens() {
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let refused = tokio::net::TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let _listener = socket.listen(1).unwrap();
        tokio::net::TcpStream::connect(address).await.unwrap();
        let taken = bind(address).unwrap_err();
        assert!(
            taken
                .to_string()
                .starts_with(&format!("cannot listen on {address}: ")),
            "{taken}"
        );
    }
}

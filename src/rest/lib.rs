//! Kafka Connect's REST API; the only crate that knows HTTP.
//!
//! SEAM: signatures below are the contract other crates code against.

use std::net::SocketAddr;

use jackfield_worker::Herder;

/// Serves the API on an already bound listener until `shutdown` resolves.
pub async fn serve(
    _listener: tokio::net::TcpListener,
    _herder: Herder,
    _shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    todo!()
}
/// Parses `http://host:port` of `listeners`; empty host = loopback.
pub fn parse_listener(_listener: &str) -> Result<SocketAddr, String> {
    todo!()
}

//! One connection to a broker: a request goes out in the newest version that both sides know, its answer comes back.
//!
//! rdkafka has no way to send most of what an administrator asks (offsets of groups, incremental changes, KIP-848 groups),
//! and drops the words a broker gives with an error; the codec is the one that the broker uses.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{ApiKey, ApiVersionsRequest, RequestHeader, ResponseHeader},
    protocol::{Decodable as _, Request, StrBytes, encode_request_header_into_buffer},
};

use crate::progress::Waiting;

/// Answers of administrators are small; what claims to be larger is no Kafka answer.
const MOST_BYTES: usize = 256 << 20;

/// See the file's header.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    address: String,
    client_id: StrBytes,
    correlation: i32,
    /// What the broker serves, by API key.
    versions: BTreeMap<i16, (i16, i16)>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum WireError {
    /// Nobody answers there.
    Unreachable {
        /// Host and port.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The broker does not serve the request at all, or in no version that is known here.
    Unsupported {
        /// Kafka's name of the request.
        request: String,
        /// Host and port.
        address: String,
    },
}

impl fmt::Display for WireError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { address, reason } => write!(
                formatter,
                "no answer from a broker at {address} ({reason}); is `jackfield standalone` or `jackfield broker` \
                 running? -b HOST:PORT names another address"
            ),
            Self::Unsupported { request, address } => {
                write!(
                    formatter,
                    "the broker at {address} does not serve {request} requests"
                )
            }
        }
    }
}

impl std::error::Error for WireError {}

impl Wire {
    /// Connects, and asks what the broker serves.
    pub(crate) fn connect(address: &str, client_id: &str, timeout: Duration) -> Result<Self, WireError> {
        let unreachable = |error: io::Error| WireError::Unreachable {
            address: address.to_owned(),
            reason: reason(&error, timeout),
        };
        let stream = open(address, timeout).map_err(unreachable)?;
        let mut wire = Self {
            stream,
            address: address.to_owned(),
            client_id: StrBytes::from_string(client_id.to_owned()),
            correlation: 0,
            versions: BTreeMap::new(),
        };
        // Version 0 is what every broker answers.
        let answer = wire
            .exchange(&ApiVersionsRequest::default(), 0)
            .map_err(|error| {
                let reason = match error.kind() {
                    io::ErrorKind::ConnectionRefused => reason(&error, timeout),
                    _ => format!(
                        "somebody listens there, and does not answer as a Kafka broker: {}",
                        reason(&error, timeout)
                    ),
                };
                WireError::Unreachable {
                    address: address.to_owned(),
                    reason,
                }
            })?;
        wire.versions = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, (api.min_version, api.max_version)))
            .collect();
        Ok(wire)
    }

    /// Sends a request in the newest common version up to `newest`.
    pub(crate) fn call<R: Request>(&mut self, request: &R, newest: i16) -> Result<R::Response, WireError> {
        let version = self.version::<R>(newest).ok_or_else(|| WireError::Unsupported {
            request: ApiKey::try_from(R::KEY).map_or_else(|()| R::KEY.to_string(), |api| format!("{api:?}")),
            address: self.address.clone(),
        })?;
        self.exchange(request, version)
            .map_err(|error| WireError::Unreachable {
                address: self.address.clone(),
                reason: reason(
                    &error,
                    self.stream.read_timeout().ok().flatten().unwrap_or_default(),
                ),
            })
    }

    /// The newest version of a request that both sides know.
    pub(crate) fn version<R: Request>(&self, newest: i16) -> Option<i16> {
        let (min, max) = *self.versions.get(&R::KEY)?;
        let version = max.min(R::VERSIONS.max).min(newest);
        (version >= min.max(R::VERSIONS.min)).then_some(version)
    }

    fn exchange<R: Request>(&mut self, request: &R, version: i16) -> io::Result<R::Response> {
        let _waiting = Waiting::on(&self.address);
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::zeroed(4);
        encode_request_header_into_buffer(&mut frame, &header).map_err(malformed)?;
        request.encode(&mut frame, version).map_err(malformed)?;
        let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame)?;
        let mut body = Bytes::from(self.receive()?);
        let api = ApiKey::try_from(R::KEY).map_err(|()| malformed("an unknown request"))?;
        let header =
            ResponseHeader::decode(&mut body, api.response_header_version(version)).map_err(malformed)?;
        if header.correlation_id != self.correlation {
            return Err(malformed("an answer to another request"));
        }
        R::Response::decode(&mut body, version).map_err(malformed)
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > MOST_BYTES {
            return Err(malformed("no Kafka frame"));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn open(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let _waiting = Waiting::on(address);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for resolved in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&resolved, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The system's words, without what only a programmer wants to know.
fn reason(error: &io::Error, timeout: Duration) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("nothing came within {timeout:?}"),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "it closed the connection".to_owned()
        }
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::InvalidInput => "must be host:port".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn error(address: &str, timeout: Duration) -> String {
        Wire::connect(address, "test", timeout).unwrap_err().to_string()
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let silent = error(&address, Duration::from_millis(20));
        assert!(
            silent.starts_with(&format!(
                "no answer from a broker at {address} (somebody listens there, and does not answer as a Kafka \
                 broker: nothing came within 20ms); is `jackfield standalone`"
            )),
            "{silent}"
        );
        let web_listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let web_address = web_listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = web_listener.accept().unwrap();
            stream
                .write_all(
                    b"HTTP/1.1 400 Bad Request

",
                )
                .unwrap();
        });
        let web = error(&web_address, Duration::from_secs(10));
        assert!(web.contains("does not answer as a Kafka broker: "), "{web}");
        server.join().unwrap();
        drop(listener);
        let refused = error(&address, Duration::from_secs(10));
        assert!(
            refused.starts_with(&format!(
                "no answer from a broker at {address} (connection refused); is"
            )),
            "{refused}"
        );
        let nowhere = error("nowhere", Duration::from_secs(1));
        assert!(nowhere.contains("at nowhere (must be host:port)"), "{nowhere}");
    }
}

//! HTTPS: the certificate decides.

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};
use tokio_rustls::TlsAcceptor;

use super::{
    servers::{OK, read_request},
    *,
};

const ROOT: &[u8] = include_bytes!("../tls/root.pem");
const CERTIFICATE: &[u8] = include_bytes!("../tls/localhost.pem");
const KEY: &[u8] = include_bytes!("../tls/localhost.key");

/// A server with a certificate for `localhost`; gives its port.
async fn serve() -> u16 {
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    TaskGroup::new("server").spawn("tls", async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                read_request(&mut stream).await;
                stream.write_all(OK).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    });
    port
}

#[tokio::test]
async fn a_server_is_who_it_says_or_is_not_spoken_to() {
    let port = serve().await;
    let url = format!("https://localhost:{port}/secret");
    let root = CertificateDer::from_pem_slice(ROOT).unwrap();
    let group = TaskGroup::new("test");
    let trusting = HttpService::with(&group, connect::system_lookup(), Roots::and(vec![root]));
    let response = fetch(&trusting, &Reach::Everything, &url).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"OK"[..]));

    let says = format!("GET https://localhost:{port}: ");
    check(
        &service(),
        &Reach::Everything,
        get(&url),
        ErrorKind::Retriable,
        &says,
    )
    .await;
    let other = format!("https://127.0.0.1:{port}/secret");
    check(
        &trusting,
        &Reach::Everything,
        get(&other),
        ErrorKind::Retriable,
        "certificate",
    )
    .await;
}

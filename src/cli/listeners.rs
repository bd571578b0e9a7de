//! The rule about who may be let in: loopback, unless the operator says `--insecure`.

use std::net::SocketAddr;

use anyhow::bail;

/// Refuses addresses that other machines can reach.
///
/// # Errors
/// Names the key, the address and both ways out.
pub(crate) fn check_loopback(key: &str, addresses: &[SocketAddr], insecure: bool) -> anyhow::Result<()> {
    match addresses
        .iter()
        .find(|address| !insecure && !address.ip().is_loopback())
    {
        None => Ok(()),
        Some(address) => bail!(
            "{key}: {address} can be reached from other machines, and nothing there is encrypted or asks who is \
             calling; use 127.0.0.1, or start with --insecure if the network is trusted"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_or_insecure() {
        let addresses = |text: &str| [text.parse().unwrap()];
        assert!(check_loopback("listeners", &addresses("127.0.0.1:1"), false).is_ok());
        assert!(check_loopback("listeners", &addresses("[::1]:1"), false).is_ok());
        assert!(check_loopback("listeners", &addresses("0.0.0.0:1"), true).is_ok());
        let error = check_loopback("broker.listeners", &addresses("0.0.0.0:1"), false)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("broker.listeners: 0.0.0.0:1 can be reached"),
            "{error}"
        );
    }
}

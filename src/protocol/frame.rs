//! Request and response headers.

use crate::{
    reader::{Malformed, Reader},
    versions::{self, Api, Support},
};

/// A request header, versions 1 and 2.
#[derive(Debug, Clone, Copy)]
pub struct RequestHeader<'a> {
    /// API key as sent.
    pub key: i16,
    /// Version as sent.
    pub version: i16,
    /// Correlation id to answer with.
    pub correlation_id: i32,
    /// Client id.
    pub client_id: Option<&'a str>,
    /// The row of the version table; `None` for an API that is not served.
    pub support: Option<&'static Support>,
    /// Length of the header: the body starts here.
    pub len: usize,
}

impl<'a> RequestHeader<'a> {
    /// Parses the header at the start of a frame (without its length).
    ///
    /// # Errors
    /// [`Malformed`] when the frame is too short.
    pub fn parse(frame: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(frame, false);
        let (key, version, correlation_id) = (reader.i16()?, reader.i16()?, reader.i32()?);
        // The client id stays a classic string in header version 2.
        let client_id = reader.nullable_string()?;
        let support = versions::by_key(key);
        // The header of a version nobody knows cannot be told; ApiVersions answers without reading on.
        if support.is_some_and(|row| row.contains(version) && row.is_flexible(version)) {
            reader.set_flexible(true);
            reader.tagged_fields()?;
        }
        Ok(Self {
            key,
            version,
            correlation_id,
            client_id,
            support,
            len: reader.position(),
        })
    }

    /// Whether the response has a header with tagged fields (version 1). ApiVersions never has (KIP-511).
    pub fn response_is_flexible(&self) -> bool {
        self.support
            .is_some_and(|row| row.api != Api::ApiVersions && row.is_flexible(self.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_versions() {
        let classic = [0, 3, 0, 1, 0, 0, 0, 9, 0, 1, b'c', 0xaa];
        let header = RequestHeader::parse(&classic).unwrap();
        assert_eq!((header.key, header.version, header.correlation_id), (3, 1, 9));
        assert_eq!(
            (header.client_id, header.len, header.response_is_flexible()),
            (Some("c"), 11, false)
        );
        let flexible = [0, 3, 0, 9, 0, 0, 0, 9, 0xff, 0xff, 1, 5, 1, 0xcc, 0xaa];
        let header = RequestHeader::parse(&flexible).unwrap();
        assert_eq!(
            (header.client_id, header.len, header.response_is_flexible()),
            (None, 14, true)
        );
        let api_versions = [0, 18, 0, 3, 0, 0, 0, 9, 0xff, 0xff, 0];
        assert!(
            !RequestHeader::parse(&api_versions)
                .unwrap()
                .response_is_flexible()
        );
        for cut in 0..classic.len() - 1 {
            assert!(RequestHeader::parse(&classic[..cut]).is_err(), "{cut}");
        }
    }
}

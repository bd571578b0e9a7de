//! Compression of the sink's files: members (gzip) or frames (zstd), one after another, each readable by itself.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use jackfield_api::ConnectError;

/// What the files are compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// As in the config.
    pub(crate) const NAMES: &[&str] = &["none", "gzip", "zstd"];

    pub(crate) fn parse(name: &str) -> Result<Self, ConnectError> {
        match name {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            other => Err(ConnectError::config(format!(
                "compression.type {other} is not none, gzip or zstd"
            ))),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What file names end with.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

/// Compresses in memory. What comes out is taken away in pieces, and only a part that begins and ends at a member's border
/// can be read.
pub(crate) struct Encoder {
    compression: Compression,
    member: Option<Member>,
    /// Output that was not taken away yet.
    output: Vec<u8>,
}

enum Member {
    Gzip(GzEncoder<Vec<u8>>),
    #[cfg(not(target_family = "wasm"))]
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    pub(crate) fn new(compression: Compression) -> Self {
        Self {
            compression,
            member: None,
            output: Vec::new(),
        }
    }

    /// Takes all of `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.compression == Compression::None {
            self.output.extend_from_slice(bytes);
            return Ok(());
        }
        let member = match &mut self.member {
            Some(member) => member,
            none => none.insert(Member::begin(self.compression)?),
        };
        let written = match member {
            Member::Gzip(gzip) => {
                gzip.write_all(bytes)?;
                gzip.get_mut()
            }
            #[cfg(not(target_family = "wasm"))]
            Member::Zstd(zstd) => {
                zstd.write_all(bytes)?;
                zstd.get_mut()
            }
        };
        self.output.append(written);
        Ok(())
    }

    /// Ends the member: everything taken so far can be read from the output so far.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let rest = match self.member.take() {
            None => return Ok(()),
            Some(Member::Gzip(gzip)) => gzip.finish()?,
            #[cfg(not(target_family = "wasm"))]
            Some(Member::Zstd(zstd)) => zstd.finish()?,
        };
        self.output.extend_from_slice(&rest);
        Ok(())
    }

    /// Output to be taken away, from its start.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Bytes of output.
    pub(crate) fn output_bytes(&self) -> usize {
        self.output.len()
    }
}

impl Member {
    fn begin(compression: Compression) -> io::Result<Self> {
        match compression {
            #[cfg(not(target_family = "wasm"))]
            Compression::Zstd => {
                let level = zstd::DEFAULT_COMPRESSION_LEVEL;
                Ok(Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), level)?))
            }
            #[cfg(target_family = "wasm")]
            Compression::Zstd => Err(io::ErrorKind::Unsupported.into()),
            Compression::Gzip | Compression::None => Ok(Self::Gzip(GzEncoder::new(
                Vec::new(),
                flate2::Compression::default(),
            ))),
        }
    }
}

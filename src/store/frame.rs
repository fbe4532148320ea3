//! The frame of a journal: `length u32 | CRC32C u32 | kind u8 | payload`, little-endian.
//!
//! `length` is the size of the payload in bytes. The checksum covers length, kind and payload, so that a run of zeros
//! is not a valid frame.
//! The payload is bincode 2 in its standard configuration.

use serde::{Serialize, de::DeserializeOwned};

use super::error::{Result, StoreError};

/// Size of the part before the payload, in bytes.
pub const FRAME_HEADER: usize = 9;

/// The type of a payload. The numbers are part of the journal format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// First frame of every journal: [`super::JournalHeader`].
    JournalHeader = 1,
    /// A document, before the first of its pages: [`crate::model::Document`].
    Document = 2,
    /// A settled page: [`crate::model::PageRecord`].
    Page = 3,
}

impl FrameKind {
    /// The kind with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::JournalHeader, Self::Document, Self::Page].into_iter().find(|kind| *kind as u8 == code)
    }
}

/// The fixed part of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) length: u32,
    checksum: u32,
    pub(super) kind: u8,
}

impl Header {
    pub(super) fn decode(bytes: [u8; FRAME_HEADER]) -> Header {
        let [l0, l1, l2, l3, c0, c1, c2, c3, kind] = bytes;
        Header { length: u32::from_le_bytes([l0, l1, l2, l3]), checksum: u32::from_le_bytes([c0, c1, c2, c3]), kind }
    }

    /// Size of the whole frame in bytes.
    pub(super) fn frame_size(self) -> u64 {
        FRAME_HEADER as u64 + u64::from(self.length)
    }

    pub(super) fn matches(self, payload: &[u8]) -> bool {
        self.checksum == checksum(self.length, self.kind, payload)
    }
}

fn checksum(length: u32, kind: u8, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&length.to_le_bytes()), &[kind]), payload)
}

/// Appends a frame to `out`.
pub(super) fn encode(kind: FrameKind, value: &impl Serialize, out: &mut Vec<u8>) -> Result<()> {
    let encoding = |reason: String| StoreError::Encode { what: "a journal frame", reason };
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER]);
    if bincode::serde::encode_into_std_write(value, out, bincode::config::standard()).is_err() {
        out.truncate(start);
        return Err(encoding("it has a value without a form in a journal".into()));
    }
    let (header, payload) = out[start..].split_at_mut(FRAME_HEADER);
    let length = u32::try_from(payload.len()).map_err(|error| encoding(error.to_string()))?;
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..8].copy_from_slice(&checksum(length, kind as u8, payload).to_le_bytes());
    header[8] = kind as u8;
    Ok(())
}

/// Decodes a payload whose checksum matches. Bytes after the value are an error.
pub(super) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    // The error of bincode is a Rust debug form.
    let (value, used) = bincode::serde::decode_from_slice(payload, bincode::config::standard())
        .map_err(|_| "its bytes are no value of this format".to_owned())?;
    if used == payload.len() { Ok(value) } else { Err(format!("{} bytes too many", payload.len() - used)) }
}

//! Frames: one version byte, then bincode 2. The only place that knows.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Serialize, de::DeserializeOwned};

/// Changes whenever a message's form does.
const VERSION: u8 = 6;

/// Largest frame, in bytes. A batch of verdicts is a few kilobytes; more is a defect, not a message.
const LIMIT: usize = 8 << 20;

const CONFIGURATION: Configuration<LittleEndian, Fixint, Limit<LIMIT>> =
    bincode::config::standard().with_fixed_int_encoding().with_limit::<LIMIT>();

/// A frame that cannot be made or understood.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The other rank runs another version of this program.
    #[error("frame version {0} instead of {VERSION}: all ranks must run the same build of bocr")]
    Version(u8),
    /// Nothing came.
    #[error("empty frame")]
    Empty,
    /// Bytes that are no message, or too many.
    #[error("cannot decode a frame of {bytes} bytes")]
    Decode {
        /// Its length.
        bytes: usize,
        /// What is wrong.
        source: bincode::error::DecodeError,
    },
    /// A message over the limit.
    #[error("cannot encode a message")]
    Encode(#[from] bincode::error::EncodeError),
}

/// A message as a frame.
///
/// # Errors
/// The message is larger than a frame may be.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, CodecError> {
    let mut frame = vec![VERSION];
    bincode::serde::encode_into_std_write(message, &mut frame, CONFIGURATION)?;
    Ok(frame)
}

/// The message of a frame.
///
/// # Errors
/// Another version, or bytes that are no such message.
pub fn decode<M: DeserializeOwned>(frame: &[u8]) -> Result<M, CodecError> {
    let (version, body) = frame.split_first().ok_or(CodecError::Empty)?;
    if *version != VERSION {
        return Err(CodecError::Version(*version));
    }
    let wrong = |source| CodecError::Decode { bytes: frame.len(), source };
    let (message, used) = bincode::serde::decode_from_slice(body, CONFIGURATION).map_err(wrong)?;
    if used != body.len() {
        return Err(wrong(bincode::error::DecodeError::OtherString(format!("{} bytes too many", body.len() - used))));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        comm::{ToCoordinator, ToWorker},
        model::{DocumentId, EngineSet, FailureClass, LeaseId, PageIndex, PageRef, Settlement, Verdict},
    };

    fn message() -> ToCoordinator {
        let page = PageRef { document: DocumentId(7), page: PageIndex(2) };
        let verdict = Verdict::Failed(FailureClass::Loop);
        ToCoordinator::Settled(vec![Settlement {
            page,
            lease: LeaseId(9),
            verdict,
            attempts: Vec::new(),
            remaining: EngineSet::default(),
        }])
    }

    #[test]
    fn a_verdict_takes_tens_of_bytes_and_its_form_does_not_change_by_accident() {
        let frame = encode(&message()).unwrap();
        let golden =
            "06 04000000 0100000000000000 07000000 02000000 0900000000000000 02000000 05000000 0000000000000000 00";
        assert_eq!(hex::encode(&frame), golden.replace(' ', ""));
        assert_eq!(decode::<ToCoordinator>(&frame).unwrap(), message());
    }

    #[test]
    fn foreign_and_damaged_frames_are_refused() {
        assert!(matches!(decode::<ToWorker>(&[]), Err(CodecError::Empty)));
        assert!(matches!(decode::<ToWorker>(&[9, 0, 0]), Err(CodecError::Version(9))));
        let frame = encode(&message()).unwrap();
        for length in 1..frame.len() {
            assert!(decode::<ToCoordinator>(&frame[..length]).is_err(), "cut at {length}");
        }
        assert!(decode::<ToCoordinator>(&[frame.as_slice(), &[0]].concat()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode::<ToCoordinator>(&[&[VERSION], bytes.as_slice()].concat());
        }
    }
}

//! Frames: one version byte, then bincode 2. No other code knows this format.

use std::io;

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use serde::{Serialize, de::DeserializeOwned};

/// Changes whenever the format of a message changes.
const VERSION: u8 = 9;

/// Maximum size of a frame, in bytes. Lists are sent in batches; a larger message is a defect.
const LIMIT: usize = 8 << 20;

const CONFIGURATION: Configuration<LittleEndian, Fixint, Limit<LIMIT>> =
    bincode::config::standard().with_fixed_int_encoding().with_limit::<LIMIT>();

/// An error in encoding or decoding a frame. The errors of bincode are Rust debug forms, so they are not passed on.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The other rank runs another build of this program.
    #[error("frame version {0} instead of {VERSION}: all ranks must run the same build of bocr")]
    Version(u8),
    /// The frame has no bytes.
    #[error("empty frame: this is a defect of bocr or of the MPI library")]
    Empty,
    /// The bytes are no message of this type, or too many.
    #[error("cannot decode a frame of {bytes} bytes: all ranks must run the same build of bocr")]
    Decode { bytes: usize },
    /// The message is larger than a frame may be.
    #[error("a message for another rank is larger than {LIMIT} bytes: this is a defect of bocr")]
    Encode,
}

/// The most bytes of a batch. An item that is larger by itself still fits a frame.
const BATCH: usize = LIMIT / 4;

/// Splits items into batches that fit a frame each, in order. An item that is larger than a batch is a batch by itself.
pub fn batches<T: Serialize>(items: Vec<T>) -> Vec<Vec<T>> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut left = 0;
    for item in items {
        // An item that cannot be encoded is larger than a frame.
        let bytes = bincode::serde::encode_into_std_write(&item, &mut io::sink(), CONFIGURATION).unwrap_or(LIMIT);
        match batches.last_mut().filter(|_| bytes <= left) {
            Some(batch) => batch.push(item),
            None => {
                batches.push(vec![item]);
                left = BATCH;
            }
        }
        left = left.saturating_sub(bytes);
    }
    batches
}

/// Encodes a message as a frame.
///
/// # Errors
/// The message is larger than a frame may be.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, CodecError> {
    let mut frame = vec![VERSION];
    bincode::serde::encode_into_std_write(message, &mut frame, CONFIGURATION).map_err(|_| CodecError::Encode)?;
    // bincode applies its limit to decoding only.
    if frame.len() > LIMIT { Err(CodecError::Encode) } else { Ok(frame) }
}

/// Decodes the message of a frame.
///
/// # Errors
/// The frame has another version, or its bytes are no message of this type.
pub fn decode<M: DeserializeOwned>(frame: &[u8]) -> Result<M, CodecError> {
    let (version, body) = frame.split_first().ok_or(CodecError::Empty)?;
    if *version != VERSION {
        return Err(CodecError::Version(*version));
    }
    match bincode::serde::decode_from_slice(body, CONFIGURATION) {
        Ok((message, used)) if used == body.len() => Ok(message),
        _ => Err(CodecError::Decode { bytes: frame.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        comm::{Returned, ToCoordinator, ToWorker},
        model::{
            Attempt, AttemptOutcome, DocumentId, Engine, EngineSet, FailureClass, LeaseId, MachineFault, PageIndex,
            PageRef, Settlement, Stage, Verdict,
        },
    };

    fn sample() -> Attempt {
        Attempt::sample(Stage::FIRST, AttemptOutcome::Interrupted(MachineFault::Overloaded))
    }

    fn message() -> ToCoordinator {
        let page = PageRef { document: DocumentId(7), page: PageIndex(2) };
        let verdict = Verdict::Failed(FailureClass::Loop);
        ToCoordinator::Settled(vec![Settlement {
            page,
            lease: LeaseId(9),
            verdict,
            engine: Some(Engine::FIRST),
            attempts: Vec::new(),
            remaining: EngineSet::default(),
        }])
    }

    #[test]
    fn a_verdict_takes_tens_of_bytes_and_its_form_does_not_change_by_accident() {
        let frame = encode(&message()).unwrap();
        let golden = "09 04000000 0100000000000000 07000000 02000000 0900000000000000 02000000 05000000 01 00 0000000000000000 00";
        assert_eq!(hex::encode(&frame), golden.replace(' ', ""));
        assert_eq!(decode::<ToCoordinator>(&frame).unwrap(), message());
    }

    #[test]
    fn foreign_and_damaged_frames_are_refused() {
        assert!(matches!(decode::<ToWorker>(&[]), Err(CodecError::Empty)));
        assert!(matches!(decode::<ToWorker>(&[8, 0, 0]), Err(CodecError::Version(8))));
        let frame = encode(&message()).unwrap();
        for length in 1..frame.len() {
            assert!(decode::<ToCoordinator>(&frame[..length]).is_err(), "cut at {length}");
        }
        assert!(decode::<ToCoordinator>(&[frame.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn lists_of_any_size_are_sent_in_frames() {
        let attempts = |number| vec![Attempt { reason: "ج".repeat(500), ..sample() }; number];
        let returned = |(page, attempts_of): (u32, usize)| Returned {
            page: PageRef { document: DocumentId(0), page: PageIndex(page) },
            lease: LeaseId(1),
            fault: MachineFault::Overloaded,
            attempts: attempts(attempts_of),
            text: None,
        };
        // Few pages with many attempts, and many pages with few.
        let pages: Vec<_> = (0..).zip([vec![2000; 32], vec![2; 3000]].concat()).map(returned).collect();
        assert!(matches!(encode(&ToCoordinator::Returned(pages[..32].to_vec())), Err(CodecError::Encode)));
        let batches = batches(pages.clone());
        assert_eq!(batches.concat(), pages);
        assert!(batches.len() < 64, "{} messages", batches.len());
        for batch in batches {
            encode(&ToCoordinator::Returned(batch)).unwrap();
        }
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode::<ToCoordinator>(&[&[VERSION], bytes.as_slice()].concat());
        }
    }
}

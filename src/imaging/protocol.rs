//! The protocol between a rank and its renderer children over pipes. A frame is a magic number, two lengths, a bincode
//! header and, for a page, its PNGs.
//!
//! A child that writes anything else is recognised at the first wrong byte of a frame and replaced.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use page_image::{TurnPlace, TurnProofs};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::model::{
    BBox, FailureClass, ImageFacts, ImageRule, Inspected, Language, LayoutRule, PageIndex, PageLayout, PixelSize,
    Rotation, View,
};

/// First bytes of every frame.
const MAGIC: [u8; 4] = *b"BOr1";
/// Part of the last line of a child that has reached its memory limit. Rust's own message has it, and so has the
/// child's.
pub const OUT_OF_MEMORY: &str = "memory allocation";
/// Bytes of the magic number and the two lengths.
const PRELUDE: usize = 12;
/// Most bytes of a header.
const MOST_HEADER: usize = 1 << 20;
/// Most bytes of the images or files of a frame. A page of the largest rule, uncompressed and in colour, has a tenth of this.
pub const MOST_BODY: usize = 1 << 28;

/// A request to a child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// The number of pages of a document.
    Inspect {
        /// Path of the document.
        document: PathBuf,
        /// User password of the document.
        password: Option<String>,
    },
    /// The PDFs that are embedded in a document.
    Extract {
        /// Path of the document.
        document: PathBuf,
        /// User password of the document.
        password: Option<String>,
    },
    /// The images of a page as PNGs.
    Render {
        /// Path of the document.
        document: PathBuf,
        /// User password of the document.
        password: Option<String>,
        /// The page, 0-based.
        page: PageIndex,
        /// The rule for the size of the image.
        rule: ImageRule,
        /// The preprocessing and the layout analysis to do.
        layout: LayoutRule,
        /// The view of the page to make.
        view: View,
        /// Which of the proposed rotations were examined.
        proofs: TurnProofs,
    },
}

impl Request {
    /// Path of the document.
    pub fn document(&self) -> &Path {
        match self {
            Request::Inspect { document, .. }
            | Request::Extract { document, .. }
            | Request::Render { document, .. } => document,
        }
    }

    /// File and page, for messages.
    pub fn subject(&self) -> String {
        match self {
            Request::Inspect { document, .. } | Request::Extract { document, .. } => document.display().to_string(),
            Request::Render { document, page, .. } => format!("{} page {}", document.display(), page.number()),
        }
    }
}

/// An answer of a child.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Response {
    /// The first message of a child: PDFium is loaded.
    Ready,
    /// The only message of a child that cannot work, with the reason.
    Unusable(String),
    /// Answer to [`Request::Inspect`].
    Inspected(Inspected),
    /// Answer to [`Request::Extract`]: names and sizes in bytes; the files follow as the frame's body.
    Extracted(Vec<(String, u32)>),
    /// Answer to [`Request::Render`]; the PNGs follow as the frame's body, one after the other.
    Page {
        /// Facts of the whole page: its size, its ink, and the sums of bytes and times of its images.
        facts: ImageFacts,
        /// The layout that was found and the preprocessing that was done.
        layout: PageLayout,
        /// Whether the page is blank.
        blank: bool,
        /// What of the page could not be drawn, as a message; empty if all was.
        missing: String,
        /// The images, in reading order.
        parts: Vec<PartFacts>,
    },
    /// Answer to [`Request::Render`]: a rotation is proposed that the request says nothing of. The samples follow as the
    /// frame's body, a byte for each pixel, as they stand and as proposed.
    TurnInQuestion(Question),
    /// Answer to [`Request::Render`]: the page has no place to cut it.
    Indivisible,
    /// The document or the page is the cause of a failure.
    Refused(Refusal),
}

/// A rotation that a renderer asks about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The part of the page.
    pub place: TurnPlace,
    /// The proposed rotation.
    pub turn: Rotation,
    /// The language by the look of the letters after the rotation.
    pub language: Language,
    /// Dots per inch of the samples.
    pub dpi: f32,
    /// Sizes of the samples as they stand and as proposed.
    pub sizes: [PixelSize; 2],
}

/// An image of a page, or of a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PartFacts {
    /// Facts of the image. Its render time is 0, because it is in that of the page.
    pub facts: ImageFacts,
    /// Its place on the page as it is displayed, without the skew, with its padding.
    pub bbox: BBox,
    /// Its place without padding.
    pub place: BBox,
    /// The rotation that brought it upright.
    pub turn: Rotation,
    /// Whether the part is blank.
    pub blank: bool,
}

/// The reason why a document or page cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The class of the failure.
    pub class: FailureClass,
    /// The file, the page and the remedy, for the user.
    pub reason: String,
}

/// Encodes a frame without its body, which has `body` bytes.
///
/// # Errors
/// The header cannot be encoded (a path that is not UTF-8), or the header or the body is too long.
pub fn head(header: &impl Serialize, body: usize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; PRELUDE];
    bincode::serde::encode_into_std_write(header, &mut frame, bincode::config::standard()).map_err(invalid)?;
    let length = frame.len() - PRELUDE;
    if length > MOST_HEADER || body > MOST_BODY {
        return Err(invalid(format!("a frame of {length} and {body} bytes is too long")));
    }
    frame[..4].copy_from_slice(&MAGIC);
    frame[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    frame[8..12].copy_from_slice(&(body as u32).to_le_bytes());
    Ok(frame)
}

/// Writes a frame.
///
/// # Errors
/// As [`head`], or the pipe is closed.
pub fn write_frame(to: &mut impl Write, header: &impl Serialize, body: &[u8]) -> io::Result<()> {
    to.write_all(&head(header, body.len())?)?;
    to.write_all(body)?;
    to.flush()
}

/// Reads a frame without a body; `None` at the end of the stream.
///
/// # Errors
/// The stream ends within a frame, or contains something else than frames.
pub fn read_frame<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut prelude = [0; PRELUDE];
    match from.read_exact(&mut prelude[..1]) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    from.read_exact(&mut prelude[1..])?;
    let (length, body) = lengths(prelude)?;
    let mut bytes = vec![0; length + body];
    from.read_exact(&mut bytes)?;
    decode(&bytes[..length]).map(Some)
}

/// Reads a frame with its body.
///
/// # Errors
/// The stream ends, or contains something else than frames.
pub async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(T, Vec<u8>)> {
    let mut prelude = [0; PRELUDE];
    from.read_exact(&mut prelude).await?;
    let (length, body) = lengths(prelude)?;
    let mut header = vec![0; length];
    from.read_exact(&mut header).await?;
    let mut image = vec![0; body];
    from.read_exact(&mut image).await?;
    Ok((decode(&header)?, image))
}

fn lengths(prelude: [u8; PRELUDE]) -> io::Result<(usize, usize)> {
    let word =
        |at: usize| u32::from_le_bytes([prelude[at], prelude[at + 1], prelude[at + 2], prelude[at + 3]]) as usize;
    let (header, body) = (word(4), word(8));
    if prelude[..4] != MAGIC || header > MOST_HEADER || body > MOST_BODY {
        return Err(invalid("not a frame"));
    }
    Ok((header, body))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let configuration = bincode::config::standard().with_limit::<MOST_HEADER>();
    bincode::serde::decode_from_slice(bytes, configuration).map(|(value, _)| value).map_err(invalid)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request::Inspect { document: "/données/BO_7412_Ar.pdf".into(), password: Some("كلمة".into()) }
    }

    #[test]
    fn frames_round_trip_until_the_end_of_the_stream() {
        let mut stream = Vec::new();
        write_frame(&mut stream, &request(), &[]).unwrap();
        write_frame(&mut stream, &request(), b"image").unwrap();
        let mut from = stream.as_slice();
        assert_eq!(read_frame(&mut from).unwrap(), Some(request()));
        assert_eq!(read_frame(&mut from).unwrap(), Some(request()));
        assert_eq!(read_frame::<Request>(&mut from).unwrap(), None);
    }

    #[tokio::test]
    async fn a_body_arrives_with_its_header() {
        let mut stream = Vec::new();
        write_frame(&mut stream, &Response::Inspected(Inspected::whole(7)), b"image").unwrap();
        let (response, body): (Response, _) = receive(&mut stream.as_slice()).await.unwrap();
        assert_eq!((response, body.as_slice()), (Response::Inspected(Inspected::whole(7)), b"image".as_slice()));
    }

    #[tokio::test]
    async fn garbage_and_torn_frames_are_errors() {
        let mut stream = Vec::new();
        write_frame(&mut stream, &request(), &[]).unwrap();
        stream.pop();
        assert!(read_frame::<Request>(&mut stream.as_slice()).is_err());
        assert!(receive::<Response>(&mut b"Segmentation fault\n".as_slice()).await.is_err());
        let mut long = MAGIC.to_vec();
        long.extend([0xFF; 8]);
        assert!(receive::<Response>(&mut long.as_slice()).await.is_err(), "a length of 4 GB is not believed");
    }
}

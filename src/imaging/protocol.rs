//! What a rank and its renderer children say to each other over pipes: frames of a magic word, two lengths, a bincode
//! header and, for a page, its PNGs.
//!
//! A child that writes anything else is recognised at the first wrong word and replaced.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::model::{BBox, FailureClass, ImageFacts, ImageRule, LayoutRule, PageIndex, PageLayout, Rotation, View};

/// First word of every frame.
const MAGIC: [u8; 4] = *b"BOr1";
/// Last words of a child that ran into its memory limit: Rust's own, said by the child too.
pub const OUT_OF_MEMORY: &str = "memory allocation";
/// Bytes of the magic word and the two lengths.
const PRELUDE: usize = 12;
/// Longest header.
const MOST_HEADER: usize = 1 << 20;
/// Longest image: a page of the largest rule, uncompressed in colour, is a tenth of this.
const MOST_BODY: usize = 1 << 28;

/// What a child is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// How many pages a document has.
    Inspect {
        /// The file.
        document: PathBuf,
        /// Its user password.
        password: Option<String>,
    },
    /// A page as PNGs.
    Render {
        /// The file.
        document: PathBuf,
        /// Its user password.
        password: Option<String>,
        /// The page.
        page: PageIndex,
        /// How large.
        rule: ImageRule,
        /// What is looked for on it.
        layout: LayoutRule,
        /// How it is shown.
        view: View,
    },
}

impl Request {
    /// The file.
    pub fn document(&self) -> &Path {
        match self {
            Request::Inspect { document, .. } | Request::Render { document, .. } => document,
        }
    }

    /// File and page, for messages.
    pub fn subject(&self) -> String {
        match self {
            Request::Inspect { document, .. } => document.display().to_string(),
            Request::Render { document, page, .. } => format!("{} page {}", document.display(), page.number()),
        }
    }
}

/// What a child answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Response {
    /// The first word of a child: PDFium is loaded.
    Ready,
    /// The first and last word of a child that cannot work.
    Unusable(String),
    /// Answer to [`Request::Inspect`].
    Pages(u32),
    /// Answer to [`Request::Render`]; the PNGs follow as the frame's body, one behind the other.
    Page {
        /// All of the page: its size as it was drawn, its ink, and what its images cost together.
        facts: ImageFacts,
        /// What was found of it and done to it.
        layout: PageLayout,
        /// Whether there is nothing to read on it.
        blank: bool,
        /// Its images, in reading order.
        parts: Vec<PartFacts>,
    },
    /// Answer to [`Request::Render`]: there is no place to cut the page at.
    Indivisible,
    /// The document or page is at fault.
    Refused(Refusal),
}

/// An image of a page, or of a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PartFacts {
    /// The image. Its time of rendering is in that of the page.
    pub facts: ImageFacts,
    /// Its place on the page as it is displayed, but for its skew, with the white that was added to it.
    pub bbox: BBox,
    /// The place of what it shows.
    pub place: BBox,
    /// The turn that brought it upright.
    pub turn: Rotation,
    /// Whether there is nothing to read on it.
    pub blank: bool,
}

/// Why a document or page cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Who must act.
    pub class: FailureClass,
    /// For people: names the file, the page and the remedy.
    pub reason: String,
}

/// Encodes a frame up to its body, whose length it announces.
///
/// # Errors
/// The header has no bincode form (a path that is not UTF-8), or it or the body is too long.
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
/// The stream ends within a frame, or is not made of frames.
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
/// The stream ends, or is not made of frames.
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
        write_frame(&mut stream, &Response::Pages(7), b"image").unwrap();
        let (response, body): (Response, _) = receive(&mut stream.as_slice()).await.unwrap();
        assert_eq!((response, body.as_slice()), (Response::Pages(7), b"image".as_slice()));
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

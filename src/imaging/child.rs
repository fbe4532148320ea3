//! The renderer child process: reads requests from standard input and writes answers to standard output.
//!
//! It ends as soon as standard input ends, even in the middle of a page, so a rank that was killed leaves no orphans.

use std::{
    collections::VecDeque,
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::mpsc,
    thread,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    page::draw,
    pdfium::{LARGE_ALLOCATION, OpenDocument, Renderer},
    protocol::{MOST_BODY, OUT_OF_MEMORY, Refusal, Request, Response, read_frame, write_frame},
    watched_file::Identity,
};
use crate::{model::FailureClass, sys::peak_address_space};

/// Documents kept open. A rank works on pages of few documents at a time.
const OPEN_DOCUMENTS: usize = 4;

/// An error that ends the child.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// A resource limit cannot be set.
    #[error("cannot limit the address space to {bytes} bytes: {source}")]
    Limit { bytes: u64, source: rustix::io::Errno },
    /// The address space has reached its limit, so the rendered page may be incomplete. The rank recognises the start
    /// of this message.
    #[error("{OUT_OF_MEMORY}: the address space has reached its limit of {bytes} bytes")]
    OutOfMemory { bytes: u64 },
    /// The rank has closed the pipe.
    #[error("cannot answer on standard output: {0}")]
    Answer(#[from] io::Error),
}

/// Serves requests until standard input ends.
///
/// # Errors
/// A resource limit cannot be set, or standard output is closed. A PDFium that cannot be loaded is no error: the child
/// reports it to the rank in its first answer.
pub fn serve(pdfium: &Path, memory: u64) -> Result<(), ChildError> {
    let memory = limit_resources(memory)?;
    let mut output = io::stdout().lock();
    let renderer = match Renderer::load(pdfium, memory) {
        Ok(renderer) => renderer,
        Err(error) => return Ok(write_frame(&mut output, &Response::Unusable(error.to_string()), &[])?),
    };
    write_frame(&mut output, &Response::Ready, &[])?;
    let mut cache = DocumentCache { renderer: &renderer, open: VecDeque::new() };
    for request in requests() {
        let (response, image) =
            cache.answer(request).unwrap_or_else(|refusal| (Response::Refused(refusal), Vec::new()));
        if memory_exhausted(memory)? {
            return Err(ChildError::OutOfMemory { bytes: memory });
        }
        write_frame(&mut output, &response, &image)?;
    }
    Ok(())
}

/// Limits the memory of this process, so that a hostile page harms only itself, and turns core dumps off, which would
/// have gigabytes. Returns the memory limit in bytes; the system may have set a lower one already.
fn limit_resources(memory: u64) -> Result<u64, ChildError> {
    let limit = |resource, bytes: u64| {
        let bytes = getrlimit(resource).maximum.map_or(bytes, |allowed| bytes.min(allowed));
        let both = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        setrlimit(resource, both).map(|()| bytes).map_err(|source| ChildError::Limit { bytes, source })
    };
    limit(Resource::Core, 0)?;
    limit(Resource::As, memory)
}

/// Requests from standard input. A separate thread reads them and ends the process at the end of the stream.
fn requests() -> mpsc::Receiver<Request> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let request = read_frame(&mut input).unwrap_or_else(|error| {
                let _ = writeln!(io::stderr(), "cannot read a request: {error}");
                process::exit(1)
            });
            match request.map(|request| sender.send(request)) {
                Some(Ok(())) => {}
                Some(Err(_)) | None => process::exit(0),
            }
        }
    });
    receiver
}

/// The open documents, the last used first.
struct DocumentCache<'a> {
    renderer: &'a Renderer,
    open: VecDeque<(PathBuf, Option<String>, OpenDocument<'a>)>,
}

impl<'a> DocumentCache<'a> {
    fn answer(&mut self, request: Request) -> Result<(Response, Vec<u8>), Refusal> {
        match request {
            Request::Inspect { document, password } => {
                Ok((Response::Inspected(self.document(document, password)?.inspect()), Vec::new()))
            }
            Request::Extract { document, password } => {
                let (mut files, mut bytes) = (Vec::new(), Vec::new());
                for (name, file) in self.document(document, password)?.extract(MOST_BODY)? {
                    files.push((name, u32::try_from(file.len()).unwrap_or(u32::MAX)));
                    bytes.extend(file);
                }
                Ok((Response::Extracted(files), bytes))
            }
            Request::Render { document, password, page, rule, layout, view, proofs } => {
                let name = document.display().to_string();
                let mut fault = String::new();
                // If the file changed during the rendering, the page is rendered once more from the reopened file. A
                // second change fails the page.
                for _ in 0..2 {
                    let open = self.document(document.clone(), password.clone())?;
                    let drawn = draw(open, &name, page, (&rule, layout, proofs), view);
                    match open.faults().found() {
                        None => return drawn,
                        Some(found) => fault = found,
                    }
                    self.open.pop_front();
                }
                let reason = format!("{name} page {}: {fault}", page.number());
                Err(Refusal { class: FailureClass::Unreadable, reason })
            }
        }
    }

    /// The document, opened again if its path now leads to another file. If the file no longer exists, the open
    /// document is used.
    fn document(&mut self, path: PathBuf, password: Option<String>) -> Result<&OpenDocument<'a>, Refusal> {
        let now = Identity::at(&path).ok();
        let is_same = |open: &OpenDocument<'_>| now.is_none_or(|now| now == open.faults().identity());
        self.open.retain(|(other, _, open)| *other != path || is_same(open));
        let known = self.open.iter().position(|(other, with, _)| *other == path && *with == password);
        let entry = match known.and_then(|position| self.open.remove(position)) {
            Some(entry) => entry,
            None => {
                self.open.truncate(OPEN_DOCUMENTS - 1);
                let document = self.renderer.open(&path, password.as_deref())?;
                (path, password, document)
            }
        };
        self.open.push_front(entry);
        Ok(&self.open[0].2)
    }
}

/// Whether this process has come so near to its memory limit that an allocation of PDFium may have failed. PDFium then
/// leaves content out without an error.
fn memory_exhausted(memory: u64) -> io::Result<bool> {
    Ok(peak_address_space()?.is_some_and(|peak| peak > memory - memory / LARGE_ALLOCATION))
}

//! The renderer child process: reads requests from standard input, writes answers to standard output, nothing else.
//!
//! It ends when standard input does, at once, even in the middle of a page: a rank that was killed leaves no orphans.

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
    protocol::{OUT_OF_MEMORY, Refusal, Request, Response, read_frame, write_frame},
    watched_file::Identity,
};
use crate::{model::FailureClass, sys::peak_address_space};

/// Documents kept open: a rank works on pages of few at a time.
const OPEN_DOCUMENTS: usize = 4;

/// The child cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The memory limit was refused.
    #[error("cannot limit the address space to {bytes} bytes: {source}")]
    Limit {
        /// The limit asked for.
        bytes: u64,
        /// Why not.
        source: rustix::io::Errno,
    },
    /// The limit has been reached, and with it what was drawn is in doubt. The rank knows these words.
    #[error("{OUT_OF_MEMORY}: the address space has reached its limit of {bytes} bytes")]
    OutOfMemory {
        /// The limit.
        bytes: u64,
    },
    /// The rank no longer listens.
    #[error("cannot answer on standard output: {0}")]
    Answer(#[from] io::Error),
}

/// Serves requests until standard input ends.
///
/// # Errors
/// The memory limit is refused or standard output is closed. A PDFium that cannot be loaded is said to the rank.
pub fn serve(pdfium: &Path, memory: u64) -> Result<(), ChildError> {
    let memory = limit_resources(memory)?;
    let mut output = io::stdout().lock();
    let renderer = match Renderer::load(pdfium, memory) {
        Ok(renderer) => renderer,
        Err(error) => return Ok(write_frame(&mut output, &Response::Unusable(error.to_string()), &[])?),
    };
    write_frame(&mut output, &Response::Ready, &[])?;
    let mut shelf = DocumentCache { renderer: &renderer, open: VecDeque::new() };
    for request in requests() {
        let (response, image) =
            shelf.answer(request).unwrap_or_else(|refusal| (Response::Refused(refusal), Vec::new()));
        if memory_exhausted(memory)? {
            return Err(ChildError::OutOfMemory { bytes: memory });
        }
        write_frame(&mut output, &response, &image)?;
    }
    Ok(())
}

/// Limits this process, so that a hostile page costs itself only; and no core dumps of gigabytes. Returns the limit of
/// its memory, which the system may have set lower already.
fn limit_resources(memory: u64) -> Result<u64, ChildError> {
    let limit = |resource, bytes: u64| {
        let bytes = getrlimit(resource).maximum.map_or(bytes, |allowed| bytes.min(allowed));
        let both = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        setrlimit(resource, both).map(|()| bytes).map_err(|source| ChildError::Limit { bytes, source })
    };
    limit(Resource::Core, 0)?;
    limit(Resource::As, memory)
}

/// Requests from standard input, read by a thread of its own that ends the process with the stream.
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

/// The documents that are open, the latest used first.
struct DocumentCache<'a> {
    renderer: &'a Renderer,
    open: VecDeque<(PathBuf, Option<String>, OpenDocument<'a>)>,
}

impl<'a> DocumentCache<'a> {
    fn answer(&mut self, request: Request) -> Result<(Response, Vec<u8>), Refusal> {
        match request {
            Request::Inspect { document, password } => {
                Ok((Response::Pages(self.document(document, password)?.pages()), Vec::new()))
            }
            Request::Render { document, password, page, rule, layout, view } => {
                let name = document.display().to_string();
                let mut fault = String::new();
                // A file that was only touched is drawn from once more; one that changes again and again is not.
                for _ in 0..2 {
                    let open = self.document(document.clone(), password.clone())?;
                    let drawn = draw(open, &name, page, (&rule, layout), view);
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

    /// The document, opened anew if its path leads to another file by now. One whose file is gone stays open.
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

/// Whether this process has come so near to its limit that PDFium, which goes on without what it cannot allocate, may
/// have left something out.
fn memory_exhausted(memory: u64) -> io::Result<bool> {
    Ok(peak_address_space()?.is_some_and(|peak| peak > memory - memory / LARGE_ALLOCATION))
}

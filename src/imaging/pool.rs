//! The renderer children of a rank, shared by all its pages.
//!
//! One task distributes requests to idle children; the children share no lock. If a hostile page makes its child crash,
//! hang, run out of memory or write garbage, only that page fails, and the child is replaced.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use page_image::TurnProofs;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::model::{
    BBox, FailureClass, ImageFacts, ImageRule, Inspected, LayoutRule, PageIndex, PageLayout, Shown, View,
};

use super::{
    child_supervisor::{ChildSupervisor, supervise},
    pool_event::{Answer, Event, Job},
    pool_settings::PoolSettings,
    protocol::{PartFacts, Request, Response},
    remote::{RemoteChild, StartError},
    render_failure::RenderFailure,
    turn_prover::{TurnCheck, TurnProver},
};

/// How many waiting requests are searched for one with the document that an idle child has open.
const SEARCHED: usize = 32;
/// How many times the oldest request may be passed over for such a request.
const PASSED_OVER: u32 = 16;

/// A page to render.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderJob {
    /// Path of the document.
    pub document: PathBuf,
    /// User password of the document.
    pub password: Option<String>,
    /// The page, 0-based.
    pub page: PageIndex,
    /// The rule for the size of the image.
    pub rule: ImageRule,
    /// The preprocessing and the layout analysis to do.
    pub layout: LayoutRule,
    /// The view of the page to make.
    pub view: View,
}

impl RenderJob {
    fn request(&self, proofs: TurnProofs) -> Request {
        let RenderJob { document, password, page, rule, layout, view } = self.clone();
        Request::Render { document, password, page, rule, layout, view, proofs }
    }
}

/// A rendered page.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedPage {
    /// Facts of the whole page: its size, its ink, and the sums of bytes and times of its images.
    pub facts: ImageFacts,
    /// The layout that was found and the preprocessing that was done.
    pub layout: PageLayout,
    /// Rotations that the letters proposed where the glyphs settled nothing.
    pub turn_checks: Vec<TurnCheck>,
    /// Whether the page is blank.
    pub blank: bool,
    /// What of the page could not be drawn, as a message; empty if all was.
    pub missing: String,
    /// The images, in reading order; at least one.
    pub parts: Vec<EncodedPart>,
}

/// An image of a page, or of a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedPart {
    /// The part of the page that the image shows.
    pub shown: Shown,
    /// The place of that part on the page, without padding.
    pub place: BBox,
    /// Facts of the image. Its render time is 0, because it is in that of the page.
    pub facts: ImageFacts,
    /// The encoded image.
    pub png: Bytes,
    /// Whether the part is blank.
    pub blank: bool,
}

/// The children. Dropping the pool kills them.
#[derive(Debug)]
pub struct Pool {
    events: mpsc::UnboundedSender<Event>,
    prover: TurnProver,
    /// Aborted when the pool is dropped, which kills the children.
    _tasks: JoinSet<()>,
}

impl Pool {
    /// Starts the children and waits until all are ready.
    ///
    /// # Errors
    /// The program or the library cannot be started.
    pub async fn start(settings: PoolSettings) -> Result<Pool, StartError> {
        let starting = (0..settings.children.get()).map(|_| RemoteChild::start(&settings));
        let children = futures_util::future::try_join_all(starting).await?;
        let (events, received) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let mut slots = Vec::new();
        for (slot, child) in children.into_iter().enumerate() {
            let (sender, jobs) = mpsc::unbounded_channel();
            slots.push(Slot { jobs: sender, state: SlotState::Idle, document: None });
            let supervisor = ChildSupervisor { settings: settings.clone(), child: Some(child) };
            tasks.spawn(supervise(slot, supervisor, jobs, events.clone()));
        }
        tasks.spawn(Dealer { slots, waiting: VecDeque::new(), reason: String::new() }.run(received));
        Ok(Pool { events, prover: TurnProver::new(settings.children), _tasks: tasks })
    }

    /// The pages of a document, at least 1.
    ///
    /// # Errors
    /// The document cannot be opened, or the pool is lost.
    pub async fn inspect(&self, path: &Path, password: Option<&str>) -> Result<Inspected, RenderFailure> {
        let request = Request::Inspect { document: path.to_owned(), password: password.map(str::to_owned) };
        match self.ask(request).await? {
            (Response::Inspected(inspected), _) => Ok(inspected),
            _ => Err(wrong_answer(&path.display().to_string(), "no number of pages")),
        }
    }

    /// The PDFs that are embedded in a document, with the names that it gives them.
    ///
    /// # Errors
    /// The document cannot be opened, a file in it cannot be read, or the pool is lost.
    pub async fn extract(&self, path: &Path, password: Option<&str>) -> Result<Vec<(String, Bytes)>, RenderFailure> {
        let request = Request::Extract { document: path.to_owned(), password: password.map(str::to_owned) };
        let (response, mut bytes) = self.ask(request).await?;
        let files = match response {
            Response::Extracted(files) => files.into_iter().map(|(name, length)| {
                let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len())?;
                Some((name, bytes.split_to(length)))
            }),
            _ => return Err(wrong_answer(&path.display().to_string(), "no files")),
        };
        let files: Option<Vec<_>> = files.collect();
        files.ok_or_else(|| wrong_answer(&path.display().to_string(), "files of other lengths than announced"))
    }

    /// Renders a page; `None` where the view does not exist, because the page has no place to cut it.
    ///
    /// # Errors
    /// The page cannot be rendered, or the pool is lost.
    pub async fn render(&self, job: RenderJob) -> Result<Option<EncodedPage>, RenderFailure> {
        let name = format!("{} page {}", job.document.display(), job.page.number());
        let view = job.view;
        let (mut proofs, mut turn_checks) = (TurnProofs::default(), Vec::new());
        let answer = loop {
            match self.ask(job.request(proofs)).await? {
                (Response::TurnInQuestion(question), samples) if proofs.get(question.place).is_none() => {
                    let check = self.prover.check(&name, question, samples).await;
                    proofs.set(check.place, check.proof);
                    turn_checks.push(check);
                }
                answer => break answer,
            }
        };
        match answer {
            (Response::Page { facts, layout, blank, missing, parts }, images) => {
                match drawn_parts(parts, layout, view, images) {
                    Some(parts) => Ok(Some(EncodedPage { facts, layout, turn_checks, blank, missing, parts })),
                    None => Err(wrong_answer(&name, "images of other lengths than announced")),
                }
            }
            (Response::Indivisible, _) => Ok(None),
            _ => Err(wrong_answer(&name, "no images of a page")),
        }
    }

    async fn ask(&self, request: Request) -> Answer {
        let (reply, answer) = oneshot::channel();
        let gone = || RenderFailure::PoolLost("the renderers have been stopped".into());
        self.events.send(Event::Asked(Job { request, reply, passed_over: 0 })).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Splits the bytes of all images of a view; `None` where the lengths do not match.
fn drawn_parts(parts: Vec<PartFacts>, layout: PageLayout, view: View, mut images: Bytes) -> Option<Vec<EncodedPart>> {
    let skew = layout.skew_taken_out();
    let parts = parts.into_iter().enumerate().map(|(part, PartFacts { facts, bbox, place, turn, blank })| {
        let length = usize::try_from(facts.encoded_bytes).ok().filter(|length| *length <= images.len())?;
        let shown = Shown { view, part: u8::try_from(part).ok()?, bbox, turn, skew, size: facts.size };
        Some(EncodedPart { shown, place, facts, png: images.split_to(length), blank })
    });
    let parts: Vec<EncodedPart> = parts.collect::<Option<_>>()?;
    (!parts.is_empty()).then_some(parts)
}

fn wrong_answer(name: &str, answer: &str) -> RenderFailure {
    RenderFailure::Page {
        class: FailureClass::RenderFailed,
        reason: format!("{name}: the renderer gave an answer that does not fit the request: {answer}"),
    }
}

/// Distributes requests to children.
struct Dealer {
    slots: Vec<Slot>,
    waiting: VecDeque<Job>,
    /// Why the child that was lost last could not be replaced.
    reason: String,
}

/// A child of the pool, which may have been replaced.
struct Slot {
    jobs: mpsc::UnboundedSender<Job>,
    state: SlotState,
    /// The document of its last request, which it has open.
    document: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlotState {
    Idle,
    Busy,
    Lost,
}

impl Dealer {
    async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            match event {
                Event::Asked(job) => self.waiting.push_back(job),
                Event::Idle(slot) => self.slots[slot].state = SlotState::Idle,
                Event::Lost { slot, job, reason } => {
                    tracing::error!("renderer {slot} failed too often and is not started again: {reason}");
                    self.slots[slot].state = SlotState::Lost;
                    self.waiting.push_front(job);
                    self.reason = reason;
                }
            }
            self.dispatch();
        }
    }

    fn dispatch(&mut self) {
        self.waiting.retain(|job| !job.reply.is_closed());
        if self.slots.iter().all(|slot| slot.state == SlotState::Lost) {
            for job in self.waiting.drain(..) {
                let _ = job.reply.send(Err(RenderFailure::PoolLost(self.reason.clone())));
            }
        }
        // First the children that have the document of a waiting request open, then the others.
        for familiar in [true, false] {
            for slot in self.slots.iter_mut().filter(|slot| slot.state == SlotState::Idle) {
                if let Some(job) = next_for(slot.document.as_deref(), familiar, &mut self.waiting) {
                    slot.document = Some(job.request.document().to_owned());
                    slot.state = SlotState::Busy;
                    // Fails only if the task was aborted with the pool.
                    let _ = slot.jobs.send(job);
                }
            }
        }
    }
}

/// The request for an idle child: with `familiar`, one of the document that it has open, else the oldest.
fn next_for(open: Option<&Path>, familiar: bool, waiting: &mut VecDeque<Job>) -> Option<Job> {
    let position = if !familiar {
        0
    } else if waiting.front()?.passed_over >= PASSED_OVER {
        return None;
    } else {
        waiting.iter().take(SEARCHED).position(|job| Some(job.request.document()) == open)?
    };
    if position > 0 {
        waiting.front_mut()?.passed_over += 1;
    }
    waiting.remove(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(documents: &[&str]) -> VecDeque<Job> {
        let job = |name: &&str| Job {
            request: Request::Inspect { document: name.into(), password: None },
            reply: oneshot::channel().0,
            passed_over: 0,
        };
        documents.iter().map(job).collect()
    }

    fn name(job: Option<Job>) -> Option<String> {
        job.map(|job| job.request.document().display().to_string())
    }

    #[test]
    fn a_child_prefers_the_document_it_has_open_and_else_takes_the_oldest() {
        let mut jobs = waiting(&["a", "b", "c"]);
        let open = Some(Path::new("b"));
        assert_eq!(name(next_for(open, true, &mut jobs)).as_deref(), Some("b"));
        assert_eq!(name(next_for(open, true, &mut jobs)), None);
        assert_eq!(name(next_for(open, false, &mut jobs)).as_deref(), Some("a"));
    }

    #[test]
    fn the_oldest_request_is_not_passed_over_for_ever() {
        let mut jobs = waiting(&["a"]);
        let mut dealt = 0;
        loop {
            jobs.extend(waiting(&["b"]));
            match name(next_for(Some(Path::new("b")), true, &mut jobs)) {
                Some(_) => dealt += 1,
                None => break,
            }
        }
        assert_eq!(dealt, PASSED_OVER);
        assert_eq!(name(next_for(Some(Path::new("b")), false, &mut jobs)).as_deref(), Some("a"));
    }
}

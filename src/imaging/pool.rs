//! Renderer children of a rank, shared by all its pages.
//!
//! A task of its own deals requests to idle children; the children share no lock. What a hostile page does to
//! its child (crash, hang, memory, garbage) costs that page, and the child is replaced.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::model::{BBox, FailureClass, ImageFacts, ImageRule, LayoutRule, PageIndex, PageLayout, Shown, View};

use super::{
    child_supervisor::{ChildSupervisor, supervise},
    pool_event::{Answer, Event, Job},
    pool_settings::PoolSettings,
    protocol::{PartFacts, Request, Response},
    remote::{RemoteChild, StartError},
    render_failure::RenderFailure,
};

/// How many waiting requests are searched for one of the document that an idle child has open.
const SEARCHED: usize = 32;
/// How often the oldest request may be passed over for that.
const PASSED_OVER: u32 = 16;

/// A page to draw.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderJob {
    /// The file.
    pub document: PathBuf,
    /// Its user password.
    pub password: Option<String>,
    /// The page.
    pub page: PageIndex,
    /// How large.
    pub rule: ImageRule,
    /// What is looked for on it.
    pub layout: LayoutRule,
    /// How it is shown.
    pub view: View,
}

/// A drawn page.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnPage {
    /// All of it: its size as it was drawn, its ink, and what its images cost together.
    pub facts: ImageFacts,
    /// What was found of it and done to it.
    pub layout: PageLayout,
    /// Whether there is nothing to read on it.
    pub blank: bool,
    /// Its images, in reading order; at least one.
    pub parts: Vec<DrawnPart>,
}

/// An image of a page, or of a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnPart {
    /// What it shows.
    pub shown: Shown,
    /// The place of that on the page, without the white that was added.
    pub place: BBox,
    /// What was measured on it. Its time of rendering is in that of the page.
    pub facts: ImageFacts,
    /// The PNG.
    pub png: Bytes,
    /// Whether there is nothing to read on it.
    pub blank: bool,
}

/// The children. Dropping the pool kills them.
#[derive(Debug)]
pub struct Pool {
    events: mpsc::UnboundedSender<Event>,
    /// Aborted with the pool; the children die with their tasks.
    _tasks: JoinSet<()>,
}

impl Pool {
    /// Starts the children and waits until all are ready.
    ///
    /// # Errors
    /// The program or the library cannot be used.
    pub async fn start(settings: PoolSettings) -> Result<Pool, StartError> {
        let starting = (0..settings.children.get()).map(|_| RemoteChild::start(&settings));
        let children = futures_util::future::try_join_all(starting).await?;
        let (events, received) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let mut slots = Vec::new();
        for (slot, child) in children.into_iter().enumerate() {
            let (sender, jobs) = mpsc::unbounded_channel();
            slots.push(Slot { jobs: sender, state: SlotState::Idle, document: None });
            let attendant = ChildSupervisor { settings: settings.clone(), child: Some(child) };
            tasks.spawn(supervise(slot, attendant, jobs, events.clone()));
        }
        tasks.spawn(Dealer { slots, waiting: VecDeque::new(), reason: String::new() }.run(received));
        Ok(Pool { events, _tasks: tasks })
    }

    /// Number of pages of a document, at least 1.
    ///
    /// # Errors
    /// It cannot be opened, and why; or the pool is gone.
    pub async fn inspect(&self, path: &Path, password: Option<&str>) -> Result<u32, RenderFailure> {
        let request = Request::Inspect { document: path.to_owned(), password: password.map(str::to_owned) };
        match self.ask(request).await? {
            (Response::Pages(pages), _) => Ok(pages),
            (other, _) => Err(wrong_answer(&path.display().to_string(), &format!("{other:?}"))),
        }
    }

    /// Draws a page; `None` where there is no such view of it: no place to cut it at.
    ///
    /// # Errors
    /// The page cannot be drawn, and why; or the pool is gone.
    pub async fn render(&self, job: RenderJob) -> Result<Option<DrawnPage>, RenderFailure> {
        let RenderJob { document, password, page, rule, layout, view } = job;
        let name = document.display().to_string();
        match self.ask(Request::Render { document, password, page, rule, layout, view }).await? {
            (Response::Page { facts, layout, blank, parts }, images) => {
                match drawn_parts(parts, layout, view, images) {
                    Some(parts) => Ok(Some(DrawnPage { facts, layout, blank, parts })),
                    None => Err(wrong_answer(&name, "images that are not as long as it says")),
                }
            }
            (Response::Indivisible, _) => Ok(None),
            (other, _) => Err(wrong_answer(&name, &format!("{other:?}"))),
        }
    }

    async fn ask(&self, request: Request) -> Answer {
        let (reply, answer) = oneshot::channel();
        let gone = || RenderFailure::PoolLost("it has been stopped".into());
        self.events.send(Event::Asked(Job { request, reply, passed_over: 0 })).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// The images of a view, out of the bytes in which they follow one another.
fn drawn_parts(parts: Vec<PartFacts>, layout: PageLayout, view: View, mut images: Bytes) -> Option<Vec<DrawnPart>> {
    let skew = layout.skew_taken_out();
    let parts = parts.into_iter().enumerate().map(|(part, PartFacts { facts, bbox, place, turn, blank })| {
        let length = usize::try_from(facts.encoded_bytes).ok().filter(|length| *length <= images.len())?;
        let shown = Shown { view, part: u8::try_from(part).ok()?, bbox, turn, skew, size: facts.size };
        Some(DrawnPart { shown, place, facts, png: images.split_to(length), blank })
    });
    let parts: Vec<DrawnPart> = parts.collect::<Option<_>>()?;
    (!parts.is_empty()).then_some(parts)
}

fn wrong_answer(name: &str, answer: &str) -> RenderFailure {
    RenderFailure::Page {
        class: FailureClass::RenderFailed,
        reason: format!("{name}: the renderer answered another question: {answer}"),
    }
}

/// Deals requests to children.
struct Dealer {
    slots: Vec<Slot>,
    waiting: VecDeque<Job>,
    /// Why the last child could not be replaced.
    reason: String,
}

/// A child's place.
struct Slot {
    jobs: mpsc::UnboundedSender<Job>,
    state: SlotState,
    /// What it worked on last, and so has open.
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
        for familiar in [true, false] {
            for slot in self.slots.iter_mut().filter(|slot| slot.state == SlotState::Idle) {
                if let Some(job) = next_for(slot.document.as_deref(), familiar, &mut self.waiting) {
                    slot.document = Some(job.request.document().to_owned());
                    slot.state = SlotState::Busy;
                    // A task that ended without a word was aborted with the pool.
                    let _ = slot.jobs.send(job);
                }
            }
        }
    }
}

/// The request an idle child takes: of a `familiar` document, or the oldest.
fn next_for(open: Option<&Path>, familiar: bool, waiting: &mut VecDeque<Job>) -> Option<Job> {
    let position = match familiar {
        true if waiting.front()?.passed_over >= PASSED_OVER => return None,
        true => waiting.iter().take(SEARCHED).position(|job| Some(job.request.document()) == open)?,
        false => 0,
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

//! One answer, from its place in the queue to its last token. The HTTP response pulls it; it does nothing by itself.
//! When the client goes away, the response is dropped and the answer with it, and its Tesseract child or its place on
//! the modelled GPU is freed.

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until},
};

use gpu_model::SequenceEvent;

use crate::model::{FinishReason, TokenUsage};

use super::{
    dialect::{Dialect, SPECIAL_TOKENS},
    faults::{Fault, StreamFault},
    http::{api_error::ApiError, metrics::RequestClock, repetition::RepetitionDetection, request::ChatRequest},
    stand_in::{Reader, StandIn},
    synthetic::{answers, gpu_driver::SequenceHandle},
    tesseract::reading,
    tokens,
};

/// Some tokens of an answer.
#[derive(Debug)]
pub struct Piece {
    /// Text of the tokens; empty for special tokens that are left out.
    pub text: String,
    /// Tokens so far, including these.
    pub usage: TokenUsage,
    /// Finish reason; only on the last piece.
    pub finish: Option<FinishReason>,
}

/// Why an answer ended before its finish reason.
#[derive(Debug)]
pub enum Broken {
    /// The engine died.
    EngineDead,
    /// The fault script cuts the connection.
    Reset,
    /// The fault script makes the stream faulty.
    FaultyStream(StreamFault),
    /// The page could not be read.
    Failed(ApiError),
}

/// What the fault script does in the middle of an answer.
#[derive(Debug, Clone, Copy)]
enum Trip {
    Stall,
    Death,
    Reset,
    Spoil(StreamFault),
}

/// An answer to one request.
#[derive(Debug)]
pub struct Answer {
    stand_in: Arc<StandIn>,
    request: ChatRequest,
    fault: Option<Fault>,
    clock: RequestClock,
    generation: Option<Generation>,
}

impl Answer {
    /// The answer to a request that begins to wait for its turn.
    pub fn new(stand_in: Arc<StandIn>, request: ChatRequest, fault: Option<Fault>) -> Self {
        let clock = stand_in.metrics.arrive();
        Answer { stand_in, request, fault, clock, generation: None }
    }

    /// The next tokens. Must not be called again after the last piece or an error.
    ///
    /// # Errors
    /// The engine died, the page could not be read, or the fault script demands it.
    pub async fn next(&mut self) -> Result<Piece, Broken> {
        let stand_in = Arc::clone(&self.stand_in);
        let begun = self.generation.is_some();
        let step = stand_in.awake(begun, self.progress());
        match stand_in.condition.run(step).await {
            Some(Some(piece)) => piece,
            Some(None) => Ok(self.aborted()),
            None => Err(Broken::EngineDead),
        }
    }

    /// The end of an answer because the server falls asleep.
    fn aborted(&mut self) -> Piece {
        self.clock.finished(FinishReason::Abort);
        let completion = self.generation.as_ref().map_or(0, |generation| generation.produced);
        let usage = TokenUsage { prompt: self.request.prompt_tokens, completion };
        Piece { text: String::new(), usage, finish: Some(FinishReason::Abort) }
    }

    async fn progress(&mut self) -> Result<Piece, Broken> {
        if self.fault == Some(Fault::Hang) {
            tracing::error!("FAULT INJECTED: the engine hangs by the fault script");
            self.stand_in.condition.hang();
            return pending().await;
        }
        let generation = match &mut self.generation {
            Some(generation) => generation,
            unbegun => unbegun.insert(
                begin(&self.stand_in, &mut self.request, self.fault.as_ref(), &mut self.clock)
                    .await
                    .map_err(Broken::Failed)?,
            ),
        };
        match generation.ended_early() {
            Some(Trip::Stall) => return pending().await,
            Some(Trip::Reset) => return Err(Broken::Reset),
            Some(Trip::Spoil(fault)) => return Err(Broken::FaultyStream(fault)),
            Some(Trip::Death) => {
                self.stand_in.condition.die();
                return pending().await;
            }
            None => {}
        }
        let granted = generation.await_tokens(self.stand_in.options.chunk_tokens.get(), &mut self.clock).await;
        self.clock.generated(granted, self.request.prompt_tokens);
        let mut text = generation.text.take(granted);
        if self.request.skip_special_tokens && self.stand_in.options.grammar.dialect == Dialect::Grounding {
            for special in SPECIAL_TOKENS {
                text = text.replace(special, "");
            }
        }
        let finish = generation.finished();
        if let Some(reason) = finish {
            self.clock.finished(reason);
        }
        let usage = TokenUsage { prompt: self.request.prompt_tokens, completion: generation.produced };
        Ok(Piece { text, usage, finish })
    }
}

/// The answer, one token long, to a request without an image. A healthy server answers such a canary request at once,
/// however many pages it reads: it neither waits for Tesseract nor takes a place on the modelled GPU.
const TEXT_ANSWER: &str = "ok";

/// Waits for a place, gets the text, and decides how it will be streamed.
async fn begin(
    stand_in: &StandIn,
    request: &mut ChatRequest,
    fault: Option<&Fault>,
    clock: &mut RequestClock,
) -> Result<Generation, ApiError> {
    let Some(picture) = request.picture.take() else {
        clock.admitted();
        return Ok(Generation::new(AnswerText::of(TEXT_ANSWER.into()), request.budget, fault, request.repetition));
    };
    let (grammar, size) = (stand_in.options.grammar, picture.size);
    let picture = Some(picture).filter(|_| fault != Some(&Fault::Empty));
    let (text, place) = match &stand_in.reader {
        Reader::Tesseract { tesseract, places, dpi } => {
            let place = Arc::clone(places).acquire_owned().await;
            clock.admitted();
            let blocks = match picture {
                Some(picture) => {
                    let reading = reading::read(tesseract, picture, *dpi).await.map_err(|error| {
                        tracing::error!("cannot read the page: {error}");
                        stand_in.options.release.internal(error.to_string())
                    })?;
                    tracing::debug!(languages = ?reading.languages, confidence = reading.confidence, "page read");
                    reading.blocks
                }
                None => Vec::new(),
            };
            (grammar.write(&blocks, size), place.ok())
        }
        Reader::Synthetic { lengths, seed, .. } => {
            let text = picture.map_or_else(
                || grammar.write(&[], size),
                |picture| answers::answer(grammar, &picture, *seed, *lengths),
            );
            (text, None)
        }
    };
    let (text, budget) = apply_fault(text, request.budget, fault);
    let mut generation = Generation::new(text, budget, fault, request.repetition);
    generation.pace = match &stand_in.reader {
        Reader::Synthetic { gpu, .. } => Pace::Gpu(gpu.submit(request.prompt_tokens, generation.length)),
        Reader::Tesseract { .. } if matches!(fault, Some(Fault::Loop { .. })) => {
            Pace::Rate { tokens_per_second: stand_in.options.token_rate, next: Instant::now(), _place: place }
        }
        Reader::Tesseract { .. } => Pace::AtOnce { _place: place },
    };
    Ok(generation)
}

/// Changes the text and token budget as the fault script demands.
fn apply_fault(text: String, budget: u32, fault: Option<&Fault>) -> (AnswerText, u32) {
    match fault {
        Some(Fault::Empty) => (AnswerText::of(String::new()), budget),
        Some(Fault::Loop { after_tokens, phrase }) => {
            let (end, _) = tokens::prefix(&text, *after_tokens);
            (AnswerText { text: text[..end].into(), position: 0, repeated: Some(phrase.clone()) }, budget)
        }
        // If the answer is shorter than the place of the cut, the cut is moved to its end.
        Some(Fault::Truncated { after_tokens } | Fault::Abort { after_tokens }) => {
            let limit = (*after_tokens).min(tokens::count(&text)).max(1);
            (AnswerText::of(text), budget.min(limit))
        }
        _ => (AnswerText::of(text), budget),
    }
}

/// An answer being streamed.
#[derive(Debug)]
struct Generation {
    text: AnswerText,
    pace: Pace,
    produced: u32,
    /// Tokens of the complete answer, including its end-of-sequence token.
    length: u32,
    reason: FinishReason,
    trip: Option<(u32, Trip)>,
}

impl Generation {
    fn new(text: AnswerText, budget: u32, fault: Option<&Fault>, repetition: RepetitionDetection) -> Self {
        let natural = text.tokens().map(|tokens| tokens + 1).filter(|tokens| *tokens <= budget);
        let reason = match (natural, fault) {
            (Some(_), _) => FinishReason::Stop,
            (None, Some(Fault::Abort { .. })) => FinishReason::Abort,
            (None, _) => FinishReason::Length,
        };
        let length = natural.unwrap_or(budget);
        let repeated = repetition.fires_at(text.all_tokens().take(length as usize)).map(|tokens| tokens as u32);
        let (length, reason) = match repeated.filter(|tokens| *tokens < length) {
            Some(tokens) => (tokens, FinishReason::Repetition),
            None => (length, reason),
        };
        // If the answer is shorter than the place of the fault, the fault comes before its last token.
        let trip = match fault {
            Some(Fault::Stall { after_tokens }) => Some((*after_tokens, Trip::Stall)),
            Some(Fault::Death { after_tokens }) => Some((*after_tokens, Trip::Death)),
            Some(Fault::Reset { after_tokens }) => Some((*after_tokens, Trip::Reset)),
            Some(Fault::Stream { fault, after_tokens }) => Some((*after_tokens, Trip::Spoil(*fault))),
            _ => None,
        }
        .map(|(after_tokens, trip)| (after_tokens.min(length - 1), trip));
        Generation { text, pace: Pace::AtOnce { _place: None }, produced: 0, length, reason, trip }
    }

    fn ended_early(&self) -> Option<Trip> {
        self.trip.filter(|(after_tokens, _)| self.produced >= *after_tokens).map(|(_, trip)| trip)
    }

    fn finished(&self) -> Option<FinishReason> {
        (self.produced >= self.length).then_some(self.reason)
    }

    /// Waits for up to `chunk` tokens. The first token comes alone, so that it is sent as soon as it exists.
    async fn await_tokens(&mut self, chunk: u32, clock: &mut RequestClock) -> u32 {
        let until = self.trip.map_or(self.length, |(after_tokens, _)| after_tokens);
        let wanted = if self.produced == 0 { 1 } else { chunk.min(until - self.produced) };
        match &mut self.pace {
            Pace::AtOnce { .. } => tokio::task::yield_now().await,
            Pace::Rate { tokens_per_second, next, .. } => {
                *next += Duration::from_secs_f64(f64::from(wanted) / *tokens_per_second);
                sleep_until(*next).await;
            }
            Pace::Gpu(sequence) => {
                let mut come = 0;
                while come < wanted {
                    match sequence.next().await {
                        Some(SequenceEvent::Admitted) => clock.admitted(),
                        Some(SequenceEvent::Preempted) => clock.preempted(),
                        Some(SequenceEvent::Token) => come += 1,
                        None => pending().await,
                    }
                }
            }
        }
        self.produced += wanted;
        wanted
    }
}

/// The speed at which tokens come.
#[derive(Debug)]
enum Pace {
    /// As fast as the client reads. Keeps its place at Tesseract.
    AtOnce { _place: Option<OwnedSemaphorePermit> },
    /// At a steady rate. Keeps its place at Tesseract.
    Rate { tokens_per_second: f64, next: Instant, _place: Option<OwnedSemaphorePermit> },
    /// At the speed of the modelled GPU.
    Gpu(SequenceHandle),
}

/// The text of an answer, read token by token.
#[derive(Debug)]
struct AnswerText {
    text: String,
    position: usize,
    /// The phrase that follows the text without end, if any.
    repeated: Option<String>,
}

impl AnswerText {
    fn of(text: String) -> Self {
        AnswerText { text, position: 0, repeated: None }
    }

    /// Number of tokens of the text; `None` for an endless one.
    fn tokens(&self) -> Option<u32> {
        self.repeated.is_none().then(|| tokens::count(&self.text))
    }

    /// Every token from the beginning, without the end-of-sequence token; endless where a phrase is repeated.
    fn all_tokens(&self) -> impl Iterator<Item = &str> {
        let repeated = self.repeated.as_deref().into_iter().flat_map(std::iter::repeat);
        std::iter::once(self.text.as_str()).chain(repeated).flat_map(tokens::of)
    }

    /// The next `tokens` tokens, or what is left.
    fn take(&mut self, tokens: u32) -> String {
        let mut taken = String::new();
        let mut left = tokens;
        while left > 0 {
            let rest = &self.text[self.position..];
            let (end, come) = tokens::prefix(rest, left);
            taken.push_str(&rest[..end]);
            self.position += end;
            left -= come;
            if self.position == self.text.len() {
                let Some(phrase) = &self.repeated else { break };
                self.text.clone_from(phrase);
                self.position = 0;
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_with_its_end_of_sequence_token_or_with_its_budget() {
        let natural =
            Generation::new(AnswerText::of("Article premier".into()), 100, None, RepetitionDetection::default());
        assert_eq!(natural.length, tokens::count("Article premier") + 1);
        assert_eq!(natural.reason, FinishReason::Stop);
        let cut = Generation::new(AnswerText::of("Article premier".into()), 2, None, RepetitionDetection::default());
        assert_eq!((cut.length, cut.reason), (2, FinishReason::Length));
        let empty = Generation::new(AnswerText::of(String::new()), 100, None, RepetitionDetection::default());
        assert_eq!((empty.length, empty.reason), (1, FinishReason::Stop));
    }

    #[test]
    fn a_loop_follows_the_true_beginning_without_end() {
        let fault = Fault::Loop { after_tokens: 2, phrase: "et. ".into() };
        let (mut text, budget) = apply_fault("Article premier".into(), 50, Some(&fault));
        assert_eq!(text.take(8), "Articleet. et. ");
        assert_eq!(
            Generation::new(text, budget, Some(&fault), RepetitionDetection::default()).reason,
            FinishReason::Length
        );
    }

    #[test]
    fn a_fault_strikes_a_short_answer_too() {
        let fault = Fault::Reset { after_tokens: 64 };
        let generation =
            Generation::new(AnswerText::of("Vu".into()), 100, Some(&fault), RepetitionDetection::default());
        assert!(matches!(generation.trip, Some((1, Trip::Reset))));
        let (text, budget) = apply_fault("Vu la loi".into(), 100, Some(&Fault::Truncated { after_tokens: 64 }));
        assert_eq!(Generation::new(text, budget, None, RepetitionDetection::default()).reason, FinishReason::Length);
        let abort = Fault::Abort { after_tokens: 64 };
        let (text, budget) = apply_fault("Vu la loi".into(), 100, Some(&abort));
        assert_eq!(
            Generation::new(text, budget, Some(&abort), RepetitionDetection::default()).reason,
            FinishReason::Abort
        );
    }
}

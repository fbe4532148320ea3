//! A model of one GPU under continuous batching. Pure: it has no clock, no thread and no random numbers. A driver runs
//! the next step, waits for the step's duration and hands out the tokens.
//!
//! A step of the engine gives every decoding sequence one token. It also reads prompt tokens of admitted sequences,
//! first come first served, up to a token budget:
//!
//! ```text
//! step = max(floor, sequences × per_sequence) + prompt_tokens × per_prompt_token
//! ```
//!
//! The defaults (6 ms, 0.17 ms, 80 µs) are fitted to the three steady patterns measured on an H200 with a model of
//! Chandra 1's shape (`docs/facts/h200.md`, "Patterns of a client"). From the measured batch, generated tokens and
//! prompt tokens a second, the formula explains 0.999, 1.003 and 0.992 of each second:
//!
//! | running | tokens/s | pages/s × 4,014 prompt tokens | steps/s × decode + prompt tokens × 80 µs |
//! |---|---|---|---|
//! | 29 | 1974 | 7386 | 68 × 6.0 ms + 0.591 s |
//! | 57 | 2370 | 7506 | 41.6 × 9.7 ms + 0.600 s |
//! | 82 | 2416 | 7265 | 29.5 × 13.9 ms + 0.581 s |

use std::{collections::VecDeque, time::Duration};

/// Identifies a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(pub u64);

/// Speed and limits of the GPU and its scheduler.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GpuModel {
    /// Shortest step that decodes: the time to read the weights once.
    pub floor: Duration,
    /// Time of a step for each sequence that decodes in it.
    pub per_sequence: Duration,
    /// Time of image encoding and prefill, for each prompt token.
    pub per_prompt_token: Duration,
    /// Most sequences that run at once.
    pub max_num_seqs: usize,
    /// Most tokens of one step.
    pub max_batched_tokens: u32,
    /// Tokens that fit in the KV cache. Default: 95 GB left of an H200 by 16-bit weights of 8 billion parameters
    /// at 0.85 of the card, at 147 kB a token (36 layers, 8 KV heads of 128, key and value).
    pub kv_tokens: u64,
}

impl Default for GpuModel {
    fn default() -> Self {
        GpuModel {
            floor: Duration::from_millis(6),
            per_sequence: Duration::from_micros(170),
            per_prompt_token: Duration::from_micros(80),
            max_num_seqs: 128,
            max_batched_tokens: 8192,
            kv_tokens: 640_000,
        }
    }
}

/// What happened to a sequence in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceEvent {
    /// The sequence left the waiting queue and runs.
    Admitted,
    /// The sequence got one more token.
    Token,
    /// The KV cache was full: the sequence waits again, and its tokens will be computed again.
    Preempted,
}

#[derive(Debug, Clone, Copy)]
struct Sequence {
    id: SequenceId,
    /// Tokens to read before the next one can be generated: the prompt; after a preemption also the answer so far.
    unread: u32,
    /// Prompt and answer so far.
    context: u32,
    /// Tokens still to be generated.
    left: u32,
}

/// The sequences on the GPU and those that wait for it.
#[derive(Debug)]
pub struct Batch {
    model: GpuModel,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
    preemptions: u64,
}

impl Batch {
    /// An idle GPU.
    pub fn new(model: GpuModel) -> Self {
        Batch { model, waiting: VecDeque::new(), running: Vec::new(), preemptions: 0 }
    }

    /// Adds a sequence of `prompt` tokens that will generate `answer` tokens (at least one).
    pub fn submit(&mut self, id: SequenceId, prompt: u32, answer: u32) {
        self.waiting.push_back(Sequence { id, unread: prompt, context: prompt, left: answer.max(1) });
    }

    /// Removes a sequence, whether it runs or waits.
    pub fn abort(&mut self, id: SequenceId) {
        self.waiting.retain(|sequence| sequence.id != id);
        self.running.retain(|sequence| sequence.id != id);
    }

    /// Whether no sequence runs or waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Share of the KV cache in use, 0.0..=1.0.
    pub fn cache_usage(&self) -> f64 {
        (self.cached() as f64 / self.model.kv_tokens as f64).min(1.0)
    }

    /// Sequences on the GPU.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Sequences that wait for the GPU.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Preemptions so far.
    pub fn preemptions(&self) -> u64 {
        self.preemptions
    }

    fn cached(&self) -> u64 {
        self.running.iter().map(|sequence| u64::from(sequence.context)).sum()
    }

    /// Runs one step of the engine. Adds what happened to `events`, in order. Returns the step's duration; zero for an
    /// idle GPU.
    pub fn step(&mut self, events: &mut Vec<(SequenceId, SequenceEvent)>) -> Duration {
        self.admit(events);
        self.preempt_until_all_fit(events);
        if self.running.is_empty() {
            return Duration::ZERO;
        }
        let decoding = self.running.iter().filter(|sequence| sequence.unread == 0).count() as u32;
        let mut budget = self.model.max_batched_tokens.saturating_sub(decoding);
        let mut prefilled = 0;
        let mut generating = 0;
        for sequence in &mut self.running {
            let share = sequence.unread.min(budget);
            budget -= share;
            prefilled += share;
            sequence.unread -= share;
            if sequence.unread == 0 {
                generating += 1;
                sequence.context += 1;
                sequence.left -= 1;
                events.push((sequence.id, SequenceEvent::Token));
            }
        }
        self.running.retain(|sequence| sequence.left > 0);
        let decode =
            if generating == 0 { Duration::ZERO } else { self.model.floor.max(self.model.per_sequence * generating) };
        decode + self.model.per_prompt_token * prefilled
    }

    fn admit(&mut self, events: &mut Vec<(SequenceId, SequenceEvent)>) {
        let mut cached = self.cached();
        while self.running.len() < self.model.max_num_seqs {
            let Some(next) = self.waiting.front() else { break };
            cached += u64::from(next.context) + 1;
            if cached > self.model.kv_tokens && !self.running.is_empty() {
                break;
            }
            events.push((next.id, SequenceEvent::Admitted));
            self.running.extend(self.waiting.pop_front());
        }
    }

    /// Preempts the youngest sequences until each other one has cache for its next token. The oldest always stays.
    fn preempt_until_all_fit(&mut self, events: &mut Vec<(SequenceId, SequenceEvent)>) {
        while self.running.len() > 1 && self.cached() + self.running.len() as u64 > self.model.kv_tokens {
            let Some(mut youngest) = self.running.pop() else { break };
            events.push((youngest.id, SequenceEvent::Preempted));
            youngest.unread = youngest.context;
            self.waiting.push_front(youngest);
            self.preemptions += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages and generated tokens a second with `in_flight` pages kept on the GPU.
    fn throughput(model: GpuModel, in_flight: u64, prompt: u32, answer: u32) -> (f64, f64) {
        let mut batch = Batch::new(model);
        let mut next = 0;
        let (mut seconds, mut tokens, mut pages) = (0.0, 0, 0);
        let mut left = std::collections::BTreeMap::new();
        // Measured only after the first pages have ended, because they all started at once.
        let (warm, measured) = (2 * in_flight, 300);
        let mut start = (0.0, 0);
        while pages < warm + measured {
            while (left.len() as u64) < in_flight {
                // Spread the phases, as real pages of many lengths do.
                let length = answer / 2 + (next * 37 % u64::from(answer)) as u32;
                batch.submit(SequenceId(next), prompt, length);
                left.insert(SequenceId(next), length);
                next += 1;
            }
            let mut events = Vec::new();
            seconds += batch.step(&mut events).as_secs_f64();
            for (id, event) in events {
                if event == SequenceEvent::Token {
                    tokens += 1;
                    let rest = left.get_mut(&id).unwrap();
                    *rest -= 1;
                    if *rest == 0 {
                        left.remove(&id);
                        pages += 1;
                        if pages == warm {
                            start = (seconds, tokens);
                        }
                    }
                }
            }
        }
        (measured as f64 / (seconds - start.0), f64::from(tokens - start.1) / (seconds - start.0))
    }

    #[test]
    fn throughput_rises_with_the_batch_and_then_saturates() {
        let rates: Vec<f64> =
            [1, 4, 16, 32, 64, 96].iter().map(|&n| throughput(GpuModel::default(), n, 4014, 1200).0).collect();
        assert!(rates.windows(2).all(|pair| pair[1] > pair[0] * 0.97), "{rates:?}");
        assert!(rates[1] > rates[0] * 2.5, "{rates:?}");
        assert!(rates[5] < rates[3] * 1.3, "{rates:?}");
    }

    #[test]
    fn the_model_gives_the_measured_figures_of_the_h200() {
        // Answers of 2370 / 1.87 = 1267 tokens on average at 64 in flight, 2370 tokens/s and 1.87 pages/s measured.
        let (pages, tokens) = throughput(GpuModel::default(), 57, 4014, 1267);
        assert!((pages / 1.87 - 1.0).abs() < 0.1 && (tokens / 2370.0 - 1.0).abs() < 0.1, "{pages} {tokens}");
    }

    #[test]
    fn a_sequence_gets_its_first_token_when_its_prompt_is_read() {
        let mut batch = Batch::new(GpuModel { max_batched_tokens: 1000, ..GpuModel::default() });
        batch.submit(SequenceId(1), 1500, 1);
        let mut events = Vec::new();
        assert_eq!(batch.step(&mut events), Duration::from_millis(80));
        assert_eq!(events, [(SequenceId(1), SequenceEvent::Admitted)]);
        events.clear();
        assert_eq!(batch.step(&mut events), Duration::from_millis(40 + 6));
        assert_eq!(events, [(SequenceId(1), SequenceEvent::Token)]);
        assert!(batch.is_idle());
    }

    #[test]
    fn more_than_the_limit_wait_and_an_abort_frees_a_place() {
        let mut batch = Batch::new(GpuModel { max_num_seqs: 1, ..GpuModel::default() });
        batch.submit(SequenceId(1), 10, 100);
        batch.submit(SequenceId(2), 10, 100);
        let mut events = Vec::new();
        batch.step(&mut events);
        assert!(events.iter().all(|(id, _)| *id == SequenceId(1)));
        batch.abort(SequenceId(1));
        events.clear();
        batch.step(&mut events);
        assert_eq!(events[0], (SequenceId(2), SequenceEvent::Admitted));
    }

    #[test]
    fn a_full_cache_preempts_the_youngest_and_every_token_still_comes() {
        let mut batch = Batch::new(GpuModel { kv_tokens: 100, ..GpuModel::default() });
        batch.submit(SequenceId(1), 40, 30);
        batch.submit(SequenceId(2), 40, 30);
        let mut events = Vec::new();
        for _ in 0..200 {
            batch.step(&mut events);
        }
        assert!(batch.is_idle());
        assert!(batch.preemptions() > 0);
        assert!(events.contains(&(SequenceId(2), SequenceEvent::Preempted)));
        for id in [SequenceId(1), SequenceId(2)] {
            assert_eq!(events.iter().filter(|event| **event == (id, SequenceEvent::Token)).count(), 30);
        }
    }
}

//! How a stream continues after a stream fault of the fault script.

use std::{collections::VecDeque, time::Duration};

use axum::body::Bytes;
use oorandom::Rand64;
use serde_json::Value;

use crate::{
    model::{FinishReason, TokenUsage},
    standin::http::protocol::AnswerHead,
};

use super::StreamFault;

/// Between two bytes of a slow loris: far below every limit on the time between bytes.
const DRIBBLE: Duration = Duration::from_millis(100);
/// Text of a huge event, bytes.
const HUGE: usize = 10_000_000;
/// Text of each event of a huge stream, bytes.
const FLOOD: usize = 1_000;

/// The rest of a stream after a stream fault.
#[derive(Debug)]
pub struct FaultyStream {
    head: AnswerHead,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    /// These writes, then an orderly end.
    Writes(VecDeque<Bytes>),
    /// The bytes of an event, one by one, then spaces, which are valid JSON, for ever.
    Dribble(VecDeque<u8>),
    /// Endless text.
    Flood(Rand64),
}

impl FaultyStream {
    /// The rest after `usage` tokens. A correct end follows the garbage, so that a client that skips what it cannot
    /// read would take the answer for complete.
    pub fn new(fault: StreamFault, head: AnswerHead, usage: TokenUsage) -> Self {
        let release = head.release;
        let text = |text: &str| event(&head.text_chunk(text, None, None));
        let good_end =
            || [event(&head.text_chunk("", Some(FinishReason::Stop), None)), event(&head.usage_chunk(usage)), done()];
        let rest = match fault {
            StreamFault::SlowLoris => {
                let whole = text("et");
                // Without the closing brace and the empty line.
                Rest::Dribble(whole[..whole.len() - 3].to_vec().into())
            }
            StreamFault::GarbageUtf8 => {
                let garbled = text("\u{7f}").iter().map(|byte| if *byte == 0x7f { 0xff } else { *byte }).collect();
                writes([garbled].into_iter().chain(good_end()))
            }
            StreamFault::GarbageJson => {
                let whole = text("et");
                let halved = [&whole[..whole.len() / 2], b"\n\n"].concat().into();
                writes([halved].into_iter().chain(good_end()))
            }
            StreamFault::HugeEvent => writes([text(&random_text(&mut words(), HUGE))].into_iter().chain(good_end())),
            StreamFault::HugeStream => Rest::Flood(words()),
            StreamFault::Cut => writes([]),
            StreamFault::DoneEarly => writes([done()]),
            StreamFault::ErrorEvent => writes([event(&release.stream_event(&release.engine_dead())), done()]),
            StreamFault::ErrorEventOther => writes([
                event(&release.stream_event(&release.internal("Internal server error (fault script)"))),
                done(),
            ]),
        };
        FaultyStream { head, rest }
    }

    /// Whether only an orderly end is left.
    pub fn is_order(&self) -> bool {
        matches!(&self.rest, Rest::Writes(writes) if writes.is_empty())
    }

    /// The next bytes; `None` at an orderly end.
    pub async fn next(&mut self) -> Option<Bytes> {
        match &mut self.rest {
            Rest::Writes(writes) => writes.pop_front(),
            Rest::Dribble(bytes) => {
                tokio::time::sleep(DRIBBLE).await;
                Some(Bytes::copy_from_slice(&[bytes.pop_front().unwrap_or(b' ')]))
            }
            Rest::Flood(random) => {
                // Without this, a client that reads without pause would keep the other requests waiting.
                tokio::task::yield_now().await;
                Some(event(&self.head.text_chunk(&random_text(random, FLOOD), None, None)))
            }
        }
    }
}

fn writes(writes: impl IntoIterator<Item = Bytes>) -> Rest {
    Rest::Writes(writes.into_iter().collect())
}

/// An event as it is sent.
pub fn event(data: &Value) -> Bytes {
    format!("data: {data}\n\n").into()
}

/// The `[DONE]` event.
pub fn done() -> Bytes {
    Bytes::from_static(b"data: [DONE]\n\n")
}

fn words() -> Rand64 {
    Rand64::new(7)
}

/// Text without repetition, of at least `bytes` bytes.
fn random_text(random: &mut Rand64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 17);
    while text.len() < bytes {
        text.push_str(&format!("{:016x} ", random.rand_u64()));
    }
    text
}

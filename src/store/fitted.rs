//! Brings every record into a form that a shard can hold.

use crate::model::{Attempt, FailureClass, PageRecord, Verdict};

/// Most parts of a record, and most attempts: the width of their columns.
const MOST_PARTS: usize = u8::MAX as usize;
const MOST_ATTEMPTS: usize = u16::MAX as usize;
/// Most bytes of all text of a record.
const MOST_TEXT: usize = u32::MAX as usize;

/// The record if a shard can hold it. Otherwise a failed record of the page with the reason, without texts.
pub fn fitted(record: PageRecord) -> PageRecord {
    let Some(reason) = misfit(&record) else { return record };
    let mut attempts = record.attempts;
    attempts.truncate(MOST_ATTEMPTS);
    for attempt in &mut attempts {
        attempt.answer.clear();
        attempt.reason.clear();
    }
    PageRecord {
        verdict: Verdict::Failed(FailureClass::Unparsable),
        counts_from: record.counts_from.min(attempts.len() as u16),
        attempts,
        parts: Vec::new(),
        reason,
        ..record
    }
}

/// Why a shard cannot hold the record; `None` if it can.
fn misfit(record: &PageRecord) -> Option<String> {
    let (parts, attempts) = (record.parts.len(), record.attempts.len());
    if parts > MOST_PARTS {
        return Some(format!(
            "the page has {parts} parts, and a record holds {MOST_PARTS}: read it with other columns"
        ));
    }
    if attempts > MOST_ATTEMPTS {
        return Some(format!("the page was asked for {attempts} times, and a record holds {MOST_ATTEMPTS} attempts"));
    }
    let of_attempt = |attempt: &Attempt| attempt.answer.len() + attempt.reason.len() + attempt.request_id.len();
    let of_parts: usize = record
        .parts
        .iter()
        .map(|part| {
            let of_blocks: usize = part.blocks.iter().map(|block| block.html.len()).sum();
            part.html.len() + part.markdown.len() + of_blocks
        })
        .sum();
    let bytes = of_parts + record.reason.len() + record.attempts.iter().map(of_attempt).sum::<usize>();
    (bytes > MOST_TEXT).then(|| format!("the texts of the page have {bytes} bytes, and a record holds {MOST_TEXT}"))
}

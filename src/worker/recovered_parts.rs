//! This rank's share of what earlier starts left, as the messages that carry it.

use crate::{comm::RecoveredPart, store::Recovered};

/// Most records of one message: some megabytes, within a frame's limit.
const RECORDS_PER_PART: usize = 65_536;

/// A share as the messages that carry it; the last of them says that it is the last.
pub(crate) fn recovered_parts(recovered: Recovered) -> Vec<RecoveredPart> {
    let Recovered { records, highest_lease, .. } = recovered;
    let mut parts: Vec<RecoveredPart> = records
        .chunks(RECORDS_PER_PART)
        .map(|records| RecoveredPart { records: records.to_vec(), highest_lease, last: false })
        .collect();
    match parts.last_mut() {
        Some(part) => part.last = true,
        None => parts.push(RecoveredPart { records, highest_lease, last: true }),
    }
    parts
}

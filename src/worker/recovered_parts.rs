//! This rank's share of the records of earlier starts, as messages.

use crate::{comm::RecoveredPart, store::Recovered};

/// Maximum number of records in a message: some megabytes, within the limit of a frame.
const RECORDS_PER_PART: usize = 65_536;

/// Splits a share into messages. The last one is marked as the last.
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

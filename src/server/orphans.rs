//! The servers that killed ranks of a run have left on this node.

use std::{path::Path, time::Duration};

use futures_util::future::join_all;

use super::{
    folder::ServerFolder,
    process::{Server, ServerError},
};

/// How long a server may have a lease holder before it counts as the server of another job. A rank that was just killed
/// holds the lease for a moment.
const HOLDER_LIMIT: Duration = Duration::from_secs(2);

/// Ends all servers of the run on this node whose lease no process holds. A server that a rank serves is left alone: it
/// belongs to another job of the run.
///
/// # Errors
/// The run directory does not exist, or a server does not end; the others have ended.
pub async fn end_orphans(run_directory: &Path) -> Result<(), ServerError> {
    let folders = ServerFolder::all_of(run_directory)?;
    let ended = join_all(folders.iter().map(|folder| Server::end_orphan(folder, HOLDER_LIMIT))).await;
    ended.into_iter().try_for_each(|ended| ended.map(drop))
}

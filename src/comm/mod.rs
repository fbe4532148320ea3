//! How ranks talk: messages, their codec, two transports with one face, and a rank's link to its peers.
//!
//! References go out, verdicts come back; page bytes never travel. Rank 0 sends [`ToWorker`] and receives
//! [`ToCoordinator`]; every other rank the reverse. Nothing here decides anything.

mod codec;
mod in_process;
mod message;
mod mpi_transport;
mod peer_link;
mod poll_backoff;
mod transport;

pub use codec::{CodecError, decode, encode};
pub use in_process::InProcess;
pub use message::{Assignment, Hello, RecoveredPart, Returned, ToCoordinator, ToWorker};
pub use mpi_transport::{MpiError, MpiTransport, launched_by_mpi};
pub use peer_link::{LinkError, PeerLink};
pub use poll_backoff::PollBackoff;
pub use transport::{LocalPosition, Transport};

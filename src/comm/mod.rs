//! Communication between ranks: messages, their codec, two transports with one interface, and a rank's link to its
//! peers.
//!
//! Page references and verdicts are sent; page bytes never are. Rank 0 sends [`ToWorker`] and receives
//! [`ToCoordinator`]; every other rank does the reverse. This module decides nothing.

mod codec;
mod in_process;
mod message;
mod mpi_transport;
mod peer_link;
mod poll_backoff;
mod transport;

pub use codec::{CodecError, batches, decode, encode};
pub use in_process::InProcess;
pub use message::{Assignment, Hello, Message, RecoveredPart, Returned, ToCoordinator, ToWorker};
pub use mpi_transport::{MpiError, MpiTransport, launched_by_mpi};
pub use peer_link::{LinkError, PeerLink};
pub use poll_backoff::PollBackoff;
pub use transport::{LocalPosition, Transport};

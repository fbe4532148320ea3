//! The protocol between a guard and the rank that holds the lease of its server: single bytes.
//!
//! The rank keeps a connection open; the connection ends when the rank dies. A guard without a lease holder gives the
//! lease to the next rank that connects to its control socket, and says so by its [`Answer`]. Before a rank closes the
//! connection, its [`ShutdownRequest`] says how the server is to end.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::{folder::ServerFolder, limits};

/// A guard's answer to a rank that asks for the lease of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Answer {
    /// The rank holds the lease for as long as the connection lasts.
    Held = b'h',
    /// Another process holds the lease.
    Busy = b'b',
}

/// How the lease holder wants the server to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ShutdownRequest {
    /// An orderly end: the server has a grace time.
    Goodbye = b'q',
    /// The server is broken: kill it at once.
    Kill = b'k',
}

impl ShutdownRequest {
    /// The request that a byte stands for.
    pub fn of(byte: u8) -> Option<ShutdownRequest> {
        [ShutdownRequest::Goodbye, ShutdownRequest::Kill].into_iter().find(|request| *request as u8 == byte)
    }
}

/// Asks the guard of a folder for the lease. Returns its answer and the connection; `None` where no guard listens.
pub(super) async fn request_status(folder: &ServerFolder) -> Option<(Answer, UnixStream)> {
    let answer = async {
        let mut stream = UnixStream::connect(folder.control()).await?;
        let answer = if stream.read_u8().await? == Answer::Held as u8 { Answer::Held } else { Answer::Busy };
        io::Result::Ok((answer, stream))
    };
    // No socket, refused, or closed meanwhile. A guard that is ending its server answers only when that is done.
    timeout(limits::END, answer).await.ok()?.ok()
}

/// Sends the request. An error is ignored: it means that the guard has ended.
pub(super) async fn send_request(request: ShutdownRequest, stream: &mut (impl AsyncWriteExt + Unpin)) {
    let _ = stream.write_all(&[request as u8]).await;
    let _ = stream.flush().await;
}

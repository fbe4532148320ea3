//! What a guard and the holder of its server say to each other: one byte each.
//!
//! The holder keeps a connection open, which ends when it dies. A guard whose holder went away takes the next one that
//! connects to its control socket; its [`Answer`] says so. The holder's last [`ShutdownRequest`] says how the server is to end.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

use super::{folder::ServerFolder, limits};

/// A guard's answer to whoever asks for its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Answer {
    /// It is yours for as long as the connection lasts.
    Held = b'h',
    /// Another has it.
    Busy = b'b',
}

/// A holder's last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ShutdownRequest {
    /// The server may end in order.
    Goodbye = b'q',
    /// The server is broken: it is killed at once.
    Kill = b'k',
}

impl ShutdownRequest {
    /// The word that a byte stands for.
    pub fn of(byte: u8) -> Option<ShutdownRequest> {
        [ShutdownRequest::Goodbye, ShutdownRequest::Kill].into_iter().find(|word| *word as u8 == byte)
    }
}

/// Asks the guard in a folder for its server: the connection, where it is ours now. `None` where no guard listens.
pub(super) async fn request_status(folder: &ServerFolder) -> Option<(Answer, UnixStream)> {
    let answer = async {
        let mut stream = UnixStream::connect(folder.control()).await?;
        let answer = if stream.read_u8().await? == Answer::Held as u8 { Answer::Held } else { Answer::Busy };
        io::Result::Ok((answer, stream))
    };
    // Not there, refused, or ended just now. A guard that is ending its server does not answer before that is done.
    timeout(limits::END, answer).await.ok()?.ok()
}

/// Says the last word. A guard that is gone does not hear it, and needs not.
pub(super) async fn send_request(word: ShutdownRequest, stream: &mut (impl AsyncWriteExt + Unpin)) {
    let _ = stream.write_all(&[word as u8]).await;
    let _ = stream.flush().await;
}

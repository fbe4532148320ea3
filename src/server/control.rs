//! What a guard and the holder of its server say to each other: one byte each.
//!
//! The holder keeps a connection open, which ends when it dies. A guard whose holder went away takes the next one that
//! connects to its control socket, and says `h`, or `b` while there is a holder. The holder's last word is `q` for an
//! orderly end of the server, `k` for one that is broken.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::folder::ServerFolder;

/// The guard's answer to the holder of its server.
pub(super) const HELD: u8 = b'h';

/// The guard's answer while another holds its server.
pub(super) const BUSY: u8 = b'b';

/// A holder's last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The server may end in order.
    Goodbye,
    /// The server is broken: it is killed at once.
    Kill,
}

impl Word {
    /// As it is sent.
    pub fn byte(self) -> u8 {
        match self {
            Word::Goodbye => b'q',
            Word::Kill => b'k',
        }
    }

    /// The word that a byte stands for.
    pub fn of(byte: u8) -> Option<Word> {
        [Word::Goodbye, Word::Kill].into_iter().find(|word| word.byte() == byte)
    }
}

/// What came of asking for a server.
#[derive(Debug)]
pub(super) enum Asked {
    /// It is ours for as long as the connection lasts.
    Held(UnixStream),
    /// Another has it.
    Busy,
    /// No guard listens.
    Nobody,
}

/// Asks the guard in a folder for its server.
pub(super) async fn ask(folder: &ServerFolder) -> Asked {
    let answer = async {
        let mut stream = UnixStream::connect(folder.control()).await?;
        let answer = stream.read_u8().await?;
        io::Result::Ok((stream, answer))
    };
    match answer.await {
        Ok((stream, HELD)) => Asked::Held(stream),
        Ok(_) => Asked::Busy,
        // Not there, refused, or ended just now.
        Err(_) => Asked::Nobody,
    }
}

/// Says the last word. A guard that is gone does not hear it, and needs not.
pub(super) async fn say(word: Word, stream: &mut (impl AsyncWriteExt + Unpin)) {
    let _ = stream.write_all(&[word.byte()]).await;
    let _ = stream.flush().await;
}

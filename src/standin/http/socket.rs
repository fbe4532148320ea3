//! The sockets on which the server listens: a TCP port or a Unix socket. Connections can be cut without an answer.

use std::{
    fmt, io,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// Host and port; for port 0 the system chooses a free one.
    Tcp(String, u16),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(host, port) => write!(f, "{host}:{port}"),
            ListenAddress::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A listening socket. The file of a Unix socket is removed when this is dropped.
#[derive(Debug)]
pub enum Socket {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket and its file.
    Unix(UnixListener, SocketFile),
}

/// A socket's file, removed on drop.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // An error does not matter: another process may have removed the file.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Socket {
    /// Begins to listen. A socket file on which no process listens any more is replaced.
    ///
    /// # Errors
    /// The address is in use or not allowed.
    pub async fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(host, port) => TcpListener::bind((host.as_str(), *port)).await.map(Socket::Tcp),
            ListenAddress::Unix(path) => {
                if path.exists() {
                    if UnixStream::connect(path).await.is_ok() {
                        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server listens on the socket"));
                    }
                    std::fs::remove_file(path)?;
                }
                Ok(Socket::Unix(UnixListener::bind(path)?, SocketFile(path.clone())))
            }
        }
    }

    /// The address as a client writes it: `http://127.0.0.1:8000` or `unix:/path`.
    ///
    /// # Errors
    /// The system does not know the port.
    pub fn url(&self) -> io::Result<String> {
        Ok(match self {
            Socket::Tcp(listener) => format!("http://{}", listener.local_addr()?),
            Socket::Unix(_, file) => format!("unix:{}", file.0.display()),
        })
    }
}

impl axum::serve::Listener for Socket {
    type Io = Connection;
    type Addr = ();

    async fn accept(&mut self) -> (Connection, ()) {
        loop {
            let accepted = match self {
                Socket::Tcp(listener) => TcpListener::accept(listener).await.map(|(stream, _)| Stream::Tcp(stream)),
                Socket::Unix(listener, _) => {
                    UnixListener::accept(listener).await.map(|(stream, _)| Stream::Unix(stream))
                }
            };
            match accepted {
                Ok(stream) => return (Connection::new(stream), ()),
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Cuts the connection of a request: its next write fails, and a TCP client sees a reset.
#[derive(Debug, Clone, Default)]
pub struct Cut(Arc<AtomicBool>);

impl Cut {
    /// Cuts the connection at the next write.
    pub fn now(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, Socket>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Socket>) -> Self {
        stream.io().cut.clone()
    }
}

/// An accepted connection.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    cut: Cut,
}

impl Connection {
    fn new(stream: Stream) -> Self {
        if let Stream::Tcp(stream) = &stream {
            // An error does not matter: chunks would only be sent later.
            let _ = stream.set_nodelay(true);
        }
        Connection { stream, cut: Cut::default() }
    }

    fn check(&self) -> io::Result<()> {
        if !self.cut.0.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Stream::Tcp(stream) = &self.stream {
            // With this, closing sends a reset instead of an orderly end.
            let _ = stream.set_zero_linger();
        }
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

//! Connections that can be broken on purpose: hyper alone would always end them in an orderly way.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::tls::Wire;

/// How long a client may take to begin with HTTPS.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Accepts connections that a handler can break.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    /// What HTTPS begins with; `None` for plain HTTP.
    pub(crate) tls: Option<TlsAcceptor>,
}

impl Listener for Door {
    type Io = RawConnection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (RawConnection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    // Small answers must not wait for the client's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    let stream = Wire::new(stream, self.tls.as_ref(), HANDSHAKE_PATIENCE);
                    return (RawConnection { stream, broken: Arc::default() }, address);
                }
                // Out of file descriptors, or the client has disconnected already: neither may end the server.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

pub(crate) struct RawConnection {
    stream: Wire,
    broken: Arc<BrokenConnection>,
}

#[derive(Debug, Default)]
struct BrokenConnection {
    closed: AtomicBool,
    reset: AtomicBool,
}

/// What a handler knows about its connection, and its way to break it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    broken: Arc<BrokenConnection>,
}

impl Peer {
    /// Sends nothing more: the connection ends when the handler returns.
    pub(crate) fn close(&self) {
        self.broken.closed.store(true, Ordering::SeqCst);
    }

    /// Like `close`, but with a reset instead of an orderly end.
    pub(crate) fn reset(&self) {
        self.broken.reset.store(true, Ordering::SeqCst);
        self.close();
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self { address: *stream.remote_addr(), broken: Arc::clone(&stream.io().broken) }
    }
}

impl RawConnection {
    fn check(&self) -> io::Result<()> {
        if self.broken.reset.load(Ordering::SeqCst) {
            // With a linger time of zero, dropping the socket sends RST.
            self.stream.tcp().map_or(Ok(()), TcpStream::set_zero_linger)?;
        }
        match self.broken.closed.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }
}

impl AsyncRead for RawConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for RawConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

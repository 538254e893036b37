//! HTTPS: the certificate, and the bytes of a connection before and after its handshake.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Timeout, timeout};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::options::TlsOptions;

/// Prepares HTTPS with the files in the options; the error says which of them is unfit, and why.
pub(crate) fn acceptor(options: &TlsOptions) -> Result<TlsAcceptor, String> {
    let TlsOptions { certificate, key } = options;
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unfit(certificate, "certificate", &error))?;
    if chain.is_empty() {
        return Err(unfit(certificate, "certificate", &pem::Error::NoItemsFound));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unfit(key, "private key", &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private));
    let mut config = config.map_err(|error| {
        let advice = match error {
            rustls::Error::InconsistentKeys(_) => "; the key must be that of the certificate",
            _ => "",
        };
        format!("cannot serve HTTPS with {} and {}: {error}{advice}", certificate.display(), key.display())
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unfit(file: &Path, what: &str, error: &pem::Error) -> String {
    let file = file.display();
    match error {
        pem::Error::Io(error) => format!("cannot read the {what} {file}: {error}"),
        pem::Error::NoItemsFound => {
            format!(
                "{file} holds no {what} in PEM: a line like -----BEGIN {}----- is expected",
                what.to_uppercase()
            )
        }
        error => format!("{file} is not a {what} in PEM: {error:?}"),
    }
}

/// A connection, with or without TLS. The handshake happens when the server first reads, so that a client that is slow
/// with it keeps nobody else waiting.
pub(crate) enum Wire {
    Plain(TcpStream),
    Handshake(Pin<Box<Timeout<Accept<TcpStream>>>>),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// A connection that ends unless its handshake is done within `patience`.
    pub(crate) fn new(stream: TcpStream, tls: Option<&TlsAcceptor>, patience: Duration) -> Self {
        match tls {
            None => Wire::Plain(stream),
            Some(acceptor) => Wire::Handshake(Box::pin(timeout(patience, acceptor.accept(stream)))),
        }
    }

    /// The connection underneath.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Wire::Plain(stream) => Some(stream),
            Wire::Handshake(accept) => accept.as_ref().get_ref().get_ref().get_ref(),
            Wire::Tls(stream) => Some(stream.get_ref().0),
        }
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Wire::Handshake(accept) = self {
            let shaken = ready!(accept.as_mut().poll(cx)).map_err(io::Error::from).flatten();
            let shaken = shaken.inspect_err(|error| {
                tracing::warn!(target: crate::LOG, %error, "a TLS handshake failed");
            });
            *self = Wire::Tls(Box::new(shaken?));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_handshake(cx))?;
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
            Wire::Handshake(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_handshake(cx))?;
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
            Wire::Handshake(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_handshake(cx))?;
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bytes),
            Wire::Handshake(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
            Wire::Handshake(_) => true,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Wire::Handshake(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Wire::Handshake(_) => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_handshake_that_takes_too_long_ends_its_connection() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/certificates");
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        let acceptor = acceptor(&TlsOptions { certificate, key }).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut wire = Wire::new(stream, Some(&acceptor), Duration::ZERO);
        assert_eq!(wire.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}

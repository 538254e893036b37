//! Connections from anybody who can reach the port; descriptors, memory and time of each are bounded.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Pause after a failure to accept that concerns every connection, such as no descriptor left.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// Limits for untrusted clients of the HTTP server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerLimits {
    /// Open connections; a new one replaces the one that has been idle longest.
    pub connections: usize,
    /// A request's head must be complete within this; an idle connection is closed after it, too.
    pub head_timeout: Duration,
    /// The largest request head, in bytes.
    pub head_bytes: usize,
    /// A client that does not read its answer for this long is dropped.
    pub stall_timeout: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 64,
            head_timeout: Duration::from_secs(10),
            head_bytes: 16 << 10,
            stall_timeout: Duration::from_secs(30),
        }
    }
}

/// The other end of a request's connection: in the extensions of each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub SocketAddr);

/// Serves until `stop`, then waits for the requests in progress.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    stop: CancellationToken,
) {
    let mut connections = OpenConnections { limits, tasks: JoinSet::new(), open: BTreeMap::new() };
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.tasks.join_next_with_id() => connections.closed(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.admit(stream, Peer(peer), router.clone(), stop.clone()).await;
                }
                Err(error) if is_the_clients(error.kind()) => {}
                Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
            },
        }
    }
    drop(listener);
    while connections.tasks.join_next().await.is_some() {}
}

fn is_the_clients(error: ErrorKind) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error, ConnectionAborted | ConnectionRefused | ConnectionReset)
}

struct OpenConnections {
    limits: ServerLimits,
    tasks: JoinSet<()>,
    open: BTreeMap<Id, Arc<Activity>>,
}

impl OpenConnections {
    async fn admit(&mut self, stream: TcpStream, peer: Peer, router: Router, stop: CancellationToken) {
        if self.open.len() >= self.limits.connections && !self.close_longest_idle().await {
            return;
        }
        let activity = Arc::new(Activity::new());
        let connection = connection(stream, peer, router, self.limits, activity.clone(), stop);
        self.open.insert(self.tasks.spawn(connection).id(), activity);
    }

    /// Makes room; `false` if every connection waits for an answer. Clients that only hold connections open must not
    /// keep a probe out.
    async fn close_longest_idle(&mut self) -> bool {
        let idle = self.open.values().filter_map(|activity| Some((activity.idle_since()?, activity)));
        let Some((_, longest)) = idle.min_by_key(|(since, _)| *since) else { return false };
        longest.evicted.cancel();
        if let Some(ended) = self.tasks.join_next_with_id().await {
            self.closed(ended);
        }
        true
    }

    fn closed(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.open.remove(&id);
    }
}

/// The state of one connection.
#[derive(Debug)]
struct Activity {
    /// Since when the connection has been idle; `None` while a request is being answered.
    idle_since: Mutex<Option<Instant>>,
    evicted: CancellationToken,
}

impl Activity {
    fn new() -> Self {
        Self { idle_since: Mutex::new(Some(Instant::now())), evicted: CancellationToken::new() }
    }

    fn idle_since(&self) -> Option<Instant> {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, idle_since: Option<Instant>) {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = idle_since;
    }

    /// Returns once the connection has been idle for `limit`.
    async fn stalled(&self, limit: Duration) {
        loop {
            let until = self.idle_since().unwrap_or_else(Instant::now) + limit;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    limits: ServerLimits,
    activity: Arc<Activity>,
    stop: CancellationToken,
) {
    // Without it an answer may wait for the client's acknowledgement; it is no reason to refuse one.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let answer = |mut request: hyper::Request<Incoming>| {
        activity.set(None);
        request.extensions_mut().insert(peer);
        let (answer, activity) = (router.call(request), activity.clone());
        async move {
            let answer: Result<Response, Infallible> = answer.await;
            activity.set(Some(Instant::now()));
            answer
        }
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let mut connection = std::pin::pin!(connection);
    // The client sees that the connection has ended; an error concerns nobody else.
    let served = async {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    };
    tokio::select! {
        () = served => {}
        () = activity.evicted.cancelled() => {}
        () = activity.stalled(limits.stall_timeout) => {}
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    /// Time limit for everything that a test waits for.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// Longer than any of these tests takes.
    const NEVER: Duration = Duration::from_secs(3600);
    const PATIENT: ServerLimits =
        ServerLimits { connections: 8, head_timeout: NEVER, head_bytes: 16 << 10, stall_timeout: NEVER };

    async fn server(limits: ServerLimits, stop: CancellationToken) -> (SocketAddr, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let never_read = vec![b'x'; 64 << 20];
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/slow", get(async || std::future::pending::<&str>().await))
            .route("/large", get(async move || Body::from(never_read)));
        (address, AbortOnDropHandle::new(tokio::spawn(serve(listener, router, limits, stop))))
    }

    async fn open(address: SocketAddr, head: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may already have closed it.
        let _ = stream.write_all(head).await;
        stream
    }

    /// Everything received until the server closes the connection.
    async fn rest(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        // Closing with something unread resets the connection.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("it is closed");
        String::from_utf8(text).unwrap()
    }

    const WHOLE: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_new_connection_takes_the_place_of_the_one_idle_longest() {
        let (address, _server) = server(PATIENT, CancellationToken::new()).await;
        let mut strangers = Vec::new();
        for _ in 0..50 {
            strangers.push(open(address, b"GET / HTTP/1.1\r\n").await);
        }
        assert!(rest(open(address, WHOLE).await).await.ends_with("here"));
        // The last seven may stay.
        for stranger in strangers.into_iter().take(43) {
            assert_eq!(rest(stranger).await, "");
        }
    }

    #[tokio::test]
    async fn while_all_wait_for_answers_a_new_connection_is_closed() {
        let (address, _server) = server(PATIENT, CancellationToken::new()).await;
        let mut busy = Vec::new();
        for _ in 0..8 {
            busy.push(open(address, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await);
        }
        // Their requests may not have been read yet when it replaces one of them.
        let deadline = Instant::now() + PATIENCE;
        while rest(open(address, WHOLE).await).await.ends_with("here") {
            busy.push(open(address, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await);
            assert!(Instant::now() < deadline);
        }
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_not_waited_for() {
        let limits = ServerLimits { head_timeout: Duration::from_millis(50), ..PATIENT };
        let (address, _server) = server(limits, CancellationToken::new()).await;
        for head in [&b"GET / HTTP/1.1\r\nhost:"[..], b"", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
            let answered = rest(open(address, head).await).await.ends_with("here");
            assert_eq!(answered, head.ends_with(b"\r\n\r\n"));
        }
    }

    #[tokio::test]
    async fn a_head_that_is_too_long_is_refused() {
        let (address, _server) = server(PATIENT, CancellationToken::new()).await;
        let mut stream = open(address, b"GET / HTTP/1.1\r\n").await;
        let (mut sent, line) = (0, format!("x: {}\r\n", "y".repeat(1000)));
        while stream.write_all(line.as_bytes()).await.is_ok() && sent < (64 << 20) {
            sent += line.len();
        }
        // What the kernel holds on its way is no memory of the server's.
        assert!(sent < (64 << 20), "{sent}");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_read_is_dropped() {
        let limits = ServerLimits { stall_timeout: Duration::from_millis(50), ..PATIENT };
        let stop = CancellationToken::new();
        let (address, server) = server(limits, stop.clone()).await;
        let mut reader = open(address, b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
        reader.read_exact(&mut [0]).await.unwrap();
        // The server waits for answers in progress, and this one is never read.
        stop.cancel();
        tokio::time::timeout(PATIENCE, server).await.expect("it ends").unwrap();
    }

    #[tokio::test]
    async fn a_stop_lets_the_answer_at_hand_end_and_closes_the_rest() {
        let stop = CancellationToken::new();
        let (address, server) = server(PATIENT, stop.clone()).await;
        let idle = open(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut seen = [0];
        idle.peek(&mut seen).await.unwrap();
        stop.cancel();
        assert!(rest(idle).await.ends_with("here"));
        tokio::time::timeout(PATIENCE, server).await.expect("it ends").unwrap();
    }
}

//! A proxy whose connections can die without a word, be cut, or be refused.

use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// When something is to happen to a connection to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the database gets the statement with this text.
    Before(&'static str),
    /// When the database has it, before the answer.
    During(&'static str),
    /// Before the database gets the COMMIT of a transaction that stores.
    BeforeCommit,
    /// When the database has that COMMIT, before the answer.
    AfterCommit,
}

/// The first statement of a transaction that stores.
pub const STORING: &str = "with locked as materialized";
/// A simple query, as the protocol has it.
const COMMIT: &str = "Q\0\0\0\x0bcommit\0";

#[derive(Clone, Copy, Default)]
struct State {
    /// Connections of an earlier generation are dead.
    generation: u32,
    /// Nothing passes; new connections are taken and hang too.
    cut: bool,
    /// A client that was stopped is still so: what it sent last has not left it.
    held: bool,
    /// When a connection dies, its server notices, as when that host's kernel gave it up; else its transaction stays open.
    server_notices: bool,
}

#[derive(Clone, Copy)]
struct Trap {
    moment: Moment,
    /// The process to stop; `None`: the connection dies.
    stops: Option<u32>,
}

impl Trap {
    /// Stops the process; true: there was none to stop.
    fn spring(self, shared: &Shared) -> bool {
        let Some(id) = self.stops else { return true };
        shared.state.send_modify(|state| state.held = true);
        kill(Pid::from_raw(i32::try_from(id).unwrap()), Signal::SIGSTOP).unwrap();
        false
    }
}

struct Shared {
    server: u16,
    state: watch::Sender<State>,
    trap: Mutex<Option<Trap>>,
}

pub struct Wire {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Wire {
    /// A way to this port of the loopback.
    pub async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { server, state: watch::Sender::default(), trap: Mutex::default() });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, accepting }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets the server notice that a connection has died, or not; the daemon never does.
    pub fn server_notices(&self, notices: bool) {
        self.shared.state.send_modify(|state| state.server_notices = notices);
    }

    /// What is connected now stays so, and nothing passes any more.
    pub fn forget_connections(&self) {
        self.shared.state.send_modify(|state| state.generation += 1);
    }

    /// Nothing passes until `reconnect`, nor afterwards on what was connected.
    pub fn cut(&self) {
        self.shared.state.send_modify(|state| {
            state.generation += 1;
            state.cut = true;
        });
    }

    pub fn reconnect(&self) {
        self.shared.state.send_modify(|state| state.cut = false);
    }

    /// Connections are refused until `listen`; those that are there are closed.
    pub async fn refuse(&mut self) {
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
    }

    pub async fn listen(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.accepting = tokio::spawn(accept(listener, Arc::clone(&self.shared)));
    }

    /// Lets the first connection that comes to this moment die.
    pub fn arm(&self, moment: Moment) {
        *self.shared.trap.lock().unwrap() = Some(Trap { moment, stops: None });
    }

    /// Stops the process at this moment, until `release`.
    pub fn arm_stop(&self, moment: Moment, process: u32) {
        *self.shared.trap.lock().unwrap() = Some(Trap { moment, stops: Some(process) });
    }

    /// Passes on what was held back, for a process that goes on.
    pub fn release(&self) {
        self.shared.state.send_modify(|state| state.held = false);
    }

    /// Returns `true` until the moment has come.
    pub fn is_armed(&self) -> bool {
        self.shared.trap.lock().unwrap().is_some()
    }

    pub fn disarm(&self) {
        *self.shared.trap.lock().unwrap() = None;
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with this task.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        connections.spawn(carry(near, Arc::clone(&shared)));
    }
}

async fn carry(near: TcpStream, shared: Arc<Shared>) {
    let mut state = shared.state.subscribe();
    let now = *state.borrow_and_update();
    if now.cut {
        // As a route that is gone: the handshake is this machine's, no byte ever comes.
        std::future::pending::<()>().await;
    }
    let Ok(far) = TcpStream::connect(("127.0.0.1", shared.server)).await else { return };
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let dies = tokio::select! {
        dies = up(&mut near_read, &mut far_write, &shared) => dies,
        _ = copy(&mut far_read, &mut near_write) => false,
        _ = state.wait_for(|state| state.generation != now.generation) => true,
    };
    if dies {
        if state.borrow().server_notices {
            drop((far_read, far_write));
            return std::future::pending().await;
        }
        // Both ends stay open: a half that is dropped would tell the server.
        std::future::pending::<()>().await;
    }
}

/// What the client sends; true: the connection dies here.
async fn up(near: &mut OwnedReadHalf, far: &mut OwnedWriteHalf, shared: &Shared) -> bool {
    let (mut bytes, mut stores, mut before) = (vec![0; 1 << 16], false, Vec::new());
    while let Ok(length @ 1..) = near.read(&mut bytes).await {
        let chunk = &bytes[..length];
        stores = !contains(chunk, "begin isolation") && (stores || contains(chunk, STORING));
        let commits = stores && contains(chunk, COMMIT);
        let sprung =
            |comes: &dyn Fn(Moment) -> bool| shared.trap.lock().unwrap().take_if(|trap| comes(trap.moment));
        let trap = sprung(&|moment| match moment {
            Moment::Before(text) => contains(chunk, text),
            Moment::BeforeCommit => commits,
            Moment::During(_) | Moment::AfterCommit => false,
        });
        if let Some(trap) = trap {
            if trap.spring(shared) {
                return true;
            }
            let _ = shared.state.subscribe().wait_for(|state| !state.held).await;
        }
        if far.write_all(chunk).await.is_err() {
            break;
        }
        // A statement goes out twice: its text, to be prepared, and then what starts it.
        let trap = sprung(&|moment| match moment {
            Moment::During(text) => contains(&before, text),
            Moment::AfterCommit => commits,
            Moment::Before(_) | Moment::BeforeCommit => false,
        });
        if trap.is_some_and(|trap| trap.spring(shared)) {
            return true;
        }
        before = chunk.to_vec();
    }
    // What the other side still has to say may come: it ends the connection.
    let _ = far.shutdown().await;
    std::future::pending().await
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

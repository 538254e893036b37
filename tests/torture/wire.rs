//! A proxy whose connections can die without a word, be cut, or be refused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    /// With this piece of a transaction, counted from its `begin`, before it is passed on.
    Piece(u32),
    /// Before the database gets the COMMIT.
    BeforeCommit,
    /// After the database got the COMMIT, before its answer.
    AfterCommit,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// Connections of an earlier generation are dead.
    generation: u32,
    /// Nothing passes; new connections are taken and hang too.
    cut: bool,
    /// A client that was stopped is still so: what it sent last has not left it.
    held: bool,
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

    /// What is connected now stays so, and nothing passes any more.
    pub fn forget_connections(&self) {
        self.shared.state.send_modify(|state| state.generation += 1);
    }

    /// Nothing passes until `mend`, nor afterwards on what was connected.
    pub fn cut(&self) {
        self.shared.state.send_modify(|state| {
            state.generation += 1;
            state.cut = true;
        });
    }

    pub fn mend(&self) {
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

    /// Whether the moment has not come yet.
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
    let (near_read, mut near_write) = near.into_split();
    let (mut far_read, far_write) = far.into_split();
    let dies = tokio::select! {
        dies = up(near_read, far_write, &shared) => dies,
        _ = copy(&mut far_read, &mut near_write) => false,
        _ = state.wait_for(|state| state.generation != now.generation) => true,
    };
    if dies {
        // Both ends stay open.
        std::future::pending::<()>().await;
    }
}

/// What the client sends; true: the connection dies here.
async fn up(mut near: OwnedReadHalf, mut far: OwnedWriteHalf, shared: &Shared) -> bool {
    let (mut bytes, mut piece) = (vec![0; 1 << 16], None);
    loop {
        let Ok(length @ 1..) = near.read(&mut bytes).await else { break };
        let chunk = &bytes[..length];
        let commits = contains(chunk, b"COMMIT");
        piece =
            if contains(chunk, b"begin isolation") { Some(0) } else { piece.map(|number: u32| number + 1) };
        let sprung = |moment: Moment| shared.trap.lock().unwrap().take_if(|trap| trap.moment == moment);
        let before = piece.and_then(|number| sprung(Moment::Piece(number)));
        let before = before.or_else(|| commits.then(|| sprung(Moment::BeforeCommit)).flatten());
        if let Some(trap) = before {
            if trap.spring(shared) {
                return true;
            }
            let _ = shared.state.subscribe().wait_for(|state| !state.held).await;
        }
        if far.write_all(chunk).await.is_err() {
            break;
        }
        if let Some(trap) = commits.then(|| sprung(Moment::AfterCommit)).flatten()
            && trap.spring(shared)
        {
            return true;
        }
        if commits {
            piece = None;
        }
    }
    // What the other side still has to say may come.
    let _ = far.shutdown().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    false
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

//! Who this process is, and its right to write for an account.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::SyncError;
use super::status::Heart;
use crate::store::Store;
use crate::store::lease::{Holder, Taken};

/// How long a lease lasts unless renewed: with what a taker waits for the old leader's commit, less than 30 s.
pub const LEASE: Duration = Duration::from_secs(20);
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// This process, as the lease names it: `host/pid namespace/pid/random`.
pub fn this_process() -> Holder {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "unknown".into());
    let (namespace, pid) = (pid_namespace(), std::process::id());
    Holder {
        id: format!("{host}/{namespace}/{pid}/{:016x}", fastrand::u64(..)),
        name: format!("{host}, process {pid}"),
    }
}

/// Process ids mean something only within one namespace: two containers may share a host name.
fn pid_namespace() -> String {
    let link = std::fs::read_link("/proc/self/ns/pid").ok().map(|link| link.to_string_lossy().into_owned());
    // The first namespace has the same number on every host, and cloned hosts have the same name.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    format!("{}@{}", link.unwrap_or_default(), boot.unwrap_or_default().trim())
}

/// Whether `holder` was a process of this host that is gone: its lease need not be waited for. If this should
/// ever be wrong, the fence still keeps the old holder from writing.
pub fn is_dead(holder: &str) -> bool {
    let mine = this_process();
    let mut theirs = holder.split('/');
    let mut ours = mine.id.split('/');
    if theirs.next() != ours.next() || theirs.next() != ours.next() {
        return false;
    }
    let Some(pid) = theirs.next().and_then(|pid| pid.parse::<i32>().ok()) else { return false };
    let ours = std::process::id() as i32;
    let gone = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH);
    // In a container that was started again both are process 1.
    gone || (pid == ours && !IDS.with_ours(holder))
}

/// The ids that this process gave itself.
struct Ids(std::sync::Mutex<Vec<String>>);
static IDS: Ids = Ids(std::sync::Mutex::new(Vec::new()));

impl Ids {
    fn with_ours(&self, id: &str) -> bool {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).iter().any(|ours| ours == id)
    }

    fn add(&self, id: &str) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(id.to_owned());
    }
}

/// The right to write for one account, renewed in the background until dropped or lost.
#[derive(Debug)]
pub struct Leadership {
    store: Store,
    account: String,
    holder: Holder,
    /// The number that every commit carries.
    pub fence: i64,
    good_until: watch::Receiver<Instant>,
    renewing: AbortOnDropHandle<()>,
}

impl Leadership {
    /// Takes the lease of `account`, or says who holds it.
    pub async fn take(
        store: &Store,
        account: &str,
        holder: &Holder,
        heart: &Heart,
    ) -> Result<Self, SyncError> {
        IDS.add(&holder.id);
        let asked = Instant::now();
        let fence = match store.take_lease(account, holder, LEASE, is_dead).await? {
            Taken::Ours { fence } => fence,
            Taken::HeldBy { name, expires_in } => {
                return Err(SyncError::Led { account: account.into(), holder: name, expires_in });
            }
        };
        // Counted from before the question was sent: the database's clock started no earlier.
        let (sender, good_until) = watch::channel(asked + LEASE);
        let renewing =
            tokio::spawn(renew(store.clone(), account.to_owned(), holder.clone(), heart.clone(), sender));
        let renewing = AbortOnDropHandle::new(renewing);
        Ok(Self {
            store: store.clone(),
            account: account.into(),
            holder: holder.clone(),
            fence,
            good_until,
            renewing,
        })
    }

    /// Until when the lease holds by our own monotonic clock.
    pub fn good_until(&self) -> watch::Receiver<Instant> {
        self.good_until.clone()
    }

    /// Gives the lease back, so that the next process need not wait for its end.
    pub async fn release(self) {
        self.renewing.abort();
        if let Err(error) = self.store.release_lease(&self.account, &self.holder).await {
            tracing::debug!(event = "lease_not_released", account = self.account, %error, "it will run out");
        }
    }
}

async fn renew(
    store: Store,
    account: String,
    holder: Holder,
    heart: Heart,
    good_until: watch::Sender<Instant>,
) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        // An engine that stands still is no leader: another process may do better.
        if heart.late_by().is_some() {
            continue;
        }
        let asked = Instant::now();
        match store.renew_lease(&account, &holder, LEASE).await {
            Ok(true) => {
                good_until.send_replace(asked + LEASE);
            }
            Ok(false) => {
                tracing::warn!(event = "lease_lost", account, "another process leads this account now");
                good_until.send_replace(asked);
                return;
            }
            Err(error) => tracing::warn!(event = "lease_not_renewed", account, %error, "trying again"),
        }
    }
}

//! Who this process is, and its right to write for an account.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::SyncError;
use super::events::{LeaseLost, LeaseNotReleased, LeaseNotRenewed};
use super::status::Heart;
use crate::clock::{monotonic, random_id};
use crate::store::lease::{Holder, Taken, host_name};
use crate::store::{Store, StoreError};

/// How long a lease lasts unless renewed. Together with a taker's wait for the old leader's commit, and its first read
/// and commit, this stays below 30 s.
pub const LEASE: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Without an answer within this time the connection may be dead, and another is tried at once.
const RENEWING: Duration = Duration::from_secs(7);
/// Pause before another try, since a failure may be immediate.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// This process, as the lease names it: `host/pid namespace/pid/random`.
fn this_process() -> Holder {
    let host = host_name();
    let (namespace, pid) = (pid_namespace(), std::process::id());
    Holder {
        id: format!("{host}/{namespace}/{pid}/{:016x}", random_id()),
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

/// Returns `true` if `holder` was a process of this host that is gone: its lease need not be waited for. If this is
/// ever wrong, the fence still keeps the old holder from writing.
fn is_dead(holder: &str) -> bool {
    let mine = this_process();
    let mut theirs = holder.split('/');
    let mut ours = mine.id.split('/');
    if theirs.next() != ours.next() || theirs.next() != ours.next() {
        return false;
    }
    let Some(pid) = theirs.next().and_then(|pid| pid.parse::<i32>().ok()) else { return false };
    let ours = std::process::id() as i32;
    let gone = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH);
    // After a container restarts, both are process 1.
    gone || (pid == ours && !IDS.with_ours(holder))
}

/// The ids that this process gave itself.
struct Ids(Mutex<Vec<String>>);
static IDS: Ids = Ids(Mutex::new(Vec::new()));

impl Ids {
    fn with_ours(&self, id: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|ours| ours == id)
    }

    fn add(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(id.to_owned());
    }
}

/// The leases that this process holds, renewed together in the background until the last of them is dropped.
#[derive(Clone, Debug)]
pub struct Leases {
    store: Store,
    /// This process, as the leases name it.
    pub holder: Holder,
    held: HeldLeases,
    _renewing: Arc<AbortOnDropHandle<()>>,
}

type HeldLeases = Arc<Mutex<BTreeMap<String, Lease>>>;

#[derive(Clone, Debug)]
struct Lease {
    fence: i64,
    heart: Heart,
    good_until: watch::Sender<Instant>,
}

impl Leases {
    /// Starts renewing in the background; no lease is held yet.
    pub fn new(store: &Store) -> Self {
        let (holder, held) = (this_process(), HeldLeases::default());
        IDS.add(&holder.id);
        let renewing = tokio::spawn(renew(store.clone(), holder.clone(), Arc::clone(&held)));
        let _renewing = Arc::new(AbortOnDropHandle::new(renewing));
        Self { store: store.clone(), holder, held, _renewing }
    }

    /// Takes the lease of `account`, or fails with [`SyncError::Led`]. It is renewed only while `heart` beats.
    pub async fn take(&self, account: &str, heart: &Heart) -> Result<Leadership, SyncError> {
        let asked = monotonic();
        let fence = match self.store.take_lease(account, &self.holder, LEASE, is_dead).await? {
            Taken::Ours { fence } => fence,
            Taken::HeldBy { name, expires_in } => {
                return Err(SyncError::Led { account: account.into(), holder: name, expires_in });
            }
        };
        // Counted from before the request was sent: the database's clock started no earlier.
        let (sender, good_until) = watch::channel(asked + LEASE);
        let lease = Lease { fence, heart: heart.clone(), good_until: sender };
        lock(&self.held).insert(account.to_owned(), lease);
        Ok(Leadership { leases: self.clone(), account: account.into(), fence, good_until })
    }

    /// Returns `true` while this process holds the lease of `account`.
    pub(crate) fn leads(&self, account: &str) -> bool {
        lock(&self.held).get(account).is_some_and(|lease| *lease.good_until.borrow() > monotonic())
    }

    /// Releases the lease of an account if it was taken by somebody who was then interrupted.
    pub(super) async fn give_back(&self, account: &str) {
        if let Err(error) = self.store.release_lease(account, &self.holder).await {
            LeaseNotReleased { account, error: &error }.emit();
        }
    }
}

fn lock(held: &HeldLeases) -> MutexGuard<'_, BTreeMap<String, Lease>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to write for one account, until dropped or lost.
#[derive(Debug)]
pub struct Leadership {
    leases: Leases,
    account: String,
    /// The number that every commit carries.
    pub fence: i64,
    good_until: watch::Receiver<Instant>,
}

impl Leadership {
    /// Until when the lease holds by this process's own monotonic clock.
    pub fn good_until(&self) -> watch::Receiver<Instant> {
        self.good_until.clone()
    }

    /// Releases the lease, so that the next process need not wait for its end.
    pub async fn release(self) {
        let_go(&self.leases.held, &self.account, self.fence);
        self.leases.give_back(&self.account).await;
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        let_go(&self.leases.held, &self.account, self.fence);
    }
}

/// Stops renewing the lease. Returns `true` if it was held until now.
fn let_go(held: &HeldLeases, account: &str, fence: i64) -> bool {
    let mut held = lock(held);
    let is_held = held.get(account).is_some_and(|lease| lease.fence == fence);
    if is_held {
        held.remove(account);
    }
    is_held
}

async fn renew(store: Store, holder: Holder, held: HeldLeases) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        // An engine that hangs must not keep its lease: another process may do better.
        let live = |lease: &&Lease| lease.heart.late_by().is_none();
        let leases: BTreeMap<String, Lease> = lock(&held)
            .iter()
            .filter(|(_, lease)| live(lease))
            .map(|(a, l)| (a.clone(), l.clone()))
            .collect();
        if leases.is_empty() {
            continue;
        }
        while let Err(error) = renew_once(&store, &holder, &held, &leases).await {
            LeaseNotRenewed { accounts: leases.len(), error: &error }.emit();
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }
}

async fn renew_once(
    store: &Store,
    holder: &Holder,
    held: &HeldLeases,
    leases: &BTreeMap<String, Lease>,
) -> Result<(), StoreError> {
    let accounts: Vec<String> = leases.keys().cloned().collect();
    let asked = monotonic();
    let renewing = tokio::time::timeout(RENEWING, store.renew_leases(&accounts, holder, LEASE)).await;
    let renewed = renewing.unwrap_or_else(|_| Err(StoreError::silent(RENEWING)))?;
    for (account, lease) in leases {
        match renewed.get(account) {
            Some(true) => drop(lease.good_until.send_replace(asked + LEASE)),
            // Another process is examining it at this moment.
            Some(false) => {}
            None if let_go(held, account, lease.fence) => {
                LeaseLost { account }.emit();
                lease.good_until.send_replace(asked);
            }
            // It was released in the meantime.
            None => {}
        }
    }
    Ok(())
}

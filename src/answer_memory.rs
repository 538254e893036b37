//! The memory that the answers of all accounts may take up together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory is reserved in units of this many bytes.
const UNIT: u64 = 4096;
/// The smallest pool, in bytes: it has room for typical answers of several accounts even if large answers are not
/// allowed.
const LEAST_SHARED: u64 = 16 << 20;
/// Every answer is expected to have at least this many bytes.
const LEAST_EXPECTED: u64 = 64 << 10;

/// The bytes that answers may take up together, from the first byte of a body until its records are stored.
///
/// Small answers share a pool. One account at a time may exceed what the pool has left, so an answer of any size gets
/// through; the others wait in order. Whoever waits is waiting for the pool *or* for that privilege, and whoever has
/// the privilege never waits for memory: so one account can always continue, whatever the others hold.
#[derive(Clone, Debug)]
pub struct AnswerMemory {
    pool: Arc<Semaphore>,
    pool_units: u32,
    privilege: Arc<Semaphore>,
    decoding: Arc<Semaphore>,
}

impl AnswerMemory {
    /// A budget for one answer of `largest` bytes, and a pool of a quarter of that for the others.
    pub fn for_answers_of(largest: u64) -> Self {
        Self::with_pool((largest / 4).max(LEAST_SHARED))
    }

    fn with_pool(bytes: u64) -> Self {
        let most = u64::try_from(Semaphore::MAX_PERMITS).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        let pool_units = u32::try_from(units(bytes).min(most)).unwrap_or(u32::MAX);
        let pool = Arc::new(Semaphore::new(pool_units as usize));
        let one = || Arc::new(Semaphore::new(1));
        Self { pool, pool_units, privilege: one(), decoding: one() }
    }

    /// The share of one more account.
    pub fn account(&self) -> AccountMemory {
        let (expected, wanted) = (Arc::new(AtomicU64::new(LEAST_EXPECTED)), Arc::default());
        AccountMemory { budget: self.clone(), privilege: Arc::default(), expected, wanted }
    }
}

/// One account's share of the budget.
#[derive(Clone, Debug)]
pub struct AccountMemory {
    budget: AnswerMemory,
    /// The privilege, while one of this account's answers holds it: then all of them may grow.
    privilege: Arc<Mutex<Weak<OwnedSemaphorePermit>>>,
    expected: Arc<AtomicU64>,
    /// Bytes that an answer needed which was abandoned for lack of memory: its next try waits for as much.
    wanted: Arc<AtomicU64>,
}

impl AccountMemory {
    /// Memory for one answer, with nothing reserved yet.
    pub fn nothing(&self) -> ReservedMemory {
        ReservedMemory { account: self.clone(), bytes: 0, pooled: None, privilege: None }
    }

    /// How large the next answer is expected to be: like the last ones, or like one that was abandoned.
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed).max(self.wanted.load(Ordering::Relaxed))
    }

    /// Notes how large a whole answer was.
    pub fn note_size(&self, bytes: u64) {
        // Polls between the answers of a first sync are tiny: the larger ones are forgotten slowly.
        let expected = bytes.max(self.expected.load(Ordering::Relaxed) / 2).max(LEAST_EXPECTED);
        self.expected.store(expected, Ordering::Relaxed);
        self.note_no_size();
    }

    /// Notes that an answer was cut off or refused: a shorter span is requested next, so its size predicts nothing.
    pub fn note_no_size(&self) {
        self.wanted.store(0, Ordering::Relaxed);
    }

    /// Notes that an answer was abandoned for lack of memory, and needs `bytes`.
    pub fn note_wanted(&self, bytes: u64) {
        self.wanted.store(bytes, Ordering::Relaxed);
    }

    /// Returns `true` while an answer of this account takes up more than the pool had left.
    pub fn exceeds_pool(&self) -> bool {
        self.privilege.lock().unwrap_or_else(PoisonError::into_inner).strong_count() > 0
    }

    /// Waits for the turn to decode a large answer: they are decoded one after another, since each leaves its own heap
    /// in the allocator, and the other cores are busy with the database.
    pub(crate) async fn turn_to_decode(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.budget.decoding).acquire_owned().await.ok()
    }

    fn privileged(&self) -> Option<Arc<OwnedSemaphorePermit>> {
        self.privilege.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    fn became_privileged(&self, permit: OwnedSemaphorePermit) -> Arc<OwnedSemaphorePermit> {
        let permit = Arc::new(permit);
        *self.privilege.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&permit);
        permit
    }
}

/// The memory of one answer, released when dropped.
#[derive(Debug)]
pub struct ReservedMemory {
    account: AccountMemory,
    bytes: u64,
    pooled: Option<OwnedSemaphorePermit>,
    privilege: Option<Arc<OwnedSemaphorePermit>>,
}

impl ReservedMemory {
    /// The number of bytes reserved.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Waits until `bytes` are reserved. Cancelling it leaves what was reserved before.
    pub async fn grow_to(&mut self, bytes: u64) {
        if self.grows_without_waiting(bytes) {
            return;
        }
        let (wanted, budget) = (self.missing(bytes), &self.account.budget);
        let pool = Arc::clone(&budget.pool);
        let fits = wanted <= budget.pool_units;
        let pooled = async move {
            match fits {
                true => pool.acquire_many_owned(wanted).await,
                false => std::future::pending().await,
            }
        };
        let privilege = Arc::clone(&budget.privilege).acquire_owned();
        tokio::select! {
            biased;
            Ok(permit) = pooled => self.merge(permit),
            Ok(permit) = privilege => self.privilege = Some(self.account.became_privileged(permit)),
            // Neither is ever closed.
            else => {}
        }
        self.bytes = bytes;
    }

    /// Reserves `bytes` if there is no need to wait for them.
    pub fn grows_without_waiting(&mut self, bytes: u64) -> bool {
        if bytes > self.bytes {
            if self.privilege.is_none() {
                self.privilege = self.account.privileged();
            }
            if self.privilege.is_none() {
                let wanted = self.missing(bytes);
                let pool = Arc::clone(&self.account.budget.pool);
                match pool.try_acquire_many_owned(wanted) {
                    Ok(permit) => self.merge(permit),
                    Err(_) => return false,
                }
            }
            self.bytes = bytes;
        }
        true
    }

    /// Releases what is reserved beyond `bytes`.
    pub fn shrink_to(&mut self, bytes: u64) {
        self.bytes = self.bytes.min(bytes);
        let pooled = self.pooled_units();
        let kept = units(self.bytes);
        if kept > u64::from(pooled) {
            // The others need the privilege more than this one needs what the pool has left.
            let pool = Arc::clone(&self.account.budget.pool);
            if let Ok(permit) = pool.try_acquire_many_owned(self.missing(self.bytes)) {
                self.merge(permit);
                self.privilege = None;
            }
        } else {
            self.privilege = None;
            let excess = pooled - u32::try_from(kept).unwrap_or(pooled);
            drop(self.pooled.as_mut().and_then(|permit| permit.split(excess as usize)));
        }
    }

    fn merge(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.pooled {
            Some(pooled) => pooled.merge(permit),
            None => self.pooled = Some(permit),
        }
    }

    fn pooled_units(&self) -> u32 {
        let permits = self.pooled.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        u32::try_from(permits).unwrap_or(u32::MAX)
    }

    /// The number of units that are lacking for `bytes`.
    fn missing(&self, bytes: u64) -> u32 {
        u32::try_from(units(bytes)).unwrap_or(u32::MAX).saturating_sub(self.pooled_units())
    }
}

fn units(bytes: u64) -> u64 {
    bytes.div_ceil(UNIT)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MB: u64 = 1 << 20;

    /// Runs a task until it waits; returns `true` if it has ended instead.
    async fn ends<T>(task: &tokio::task::JoinHandle<T>) -> bool {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        task.is_finished()
    }

    fn grow(account: &AccountMemory, bytes: u64) -> tokio::task::JoinHandle<ReservedMemory> {
        let mut reserved = account.nothing();
        tokio::spawn(async move {
            reserved.grow_to(bytes).await;
            reserved
        })
    }

    #[tokio::test]
    async fn small_answers_share_the_pool_and_one_account_at_a_time_exceeds_it() {
        let memory = AnswerMemory::with_pool(10 * MB);
        let accounts = [0; 4].map(|_| memory.account());
        let _pooled = (grow(&accounts[0], 4 * MB).await.unwrap(), grow(&accounts[1], 5 * MB).await.unwrap());
        let large = grow(&accounts[2], 500 * MB).await.unwrap();
        assert!(accounts[2].exceeds_pool() && !accounts[0].exceeds_pool());
        let waiting = grow(&accounts[3], 500 * MB);
        assert!(!ends(&waiting).await, "a second one beyond the pool");
        let more = grow(&accounts[2], 600 * MB).await.unwrap();
        drop(large);
        assert!(!ends(&waiting).await, "the account still has an answer");
        drop(more);
        assert_eq!(waiting.await.unwrap().bytes(), 500 * MB);
    }

    #[tokio::test]
    async fn those_who_wait_are_served_in_order_also_by_what_the_pool_gets_back() {
        let memory = AnswerMemory::with_pool(10 * MB);
        let mut first = grow(&memory.account(), 10 * MB).await.unwrap();
        let large = grow(&memory.account(), 20 * MB).await.unwrap();
        let (second, third) = (grow(&memory.account(), 6 * MB), grow(&memory.account(), 6 * MB));
        assert!(!ends(&second).await && !ends(&third).await);
        first.shrink_to(3 * MB);
        assert!(ends(&second).await && !ends(&third).await);
        assert!(!memory.account().nothing().grows_without_waiting(2 * MB), "nobody overtakes who waits");
        drop(large);
        assert!(ends(&third).await, "by the privilege: the pool is still taken");
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_everything_to_the_others() {
        let memory = AnswerMemory::with_pool(10 * MB);
        let (pooled, large) = (grow(&memory.account(), 9 * MB).await, grow(&memory.account(), 20 * MB).await);
        let waiting = grow(&memory.account(), 8 * MB);
        assert!(!ends(&waiting).await);
        waiting.abort();
        assert!(waiting.await.is_err());
        drop((pooled, large));
        assert!(memory.account().nothing().grows_without_waiting(10 * MB));
        assert_eq!(memory.privilege.available_permits(), 1);
    }

    #[test]
    fn the_next_answer_is_expected_to_be_like_the_last_ones() {
        let account = AnswerMemory::with_pool(MB).account();
        account.note_size(10 * MB);
        account.note_size(100);
        assert_eq!(account.expected(), 5 * MB);
        for _ in 0..20 {
            account.note_size(100);
        }
        assert_eq!(account.expected(), LEAST_EXPECTED);
    }

    #[test]
    fn what_was_given_up_is_expected_until_the_next_answer_has_come_and_no_longer() {
        let account = AnswerMemory::with_pool(MB).account();
        account.note_size(MB);
        account.note_wanted(80 * MB);
        assert_eq!(account.expected(), 80 * MB);
        account.note_no_size();
        assert_eq!(account.expected(), MB);
        account.note_wanted(80 * MB);
        account.note_size(100);
        assert_eq!(account.expected(), MB / 2);
    }

    /// Accounts that hold one answer while they fetch the next, as engines do, and sometimes abandon one.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn answers_of_all_sizes_get_through_and_what_they_take_up_stays_bounded() {
        const LARGEST: u64 = 40 * MB;
        let memory = AnswerMemory::with_pool(10 * MB);
        let (held, peak) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let tasks = (0..24_u64).map(|seed| {
            let (account, held, peak) = (memory.account(), Arc::clone(&held), Arc::clone(&peak));
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(seed);
                let mut earlier: Option<(ReservedMemory, u64)> = None;
                for _ in 0..150 {
                    if account.exceeds_pool() {
                        let stored = earlier.take();
                        held.fetch_sub(stored.as_ref().map_or(0, |(_, bytes)| *bytes), Ordering::SeqCst);
                    }
                    let size = random.u64(1..LARGEST).min(random.u64(1..LARGEST)).min(random.u64(1..LARGEST));
                    let mut reserved = account.nothing();
                    let mut taken = 0;
                    while taken < size {
                        let next = (taken + random.u64(1..MB)).min(size);
                        let patience = Duration::from_micros(random.u64(1..20_000));
                        if random.u8(..) == 0 {
                            if tokio::time::timeout(patience, reserved.grow_to(next)).await.is_err() {
                                break;
                            }
                        } else {
                            reserved.grow_to(next).await;
                        }
                        let now = held.fetch_add(next - taken, Ordering::SeqCst) + next - taken;
                        peak.fetch_max(now, Ordering::SeqCst);
                        taken = next;
                        tokio::task::yield_now().await;
                    }
                    reserved.shrink_to(taken);
                    // Stored, the earlier one is dropped.
                    let stored = earlier.replace((reserved, taken));
                    held.fetch_sub(stored.as_ref().map_or(0, |(_, bytes)| *bytes), Ordering::SeqCst);
                }
                held.fetch_sub(earlier.as_ref().map_or(0, |(_, bytes)| *bytes), Ordering::SeqCst);
            })
        });
        let all = futures_util::future::join_all(tasks.collect::<Vec<_>>());
        let ended =
            tokio::time::timeout(Duration::from_secs(60), all).await.expect("everybody is served in time");
        assert!(ended.iter().all(Result::is_ok));
        // The privileged account may hold an answer of the pool besides.
        assert!(
            peak.load(Ordering::SeqCst) <= 10 * MB + 2 * LARGEST,
            "{} MB",
            peak.load(Ordering::SeqCst) / MB
        );
        assert_eq!(memory.pool.available_permits(), memory.pool_units as usize);
        assert_eq!(memory.privilege.available_permits(), 1);
    }
}

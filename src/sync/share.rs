//! Spreads accounts over the daemons on one database: one that leads more hands some over to one that leads fewer, and
//! one that cannot reach the API lets another try.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::store::Store;
use crate::store::lease::Holder;
use crate::store::replica::Replica;

use super::events::NotShownUp;
use super::leadership::LEASE;
use super::status::{Progress, ProgressWatch};

/// How often a daemon announces itself and checks the others.
const EVERY: Duration = Duration::from_secs(5);
/// How long an account is left alone after it was handed over: the other daemon looks for free ones every ten seconds.
pub(super) const LEFT_ALONE: Duration = Duration::from_secs(15);

/// After failing for this long, an account is left to another daemon, if there is one …
const FAILING: Duration = Duration::from_secs(120);
/// … for this long at first, then for twice as long each time, up to a day.
const GIVEN_UP: TimeDelta = TimeDelta::minutes(15);
const GIVEN_UP_MOST: TimeDelta = TimeDelta::days(1);

/// Accounts that this daemon should hand over or leave alone.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    handed_over: watch::Sender<BTreeSet<String>>,
    given_up: watch::Sender<BTreeSet<String>>,
    left_alone: watch::Sender<BTreeSet<String>>,
    /// Accounts that an operator has paused.
    paused: watch::Sender<BTreeSet<String>>,
    /// The open rows of `cdr_sync.request` of each account, as they were looked up last.
    open_work: watch::Sender<BTreeMap<String, BTreeSet<i64>>>,
}

impl Share {
    /// Returns once the open rows of `account` are others than `known`.
    pub(super) async fn has_other_work(&self, account: &str, known: BTreeSet<i64>) {
        let mut open = self.open_work.subscribe();
        // The sender outlives the wait, so the channel cannot close.
        let _ = open.wait_for(|open| open.get(account).is_some_and(|open| *open != known)).await;
    }

    /// The open rows of `account`, once each time that they were looked up.
    pub(super) fn open_work(&self, account: &str) -> Option<BTreeSet<i64>> {
        let mut taken = None;
        self.open_work.send_if_modified(|open| {
            taken = open.remove(account);
            false
        });
        taken
    }

    /// Returns once `account` is to be handed over.
    pub(super) async fn takes_away(&self, account: &str) {
        until(&self.handed_over, |accounts| accounts.contains(account)).await;
    }

    /// Returns once `account` is to be given up: its requests fail here, and there is another daemon for it.
    pub(super) async fn relieves(&self, account: &str, watch: &ProgressWatch) {
        let fails = || watch.read().failing_for >= FAILING;
        until(&self.given_up, |accounts| accounts.contains(account) && fails()).await;
    }

    /// Returns as soon as this daemon may lead `account`.
    pub(super) async fn may_lead(&self, account: &str) {
        until(&self.left_alone, |accounts| !accounts.contains(account)).await;
        until(&self.paused, |accounts| !accounts.contains(account)).await;
    }

    /// Returns once an operator has paused `account`.
    pub(super) async fn pauses(&self, account: &str) {
        until(&self.paused, |accounts| accounts.contains(account)).await;
    }

    /// `account` was found to be paused: it is left alone until it is looked up again.
    pub(super) fn is_paused(&self, account: &str) {
        self.paused.send_modify(|accounts| {
            accounts.insert(account.to_owned());
        });
    }

    /// Announces this daemon and checks the others; never returns.
    pub(super) async fn watch(
        &self,
        store: &Store,
        clock: &Clock,
        holder: &Holder,
        watches: &BTreeMap<String, ProgressWatch>,
    ) {
        let names: Vec<String> = watches.keys().cloned().collect();
        loop {
            let now = clock.now();
            let accounts: Vec<(&str, Progress)> =
                watches.iter().map(|(account, watch)| (account.as_str(), watch.read())).collect();
            // Nobody hands over an account to a daemon that cannot read it.
            let able = accounts.iter().filter(|(_, progress)| is_able(progress, now));
            let able: Vec<&str> = able.map(|(account, _)| *account).collect();
            match store.show_up(holder, &able, LEASE).await {
                Ok(replicas) => {
                    let named = |which: &dyn Fn(&Progress) -> bool| -> Vec<String> {
                        let some = accounts.iter().filter(|(_, progress)| which(progress));
                        some.map(|(account, _)| (*account).to_owned()).collect()
                    };
                    let led = named(&|progress| progress.leads);
                    let failing = named(&|progress| progress.leads && progress.failing_for >= FAILING);
                    let unable = named(&|progress| !progress.leads && is_given_up(progress, now));
                    match store.paused(&names).await {
                        Ok(paused) => {
                            self.paused.send_replace(paused);
                        }
                        Err(error) => NotShownUp { error: &error }.emit(),
                    }
                    match store.open_work(&led).await {
                        Ok(mut open) => {
                            // Without any, too: what is under way may have been deleted.
                            for account in &led {
                                open.entry(account.clone()).or_default();
                            }
                            self.open_work.send_replace(open);
                        }
                        Err(error) => NotShownUp { error: &error }.emit(),
                    }
                    self.handed_over.send_replace(to_hand_over(&led, &holder.id, &replicas));
                    self.given_up.send_replace(for_others(failing, &holder.id, &replicas));
                    self.left_alone.send_replace(for_others(unable, &holder.id, &replicas));
                }
                Err(error) => NotShownUp { error: &error }.emit(),
            }
            clock.sleep(EVERY).await;
        }
    }
}

/// Until when an account given up at `now` is left to others, and for how long; `before` is the previous such result.
pub(super) fn given_up(
    before: Option<(DateTime<Utc>, TimeDelta)>,
    now: DateTime<Utc>,
) -> (DateTime<Utc>, TimeDelta) {
    let long = before.map_or(GIVEN_UP, |(_, long)| (long * 2).min(GIVEN_UP_MOST));
    (now + long, long)
}

fn is_given_up(progress: &Progress, now: DateTime<Utc>) -> bool {
    // If it is further ahead, the clock was set back.
    progress.given_up.is_some_and(|(until, long)| now < until && until <= now + long)
}

fn is_able(progress: &Progress, now: DateTime<Utc>) -> bool {
    !progress.troubled && progress.failing_for < FAILING && !is_given_up(progress, now)
}

async fn until(accounts: &watch::Sender<BTreeSet<String>>, holds: impl Fn(&BTreeSet<String>) -> bool) {
    let mut accounts = accounts.subscribe();
    // The sender outlives the wait, so the channel cannot close.
    let _ = accounts.wait_for(|accounts| holds(accounts)).await;
}

/// Which of `accounts` another daemon may be able to read.
fn for_others(accounts: Vec<String>, own: &str, replicas: &[Replica]) -> BTreeSet<String> {
    let others = || replicas.iter().filter(|replica| replica.holder != own);
    accounts.into_iter().filter(|account| others().any(|other| other.accounts.contains(account))).collect()
}

/// Which of the accounts led by `own` should go to the daemon that leads fewest: half of the difference.
fn to_hand_over(led: &[String], own: &str, replicas: &[Replica]) -> BTreeSet<String> {
    let least = replicas.iter().filter(|replica| replica.holder != own).min_by_key(|replica| replica.leads);
    let Some(least) = least else { return BTreeSet::new() };
    let more = led.len().saturating_sub(least.leads) / 2;
    led.iter().filter(|account| least.accounts.contains(*account)).take(more).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("a{i}")).collect()
    }

    fn replica(holder: &str, leads: usize, accounts: usize) -> Replica {
        Replica { holder: holder.into(), accounts: names(accounts).into_iter().collect(), leads }
    }

    #[test]
    fn half_of_what_one_leads_more_goes_to_who_leads_least() {
        let handed = |led: usize, others: &[usize]| {
            let mut replicas = vec![replica("own", led, 10)];
            replicas
                .extend(others.iter().enumerate().map(|(i, leads)| replica(&format!("o{i}"), *leads, 10)));
            to_hand_over(&names(led), "own", &replicas).len()
        };
        assert_eq!(handed(10, &[0]), 5);
        assert_eq!(handed(10, &[6, 2]), 4);
        // One more is no reason: it would go back and forth.
        assert_eq!((handed(3, &[2]), handed(5, &[5]), handed(1, &[0]), handed(4, &[])), (0, 0, 0, 0));
    }

    #[test]
    fn what_fails_here_is_given_up_where_another_can_try_and_left_to_it_for_ever_longer() {
        let left = |replicas: &[Replica]| for_others(names(3), "own", replicas).len();
        assert_eq!(left(&[replica("own", 3, 10)]), 0);
        assert_eq!(left(&[replica("own", 3, 10), replica("other", 9, 2)]), 2);

        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let well = Progress::default();
        assert!(is_able(&well, now));
        assert!(!is_able(&Progress { failing_for: FAILING, ..well.clone() }, now));
        assert!(!is_able(&Progress { troubled: true, ..well.clone() }, now));
        let once = given_up(None, now);
        let twice = given_up(Some(once), now);
        assert_eq!((once.0 - now, twice.0 - now), (TimeDelta::minutes(15), TimeDelta::minutes(30)));
        assert_eq!(given_up(Some((now, TimeDelta::hours(20))), now).0 - now, TimeDelta::days(1));
        let resting = Progress { given_up: Some(once), ..well };
        let able = [-60, 0, 14, 15].map(|minutes| is_able(&resting, now + TimeDelta::minutes(minutes)));
        assert_eq!(able, [true, false, false, true], "an hour back: the clock was set");
    }

    #[test]
    fn nobody_gets_an_account_that_it_is_not_configured_for() {
        let replicas = [replica("own", 10, 10), replica("other", 0, 2)];
        let handed = to_hand_over(&names(10), "own", &replicas);
        assert_eq!(handed.into_iter().collect::<Vec<_>>(), ["a0", "a1"]);
    }
}

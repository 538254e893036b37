//! Accounts spread over the daemons on one database: who leads more hands some over to who leads fewer, and who cannot
//! reach the API lets another try.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::store::Store;
use crate::store::lease::Holder;
use crate::store::replica::Replica;

use super::leadership::LEASE;
use super::status::{Board, Progress};

/// How often a daemon shows up and looks around.
const EVERY: Duration = Duration::from_secs(5);
/// Who handed an account over leaves it alone for so long: the other looks for free ones every ten seconds.
pub(super) const LEFT_ALONE: Duration = Duration::from_secs(15);

/// An account whose requests have failed for so long is for another daemon to try, if there is one …
const FAILING: TimeDelta = TimeDelta::minutes(2);
/// … and until then it is not for this one again, unless that fails as well.
const FORGIVEN: TimeDelta = TimeDelta::minutes(15);

/// The accounts that this daemon is to let go of.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    handed_over: watch::Sender<BTreeSet<String>>,
    given_up: watch::Sender<BTreeSet<String>>,
}

impl Share {
    /// Returns once `account` is to be handed over.
    pub async fn takes_away(&self, account: &str) {
        contains(&self.handed_over, account).await;
    }

    /// Returns once `account` is to be given up: here its requests fail, and there is another daemon for it.
    pub async fn relieves(&self, account: &str) {
        contains(&self.given_up, account).await;
    }

    /// Shows up and looks around for ever.
    pub async fn watch(
        &self,
        store: &Store,
        clock: &Clock,
        holder: &Holder,
        boards: &BTreeMap<String, Board>,
    ) {
        loop {
            let now = clock.now();
            let progress = boards.iter().map(|(account, board)| (account.as_str(), board.read()));
            let progress: BTreeMap<&str, Progress> = progress.collect();
            // Nobody hands over an account to a daemon that cannot read it.
            let able =
                progress.iter().filter(|(_, progress)| !progress.troubled && !is_failing(progress, now));
            let able: Vec<&str> = able.map(|(account, _)| *account).collect();
            match store.show_up(holder, &able, LEASE).await {
                Ok(replicas) => {
                    let led = progress.iter().filter(|(_, progress)| progress.leads);
                    let (failing, well): (Vec<_>, Vec<_>) =
                        led.partition(|(_, progress)| is_failing(progress, now));
                    let names = |led: Vec<(&&str, &Progress)>| -> Vec<String> {
                        led.into_iter().map(|(account, _)| (*account).to_owned()).collect()
                    };
                    self.handed_over.send_replace(to_hand_over(&names(well), &holder.id, &replicas));
                    self.given_up.send_replace(to_give_up(names(failing), &holder.id, &replicas));
                }
                Err(error) => tracing::debug!(event = "not_shown_up", %error, "trying again"),
            }
            clock.sleep(EVERY).await;
        }
    }
}

async fn contains(accounts: &watch::Sender<BTreeSet<String>>, account: &str) {
    let mut accounts = accounts.subscribe();
    // The sender outlives the wait, so the channel cannot close.
    let _ = accounts.wait_for(|accounts| accounts.contains(account)).await;
}

fn is_failing(progress: &Progress, now: DateTime<Utc>) -> bool {
    let long = progress.failing_since.map(|since| now - since);
    long.is_some_and(|long| (FAILING..FORGIVEN).contains(&long))
}

/// Which of the accounts that fail here another daemon may be able to read.
fn to_give_up(failing: Vec<String>, own: &str, replicas: &[Replica]) -> BTreeSet<String> {
    let others = || replicas.iter().filter(|replica| replica.holder != own);
    failing.into_iter().filter(|account| others().any(|other| other.accounts.contains(account))).collect()
}

/// Which of the accounts led by `own` somebody else who leads at least two fewer should lead: half of what it leads more.
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
    fn what_fails_here_is_given_up_where_another_can_try() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let failing_for = |minutes| Progress {
            failing_since: Some(now - TimeDelta::minutes(minutes)),
            ..Progress::default()
        };
        let failing = [0, 1, 2, 14, 15, 60].map(|minutes| is_failing(&failing_for(minutes), now));
        assert_eq!(failing, [false, false, true, true, false, false]);
        assert!(!is_failing(&Progress::default(), now));
        let given_up = |replicas: &[Replica]| to_give_up(names(3), "own", replicas).len();
        assert_eq!(given_up(&[replica("own", 3, 10)]), 0);
        assert_eq!(given_up(&[replica("own", 3, 10), replica("other", 9, 2)]), 2);
    }

    #[test]
    fn nobody_gets_an_account_that_it_is_not_configured_for() {
        let replicas = [replica("own", 10, 10), replica("other", 0, 2)];
        let handed = to_hand_over(&names(10), "own", &replicas);
        assert_eq!(handed.into_iter().collect::<Vec<_>>(), ["a0", "a1"]);
    }
}

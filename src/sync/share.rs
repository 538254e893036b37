//! Accounts spread over the daemons on one database: who leads more hands some over to who leads fewer.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::store::Store;
use crate::store::lease::Holder;
use crate::store::replica::Replica;

use super::leadership::LEASE;

/// How often a daemon shows up and looks around.
const EVERY: Duration = Duration::from_secs(5);
/// Who handed an account over leaves it alone for so long: the other looks for free ones every ten seconds.
pub(super) const LEFT_ALONE: Duration = Duration::from_secs(15);

/// The accounts that this daemon is to hand over.
#[derive(Clone, Debug, Default)]
pub(super) struct Share(watch::Sender<BTreeSet<String>>);

impl Share {
    /// Returns once `account` is to be handed over.
    pub async fn takes_away(&self, account: &str) {
        let mut handed = self.0.subscribe();
        // The sender lives in `self`, so the channel cannot close while we wait.
        let _ = handed.wait_for(|accounts| accounts.contains(account)).await;
    }

    /// Shows up and looks around for ever. `accounts` are those that this daemon can lead, `led` those
    /// that it does.
    pub async fn watch<'a>(
        &self,
        store: &Store,
        clock: &Clock,
        holder: &Holder,
        accounts: impl Fn() -> Vec<&'a str>,
        led: impl Fn() -> Vec<String>,
    ) {
        loop {
            match store.show_up(holder, &accounts(), LEASE).await {
                Ok(replicas) => {
                    let handed = to_hand_over(&led(), &holder.id, &replicas);
                    self.0.send_replace(handed);
                }
                Err(error) => tracing::debug!(event = "not_shown_up", %error, "trying again"),
            }
            clock.sleep(EVERY).await;
        }
    }
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
    fn nobody_gets_an_account_that_it_is_not_configured_for() {
        let replicas = [replica("own", 10, 10), replica("other", 0, 2)];
        let handed = to_hand_over(&names(10), "own", &replicas);
        assert_eq!(handed.into_iter().collect::<Vec<_>>(), ["a0", "a1"]);
    }
}

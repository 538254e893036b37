//! The budget of commands that ask the API without an engine: shared with the daemon where there is a database.

use governor::DefaultDirectRateLimiter;

use crate::clock::{Clock, jitter};
use crate::config::{AccountConfig, Config};
use crate::rate_limit::{Backoff, RateLimiter, local_limiter};
use crate::store::Store;
use crate::voicenter::{Action, ApiError, Client};

pub(super) struct Pacing {
    shared: Option<RateLimiter>,
    local: DefaultDirectRateLimiter,
    backoff: Backoff,
}

impl Pacing {
    /// The budget of `account`'s credential.
    pub(super) async fn new(
        config: &Config,
        account: &AccountConfig,
        client: &Client,
        store: Option<&Store>,
    ) -> Self {
        let (per_minute, burst) = (account.requests_per_minute, config.api.burst);
        let mut shared = None;
        // An unreachable database is reported elsewhere, or the command does not need one.
        if let Some(store) = store
            && let Ok(salt) = store.salt().await
        {
            let credential = client.credential_fingerprint(&salt);
            shared = Some(RateLimiter::new(store.clone(), credential, per_minute, burst));
        }
        let backoff = Backoff { min: config.api.backoff_min, max: config.api.backoff_max };
        Self { shared, local: local_limiter(per_minute, burst), backoff }
    }

    /// Sends a request when the budget allows it. After error 1 the daemon's rate is lowered, too.
    pub(super) async fn send<T>(
        &self,
        clock: &Clock,
        request: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let ready = match &self.shared {
            Some(rate_limit) => rate_limit.ready(clock, |_| {}).await.is_ok(),
            None => false,
        };
        if !ready {
            self.local.until_ready().await;
        }
        let result = request.await;
        if let (Err(error), Some(rate_limit)) = (&result, &self.shared)
            && let Action::SlowDown { retry_after } = error.action()
        {
            let _ = rate_limit.pause(self.backoff.wait(1, jitter(), retry_after)).await;
        }
        result
    }
}

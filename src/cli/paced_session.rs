//! How commands ask the API without an engine: one session, and the budget that the daemon uses where there is a
//! database. docs/decisions/0030-two-senders-share-session-and-limiter.md says why the daemon's requests are not sent
//! from here, too.

use governor::DefaultDirectRateLimiter;

use crate::clock::Clock;
use crate::config::{AccountConfig, Config};
use crate::rate_limit::{Backoff, RateLimiter, local_limiter};
use crate::store::Store;
use crate::voicenter::capabilities::Remembered;
use crate::voicenter::session::{Asked, Session};
use crate::voicenter::{Action, Answer, ApiError, Client, Form, Question};

/// One account's way to the API for a command.
pub(super) struct PacedSession<'a> {
    client: Client,
    session: Session,
    pacing: Pacing,
    clock: &'a Clock,
}

impl<'a> PacedSession<'a> {
    /// A session that does not know yet what the server accepts, within the budget of `account`'s credential.
    pub(super) async fn new(
        config: &Config,
        account: &AccountConfig,
        client: Client,
        store: Option<&Store>,
        clock: &'a Clock,
    ) -> Self {
        let pacing = Pacing::new(config, account, &client, store).await;
        let session = Session::new(client.method(), &Remembered::default());
        Self { client, session, pacing, clock }
    }

    /// Asks in the fullest form that the server accepts.
    pub(super) async fn ask(&mut self, question: Question) -> Result<Answer, ApiError> {
        let Self { client, session, pacing, clock } = self;
        let send = async |question: &Question| pacing.send(clock, client.ask(question)).await;
        session.ask(question, || clock.now(), send).await.map(|Asked { answer, .. }| answer)
    }

    /// The same for the API's own HTML page.
    pub(super) async fn ask_html(&mut self, question: Question) -> Result<String, ApiError> {
        let Self { client, session, pacing, clock } = self;
        let send = async |question: &Question| pacing.send(clock, client.ask_html(question)).await;
        session.ask(question, || clock.now(), send).await.map(|Asked { answer, .. }| answer)
    }

    /// The capabilities that the server has refused.
    pub(super) fn dropped(&self) -> Form {
        self.session.dropped()
    }
}

struct Pacing {
    shared: Option<RateLimiter>,
    local: DefaultDirectRateLimiter,
    backoff: Backoff,
}

impl Pacing {
    async fn new(config: &Config, account: &AccountConfig, client: &Client, store: Option<&Store>) -> Self {
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
    async fn send<T>(
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
            let _ = rate_limit.pause(self.backoff.drawn(1, retry_after)).await;
        }
        result
    }
}

//! The clock of a simulated API. It is passed in, so that a test can control it.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

/// Returns the present instant whenever the API needs it.
#[derive(Clone)]
pub struct WorldClock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl WorldClock {
    /// A clock that shows what `now` returns.
    pub fn new(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}

impl fmt::Debug for WorldClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiClock({})", self.now())
    }
}

//! What an engine starts from: the ledger, the forecast from the calls stored, and what was learned.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::plan::ledger::{Gap, Ledger};
use crate::read::api_profile::ApiProfile;
use crate::store::Store;
use crate::store::commit_count::CommitCount;
use crate::sync::{Account, SyncError};
use crate::voicenter::capabilities::Remembered;
use crate::window::Window;
use crate::window::density::Forecast;

/// The forecast starts from this many weeks of stored calls.
const FORECAST_FROM: TimeDelta = TimeDelta::weeks(5);

/// What was learned of the API, as kept in the ledger.
#[derive(Clone, Debug, PartialEq, Default, Serialize)]
pub(super) struct Learned {
    pub capabilities: Remembered,
    pub api: ApiProfile,
    /// When a call showed that CallIDs say nothing about the time zone.
    pub ids_refuted_at: Option<DateTime<Utc>>,
}

impl Learned {
    /// A part that is absent or in the form of another version counts as nothing learned.
    pub(super) fn from_stored(stored: Option<&serde_json::Value>) -> Self {
        fn part<T: Default + serde::de::DeserializeOwned>(stored: Option<&serde_json::Value>) -> T {
            stored.and_then(|value| T::deserialize(value).ok()).unwrap_or_default()
        }
        let stored = |name| stored.and_then(|stored| stored.get(name));
        Self {
            capabilities: part(stored("capabilities")),
            api: part(stored("api")),
            ids_refuted_at: part(stored("ids_refuted_at")),
        }
    }
}

/// All that an engine starts from.
pub(in crate::sync) struct Loaded {
    pub ledger: Ledger,
    /// How many commits the ledger has had.
    pub count: CommitCount,
    pub remembered: Remembered,
    /// When a call showed that CallIDs say nothing about the time zone.
    pub ids_refuted_at: Option<DateTime<Utc>>,
}

/// The ledger as the database has it, the forecast from the calls stored, and what was learned beside it.
pub(in crate::sync) async fn load(
    store: &Store,
    account: &Account,
    now: DateTime<Utc>,
) -> Result<Loaded, SyncError> {
    let stored = store.load(&account.name).await?;
    let Learned { capabilities, api: mut profile, ids_refuted_at } =
        Learned::from_stored(stored.knowledge.as_ref());
    // A start gives a server that was caught cutting before sorting one more chance.
    profile.sort_strikes = profile.sort_strikes.min(1);
    let mut forecast = Forecast::default();
    let recent = now - FORECAST_FROM;
    for (hour, calls) in store.hourly_counts(&account.name, recent, now).await? {
        if let Some(window) = Window::new(hour, hour + TimeDelta::hours(1))
            && stored.coverage.covers(window)
        {
            forecast.observe_count(window, calls as f64);
        }
    }
    let gaps = stored.gaps.into_iter().map(|gap| Gap {
        window: gap.window,
        reason: crate::read::request::GapReason::from_word(&gap.reason),
        tries: u32::try_from(gap.tries).unwrap_or(0),
        next_try_at: gap.next_try_at,
    });
    let ledger = Ledger {
        history_start: stored.history_start,
        kept_from: stored.kept_from,
        coverage: stored.coverage,
        gaps: gaps.collect(),
        rechecks: stored.rechecks,
        profile,
        forecast,
    };
    Ok(Loaded { ledger, count: stored.count, remembered: capabilities, ids_refuted_at })
}

//! What happens while accounts are kept in sync: an event is a struct, and its `emit` the one place that logs it, counts
//! it and shows it as progress. docs/operations.md explains each by its name.

mod account;
mod clocks;
mod lease;
mod request;
mod window;

pub(super) use account::{
    AccountStopped, DaysNotCompared, ErrorNotNoted, Fenced, FieldChurns, FieldsDoubted, HandedOver,
    LatenessNotNoted, Leading, LedgerReloaded, NotStored, Panicked, PausedByHand, PushedNotAsked,
    ReportingZoneUnknown, Resumed, RowsLost, ScopeChanged, Standby, WorkNotNoted, WorkTaken,
};
pub(super) use clocks::{ClocksDiffer, FutureDates, ZoneContradicted, ZoneNotLookedAt};
pub(super) use lease::{LeaseLost, LeaseNotReleased, LeaseNotRenewed, NotLeft, NotShownUp};
pub(super) use request::{
    CallNotAsked, CapabilityDropped, CapabilityRestored, InvalidRange, Refused, RequestEnded, RequestFailed,
    Waiting,
};
pub(super) use window::{StoreRetried, WindowStored};

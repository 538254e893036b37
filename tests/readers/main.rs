//! What readers of schema voicenter see, in a real PostgreSQL: the views, by hand-written rows, and the role.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy's permission for tests does not reach the functions beside them"
)]

mod calls;
mod charts;
mod folding;
mod freshness;
mod generated;
mod role;
mod scene;

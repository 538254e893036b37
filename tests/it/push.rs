//! CDR notifications: what is read of them, and the receiver in the real daemon.

mod analysis;
mod bodies;
mod decoding;
mod joining;
mod kills;
mod month;
mod properties;
mod receiver;
mod receiving;
pub mod scene;
mod spool;

//! CDR notifications: what is read of them, and the receiver in the real daemon.

mod analysis;
mod bodies;
mod decoding;
mod joining;
mod kills;
mod properties;
mod receiver;
pub mod scene;
mod spool;

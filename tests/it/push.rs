//! CDR notifications: what is read of them, and the receiver in the real daemon.

mod bodies;
mod decoding;
mod joining;
mod kills;
mod properties;
mod receiver;
mod scene;
mod spool;

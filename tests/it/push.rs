//! CDR notifications: what is read of them.

mod decoding;
mod properties;

//! Lists of extensions and queues: what is read of an answer, which intervals it opens and closes, and the daemon that does so.

mod daemon;
mod decoding;
mod intervals;
mod names;
mod properties;
mod scene;

//! What the tests of several areas share; each area has at most a small scene of its own, made of these.

pub mod compare;
pub mod database;
pub mod dates;
pub mod folder;
pub mod log;
pub mod polling;
pub mod program;
pub mod pushes;
pub mod simulator;

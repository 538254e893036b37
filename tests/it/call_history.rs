//! Analyses that are asked for call by call (GetCallHistory).

mod asking;
mod daemon;
mod faults;
mod scene;

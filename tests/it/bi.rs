//! What analysts get: the data dictionary, the questions of docs/bi.md, the dashboard of calls, and the login for them.

mod answers;
mod dictionary;
mod login;
mod meant;
mod panels;
pub mod questions;
mod scene;

//! What analysts get: the data dictionary, the questions of docs/bi.md, the dashboard of calls, and the login for them.

mod answers;
mod dictionary;
mod login;
mod meant;
mod panels;
mod questions;
mod scene;

//! The store against a real PostgreSQL: a fresh database for each test.

mod budget;
mod calls;
mod commit;
mod environment;
mod fields;
mod form;
mod growth;
mod horizon;
mod large;
mod lateness;
mod lease;
mod ledger;
mod load;
mod lost;
mod many_accounts;
mod merge;
mod older_program;
mod removal;
mod retention;
pub mod scene;
mod schema;
mod statistics;
mod twins;
mod typeless;

//! The store against a real PostgreSQL: a fresh database for each test.

mod budget;
mod commit;
mod lease;
mod ledger;
mod merge;
mod removal;
mod scene;
mod schema;

//! The store against a real PostgreSQL: a fresh database for each test.

mod budget;
mod commit;
mod environment;
mod fields;
mod form;
mod growth;
mod horizon;
mod large;
mod lease;
mod ledger;
mod load;
mod lost;
mod many_accounts;
mod merge;
mod older_program;
mod removal;
mod scene;
mod schema;
mod twins;
mod typeless;

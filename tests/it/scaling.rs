//! What lets one database become several (docs/scaling.md): keys, statements, and replication of PostgreSQL's own.

mod keys;
mod replication;
mod statement;
mod statements;

//! What readers of schema voicenter see, in a real PostgreSQL: the views, by hand-written rows, and the role.

mod agents;
mod calls;
mod charts;
mod customers;
mod dates;
mod exact;
mod folding;
mod freshness;
mod generated;
mod legs;
mod limits;
mod names;
mod role;
mod rules;
mod scene;

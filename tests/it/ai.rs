//! What AI makes of calls, as it comes by push, and forgetting it on demand.

mod accounts;
mod analyses;
mod forget;
mod rights;
pub mod scene;
mod types;

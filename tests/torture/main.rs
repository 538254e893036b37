//! Faults by the hundred against the real program: how fast it recovers, and what it loses (nothing). Each kind of fault
//! makes one row of the table in docs/reliability.md, which `scripts/torture` writes.
//!
//! Of each kind there are two tests: a short one that runs with all others, and the full one for `scripts/torture`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where it is wrong"
)]

#[path = "../mirror/compare.rs"]
#[expect(dead_code, reason = "the mirror's tests panic at differences, these count them")]
mod compare;
mod daemon;
mod postgres;
mod process;
mod rounds;
mod scene;
mod server;
mod wire;

macro_rules! faults {
    ($($name:ident: $run:path;)*) => {
        mod short {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $run(crate::rounds::Form::Short).await;
            })*
        }
        mod full {
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "takes minutes: scripts/torture"]
            async fn $name() {
                $run(crate::rounds::Form::Full).await;
            })*
        }
    };
}

faults! {
    killed_daemon: crate::process::killed_daemon;
    crashed_server: crate::server::crashed_server;
    lost_commits: crate::server::lost_commits;
    restored_snapshot: crate::server::restored_snapshot;
}

//! Faults by the hundred against the real program: how fast it recovers, and what it loses (nothing). Each kind of fault
//! makes one row of the table in docs/reliability.md, which `scripts/torture` writes.
//!
//! Of each kind there are two tests: the full one for `scripts/torture`, and one for `scripts/torture short`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::type_complexity,
    reason = "a test stops where it is wrong"
)]

mod api;
#[path = "../mirror/compare.rs"]
#[expect(dead_code, reason = "the mirror's tests panic at differences, these count them")]
mod compare;
mod daemon;
mod disk;
mod network;
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
            #[ignore = "waits for many recoveries: scripts/torture short"]
            async fn $name() {
                crate::rounds::ends(crate::rounds::Form::Short, $run).await;
            })*
        }
        mod full {
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "takes minutes: scripts/torture"]
            async fn $name() {
                crate::rounds::ends(crate::rounds::Form::Full, $run).await;
            })*
        }
    };
}

faults! {
    killed_daemon: crate::process::killed_daemon;
    crashed_server: crate::server::crashed_server;
    lost_commits: crate::server::lost_commits;
    restored_snapshot: crate::server::restored_snapshot;
    silent_connections: crate::network::silent_connections;
    read_only_spells: crate::server::read_only_spells;
    refused_merges: crate::server::refused_merges;
    held_locks: crate::server::held_locks;
    slow_merges: crate::server::slow_merges;
    changed_role: crate::server::changed_role;
    api_refuses_connections: crate::api::refuses_connections;
    api_hangs: crate::api::hangs;
    api_drips: crate::api::drips;
    api_502: crate::api::bad_gateway;
    api_resets: crate::api::resets;
    stopped_leader: crate::network::stopped_leader;
    cut_leader: crate::network::cut_leader;
    flooded_page: crate::process::flooded_page;
    unread_log: crate::process::unread_log;
    stepped_clock: crate::process::stepped_clock;
    full_disk: crate::disk::full_disk;
}

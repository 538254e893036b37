//! Faults by the hundred against the real program: how fast it recovers, and that it loses nothing. Each kind of fault
//! makes one row of the table in docs/reliability.md, which `scripts/torture` writes.
//!
//! Of each kind there are two tests: the full one for `scripts/torture`, and one for `scripts/torture short`.

mod api;
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
                crate::torture::rounds::ends(crate::torture::rounds::Form::Short, $run).await;
            })*
        }
        mod full {
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "takes minutes: scripts/torture"]
            async fn $name() {
                crate::torture::rounds::ends(crate::torture::rounds::Form::Full, $run).await;
            })*
        }
    };
}

faults! {
    killed_daemon: crate::torture::process::killed_daemon;
    crashed_server: crate::torture::server::crashed_server;
    lost_commits: crate::torture::server::lost_commits;
    restored_snapshot: crate::torture::server::restored_snapshot;
    silent_connections: crate::torture::network::silent_connections;
    read_only_spells: crate::torture::server::read_only_spells;
    refused_merges: crate::torture::server::refused_merges;
    held_locks: crate::torture::server::held_locks;
    slow_merges: crate::torture::server::slow_merges;
    changed_role: crate::torture::server::changed_role;
    api_refuses_connections: crate::torture::api::refuses_connections;
    api_hangs: crate::torture::api::hangs;
    api_drips: crate::torture::api::drips;
    api_502: crate::torture::api::bad_gateway;
    api_resets: crate::torture::api::resets;
    stopped_leader: crate::torture::network::stopped_leader;
    cut_leader: crate::torture::network::cut_leader;
    flooded_page: crate::torture::process::flooded_page;
    unread_log: crate::torture::process::unread_log;
    stepped_clock: crate::torture::process::stepped_clock;
    full_disk: crate::torture::disk::full_disk;
}

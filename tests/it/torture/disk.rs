//! A full disk under PostgreSQL.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::torture::rounds::{Form, Kind, not_run, torture};
use crate::torture::scene::Setup;

/// A small disk in memory.
struct Disk(PathBuf);

impl Disk {
    /// `None` where this machine or this user may not mount one.
    fn mount() -> Option<Self> {
        let path = std::env::temp_dir().join(format!("cdr-sync-torture-disk-{:x}", fastrand::u64(..)));
        fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=160m", "tmpfs"]).arg(&path).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(path));
        }
        fs::remove_dir(&path).unwrap();
        None
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        for size in [1 << 20, 1 << 12] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if unmounted.is_ok_and(|status| status.success()) {
            let _ = fs::remove_dir(&self.0);
        }
    }
}

pub async fn full_disk(form: Form) {
    let kind = Kind {
        place: 21,
        name: "PostgreSQL's disk is full for a while; every other time it goes down over that and is started again",
        times: (10, 2),
        lanes: 1,
        within: 10,
    };
    let Some(disk) = Disk::mount() else {
        not_run(&kind, "no disk can be mounted here");
        return;
    };
    let home: &Path = &disk.0.join("home");
    // Small, or recycled segments of the log would take the disk.
    let settings = vec![("max_wal_size", "48MB"), ("min_wal_size", "32MB")];
    let setup = Setup { settings, home: Some(home.to_owned()), ..Setup::default() };
    torture(&kind, form, &setup, async |scene, number| {
        disk.fill();
        if number % 2 == 1 {
            // A new segment of its log, for which there is no room; the server may not live to answer.
            scene.attempt("select pg_switch_wal(); create table if not exists public.last ()").await;
        }
        for _ in 0..40 {
            scene.disturb();
        }
        scene.spell(2_000..5_000).await;
        fs::remove_file(disk.filler()).unwrap();
        scene.postgres.revive().await;
        scene.recovery().await
    })
    .await;
}

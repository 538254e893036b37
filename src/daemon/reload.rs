//! When the daemon reads its configuration again: at SIGHUP, and when a file that holds a secret has changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::Clock;
use crate::config::{Config, Sources};

/// Interval at which files with secrets are checked, and a new configuration that failed to take effect is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(30);

type Variables = Vec<(String, String)>;
/// Hashes of the files with secrets; `None` for one that could not be read.
type Contents = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// Waits for the next configuration.
#[derive(Debug)]
pub(crate) struct Reloads {
    sources: Sources<Variables>,
    clock: Clock,
    hangup: Option<Signal>,
    seen: Option<Contents>,
    /// `true` if the last configuration failed to take effect and is to be tried again.
    again: bool,
    /// The last error that was logged for a configuration that could not take effect.
    complaint: Option<String>,
}

impl Reloads {
    /// Installs a handler, so that SIGHUP no longer ends the process.
    pub(crate) fn new(sources: Sources<Variables>, clock: Clock) -> Self {
        let hangup = signal(SignalKind::hangup())
            .inspect_err(|error| tracing::error!(event = "no_signals", %error, "SIGHUP cannot be handled"));
        Self { sources, clock, hangup: hangup.ok(), seen: None, again: false, complaint: None }
    }

    /// The next valid configuration that differs from `current`.
    pub(super) async fn next(&mut self, current: &Config) -> Config {
        loop {
            let asked = self.asked().await;
            let contents = read(current).await;
            let secrets_changed = self.seen.as_ref() != Some(&contents);
            self.seen = Some(contents);
            if !asked && !self.again && !secrets_changed {
                continue;
            }
            let new = match self.load().await {
                Ok(new) => new,
                Err(error) => {
                    self.refused(asked, error);
                    continue;
                }
            };
            if current.changed_keys(&new).is_empty() {
                self.took_effect();
                if asked {
                    tracing::info!(event = "configuration_reloaded", "nothing has changed");
                }
            } else if asked || self.again || !current.changed_secrets(&new).is_empty() {
                self.again = false;
                return new;
            }
        }
    }

    /// Reports that the last configuration could not take effect; it is tried again after a while.
    pub(super) fn try_again(&mut self, error: String) {
        self.again = true;
        self.refused(false, error);
    }

    /// Reports that the last configuration is in effect.
    pub(super) fn took_effect(&mut self) {
        (self.again, self.complaint) = (false, None);
    }

    /// Returns `true` after a SIGHUP, `false` when it is time to check the files.
    async fn asked(&mut self) -> bool {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = hangup => true,
            () = self.clock.sleep(LOOK_EVERY) => false,
        }
    }

    /// The files may be on a file system that hangs, which must not stop the daemon.
    async fn load(&self) -> Result<Config, String> {
        let sources = self.sources.clone();
        let loaded = tokio::task::spawn_blocking(move || {
            let config = Config::load(sources)?;
            config.require_database()?;
            config.require_accounts()?;
            Ok(config)
        });
        let loaded: Result<Config, crate::config::ConfigError> =
            loaded.await.map_err(|error| error.to_string())?;
        loaded.map_err(|error| error.to_string())
    }

    /// Logs each error once, unless SIGHUP asked for the reload.
    fn refused(&mut self, asked: bool, error: String) {
        if asked || self.complaint.as_ref() != Some(&error) {
            tracing::error!(
                event = "configuration_not_reloaded",
                error,
                "the configuration in effect is kept: fix the new one and send SIGHUP again"
            );
        }
        self.complaint = Some(error);
    }
}

async fn read(config: &Config) -> Contents {
    let files = config.secret_files();
    let read = tokio::task::spawn_blocking(move || {
        let content = |file: &PathBuf| fs::read(file).ok().map(|text| Sha256::digest(text).to_vec());
        files.into_iter().map(|file| (file.clone(), content(&file))).collect()
    });
    read.await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use chrono::TimeDelta;

    use super::*;
    use crate::clock::ManualClock;

    /// A directory with a configuration and a secret's file, gone with the test.
    struct Scene {
        dir: PathBuf,
        clock: ManualClock,
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }

    const SETTINGS: &str =
        "[database]\nurl = \"postgres://h/d\"\n[[accounts]]\nname = \"sales\"\ncode_file = \"code\"\n";

    impl Scene {
        fn new() -> Self {
            let name = format!("cdr-sync-reload-{}-{:x}", std::process::id(), crate::clock::random_id());
            let dir = std::env::temp_dir().join(name);
            fs::create_dir(&dir).unwrap();
            let scene = Self { dir, clock: ManualClock::new(chrono::DateTime::UNIX_EPOCH) };
            scene.write("settings.toml", SETTINGS);
            scene.write("code", "first");
            scene
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.dir.join(name), text).unwrap();
        }

        fn sources(&self) -> Sources<Variables> {
            Sources {
                file: Some(Path::new("settings.toml").to_owned()),
                env: Vec::new(),
                working_dir: self.dir.clone(),
            }
        }

        fn start(&self) -> (Config, Reloads) {
            let config = Config::load(self.sources()).unwrap();
            (config, Reloads::new(self.sources(), Clock::Manual(self.clock.clone())))
        }

        /// Lets half a minute pass, and the check that follows.
        async fn look(&self) {
            self.clock.awaited().await;
            self.clock.advance(TimeDelta::seconds(30));
        }
    }

    #[tokio::test]
    async fn a_changed_secret_file_is_noticed() {
        let scene = Scene::new();
        let (config, mut reloads) = scene.start();
        let changing = async {
            scene.look().await;
            scene.clock.awaited().await;
            scene.write("code", "second");
            scene.look().await;
        };
        let (new, ()) = tokio::join!(reloads.next(&config), changing);
        let changed: Vec<String> = config.changed_keys(&new).into_iter().collect();
        assert_eq!(changed, ["accounts[0].code"]);
    }

    #[tokio::test]
    async fn a_secret_changed_before_the_first_look_is_noticed() {
        let scene = Scene::new();
        let (config, mut reloads) = scene.start();
        scene.write("code", "second");
        let (new, ()) = tokio::join!(reloads.next(&config), scene.look());
        assert_eq!(config.changed_secrets(&new).len(), 1);
    }

    #[tokio::test]
    async fn an_edited_configuration_waits_for_sighup_and_a_wrong_one_changes_nothing() {
        let scene = Scene::new();
        let (config, mut reloads) = scene.start();
        let changing = async {
            scene.write("settings.toml", &format!("{SETTINGS}requests_per_minute = 7\n"));
            scene.look().await;
            // Somebody is writing it just now.
            scene.clock.awaited().await;
            scene.write("code", "");
            scene.look().await;
            scene.clock.awaited().await;
            scene.write("code", "second");
            scene.look().await;
        };
        let (new, ()) = tokio::join!(reloads.next(&config), changing);
        let changed: Vec<String> = config.changed_keys(&new).into_iter().collect();
        assert_eq!(changed, ["accounts[0].code", "accounts[0].requests_per_minute"]);
    }

    #[tokio::test]
    async fn a_configuration_that_could_not_take_effect_is_tried_again() {
        let scene = Scene::new();
        let (config, mut reloads) = scene.start();
        scene.write("code", "second");
        let (new, ()) = tokio::join!(reloads.next(&config), scene.look());
        reloads.try_again("the database is away".to_owned());
        let (again, ()) = tokio::join!(reloads.next(&config), scene.look());
        assert!(new.changed_keys(&again).is_empty());
        assert_eq!(config.changed_secrets(&again).len(), 1);
    }
}

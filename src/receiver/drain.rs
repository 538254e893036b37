//! Moves what is in the spool into the database.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;

use super::spool::{Contents, Spool, SpoolError};
use super::{Current, Receiver, reading_of};
use crate::store::StoreError;
use crate::store::push::ReceivedPush;

/// How often the spool is looked at if nothing was put into it: other processes may have left something there.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// After a failure, and before the same is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What stays in the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Left {
    foreign: usize,
    unreadable: usize,
    unconfigured: usize,
}

/// Why not all of the spool could be moved.
#[derive(Debug, thiserror::Error)]
enum DrainError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("a task for the spool has ended: {0}")]
    Task(#[from] JoinError),
}

impl Receiver {
    /// Moves spooled notifications as soon as the database takes them, for as long as it is polled.
    pub(crate) async fn drain_spool(self) {
        let (mut known, mut complained) = (Left::default(), None);
        loop {
            let current = self.current();
            let pause = match &current.spool {
                None => LOOK_EVERY,
                Some(spool) => match self.drain(&current, spool).await {
                    Ok(left) => {
                        complained = None;
                        if left != known {
                            report(left);
                        }
                        known = left;
                        LOOK_EVERY
                    }
                    Err(error) => {
                        let error = error.to_string();
                        if complained.as_ref() != Some(&error) {
                            tracing::warn!(
                                event = "spool_not_moved",
                                error,
                                "the spool cannot be moved into the database now; tried again"
                            );
                        }
                        complained = Some(error);
                        TRY_AGAIN
                    }
                },
            };
            tokio::select! {
                () = self.0.clock.sleep(pause) => {}
                () = self.0.spooled.notified(), if pause == LOOK_EVERY => {}
            }
        }
    }

    /// One after the other, in the order in which they were received. A file goes once its notification is committed: whoever
    /// stops in between, or moves the same file at the same time, stores it again without effect.
    async fn drain(&self, current: &Arc<Current>, spool: &Spool) -> Result<Left, DrainError> {
        let (looking, now) = (spool.clone(), self.0.clock.now());
        let Contents { files, foreign } =
            tokio::task::spawn_blocking(move || looking.contents(now)).await??;
        let mut left = Left { foreign, ..Left::default() };
        let mut moved: u64 = 0;
        for file in files {
            match read(file.clone()).await? {
                Ok(None) => {}
                Ok(Some(push)) if !current.accounts.contains(&push.account) => left.unconfigured += 1,
                Ok(Some(push)) => {
                    let push = Arc::new(push);
                    let reading = reading_of(&push).await;
                    match current.store.keep_push(&push, &reading).await {
                        Ok(true) => {
                            self.outcome(&push, &reading);
                        }
                        Ok(false) => {}
                        // It must not keep those behind it from being moved.
                        Err(StoreError::Data { .. }) => {
                            left.unreadable += 1;
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    }
                    self.database_is_back();
                    let spool = spool.clone();
                    tokio::task::spawn_blocking(move || spool.remove(&file)).await??;
                    moved += 1;
                }
                Err(_) => left.unreadable += 1,
            }
        }
        if moved > 0 {
            tracing::info!(
                event = "spool_moved",
                moved,
                "CDR notifications were moved from the spool into the database"
            );
        }
        Ok(left)
    }
}

async fn read(file: PathBuf) -> Result<Result<Option<ReceivedPush>, SpoolError>, JoinError> {
    tokio::task::spawn_blocking(move || Spool::read(&file)).await
}

fn report(left: Left) {
    let Left { foreign, unreadable, unconfigured } = left;
    tracing::warn!(
        event = "spool_files_left",
        foreign,
        unreadable,
        unconfigured,
        "files in push.spool are left there: none of this program's, damaged, or of accounts that are not configured"
    );
}

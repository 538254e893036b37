//! One answer and what it proves, stored in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

pub use super::change::{Claim, Commit, Committed, RemovalRules};
use super::gap::{self, NewGap};
use super::ledger::{self, Locked};
use super::merge::{self, MergeParams, MergeSource, Merged};
use super::missing::{self, Removal, Shields};
use super::rejected;
use super::stage::{self, Folded};
use super::standstill::Watched;
use super::{
    Store, StoreError, lateness, recheck, retention, scope, sql, sql_as, standstill, twin, window_read,
};
use crate::cdr::{Cdr, CdrKey, Column, RejectReason, Rejected};
use crate::window::Window;

/// A conflict with another transaction is retried at once at most this many times.
const CONFLICTS: u32 = 5;

impl Store {
    /// Stores one answer, all or nothing. Repeating it changes nothing, so after [`StoreError::Away`], when it may or
    /// may not have happened, the caller waits and repeats it.
    ///
    /// Fails with [`StoreError::Fenced`] if another process leads the account. Records that PostgreSQL refuses are put
    /// into `cdr_sync.rejected`; the others are stored.
    pub async fn commit(&self, commit: &Commit<'_>) -> Result<Committed, StoreError> {
        let Some(typed) = self.typed(commit).await? else { return self.commit_as_is(commit).await };
        // An answer that contradicts the stored rows does not prove that a row is missing.
        let claims: Vec<Claim> =
            commit.claims.iter().map(|claim| Claim { may_mark: false, ..*claim }).collect();
        let typed = Commit { records: &typed, claims: &claims, ..commit.clone() };
        Ok(Committed { type_kept: true, ..self.commit_as_is(&typed).await? })
    }

    /// The records with the types of their rows, if no record of the answer has a Type but rows with the same CallIDs
    /// do: otherwise they would be stored a second time. A record that could belong to several legs is left out. `None`
    /// if there is nothing to change.
    async fn typed(&self, commit: &Commit<'_>) -> Result<Option<Vec<Cdr>>, StoreError> {
        self.in_time(async {
            if commit.records.is_empty()
                || commit.records.iter().any(|record| !record.key.call_type.is_empty())
            {
                return Ok(None);
            }
            let call_ids: Vec<&str> =
                commit.records.iter().map(|record| record.key.call_id.as_str()).collect();
            let mut tx = self.begin().await?;
            let stored: Vec<StoredLegs> = sql_as(
                // One lookup per CallID: for a large answer the planner would read the whole table.
                "select came.call_id, stored.types, stored.starts
             from (select distinct call_id from unnest($2::text[]) as came(call_id)) as came
             cross join lateral (
                 select array_agg(c.type) as types, array_agg(c.started_at) as starts from voicenter.cdr c
                 where c.account = (select $1) and c.call_id = came.call_id and c.removed_at is null
                 having bool_or(c.type <> '')
             ) as stored",
            )
            .bind(commit.account)
            .bind(&call_ids)
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            if stored.is_empty() {
                return Ok(None);
            }
            let stored: BTreeMap<&str, &StoredLegs> =
                stored.iter().map(|legs| (legs.call_id.as_str(), legs)).collect();
            let mut came = BTreeMap::<&str, usize>::new();
            call_ids.iter().for_each(|call_id| *came.entry(call_id).or_default() += 1);
            let typed =
                commit.records.iter().filter_map(|record| match stored.get(record.key.call_id.as_str()) {
                    None => Some(record.clone()),
                    Some(legs) => match (legs.types.as_slice(), legs.starts.as_slice()) {
                        ([only], [start]) if came.get(record.key.call_id.as_str()) == Some(&1) => {
                            // A record of another time is another leg, one that has no Type.
                            let same = *start == record.started_at;
                            let call_type = if same { only.clone() } else { String::new() };
                            Some(Cdr { key: CdrKey { call_type, ..record.key.clone() }, ..record.clone() })
                        }
                        _ => None,
                    },
                });
            Ok(Some(typed.collect()))
        })
        .await
    }

    async fn commit_as_is(&self, commit: &Commit<'_>) -> Result<Committed, StoreError> {
        let folded = stage::fold(commit.records);
        let mut rest = Rest { batch: self.speed.batch(), ..Rest::default() };
        let (mut done, mut conflicts) = (Committed::default(), 0);
        loop {
            let batch = folded.slice(rest.stored, rest.batch);
            let records = batch.winners.len();
            let is_last = rest.stored + records == folded.winners.len();
            match Box::pin(self.attempt(commit, &folded, &batch, is_last, rest.halving)).await {
                Err(StoreError::Data { .. }) if !rest.halving => rest.halving = true,
                Err(error) if error.is_conflict() && conflicts < CONFLICTS => conflicts += 1,
                Err(error) if error.is_too_slow() && records > 1 => rest.batch = self.speed.slower(records),
                Err(error) => return Err(error),
                Ok(stored) => {
                    rest.stored += records;
                    done.add(stored);
                    if is_last {
                        self.speed.faster(rest.batch);
                        return Ok(done);
                    }
                }
            }
        }
    }

    /// Stores a batch of the answer's records; the last batch also stores what the answer proves.
    async fn attempt(
        &self,
        commit: &Commit<'_>,
        whole: &Folded<'_>,
        batch: &Folded<'_>,
        is_last: bool,
        halving: bool,
    ) -> Result<Committed, StoreError> {
        let watched = Watched::new(stage::is_long(&batch.winners));
        commit.count.begins();
        let longest = self.statement_timeout * 2;
        let work = tokio::time::timeout(longest, async {
            let mut tx = self.begin_large().await?;
            watched.begins(&tx);
            let many = stage::is_large(&batch.winners);
            let source = if halving {
                MergeSource::Halving(&batch.winners)
            } else if many && stage::may_create_temporary_tables(&mut tx).await? {
                Box::pin(stage::copy(&mut tx, &batch.winners, &watched)).await?;
                MergeSource::Copied
            } else {
                MergeSource::Inline(&batch.winners)
            };
            let locking = ledger::lock(&mut tx, commit.account, commit.fence, commit.count);
            let locked = self.soon(locking).await?;
            let done = if is_last {
                // Boxed: many accounts wait for a connection above, and need no room for this yet.
                Box::pin(last_steps(&mut tx, commit, whole, batch, source, &locked)).await?
            } else {
                let commit = Commit { rejected: &[], ..commit.clone() };
                let done = Box::pin(store_records(&mut tx, &commit, batch, source, &locked)).await?;
                ledger::touch_cursor(&mut tx, commit.account, &locked).await?;
                done
            };
            let changed = done.inserted + done.updated + done.removed;
            let calls = self.fold_commit(&mut tx, commit.account, &locked, changed).await?;
            commit.count.ending();
            tx.commit().await?;
            commit.count.ended(locked.commits + 1);
            Ok(Committed { unfolded: calls.failed, calls_left: calls.error, ..done })
        });
        let done = tokio::select! {
            done = work => done.unwrap_or_else(|_| Err(match watched.has_begun() {
                false => StoreError::silent(longest),
                // PostgreSQL was working the whole time.
                true => StoreError::TooSlow(format!("more than {} s", longest.as_secs())),
            })),
            () = standstill::of(self, &watched) => {
                // If the connection is slow rather than dead, a smaller batch may get through.
                if batch.winners.len() > 1 {
                    self.speed.slower(batch.winners.len());
                }
                Err(StoreError::silent(standstill::SEEN_WITHIN))
            }
        };
        if done.as_ref().is_err_and(StoreError::is_unavailable) {
            self.trouble.note();
        }
        done
    }
}

/// The legs of a call that the table has.
#[derive(FromRow)]
struct StoredLegs {
    call_id: String,
    types: Vec<String>,
    starts: Vec<DateTime<Utc>>,
}

/// Which part of an answer is still to be stored, and how.
#[derive(Default)]
struct Rest {
    stored: usize,
    batch: usize,
    /// PostgreSQL refused a value: batches are halved to find the record at fault.
    halving: bool,
}

/// The steps that the comment at the head of `store.rs` lists, in that order.
async fn last_steps(
    conn: &mut PgConnection,
    commit: &Commit<'_>,
    whole: &Folded<'_>,
    batch: &Folded<'_>,
    source: MergeSource<'_>,
    locked: &Locked,
) -> Result<Committed, StoreError> {
    settle_twins(conn, commit).await?;
    let mut done = store_records(conn, commit, batch, source, locked).await?;
    close_gone(conn, commit, locked.stamp).await?;
    remove(conn, commit, whole, locked, &mut done).await?;
    if done.removed > 0 {
        done.updated_at = Some(locked.stamp);
    }
    write_ledger(conn, commit, locked, &mut done).await?;
    Ok(done)
}

/// Merges a batch and records what could not be stored.
async fn store_records(
    conn: &mut PgConnection,
    commit: &Commit<'_>,
    batch: &Folded<'_>,
    source: MergeSource<'_>,
    locked: &Locked,
) -> Result<Committed, StoreError> {
    let merged = merge_batch(conn, commit, batch, source, locked).await?;
    let lateness_error = match merged.inserted {
        0 => None,
        _ => lateness::note_records(conn, commit.account, commit.read_at, locked).await?,
    };
    let turned_away = record_rejected(conn, commit, batch, &merged, locked.stamp).await?;
    let handled = merged.inserted + merged.updated + (merged.flipped.len() + merged.refused.len()) as u64;
    Ok(Committed {
        lateness_error,
        inserted: merged.inserted,
        updated: merged.updated,
        returned: merged.returned,
        unchanged: (batch.winners.len() as u64).saturating_sub(handled),
        rejected: turned_away.rejected,
        duplicates: turned_away.duplicates,
        updated_at: (merged.inserted + merged.updated > 0).then_some(locked.stamp),
        compared: merged.compared,
        changed: merged.changed.clone(),
        fields_kept: merged.kept.iter().copied().collect(),
        members_kept: merged.members_kept.iter().cloned().collect(),
        ..Committed::default()
    })
}

async fn merge_batch(
    conn: &mut PgConnection,
    commit: &Commit<'_>,
    batch: &Folded<'_>,
    source: MergeSource<'_>,
    locked: &Locked,
) -> Result<Merged, StoreError> {
    if batch.winners.is_empty() {
        return Ok(Merged::default());
    }
    let absent = Column::ALL.into_iter().filter(|column| !commit.columns.contains(column)).collect();
    let known = commit.columns.iter().map(|column| column.field().to_lowercase());
    let own = ["callid", "type", "date"].map(str::to_owned).into_iter();
    let present: Vec<String> = commit.other_fields.iter().cloned().chain(known).chain(own).collect();
    let proof = ReadProof::of(commit);
    let unproven: Vec<&CdrKey> = proof.unproven(batch).collect();
    let terms = MergeParams {
        proven: &proof.windows,
        unproven: &unproven,
        account: commit.account,
        stamp: locked.stamp,
        history: commit.history,
        absent: &absent,
        ignored: commit.ignored,
        present: &present,
    };
    merge::merge(conn, &terms, source).await
}

/// What the absence of a record proves: in which windows it counts, and for which keys it does not.
struct ReadProof<'a> {
    windows: Vec<Window>,
    /// Keys on an earlier page, or of a record that could not be decoded.
    keys: BTreeSet<&'a CdrKey>,
}

/// Every record of the read that could not be decoded.
fn undecoded<'a>(commit: &Commit<'a>) -> impl Iterator<Item = &'a Rejected> + Clone {
    commit.rejected.iter().chain(commit.earlier_rejected)
}

impl<'a> ReadProof<'a> {
    fn of(commit: &Commit<'a>) -> Self {
        let proving = commit.claims.iter().filter(|claim| claim.may_mark).map(|claim| claim.window);
        // A record that cannot be identified may be any of those that seem to be missing.
        let all_known = undecoded(commit).all(|rejected| rejected.key.is_some());
        Self {
            windows: if all_known { proving.collect() } else { Vec::new() },
            keys: commit
                .earlier_keys
                .iter()
                .chain(undecoded(commit).filter_map(|rejected| rejected.key.as_ref()))
                .collect(),
        }
    }

    fn proves(&self, claim: &Claim) -> bool {
        self.windows.contains(&claim.window)
    }

    /// The answer's keys of which further records may exist unseen.
    fn unproven<'f>(&self, folded: &'f Folded<'_>) -> impl Iterator<Item = &'f CdrKey> {
        folded.winners.iter().map(|record| &record.key).filter(|key| self.keys.contains(key))
    }
}

struct RejectedRecords {
    rejected: u64,
    duplicates: u64,
}

/// Writes what was not stored into `cdr_sync.rejected`, and closes the entries of what now was.
async fn record_rejected(
    conn: &mut PgConnection,
    commit: &Commit<'_>,
    folded: &Folded<'_>,
    merged: &Merged,
    stamp: DateTime<Utc>,
) -> Result<RejectedRecords, StoreError> {
    let find = |key: &CdrKey| {
        folded.winners.binary_search_by(|winner| winner.key.cmp(key)).ok().and_then(|i| folded.winners.get(i))
    };
    let flipped: Vec<Rejected> =
        merged.flipped.iter().filter_map(find).map(|record| stage::duplicate(record)).collect();
    // What the answer itself shows at that Date is among the losers already.
    let superseded: Vec<Cdr> = twin::superseded(conn, commit.account, merged, stamp)
        .await?
        .into_iter()
        .filter(|old| {
            folded
                .losers
                .iter()
                .all(|loser| loser.key.as_ref() != Some(&old.key) || loser.started_at != Some(old.started_at))
        })
        .collect();
    let replaced: Vec<Rejected> = superseded.iter().map(stage::duplicate).collect();
    let refused: Vec<(Rejected, &str)> = merged
        .refused
        .iter()
        .filter_map(|(key, code)| {
            Some((stage::rejected(find(key)?, RejectReason::Unstorable), code.as_str()))
        })
        .collect();
    let plain = commit.rejected.iter().chain(&folded.losers).chain(&flipped);
    let plain = plain.chain(&replaced).map(|rejected| (rejected, None));
    let unstorable = refused.iter().map(|(rejected, code)| (rejected, Some(*code)));
    let all: Vec<_> = plain.chain(unstorable).collect();
    let kept_out: Vec<&Cdr> = merged.flipped.iter().filter_map(find).copied().collect();
    twin::note(conn, commit.account, commit.read_at, &kept_out, &superseded).await?;
    rejected::record(conn, commit.account, commit.read_at, &all).await?;
    let stored = folded.winners.iter().copied().filter(|record| {
        !merged.flipped.contains(&record.key) && merged.refused.iter().all(|(key, _)| *key != record.key)
    });
    rejected::close_stored(conn, commit.account, stamp, stored, &all).await?;
    let duplicates = all.iter().filter(|(r, _)| r.reason == RejectReason::DuplicateKey).count() as u64;
    Ok(RejectedRecords { rejected: all.len() as u64 - duplicates, duplicates })
}

/// Decides about the dates inside the claims, before this answer's own doubts are noted: only a later read may decide
/// those.
async fn settle_twins(conn: &mut PgConnection, commit: &Commit<'_>) -> Result<(), StoreError> {
    let proof = ReadProof::of(commit);
    let shielded: Vec<&CdrKey> = proof.keys.iter().copied().collect();
    for claim in commit.claims {
        twin::settle(conn, commit.account, claim, proof.proves(claim), &shielded).await?;
    }
    Ok(())
}

/// Closes the duplicates that the claimed windows no longer show.
async fn close_gone(
    conn: &mut PgConnection,
    commit: &Commit<'_>,
    stamp: DateTime<Utc>,
) -> Result<(), StoreError> {
    let proof = ReadProof::of(commit);
    // What an earlier page showed was seen since the claim's first request.
    let shielded: Vec<&CdrKey> = undecoded(commit).filter_map(|rejected| rejected.key.as_ref()).collect();
    for claim in commit.claims.iter().filter(|claim| proof.proves(claim)) {
        rejected::close_gone(conn, commit.account, claim, &shielded, stamp).await?;
    }
    Ok(())
}

/// Clears doubts about rows that were returned and follows up on those about rows that were not.
async fn remove(
    conn: &mut PgConnection,
    commit: &Commit<'_>,
    folded: &Folded<'_>,
    locked: &Locked,
    done: &mut Committed,
) -> Result<(), StoreError> {
    missing::forget_returned(conn, commit.account, &folded.winners).await?;
    let oldest = folded.winners.iter().map(|record| record.started_at).min();
    let mut horizon = locked.horizon;
    if let Some(oldest) = oldest {
        missing::note_older(conn, commit.account, oldest, commit.read_at).await?;
        if horizon.is_some_and(|floor| oldest < floor) {
            missing::move_horizon(conn, commit.account, oldest).await?;
            (horizon, done.horizon) = (Some(oldest), Some(oldest));
        }
    }
    // What retention deletes is neither missing nor gone.
    horizon = horizon.max(locked.kept_from);
    let shields = Shields::of(undecoded(commit));
    let seen: BTreeSet<&CdrKey> =
        folded.winners.iter().map(|record| &record.key).chain(commit.earlier_keys).collect();
    let proof = ReadProof::of(commit);
    for claim in commit.claims.iter().filter(|claim| locked.unscoped && proof.proves(claim)) {
        scope::has_read(conn, commit.account, claim.window, &seen).await?;
    }
    for claim in commit.claims.iter().filter(|claim| claim.may_mark) {
        let removal = Removal {
            account: commit.account,
            rules: commit.removal,
            history: commit.history,
            claim,
            seen: &seen,
            earlier_keys: commit.earlier_keys,
            confirmed_gone: commit.confirmed_gone,
            has_records: !commit.records.is_empty(),
            oldest,
            shields: &shields,
            stamp: locked.stamp,
            horizon,
        };
        let found = removal.judge(conn).await?;
        done.removed += found.removed;
        done.missing_new += found.new;
        done.suspicious |= found.suspicious;
        if found.horizon.is_some() {
            (horizon, done.horizon) = (found.horizon, found.horizon);
        }
    }
    Ok(())
}

/// Writes gaps, coverage, cursor, `window_read` and account.
async fn write_ledger(
    conn: &mut PgConnection,
    commit: &Commit<'_>,
    locked: &Locked,
    done: &mut Committed,
) -> Result<(), StoreError> {
    done.kept_from = retention::raise(conn, commit.account, commit.read_at).await?;
    let kept = |window: Window| done.kept_from.map_or(Some(window), |floor| window.since(floor));
    let closed: Vec<Window> = commit.close_gaps.iter().copied().filter_map(kept).collect();
    let opened = commit.open_gaps.iter().filter_map(|gap| Some(NewGap { window: kept(gap.window)?, ..*gap }));
    gap::write(conn, commit.account, commit.read_at, &closed, &opened.collect::<Vec<_>>()).await?;
    let (before, after) = ledger::write_coverage(
        conn,
        commit.account,
        commit.lowered,
        commit.claims,
        commit.uncover,
        done.kept_from,
    )
    .await?;
    let error = lateness::note_missed_reads(conn, commit.account, &before, commit.claims, locked).await?;
    done.lateness_error = done.lateness_error.take().or(error);
    done.coverage = after;
    done.cursor = ledger::write_cursor(conn, commit.account, &done.coverage, locked, done.updated_at).await?;
    done.rechecks = recheck::rechecks(conn, commit.account).await?;
    if let Some(read) = &commit.window_read {
        window_read::write(conn, commit.account, read, done).await?;
    }
    sql("update cdr_sync.account
         set last_success_at = case when $2 then greatest(last_success_at, $3) else last_success_at end,
             knowledge = coalesce($4, knowledge)
         where name = $1 and ($2 and last_success_at is distinct from $3 or knowledge is distinct from coalesce($4, knowledge))")
        .bind(commit.account)
        .bind(!commit.claims.is_empty())
        .bind(commit.read_at)
        .bind(commit.knowledge)
        .execute(conn)
        .await?;
    Ok(())
}

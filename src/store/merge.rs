//! The merge of staged records into `voicenter.cdr`: unchanged rows are read and left alone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::{StoreError, span, stage};
use crate::cdr::{Cdr, CdrKey, Column, Kind};
use crate::window::Window;

/// Where the merge statement finds the records.
#[derive(Clone, Copy, Debug)]
pub(super) enum MergeSource<'a> {
    Inline(&'a [&'a Cdr]),
    /// Inline, after PostgreSQL refused some: the batch is halved, and what it accepts is stored.
    Halving(&'a [&'a Cdr]),
    Copied,
}

/// The parameters of a merge besides the records.
#[derive(Debug)]
pub(super) struct MergeParams<'a> {
    pub account: &'a str,
    /// The `updated_at` of every row it changes.
    pub stamp: DateTime<Utc>,
    /// Keeps replaced versions. One whose Date changes is always kept.
    pub history: bool,
    /// Columns that no record of the answer had: their stored values stay.
    pub absent: &'a BTreeSet<Column>,
    /// Fields, in lower case, whose changes alone do not rewrite a row.
    pub ignored: &'a [String],
    /// Every field that a record of the answer had, in lower case: members of `extra` beyond these stay.
    pub present: &'a [String],
    /// Windows whose reading this answer completes: a row in them that it does not show is gone …
    pub proven: &'a [Window],
    /// … except for these keys, which an earlier page showed or an undecodable record may hold.
    pub unproven: &'a [&'a CdrKey],
}

/// The counts and findings of a merge.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Merged {
    pub inserted: u64,
    /// Rows written, returned ones included.
    pub updated: u64,
    /// Rows that had been marked removed.
    pub returned: u64,
    /// Rows that the records were compared with.
    pub compared: u64,
    /// The number of compared rows in which each column had changed.
    pub changed: BTreeMap<String, u64>,
    /// Absent columns for which a stored row holds a value.
    pub kept: BTreeSet<Column>,
    /// Members of `extra` that no record of the answer had and that were kept.
    pub members_kept: BTreeSet<String>,
    /// Keys whose row has a later Date and is not known to be gone: left unchanged.
    pub flipped: BTreeSet<CdrKey>,
    /// Keys whose row had an earlier Date and is not known to be gone: replaced.
    pub superseded: BTreeSet<CdrKey>,
    /// Keys that PostgreSQL refused, with the SQLSTATE.
    pub refused: Vec<(CdrKey, String)>,
}

impl Merged {
    fn add(&mut self, other: Merged) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.returned += other.returned;
        self.compared += other.compared;
        other.changed.into_iter().for_each(|(column, rows)| *self.changed.entry(column).or_default() += rows);
        self.kept.extend(other.kept);
        self.members_kept.extend(other.members_kept);
        self.flipped.extend(other.flipped);
        self.superseded.extend(other.superseded);
        self.refused.extend(other.refused);
    }
}

pub(super) async fn merge(
    conn: &mut PgConnection,
    terms: &MergeParams<'_>,
    source: MergeSource<'_>,
) -> Result<Merged, StoreError> {
    match source {
        MergeSource::Inline(records) => merge_at_once(conn, terms, Some(records)).await,
        MergeSource::Copied => merge_at_once(conn, terms, None).await,
        MergeSource::Halving(records) => merge_halving(conn, terms, records).await,
    }
}

/// Merges all records in one statement: these, or those in `pg_temp.staged`.
async fn merge_at_once(
    conn: &mut PgConnection,
    terms: &MergeParams<'_>,
    inline: Option<&[&Cdr]>,
) -> Result<Merged, StoreError> {
    let query = sqlx::query(AssertSqlSafe(statement(inline.is_some(), terms)))
        .persistent(false)
        .bind(terms.account)
        .bind(terms.stamp)
        .bind(terms.history)
        .bind(terms.present)
        .bind(terms.proven.iter().copied().map(span).collect::<Vec<_>>())
        .bind(terms.unproven.iter().map(|key| key.call_id.as_str()).collect::<Vec<_>>())
        .bind(terms.unproven.iter().map(|key| key.call_type.as_str()).collect::<Vec<_>>())
        .bind(terms.ignored);
    let row = match inline {
        Some(records) => {
            stage::as_arrays(records)
                .into_iter()
                .fold(query, |query, column| query.bind(column))
                .fetch_one(conn)
                .await?
        }
        None => query.fetch_one(conn).await?,
    };
    let count = |name: &str| row.try_get::<i64, _>(name).map(i64::unsigned_abs);
    let names: Vec<String> = row.try_get("kept")?;
    let members: Vec<String> = row.try_get("members_kept")?;
    let changed: Vec<String> = row.try_get("changed_columns")?;
    let changes: Vec<i64> = row.try_get("changed_rows")?;
    let keys = |call_ids: &str, types: &str| -> Result<BTreeSet<CdrKey>, StoreError> {
        let call_ids: Vec<String> = row.try_get(call_ids)?;
        let types: Vec<String> = row.try_get(types)?;
        let key = |(call_id, call_type)| CdrKey { call_id, call_type };
        Ok(call_ids.into_iter().zip(types).map(key).collect())
    };
    Ok(Merged {
        inserted: count("inserted")?,
        updated: count("updated")?,
        returned: count("returned")?,
        compared: count("compared")?,
        changed: changed.into_iter().zip(changes.into_iter().map(i64::unsigned_abs)).collect(),
        kept: terms.absent.iter().copied().filter(|c| names.iter().any(|name| name == c.name())).collect(),
        members_kept: members.into_iter().collect(),
        flipped: keys("flipped_call_ids", "flipped_types")?,
        superseded: keys("superseded_call_ids", "superseded_types")?,
        refused: Vec::new(),
    })
}

/// Merges what PostgreSQL accepts: a batch that it refuses for its data is halved, down to the record at fault.
async fn merge_halving(
    conn: &mut PgConnection,
    terms: &MergeParams<'_>,
    records: &[&Cdr],
) -> Result<Merged, StoreError> {
    let mut done = Merged::default();
    let mut parts = vec![records];
    while let Some(part) = parts.pop() {
        sqlx::raw_sql("savepoint part").execute(&mut *conn).await?;
        match (merge_at_once(conn, terms, Some(part)).await, part) {
            (Ok(merged), _) => {
                sqlx::raw_sql("release savepoint part").execute(&mut *conn).await?;
                done.add(merged);
                continue;
            }
            (Err(StoreError::Data { code }), [one]) => done.refused.push((one.key.clone(), code)),
            (Err(StoreError::Data { .. }), many) => {
                let (left, right) = many.split_at(many.len() / 2);
                parts.extend([right, left]);
            }
            (Err(other), _) => return Err(other),
        }
        sqlx::raw_sql("rollback to savepoint part").execute(&mut *conn).await?;
    }
    Ok(done)
}

/// `prefix.name` for each record column that passes, joined by commas.
fn list(prefix: &str, keep: impl Fn(&str) -> bool) -> String {
    let names = Cdr::COLUMNS.iter().filter(|(name, _)| keep(name));
    names.map(|(name, _)| format!("{prefix}{name}")).collect::<Vec<_>>().join(", ")
}

/// The record columns as [`super::row::cdr_from_row`] reads them.
pub(super) fn readable_row() -> String {
    let numeric = Kind::Numeric.sql_type();
    // As text: no Rust type holds all digits.
    Cdr::COLUMNS
        .map(|(name, kind)| if kind == numeric { format!("{name}::text") } else { name.to_owned() })
        .join(", ")
}

/// All columns of `voicenter.cdr` that this program knows, each with `prefix`.
///
/// Spelt out wherever a row is copied, so that a newer schema may add columns.
pub(super) fn row(prefix: &str) -> String {
    let own = ["first_seen_at", "updated_at", "removed_at"].map(|name| format!("{prefix}{name}")).join(", ");
    format!("{prefix}account, {}, {own}", list(prefix, |_| true))
}

/// `extra` as it would be stored: the record's members, each under the name that the row has for it in any case, and
/// the row's members that no record of the answer has a field for. `DateEpoch`, which earlier versions kept, is
/// dropped.
///
/// Almost always the row has none, or the same.
const EXTRA: &str = "case when stored_extra is null or stored_extra = s.extra then s.extra else nullif(
    coalesce((select jsonb_object_agg(coalesce(o.key, n.key), n.value)
              from jsonb_each(s.extra) n
              left join jsonb_each(stored_extra) o on lower(o.key) = lower(n.key)), '{}')
    || coalesce((select jsonb_object_agg(o.key, o.value)
                 from jsonb_each(stored_extra) o
                 where $unknown), '{}'), '{}') end";

/// A member `o` of a stored `extra` that no record of the answer has a field for. Names are compared as they are first:
/// that is cheap and mostly enough.
const UNKNOWN: &str = "lower(o.key) <> all ($4 || '{dateepoch}'::text[])
    and regexp_replace(lower(o.key), '#[0-9]+$', '') <> all ($4 || '{dateepoch}'::text[])";

fn extra(stored: &str) -> String {
    EXTRA.replace("stored_extra", stored).replace("$unknown", UNKNOWN)
}

/// `extra` as it is compared: quotes around a scalar and the case of names are form, not content.
fn loose(extra: &str) -> String {
    format!(
        "(select jsonb_object_agg(lower(key), case jsonb_typeof(value)
                      when 'number' then to_jsonb(trim_scale((value #>> '{{}}')::numeric)::text)
                      when 'boolean' then to_jsonb(value #>> '{{}}')
                      else value end)
          from jsonb_each({extra}) where lower(key) <> all ($8 || '{{dateepoch}}'::text[]))"
    )
}

/// The merge statement: $1 account, $2 stamp, $3 history, $4 the names of the answer's fields, $5 the windows
/// that it proves, except for the keys $6 and $7, $8 the fields whose changes are ignored; from $9 on the records, when
/// inline.
///
/// Made of fixed names only. Every part sees the table as it was before the statement.
fn statement(inline: bool, terms: &MergeParams<'_>) -> String {
    let absent = terms.absent;
    let is_absent = |name: &str| absent.iter().any(|column| column.name() == name);
    let is_key = |name: &str| matches!(name, "call_id" | "type");
    let content = |prefix| list(prefix, |name| !is_key(name) && !is_absent(name) && name != "extra");
    let is_ignored = |name: &str| {
        Column::ALL.iter().any(|c| c.name() == name && terms.ignored.contains(&c.field().to_lowercase()))
    };
    let is_compared = |name: &str| !is_key(name) && !is_absent(name) && name != "extra" && !is_ignored(name);
    let (staged_cte, staged) =
        if inline { (inline_cte(), "staged") } else { (String::new(), "pg_temp.staged") };
    let held: String = absent.iter().map(|c| format!(", c.{0} is not null as held_{0}", c.name())).collect();
    format!(
        "with {staged_cte} matched as materialized (
    -- Each record beside the row that it would replace: the only pass over all of them.
    select s.call_id, s.type, c.started_at as stored_started_at,
           c.call_id is null as is_new,
           c.removed_at is not null as was_removed, c.extra as stored_extra,
           ({staged_content}) is distinct from ({stored_content})
           or case when s.extra is distinct from c.extra then {loose_new} is distinct from {loose_stored} else false end
               as differs{held}
    from {staged} s
    -- The limit keeps this an index lookup a record also while the table has no statistics yet: during the first
    -- backfill the planner would else read the whole account for every answer. The planner must not learn the account
    -- either: of one that came after the last ANALYZE it expects no row, and would read all of them for each record.
    left join lateral (
        select * from voicenter.cdr c where c.account = (select $1) and c.call_id = s.call_id and c.type = s.type limit 1
    ) c on true
), judged as materialized (
    select m.is_new, m.was_removed, m.stored_started_at, {staged_all}, {extra} as extra,
           -- Another Date: a record that moved, or two that share a key. If the row is known to be gone, this is the
           -- record now; else the later of them stands in the row (below zero: the stored one), and both dates are
           -- read again.
           case when m.is_new or m.was_removed or s.started_at = m.stored_started_at then 0
                when exists (select from cdr_sync.earlier_scope e
                             where e.account = $1 and e.call_id = s.call_id and e.type = s.type) then 0
                when exists (select from cdr_sync.unscoped u
                             join voicenter.cdr c on c.account = (select $1) and c.call_id = s.call_id and c.type = s.type
                             where u.account = $1 and u.span @> m.stored_started_at and c.first_seen_at < u.since) then 0
                when exists (select from cdr_sync.missing x
                             where x.account = $1 and x.call_id = s.call_id and x.type = s.type
                               and x.started_at = m.stored_started_at) then 0
                when m.stored_started_at <@ any ($5::tstzrange[])
                     and not exists (select from unnest($6::text[], $7::text[]) u(call_id, type)
                                     where u.call_id = s.call_id and u.type = s.type) then 0
                when s.started_at < m.stored_started_at then -1
                else 1 end as dispute
    from matched m
    join {staged} s on s.call_id = m.call_id and s.type = m.type
    where m.is_new or m.was_removed or m.differs
), inserted as (
    insert into voicenter.cdr (account, {all}, first_seen_at, updated_at)
    select $1, {all}, $2, $2 from judged where is_new order by call_id, type
    on conflict do nothing
    returning started_at
), replaced as (
    insert into voicenter.cdr_history ({row}, valid_from, valid_to)
    select {stored_row}, c.updated_at, $2
    from judged j
    join voicenter.cdr c on c.account = (select $1) and c.call_id = j.call_id and c.type = j.type
    where not j.is_new and j.dispute >= 0 and ($3 or c.started_at <> j.started_at)
), updated as (
    update voicenter.cdr c
    set ({plain_content}, extra, removed_at, updated_at) = row({judged_content}, j.extra, null, $2)
    from judged j
    where c.account = (select $1) and c.call_id = j.call_id and c.type = j.type and not j.is_new and j.dispute >= 0
    returning j.was_removed, j.started_at, j.stored_started_at
), counted as (
    -- How many rows stand on each day: the rows that somebody else deletes are noticed by it.
    insert into cdr_sync.day as d (account, day, rows)
    select $1, day, sum(rows) from (
        select (started_at at time zone 'UTC')::date as day, 1 as rows from inserted
        union all
        select (u.started_at at time zone 'UTC')::date, 1 from updated u
        union all
        select (u.stored_started_at at time zone 'UTC')::date, -1 from updated u
    ) as changes
    group by day having sum(rows) <> 0 order by day
    on conflict (account, day) do update set rows = d.rows + excluded.rows
), changed as (
    -- Few rows change; which of their columns did shows a field that is new at each read.
    select change.name, count(*) as rows
    from judged j
    join voicenter.cdr c on c.account = (select $1) and c.call_id = j.call_id and c.type = j.type
    cross join lateral unnest(array[{changes}]) as change(name)
    where not j.is_new and not j.was_removed and change.name is not null
    group by change.name
)
select (select count(*) from inserted) as inserted,
       (select count(*) from matched where not is_new) as compared,
       (select coalesce(array_agg(name order by name), '{{}}') from changed) as changed_columns,
       (select coalesce(array_agg(rows order by name), '{{}}') from changed) as changed_rows,
       (select count(*) from updated) as updated,
       (select count(*) from updated where was_removed) as returned,
       {kept} as kept,
       (select coalesce(array_agg(distinct o.key), '{{}}')
        from matched m, jsonb_each(m.stored_extra) o
        where {UNKNOWN}) as members_kept,
       {flipped}, {superseded}",
        flipped = key_arrays("flipped", "dispute < 0"),
        superseded = key_arrays("superseded", "dispute > 0"),
        staged_content = list("s.", is_compared),
        stored_content = list("c.", is_compared),
        changes = changes(|name| !is_key(name) && !is_absent(name)),
        judged_content = content("j."),
        plain_content = content(""),
        all = list("", |_| true),
        staged_all = list("s.", |name| name != "extra"),
        extra = extra("m.stored_extra"),
        loose_new = loose(&extra("c.extra")),
        loose_stored = loose("c.extra"),
        row = row(""),
        stored_row = row("c."),
        kept = kept_expression(absent),
    )
}

/// The names of the columns that differ between a judged record and its row, null for each that does not.
fn changes(is_wanted: impl Fn(&str) -> bool) -> String {
    let names = Cdr::COLUMNS.iter().map(|(name, _)| name).filter(|name| is_wanted(name));
    let change = |name| format!("case when j.{name} is distinct from c.{name} then '{name}' end");
    names.map(change).collect::<Vec<_>>().join(", ")
}

/// The keys of the judged records that pass, as two arrays.
fn key_arrays(name: &str, condition: &str) -> String {
    ["call_id", "type"]
        .map(|part| {
            format!(
                "(select coalesce(array_agg({part} order by call_id, type), '{{}}') from judged where {condition})
                     as {name}_{part}s"
            )
        })
        .join(", ")
}

/// The absent columns for which a matched row holds a value, as an array of their names.
fn kept_expression(absent: &BTreeSet<Column>) -> String {
    if absent.is_empty() {
        return "'{}'::text[]".to_owned();
    }
    let names: Vec<String> = absent
        .iter()
        .map(|column| format!("case when bool_or(held_{0}) then '{0}' end", column.name()))
        .collect();
    format!("(select array_remove(array[{}], null) from matched)", names.join(", "))
}

/// The records out of the parameters from $9 on, an array of texts for each column.
fn inline_cte() -> String {
    let arrays: Vec<String> = (9..).take(Cdr::COLUMNS.len()).map(|n| format!("${n}::text[]")).collect();
    format!(
        "staged as materialized (
    select {typed}
    from unnest({arrays}) as sent({names})
),",
        typed = Cdr::COLUMNS.map(|(name, kind)| format!("{name}::{kind} as {name}")).join(", "),
        arrays = arrays.join(", "),
        names = list("", |_| true),
    )
}

-- The two schemas: voicenter for readers, cdr_sync for the daemon.
-- Every table and column says in a COMMENT what it means. PostgreSQL 13 or newer, no extension.

create schema if not exists voicenter;
comment on schema voicenter is 'Voicenter''s call detail records, for readers. Written by cdr-sync alone.';

create table voicenter.cdr (
    account            text        not null,
    call_id            text        not null,
    type               text        not null default '',
    cdr_type           integer,
    started_at         timestamptz not null,
    duration_seconds   integer,
    ring_seconds       integer,
    caller_number      text,
    caller_extension   text,
    target_number      text,
    target_extension   text,
    target_prefix_name text,
    did                text,
    dial_status        text,
    dial_status2       text,
    queue_name         text,
    department_id      text,
    department_name    text,
    representative_code text,
    representative_name text,
    user_id            text,
    user_name          text,
    price              numeric,
    record_url         text,
    record_expected    boolean,
    dtmf_data          jsonb,
    custom_data        jsonb,
    extra              jsonb,
    first_seen_at      timestamptz not null,
    updated_at         timestamptz not null,
    removed_at         timestamptz,
    -- The two legs of a call share the CallID; Type tells them apart.
    constraint cdr_pkey primary key (account, call_id, type),
    -- Keeps every key well within what an index entry can hold, here and in cdr_history.
    constraint cdr_key_size check (octet_length(account) <= 200 and octet_length(call_id) + octet_length(type) <= 2000)
);

-- Reports by time, and every comparison of a window with what is stored.
create index cdr_started_at_idx on voicenter.cdr (account, started_at);
-- Readers that follow changes: account = A and updated_at > (last seen for A). It rules out HOT updates, so a lower
-- fillfactor would buy nothing: pages are packed full.
create index cdr_updated_at_idx on voicenter.cdr (account, updated_at);
-- Rows are mostly inserted and then left alone. The defaults would wait for 20 % new rows before the newest pages are
-- marked all-visible and 10 % before the planner knows the newest days: on a table of years that is weeks.
alter table voicenter.cdr set (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

comment on table voicenter.cdr is 'One row for each call detail record (CDR): an exact mirror of what the Voicenter API returns. A call has several rows when it has several legs.';
comment on column voicenter.cdr.account is 'The account''s name in the configuration of cdr-sync.';
comment on column voicenter.cdr.call_id is 'CallID. The two legs of one call share it.';
comment on column voicenter.cdr.type is 'Type, such as Incoming Call or Click2Call leg1; empty when absent. With call_id it identifies the record.';
comment on column voicenter.cdr.cdr_type is 'CdrType: the number behind type.';
comment on column voicenter.cdr.started_at is 'Date: when the call started.';
comment on column voicenter.cdr.duration_seconds is 'Duration: how long the call was talked, in seconds.';
comment on column voicenter.cdr.ring_seconds is 'RingTime: how long it rang, in seconds.';
comment on column voicenter.cdr.caller_number is 'CallerNumber.';
comment on column voicenter.cdr.caller_extension is 'CallerExtension: the SIP name.';
comment on column voicenter.cdr.target_number is 'TargetNumber.';
comment on column voicenter.cdr.target_extension is 'TargetExtension: the SIP name.';
comment on column voicenter.cdr.target_prefix_name is 'TargetPrefixName: the destination''s country or operator.';
comment on column voicenter.cdr.did is 'DID: the number of the account that was dialled.';
comment on column voicenter.cdr.dial_status is 'DialStatus, such as ANSWER or NOANSWER: text, not a closed list.';
comment on column voicenter.cdr.dial_status2 is 'DialStatus2: the status of a second leg.';
comment on column voicenter.cdr.queue_name is 'QueueName.';
comment on column voicenter.cdr.department_id is 'DepartmentId.';
comment on column voicenter.cdr.department_name is 'DepartmentName.';
comment on column voicenter.cdr.representative_code is 'RepresentativeCode.';
comment on column voicenter.cdr.representative_name is 'RepresentativeName.';
comment on column voicenter.cdr.user_id is 'UserId.';
comment on column voicenter.cdr.user_name is 'UserName.';
comment on column voicenter.cdr.price is 'Price as sent, in agorot (1/100 ILS).';
comment on column voicenter.cdr.record_url is 'RecordURL: where the recording is; may be filled in some time after the call.';
comment on column voicenter.cdr.record_expected is 'RecordExpect: whether a recording will come.';
comment on column voicenter.cdr.dtmf_data is 'DTMFData: the keys pressed in menus, an array.';
comment on column voicenter.cdr.custom_data is 'CustomData: an object; OriginalIvrUniqueID links a transferred call to its original.';
comment on column voicenter.cdr.extra is 'Every field without a column, and every value that its column cannot hold, under its own name; null when there is none.';
comment on column voicenter.cdr.first_seen_at is 'When the row was first stored.';
comment on column voicenter.cdr.updated_at is 'When the row last changed. Rows changed by one answer share it; within an account it only grows with each commit, so "account = A and updated_at > last seen" misses nothing.';
comment on column voicenter.cdr.removed_at is 'When the API was first seen without the record; null while the API returns it.';

create table voicenter.cdr_history (
    like voicenter.cdr,
    valid_from timestamptz not null,
    valid_to   timestamptz not null,
    -- Also answers whether a record had a given Date before.
    constraint cdr_history_pkey primary key (account, call_id, type, valid_from)
);
comment on table voicenter.cdr_history is 'Replaced versions of voicenter.cdr: the row as it was from valid_from until valid_to.';
comment on column voicenter.cdr_history.valid_from is 'Since when this version stood in voicenter.cdr (its updated_at).';
comment on column voicenter.cdr_history.valid_to is 'When it was replaced (the updated_at of the version that followed).';
-- The shared columns say the same as in voicenter.cdr.
do $$
declare
    shared record;
begin
    for shared in
        select a.attname as name, col_description(a.attrelid, a.attnum) as text
        from pg_attribute a
        where a.attrelid = 'voicenter.cdr'::regclass and a.attnum > 0 and not a.attisdropped
    loop
        execute format('comment on column voicenter.cdr_history.%I is %L', shared.name, shared.text);
    end loop;
end
$$;

comment on schema cdr_sync is 'The ledger of cdr-sync: what was read, what is missing, who leads. Not for readers.';
comment on table cdr_sync.migration is 'The migrations of this database, in the order in which they were applied.';
comment on column cdr_sync.migration.name is 'The file''s name without its ending.';
comment on column cdr_sync.migration.checksum is 'SHA-256 of its text, in hexadecimal.';
comment on column cdr_sync.migration.applied_at is 'When it was applied.';

create table cdr_sync.installation (
    only_one   boolean     primary key default true check (only_one),
    salt       bytea       not null,
    created_at timestamptz not null default clock_timestamp()
);
comment on table cdr_sync.installation is 'One row: what is particular to this database.';
comment on column cdr_sync.installation.only_one is 'Always true: keeps the table at one row.';
comment on column cdr_sync.installation.salt is 'Random bytes mixed into the fingerprints of credentials, so that the fingerprints tell nothing.';
comment on column cdr_sync.installation.created_at is 'When the database was first migrated.';
insert into cdr_sync.installation (salt)
values (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

-- No foreign keys among the ledger's tables: each would lock the account's row at every insert, at every poll.
create table cdr_sync.account (
    name            text        primary key check (octet_length(name) between 1 and 200),
    scope           jsonb       not null,
    scope_since     timestamptz not null,
    history_start   timestamptz not null,
    knowledge       jsonb,
    horizon         timestamptz,
    last_success_at timestamptz,
    last_error      text,
    last_error_at   timestamptz,
    paused_until    timestamptz
);
comment on table cdr_sync.account is 'The accounts that were ever synced, and how they fare.';
comment on column cdr_sync.account.name is 'The account''s name in the configuration.';
comment on column cdr_sync.account.scope is 'What is read: url, timezone and the criteria of the configuration. When it changes, everything is read again.';
comment on column cdr_sync.account.scope_since is 'Since when this scope holds.';
comment on column cdr_sync.account.history_start is 'How far back history is filled: fixed at the first start unless the configuration names a start.';
comment on column cdr_sync.account.knowledge is 'What was learned of this account''s API: record limit, precision of dates, lateness and the like. Its writer versions it.';
comment on column cdr_sync.account.horizon is 'The vendor''s own floor: older records are no longer returned, and nothing older is marked removed. Null until learned.';
comment on column cdr_sync.account.last_success_at is 'Start of the last request whose window was read completely and stored.';
comment on column cdr_sync.account.last_error is 'What last went wrong; stays for reference after it was mended.';
comment on column cdr_sync.account.last_error_at is 'When it went wrong.';
comment on column cdr_sync.account.paused_until is 'Until when nothing is asked for this account, for instance because the API refuses the credential.';

create table cdr_sync.cursor (
    account      text   primary key,
    fence        bigint not null default 0,
    history_from timestamptz,
    synced_until timestamptz,
    updated_at   timestamptz not null default '-infinity',
    check (history_from < synced_until)
);
comment on table cdr_sync.cursor is 'Per account, derived from coverage in the same transaction. Every commit locks its row.';
comment on column cdr_sync.cursor.account is 'The account.';
comment on column cdr_sync.cursor.fence is 'The leader''s number: a commit that brings another one is refused, for a newer leader has taken over.';
comment on column cdr_sync.cursor.history_from is 'Everything from here to synced_until was read completely at least once or stands as an open gap.';
comment on column cdr_sync.cursor.synced_until is 'The first instant that was not read yet.';
comment on column cdr_sync.cursor.updated_at is 'The last updated_at given out in voicenter.cdr for this account.';

create table cdr_sync.coverage (
    account text      not null,
    span    tstzrange not null check (not isempty(span) and lower_inc(span) and not upper_inc(span)),
    tier    interval  not null check (tier >= interval '0'),
    primary key (account, span)
);
comment on table cdr_sync.coverage is 'Which stretches of time have been read completely. Stretches never overlap; equal neighbours are one row, so it stays small.';
comment on column cdr_sync.coverage.account is 'The account.';
comment on column cdr_sync.coverage.span is 'The stretch, from inclusive, to exclusive.';
comment on column cdr_sync.coverage.tier is 'The highest re-read age it was served: 0 after a first read, then the ages of sync.reconcile.';

create table cdr_sync.window_read (
    account    text        not null,
    started_at timestamptz not null,
    lane       text        not null,
    span       tstzrange   not null,
    reason     text        not null,
    outcome    text        not null,
    reads      integer     not null default 1,
    requests   integer     not null,
    seen       bigint      not null,
    inserted   bigint      not null,
    updated    bigint      not null,
    unchanged  bigint      not null,
    removed    bigint      not null,
    rejected   bigint      not null,
    elapsed    interval    not null,
    -- The order in which it is listed and compacted; the same read stored twice is one row.
    primary key (account, started_at, lane, span)
);
comment on table cdr_sync.window_read is 'Each window read; after 14 days a row an hour and lane.';
comment on column cdr_sync.window_read.account is 'The account.';
comment on column cdr_sync.window_read.started_at is 'When its first request started; the full hour in a summed row.';
comment on column cdr_sync.window_read.lane is 'live, asked, reconcile or backfill.';
comment on column cdr_sync.window_read.span is 'What was read; in a summed row from the earliest to the latest instant.';
comment on column cdr_sync.window_read.reason is 'Why it was read.';
comment on column cdr_sync.window_read.outcome is 'How it ended; summed in a row that stands for an hour.';
comment on column cdr_sync.window_read.reads is 'How many reads the row stands for.';
comment on column cdr_sync.window_read.requests is 'Requests made, retries included.';
comment on column cdr_sync.window_read.seen is 'Records in the answers.';
comment on column cdr_sync.window_read.inserted is 'Rows that were new.';
comment on column cdr_sync.window_read.updated is 'Rows whose content changed or that came back.';
comment on column cdr_sync.window_read.unchanged is 'Records that stood in the table already.';
comment on column cdr_sync.window_read.removed is 'Rows marked removed.';
comment on column cdr_sync.window_read.rejected is 'Records that could not be stored.';
comment on column cdr_sync.window_read.elapsed is 'From the first request to the commit.';

create table cdr_sync.gap (
    id            bigint generated always as identity primary key,
    account       text        not null,
    span          tstzrange   not null check (not isempty(span) and lower_inc(span) and not upper_inc(span)),
    reason        text        not null,
    tries         integer     not null default 1,
    opened_at     timestamptz not null,
    last_tried_at timestamptz not null,
    next_try_at   timestamptz not null,
    closed_at     timestamptz,
    last_error    text
);
-- A gap is opened once; the open ones are what every start and every status asks for.
create unique index gap_open_idx on cdr_sync.gap (account, span) where closed_at is null;
comment on table cdr_sync.gap is 'Spans that could not be read in full. They are tried again for ever, ever more seldom.';
comment on column cdr_sync.gap.id is 'Its number.';
comment on column cdr_sync.gap.account is 'The account.';
comment on column cdr_sync.gap.span is 'What could not be read, from inclusive, to exclusive.';
comment on column cdr_sync.gap.reason is 'Why, in a word.';
comment on column cdr_sync.gap.tries is 'How many times it was tried.';
comment on column cdr_sync.gap.opened_at is 'When it was given up for the first time.';
comment on column cdr_sync.gap.last_tried_at is 'When it was last tried.';
comment on column cdr_sync.gap.next_try_at is 'When it will be tried again.';
comment on column cdr_sync.gap.closed_at is 'When it was read after all; null while it is open.';
comment on column cdr_sync.gap.last_error is 'What went wrong the last time.';

create table cdr_sync.rejected (
    id            bigint generated always as identity primary key,
    account       text        not null,
    content_hash  text        not null,
    raw           text        not null,
    reason        text        not null,
    error         text,
    call_id       text,
    type          text,
    started_at    timestamptz,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    times_seen    bigint      not null default 1,
    closed_at     timestamptz,
    unique (account, content_hash)
);
comment on table cdr_sync.rejected is 'Records that could not be stored, once per content.';
comment on column cdr_sync.rejected.id is 'Its number.';
comment on column cdr_sync.rejected.account is 'The account.';
comment on column cdr_sync.rejected.content_hash is 'SHA-256 of reason and raw, in hexadecimal.';
comment on column cdr_sync.rejected.raw is 'The record as it came; for duplicate_key and unstorable, the decoded record as JSON with its keys in order.';
comment on column cdr_sync.rejected.reason is 'no_call_id, no_date, not_an_object, duplicate_key (another record with the same key is stored in its place) or unstorable (PostgreSQL refused it).';
comment on column cdr_sync.rejected.error is 'For unstorable: PostgreSQL''s error code (SQLSTATE).';
comment on column cdr_sync.rejected.call_id is 'Its CallID, if it has one.';
comment on column cdr_sync.rejected.type is 'Its Type, if it has a CallID.';
comment on column cdr_sync.rejected.started_at is 'Its Date, if it has one.';
comment on column cdr_sync.rejected.first_seen_at is 'When it was first seen.';
comment on column cdr_sync.rejected.last_seen_at is 'When it was last seen.';
comment on column cdr_sync.rejected.times_seen is 'In how many answers it was seen.';
comment on column cdr_sync.rejected.closed_at is 'When the record was stored after all; null while it is not.';

create table cdr_sync.missing (
    account         text        not null,
    call_id         text        not null,
    type            text        not null,
    started_at      timestamptz not null,
    first_missed_at timestamptz not null,
    last_missed_at  timestamptz not null,
    due_at          timestamptz not null,
    reads           integer     not null default 1,
    suspicious      boolean     not null,
    primary key (account, call_id, type)
);
comment on table cdr_sync.missing is 'Rows of voicenter.cdr that a complete answer lacked, until a later one returns them or they are marked removed.';
comment on column cdr_sync.missing.account is 'The account.';
comment on column cdr_sync.missing.call_id is 'The row''s call_id.';
comment on column cdr_sync.missing.type is 'The row''s type.';
comment on column cdr_sync.missing.started_at is 'The row''s started_at.';
comment on column cdr_sync.missing.first_missed_at is 'Start of the first request whose answer lacked it.';
comment on column cdr_sync.missing.last_missed_at is 'Start of the last request whose answer lacked it.';
comment on column cdr_sync.missing.due_at is 'From when on the next read is wanted that settles it, or brings that nearer.';
comment on column cdr_sync.missing.reads is 'How many complete reads lacked it.';
comment on column cdr_sync.missing.suspicious is 'Whether very many rows went missing with it: then three reads over at least six hours must agree.';

create table cdr_sync.earlier_scope (
    account text not null,
    call_id text not null,
    type    text not null,
    primary key (account, call_id, type)
);
comment on table cdr_sync.earlier_scope is 'Rows stored under an earlier scope that no answer under the present one has returned: never marked removed.';
comment on column cdr_sync.earlier_scope.account is 'The account.';
comment on column cdr_sync.earlier_scope.call_id is 'The row''s call_id.';
comment on column cdr_sync.earlier_scope.type is 'The row''s type.';

create table cdr_sync.budget (
    credential   text        primary key,
    spacing      interval    not null,
    allowance    interval    not null,
    arrival_at   timestamptz not null,
    last_send_at timestamptz not null,
    paused_until timestamptz not null default '-infinity'
);
comment on table cdr_sync.budget is 'The request budget, shared by every process on this database: each request reserves its instant here first (GCRA).';
comment on column cdr_sync.budget.credential is 'Salted hash of the credential.';
comment on column cdr_sync.budget.spacing is 'The time one request uses up, at the rate last asked for.';
comment on column cdr_sync.budget.allowance is 'How far ahead of its even spacing a request may leave (the burst).';
comment on column cdr_sync.budget.arrival_at is 'Up to when time is used up: the theoretical arrival time.';
comment on column cdr_sync.budget.last_send_at is 'The last instant reserved.';
comment on column cdr_sync.budget.paused_until is 'Nothing leaves before.';

create table cdr_sync.lease (
    account     text        primary key,
    holder      text        not null,
    holder_name text        not null,
    taken_at    timestamptz not null,
    expires_at  timestamptz not null
);
comment on table cdr_sync.lease is 'Who leads: the one process that syncs an account.';
comment on column cdr_sync.lease.account is 'The account.';
comment on column cdr_sync.lease.holder is 'The process''s own random id.';
comment on column cdr_sync.lease.holder_name is 'What people call it: host and process number.';
comment on column cdr_sync.lease.taken_at is 'When it took over.';
comment on column cdr_sync.lease.expires_at is 'When it ends unless renewed, by the database''s clock.';

create table cdr_sync.request (
    id           bigint generated always as identity primary key,
    account      text        not null,
    span         tstzrange   not null,
    reason       text        not null default 'asked by SQL',
    state        text        not null default 'waiting' check (state in ('waiting', 'running', 'done', 'failed')),
    progress     real        not null default 0 check (progress between 0 and 1),
    requested_at timestamptz not null default clock_timestamp(),
    started_at   timestamptz,
    finished_at  timestamptz,
    error        text,
    constraint request_span check (coalesce(lower(span) < upper(span) and isfinite(lower(span)) and isfinite(upper(span)), false))
);
-- The leader looks for open requests at every tick.
create index request_open_idx on cdr_sync.request (account, id) where state in ('waiting', 'running');
comment on table cdr_sync.request is 'Work asked of the leader: insert account, span and reason; state and progress tell how it goes.';
comment on column cdr_sync.request.id is 'Its number.';
comment on column cdr_sync.request.account is 'The account.';
comment on column cdr_sync.request.span is 'What to read again.';
comment on column cdr_sync.request.reason is 'Why: sync, gaps, rejected, or any text.';
comment on column cdr_sync.request.state is 'waiting, running, done or failed.';
comment on column cdr_sync.request.progress is 'From 0 to 1.';
comment on column cdr_sync.request.requested_at is 'When it was asked for.';
comment on column cdr_sync.request.started_at is 'When the leader began.';
comment on column cdr_sync.request.finished_at is 'When it ended.';
comment on column cdr_sync.request.error is 'Why it failed.';

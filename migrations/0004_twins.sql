-- Dates to look at again where records share a key; missing rows told apart from what the vendor no longer keeps, and
-- a bound for look-ups of them.

create table cdr_sync.twin (
    account    text        not null,
    call_id    text        not null,
    type       text        not null,
    started_at timestamptz not null,
    noted_at   timestamptz not null,
    due_at     timestamptz not null,
    tries      integer     not null default 0,
    primary key (account, call_id, type, started_at)
);
comment on table cdr_sync.twin is 'Dates at which a record was seen while the row of its key stood at another one: a record that moved, or two that share a key. A complete read of each date decides.';
comment on column cdr_sync.twin.account is 'The account.';
comment on column cdr_sync.twin.call_id is 'The record''s CallID.';
comment on column cdr_sync.twin.type is 'The record''s Type.';
comment on column cdr_sync.twin.started_at is 'The date to read again.';
comment on column cdr_sync.twin.noted_at is 'Start of the request whose answer gave rise to it: a read decides if it started later.';
comment on column cdr_sync.twin.due_at is 'From when on the read is wanted.';
comment on column cdr_sync.twin.tries is 'How many reads decided nothing; the wait doubles with each.';

alter table cdr_sync.missing add column tries integer not null default 0;
comment on column cdr_sync.missing.tries is 'How many reads could have settled it but did not; the wait doubles with each.';
alter table cdr_sync.missing add column older_shown boolean not null default false;
comment on column cdr_sync.missing.older_shown is 'Whether the API has shown an older record since: then this row is not merely beyond the vendor''s horizon. Asked of rows older than a day.';
comment on column cdr_sync.missing.reads is 'How many complete reads lacked it, those left out beside which a record came that cannot be identified.';

-- What a complete read no longer shows is closed, at every commit.
create index rejected_open_idx on cdr_sync.rejected (account, started_at) where closed_at is null;
comment on column cdr_sync.rejected.closed_at is 'When the record was stored after all or, for duplicate_key, when the API had stopped showing it; null while it is open.';

-- Earlier versions never looked twice at records that share a key.
insert into cdr_sync.twin (account, call_id, type, started_at, noted_at, due_at)
select c.account, c.call_id, c.type, d.started_at, now(), now()
from cdr_sync.rejected r
join voicenter.cdr c on c.account = r.account and c.call_id = r.call_id and c.type = r.type and c.removed_at is null
cross join lateral (values (c.started_at), (r.started_at)) as d(started_at)
where r.reason = 'duplicate_key' and r.closed_at is null and r.started_at <> c.started_at
on conflict do nothing;

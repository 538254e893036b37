-- Whether the database still has what it acknowledged, and the table what was stored.

alter table cdr_sync.cursor add column commits bigint not null default 0;
comment on column cdr_sync.cursor.commits is 'How many commits the account has had. A leader that knows of another number reads the ledger again: the database has lost some of them, or was restored.';

create table cdr_sync.day (
    account text   not null references cdr_sync.account (name) on update cascade on delete cascade,
    day     date   not null,
    rows    bigint not null,
    primary key (account, day)
);
comment on table cdr_sync.day is 'How many rows of voicenter.cdr were stored for each day. A day that has fewer is read again.';
comment on column cdr_sync.day.account is 'The account.';
comment on column cdr_sync.day.day is 'The day, in UTC.';
comment on column cdr_sync.day.rows is 'The rows, those marked removed included.';

insert into cdr_sync.day (account, day, rows)
select c.account, (c.started_at at time zone 'UTC')::date, count(*)
from voicenter.cdr c
join cdr_sync.account a on a.name = c.account
group by 1, 2;

-- An answer's records are looked for among those that wait to be stored.
create index rejected_open_key_idx on cdr_sync.rejected (account, call_id, type) where closed_at is null;

-- Old versions are found by their end, which grows with the table.
create index cdr_history_valid_to_idx on voicenter.cdr_history using brin (valid_to);

create table cdr_sync.replica (
    holder     text        primary key,
    name       text        not null,
    accounts   text[]      not null,
    expires_at timestamptz not null
);
comment on table cdr_sync.replica is 'The daemons on this database: accounts move to one that leads fewer.';
comment on column cdr_sync.replica.holder is 'A random id, as in cdr_sync.lease.';
comment on column cdr_sync.replica.name is 'Host and process number, for people.';
comment on column cdr_sync.replica.accounts is 'The accounts that it is configured for.';
comment on column cdr_sync.replica.expires_at is 'It is gone if this passes without a sign of it.';

-- A scope changes in a moment, however many rows there are.
create table cdr_sync.unscoped (
    account text        not null references cdr_sync.account (name) on update cascade on delete cascade,
    span    tstzrange   not null check (not isempty(span)),
    since   timestamptz not null,
    primary key (account, span)
);
comment on table cdr_sync.unscoped is 'Stretches that no complete answer under the present scope has shown yet. Rows in them that were stored before are never marked removed; once a stretch is read, those that it lacks stand in earlier_scope.';
comment on column cdr_sync.unscoped.account is 'The account.';
comment on column cdr_sync.unscoped.span is 'The stretch, from inclusive, to exclusive.';
comment on column cdr_sync.unscoped.since is 'Rows that were first stored earlier are those of the earlier scope.';

-- The program before this one does not know of it, and notes such rows as missing.
create function cdr_sync.is_missing() returns trigger language plpgsql as $$
begin
    if exists (
        select from cdr_sync.unscoped u
        join voicenter.cdr c on c.account = u.account and c.call_id = new.call_id and c.type = new.type
        where u.account = new.account and u.span @> c.started_at and c.first_seen_at < u.since
    ) then
        return null;
    end if;
    return new;
end $$;
comment on function cdr_sync.is_missing() is 'Rows of an earlier scope that were not read under the present one are not missing.';
create trigger is_missing before insert on cdr_sync.missing for each row execute function cdr_sync.is_missing();

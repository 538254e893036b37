-- Hours that say how complete they are, and what was learned of how late calls appear: docs/decisions/0032.
set local lock_timeout = '5s';

-- All follow cdr_sync.account, for a program that renames or forgets an account without knowing of them.
create table cdr_sync.settling (
    account       text        primary key references cdr_sync.account (name) on update cascade on delete cascade,
    reread_ages   interval[]  not null check (cardinality(reread_ages) > 0),
    settled_after interval    not null,
    followed_from timestamptz not null,
    counted_until timestamptz not null
);
comment on table cdr_sync.settling is 'From which age on the hours of an account count as settled.';
comment on column cdr_sync.settling.account is 'The account.';
comment on column cdr_sync.settling.reread_ages is 'The ages at which every stretch is read again: sync.lookback, then sync.reconcile, ascending.';
comment on column cdr_sync.settling.settled_after is 'One of them: an hour is settled once it was read again at this age. The lowest after which at most one hour in 1,000 still changed, as far as cdr_sync.hour_count and late_hour show; the highest while too few hours are known.';
comment on column cdr_sync.settling.followed_from is 'Hours are counted from here on: of earlier ones the first read came late.';
comment on column cdr_sync.settling.counted_until is 'Up to here they stand in cdr_sync.hour_count.';

create table cdr_sync.late_hour (
    account     text        not null references cdr_sync.account (name) on update cascade on delete cascade,
    hour        timestamptz not null,
    reread_age  interval    not null,
    is_followed boolean     not null,
    primary key (account, hour)
);
comment on table cdr_sync.late_hour is 'Hours that are not final yet and in which a record first appeared after they had been read again, or that missed a read.';
comment on column cdr_sync.late_hour.account is 'The account.';
comment on column cdr_sync.late_hour.hour is 'When the hour begins, in UTC.';
comment on column cdr_sync.late_hour.reread_age is 'The highest age at which it had been read when a record still appeared; 0 if none did after the lookback.';
comment on column cdr_sync.late_hour.is_followed is 'Whether it was read at every age in its time: only then it says how late calls appear.';

create table cdr_sync.hour_count (
    account    text     not null references cdr_sync.account (name) on update cascade on delete cascade,
    day        date     not null,
    reread_age interval not null,
    hours      integer  not null,
    primary key (account, day, reread_age)
);
comment on table cdr_sync.hour_count is 'Final hours that have calls and were read at every age in their time, by when they last changed. The newest 5,000 hours are kept.';
comment on column cdr_sync.hour_count.account is 'The account.';
comment on column cdr_sync.hour_count.day is 'Their day, in UTC.';
comment on column cdr_sync.hour_count.reread_age is 'The highest age at which they had been read when a record still appeared in them; 0 if none did after the lookback.';
comment on column cdr_sync.hour_count.hours is 'How many hours.';

create table cdr_sync.lateness (
    account        text   not null references cdr_sync.account (name) on update cascade on delete cascade,
    within_seconds bigint not null,
    records        bigint not null,
    primary key (account, within_seconds)
);
comment on table cdr_sync.lateness is 'How late records appear: from the end of the call until the request that first returned it. Only records whose instant had been read before. Halved now and then, so that new ones count for more.';
comment on column cdr_sync.lateness.account is 'The account.';
comment on column cdr_sync.lateness.within_seconds is 'They appeared within this time, and not within that of the row below; in the last row also later ones.';
comment on column cdr_sync.lateness.records is 'How many records.';

create view voicenter.hours as
select
    a.name as account,
    h.hour,
    case
        when exists (
            select from cdr_sync.gap g
            where g.account = a.name and g.closed_at is null and g.span && tstzrange(h.hour, h.hour + interval '1 hour')
        ) then 'gap'
        when coalesce(r.covered, interval '0') < interval '1 hour' then 'open'
        when r.reread_age >= s.reread_ages[cardinality(s.reread_ages)] then 'final'
        when r.reread_age >= s.settled_after then 'settled'
        else 'provisional'
    end as state
from cdr_sync.account a
left join cdr_sync.cursor c on c.account = a.name
left join cdr_sync.reporting z on z.account = a.name
left join cdr_sync.settling s on s.account = a.name
cross join lateral (select least(a.history_start, c.history_from) as at) f
-- Hours begin where those of voicenter.calls_hourly do.
cross join lateral generate_series(
    date_trunc('minute', f.at)
        - extract(minute from f.at at time zone coalesce(z.timezone, 'Asia/Jerusalem')) * interval '1 minute',
    greatest(now(), c.synced_until - interval '1 microsecond'),
    interval '1 hour'
) h (hour)
cross join lateral (
    select min(v.tier) as reread_age,
           sum(least(upper(v.span), h.hour + interval '1 hour') - greatest(lower(v.span), h.hour)) as covered
    from cdr_sync.coverage v
    -- Stretches are disjoint, so the index leads from the last that begins before the hour to the last that begins in it.
    where v.account = a.name and v.span && tstzrange(h.hour, h.hour + interval '1 hour')
      and v.span < tstzrange(h.hour + interval '1 hour', null)
      and v.span >= coalesce((
          select w.span from cdr_sync.coverage w
          where w.account = a.name and w.span < tstzrange(h.hour, null)
          order by w.span desc
          limit 1
      ), tstzrange(null, null))
) r;
comment on view voicenter.hours is 'How complete each hour is: a row for each account and hour from history_start to now, also for hours without calls. It is about which records were read: prices, recordings and removals may still change, rejected records (sync_state.rejected_records) may still be stored, and while sync_state.calls_current is false, calls and their counts are behind.';
comment on column voicenter.hours.account is 'The account.';
comment on column voicenter.hours.hour is 'When the hour begins, as in calls_hourly.hour. A call belongs to the hour in which it started, though it appears only after it has ended.';
comment on column voicenter.hours.state is 'open: not over, or not read in full yet. provisional: read, and calls may still appear. settled: read again at an age after which at most one hour in 1,000 has still got a call. final: read again at the last age of sync.reconcile; calls that appear later are not looked for. gap: part of it could not be read and is tried again. An hour can go back from settled to provisional when calls are found to appear later than before, and to gap or open.';

create or replace view voicenter.sync_state as
select
    a.name as account,
    c.synced_until,
    c.history_from,
    a.history_start,
    -- Cast, for extract() returns another type before PostgreSQL 14; and never 0 for an account that was not read.
    case when c.synced_until is not null
        then greatest(floor(extract(epoch from clock_timestamp() - c.synced_until)), 0)::bigint
    end as lag_seconds,
    (select count(*) from cdr_sync.gap g where g.account = a.name and g.closed_at is null) as open_gaps,
    (select count(*) from cdr_sync.rejected r where r.account = a.name and r.closed_at is null) as rejected_records,
    (select count(*) from cdr_sync.missing m where m.account = a.name and m.suspicious) as suspicious_rows,
    a.last_success_at,
    case when a.last_success_at > a.last_error_at then null else a.last_error end as last_error,
    case when a.last_success_at > a.last_error_at then null else a.last_error_at end as last_error_at,
    r.timezone,
    not coalesce((
        select true from voicenter.cdr d
        where d.account = a.name and d.updated_at >= coalesce(r.folded_until, '-infinity')
          and (d.updated_at, d.call_id) > (coalesce(r.folded_until, '-infinity'), coalesce(r.folded_call, ''))
        order by d.updated_at
        limit 1
    ), false) as calls_current,
    -- From history_from to the first instant that was not read again at that age, or lies in a gap.
    (select nullif(greatest(min(o.at), c.history_from), c.history_from)
     from (
         select lower(v.span) as at from cdr_sync.coverage v
         where v.account = a.name and v.tier < s.settled_after and upper(v.span) > c.history_from
         union all
         select lower(g.span) from cdr_sync.gap g
         where g.account = a.name and g.closed_at is null and upper(g.span) > c.history_from
         union all
         select c.synced_until
     ) o
     where s.account is not null) as settled_until,
    (select nullif(greatest(min(o.at), c.history_from), c.history_from)
     from (
         select lower(v.span) as at from cdr_sync.coverage v
         where v.account = a.name and v.tier < s.reread_ages[cardinality(s.reread_ages)] and upper(v.span) > c.history_from
         union all
         select lower(g.span) from cdr_sync.gap g
         where g.account = a.name and g.closed_at is null and upper(g.span) > c.history_from
         union all
         select c.synced_until
     ) o
     where s.account is not null) as final_until
from cdr_sync.account a
left join cdr_sync.cursor c on c.account = a.name
left join cdr_sync.reporting r on r.account = a.name
left join cdr_sync.settling s on s.account = a.name;
comment on view voicenter.sync_state is 'How fresh and complete the data is: a row for each account. From history_from to synced_until everything was asked for at least once, but for the open gaps; calls appear only after they have ended, some of them days later: see settled_until and voicenter.hours.';
comment on column voicenter.sync_state.synced_until is 'The first instant that was not read yet; null before the first read. Calls that started before it may still be missing: see settled_until.';
comment on column voicenter.sync_state.settled_until is 'From history_from to here, every instant was read again at an age after which at most one hour in 1,000 has still got a call, and nothing lies in an open gap. Null while there is no such stretch. It goes back when calls are found to appear later than before, when a gap opens, and when much is read anew.';
comment on column voicenter.sync_state.final_until is 'From history_from to here, every instant was read again at the last age of sync.reconcile, and nothing lies in an open gap: calls that appear later are not looked for. Null while there is no such stretch.';

do $$
declare
    ours regclass;
begin
    if exists (select from pg_catalog.pg_roles where rolname = 'voicenter_reader') then
        for ours in
            select oid from pg_catalog.pg_class
            where relnamespace = 'voicenter'::regnamespace and relkind in ('r', 'p', 'v', 'm') and pg_has_role(relowner, 'usage')
        loop
            execute format('grant select on %s to voicenter_reader', ours);
        end loop;
    end if;
end
$$;

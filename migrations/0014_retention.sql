-- Calls that are older than retention.calls are deleted: docs/decisions/0036.
set local lock_timeout = '5s';

alter table cdr_sync.account
    add column retention     interval,
    add column retained_from timestamptz,
    add column wanted_start  timestamptz,
    add column rejected_left_out bigint not null default 0;
comment on column cdr_sync.account.retention is 'How long calls are kept: retention.calls. Null: without limit.';
comment on column cdr_sync.account.retained_from is 'The floor: the start of a day in the account''s zone. No older call is asked for, stored, compared or marked, and what is stored is deleted. Only moves forward, unless retention is lengthened or removed. Null without retention, and before the first read.';
comment on column cdr_sync.account.wanted_start is 'What history_start would be without retention. Null until a program that knows of it has opened the account.';
comment on column cdr_sync.account.rejected_left_out is 'How many open rows of cdr_sync.rejected were deleted, the oldest first, because there were too many.';
comment on column cdr_sync.account.history_start is 'How far back history is filled: fixed at the first start unless the configuration names a start; never before retained_from.';

-- What is over and done with is found and deleted by its account.
create index gap_closed_idx on cdr_sync.gap (account, closed_at) where closed_at is not null;
create index request_finished_idx on cdr_sync.request (account, finished_at) where finished_at is not null;
comment on table cdr_sync.window_read is 'Each window read; after 14 days a row an hour and lane, for 400 days.';

-- By the slowest of three clocks, for what a fast one deleted could not be had again: the caller's, the database's, and that of
-- the API, past which nothing counts as read.
create function cdr_sync.floor_of(of_account text, as_of timestamptz) returns timestamptz language sql stable as $$
select date_trunc('day', (least(as_of, clock_timestamp(), coalesce(c.synced_until, 'infinity')) - a.retention) at time zone z.name) at time zone z.name
from cdr_sync.account a
join cdr_sync.cursor c on c.account = a.name
left join cdr_sync.reporting r on r.account = a.name
cross join lateral (values (coalesce(r.timezone, 'Asia/Jerusalem'))) z (name)
where a.name = of_account and c.account = of_account
$$;
comment on function cdr_sync.floor_of is 'Where the calls to keep begin: the day in the account''s zone that lies retention back from as_of. Null without retention.';

-- At most so many rows and what was made of them; returns how many rows there were (as many as asked for: more are left).
--
-- The youngest row decides: a call, with all that was transferred from it, goes as a whole once no row of it is kept, so that no
-- call is ever a part of itself. It is waited for no longer than two days, which no call takes. The caller holds the account's row of
-- cdr_sync.cursor, as every commit does.
create function cdr_sync.delete_older(of_account text, at_most integer) returns integer
language plpgsql set jit = off set enable_seqscan = off as $$
declare
    kept_from timestamptz;
    state     cdr_sync.reporting;
    ids       text[];
    taken     integer;
    next      timestamptz;
begin
    select retained_from into kept_from from cdr_sync.account where name = of_account;
    if kept_from is null then
        return 0;
    end if;
    insert into cdr_sync.reporting (account) values (of_account) on conflict do nothing;
    select * into state from cdr_sync.reporting where account = of_account for update;
    -- What continues what is known only of rows that were folded.
    if coalesce((
        select true
        from voicenter.cdr c
        where c.account = (select of_account) and c.updated_at >= state.folded_until
          and (c.updated_at, c.call_id) > (state.folded_until, state.folded_call)
        order by c.updated_at, c.call_id
        limit 1
    ), false) then
        return 0;
    end if;
    with old as materialized (
        select c.call_id
        from voicenter.cdr c
        cross join lateral (
            select coalesce((
                select x.root_call_id from cdr_sync.transfer x where x.account = (select of_account) and x.call_id = c.call_id
            ), c.call_id) as call_id
        ) r
        where c.account = (select of_account) and c.started_at < kept_from
          and (c.started_at < kept_from - interval '2 days'
               or not exists (
                   select from voicenter.cdr k
                   where k.account = (select of_account) and k.call_id in (c.call_id, r.call_id) and k.started_at >= kept_from
               ) and not exists (
                   select from cdr_sync.transfer x
                   cross join lateral (
                       select from voicenter.cdr k
                       where k.account = (select of_account) and k.call_id = x.call_id and k.started_at >= kept_from
                       limit 1
                   ) k
                   where x.account = (select of_account) and x.root_call_id = r.call_id
               ))
        order by c.started_at
        limit at_most
    ), root as materialized (
        select distinct coalesce(x.root_call_id, o.call_id) as call_id
        from old o
        left join lateral (
            select x.root_call_id from cdr_sync.transfer x where x.account = (select of_account) and x.call_id = o.call_id offset 0
        ) x on true
    )
    select (select count(*) from old)::integer,
        array(
            select call_id from old
            union select call_id from root
            union
            select x.call_id
            from root r
            cross join lateral (
                select x.call_id from cdr_sync.transfer x where x.account = (select of_account) and x.root_call_id = r.call_id offset 0
            ) x
        )
    into taken, ids;
    if taken = 0 then
        return 0;
    end if;
    with gone as (
        delete from voicenter.cdr c
        where c.account = (select of_account) and c.call_id = any (ids) and c.started_at < kept_from
        returning c.started_at
    ), gone_by_day as (
        select (started_at at time zone 'UTC')::date as day, count(*) as rows from gone group by 1
    )
    update cdr_sync.day d
    set rows = greatest(d.rows - g.rows, 0)
    from gone_by_day g
    where d.account = of_account and d.day = g.day;
    delete from voicenter.cdr_history h
    where h.account = (select of_account) and h.call_id = any (ids) and not exists (
        select from voicenter.cdr c where c.account = (select of_account) and c.call_id = h.call_id and c.type = h.type
    );
    delete from cdr_sync.earlier_scope e
    where e.account = (select of_account) and e.call_id = any (ids) and not exists (
        select from voicenter.cdr c where c.account = (select of_account) and c.call_id = e.call_id and c.type = e.type
    );
    -- Calls without rows go from every table that is made of them.
    next := greatest(clock_timestamp(), state.stamp + interval '1 microsecond');
    perform cdr_sync.fold_carefully(of_account, ids, state.timezone, next);
    update cdr_sync.reporting set stamp = next where account = of_account;
    -- Of calls that no rule could fold, nothing stays either.
    delete from voicenter.calls c
    where c.account = (select of_account) and c.call_id = any (ids) and not exists (
        select from voicenter.cdr r where r.account = (select of_account) and r.call_id = c.call_id
    );
    delete from voicenter.queue_visits v
    where v.account = (select of_account) and v.call_id = any (ids) and not exists (
        select from voicenter.cdr r where r.account = (select of_account) and r.call_id = v.call_id
    );
    -- They were not removed: whoever follows the changes keeps them for as long as he likes.
    delete from voicenter.removed_calls r
    where r.account = (select of_account) and r.call_id = any (ids) and r.updated_at = next;
    return taken;
end
$$;
alter function cdr_sync.delete_older set plan_cache_mode = force_custom_plan;
comment on function cdr_sync.delete_older is 'Deletes rows of voicenter.cdr that are older than account.retained_from, and what was made of them; returns how many.';

-- Days of queues and agents are added up beforehand, and of the counts only those are written that have changed.
--
-- A month of agent_daily added up 430,000 quarters at 20 million records, a year of queue_daily 300,000. And each commit wrote all
-- agents of its quarters anew, for whom one of three indexes has an entry in another place each.
set local lock_timeout = '5s';

create table voicenter.queue_1day (
    account                   text    not null,
    day                       date    not null,
    queue_name                text    not null,
    offered                   bigint  not null,
    answered                  bigint  not null,
    abandoned                 bigint  not null,
    short_abandoned           bigint  not null,
    overflowed                bigint  not null,
    no_answer                 bigint  not null,
    voicemail                 bigint  not null,
    queue_timeout             bigint  not null,
    queue_full                bigint  not null,
    queue_unstaffed           bigint  not null,
    left_by_key               bigint  not null,
    waits_known               bigint  not null,
    wait_seconds              bigint  not null,
    longest_wait_seconds      integer,
    answered_waits            bigint  not null,
    answered_within_20        bigint  not null,
    answered_within_30        bigint  not null,
    answered_within_60        bigint  not null,
    answered_within_180       bigint  not null,
    answered_within_360       bigint  not null,
    duration_seconds          bigint  not null,
    answered_duration_seconds bigint  not null,
    primary key (account, day, queue_name)
);
alter table voicenter.queue_1day set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

create table voicenter.agent_1day (
    account           text        not null,
    day               date        not null,
    agent_key         text        not null,
    agent             text        not null,
    calls             bigint      not null,
    incoming          bigint      not null,
    outgoing          bigint      not null,
    internal          bigint      not null,
    answered          bigint      not null,
    incoming_answered bigint      not null,
    outgoing_answered bigint      not null,
    missed            bigint      not null,
    transferred       bigint      not null,
    talks_known       bigint      not null,
    talk_seconds      bigint      not null,
    ring_seconds      bigint      not null,
    duration_seconds  bigint      not null,
    priced            bigint      not null,
    price_agorot      numeric,
    first_quarter     timestamptz not null,
    last_quarter      timestamptz not null,
    primary key (account, day, agent_key, agent)
);
alter table voicenter.agent_1day set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

-- What a day is added up from.
create index queue_15min_day_queue_idx on voicenter.queue_15min (account, day, queue_name);
create index agent_15min_day_agent_idx on voicenter.agent_15min (account, day, agent_key);

create function cdr_sync.queue_1day_of(of_account text, days date[], names text[]) returns setof voicenter.queue_1day
language plpgsql stable set jit = off as $$
#variable_conflict use_column
begin
return query
select of_account, d.day, d.queue_name, q.*
from unnest(days, names) d (day, queue_name)
cross join lateral (
    select
        sum(offered) as offered,
        sum(answered) as answered,
        sum(abandoned) as abandoned,
        sum(short_abandoned) as short_abandoned,
        sum(overflowed) as overflowed,
        sum(no_answer) as no_answer,
        sum(voicemail) as voicemail,
        sum(queue_timeout) as queue_timeout,
        sum(queue_full) as queue_full,
        sum(queue_unstaffed) as queue_unstaffed,
        sum(left_by_key) as left_by_key,
        sum(waits_known) as waits_known,
        sum(wait_seconds)::bigint as wait_seconds,
        max(longest_wait_seconds) as longest_wait_seconds,
        sum(answered_waits) as answered_waits,
        sum(answered_within_20) as answered_within_20,
        sum(answered_within_30) as answered_within_30,
        sum(answered_within_60) as answered_within_60,
        sum(answered_within_180) as answered_within_180,
        sum(answered_within_360) as answered_within_360,
        sum(duration_seconds)::bigint as duration_seconds,
        sum(answered_duration_seconds)::bigint as answered_duration_seconds
    from voicenter.queue_15min
    where account = (select of_account) and day = d.day and queue_name = d.queue_name
    having count(*) > 0
    offset 0
) q;
end
$$;
comment on function cdr_sync.queue_1day_of is 'The visits of these queues on these days, added up from voicenter.queue_15min.';

create function cdr_sync.agent_1day_of(of_account text, days date[], keys text[]) returns setof voicenter.agent_1day
language plpgsql stable set jit = off as $$
#variable_conflict use_column
begin
return query
select of_account, d.day, d.agent_key, a.*
from unnest(days, keys) d (day, agent_key)
cross join lateral (
    select
        agent,
        sum(calls) as calls,
        sum(incoming) as incoming,
        sum(outgoing) as outgoing,
        sum(internal) as internal,
        sum(answered) as answered,
        sum(incoming_answered) as incoming_answered,
        sum(outgoing_answered) as outgoing_answered,
        sum(missed) as missed,
        sum(transferred) as transferred,
        sum(talks_known) as talks_known,
        sum(talk_seconds)::bigint as talk_seconds,
        sum(ring_seconds)::bigint as ring_seconds,
        sum(duration_seconds)::bigint as duration_seconds,
        sum(priced) as priced,
        sum(price_agorot) as price_agorot,
        min(starts_at) as first_quarter,
        max(starts_at) as last_quarter
    from voicenter.agent_15min
    where account = (select of_account) and day = d.day and agent_key = d.agent_key
    group by agent
    offset 0
) a;
end
$$;
comment on function cdr_sync.agent_1day_of is 'The calls of these agents on these days, added up from voicenter.agent_15min.';

-- What is counted already.
insert into voicenter.queue_1day
select d.*
from (
    select account, array_agg(day) as days, array_agg(queue_name) as names
    from (select distinct account, day, queue_name from voicenter.queue_15min) q
    group by account
) q
cross join lateral cdr_sync.queue_1day_of(q.account, q.days, q.names) d;
insert into voicenter.agent_1day
select d.*
from (
    select account, array_agg(day) as days, array_agg(agent_key) as keys
    from (select distinct account, day, agent_key from voicenter.agent_15min) a
    group by account
) a
cross join lateral cdr_sync.agent_1day_of(a.account, a.days, a.keys) d;

-- As in 0015, with days, and of quarters only what differs.
create or replace function cdr_sync.fold(of_account text, changed text[], zone text, stamp timestamptz) returns void
language plpgsql set jit = off as $$
declare
    touched text[];
    fresh   voicenter.calls[];
    gone    text[];
    slots   timestamptz[];
    visited timestamptz[];
    entered timestamptz[];
    queues  voicenter.queue_15min[];
    agents  voicenter.agent_15min[];
    before_queues voicenter.queue_15min[];
    before_agents voicenter.agent_15min[];
    days    date[];
    names   text[];
begin
    insert into voicenter.queues (account, queue_name)
    select distinct of_account, c.queue_name
    from unnest(changed) t (call_id)
    cross join lateral (
        select distinct r.queue_name
        from voicenter.cdr r
        where r.account = (select of_account) and r.call_id = t.call_id and r.queue_name is not null
        offset 0
    ) c
    where octet_length(of_account) + octet_length(c.queue_name) <= 2000
      -- Looked for first: an insert waits for whoever is changing the queue's thresholds.
      and not coalesce((
          select true from voicenter.queues q where q.account = (select of_account) and q.queue_name = c.queue_name
      ), false)
    on conflict do nothing;
    touched := array(select unnest(changed) union select unnest(cdr_sync.fold_transfers(of_account, changed)));

    with alone as (
        select t.call_id
        from unnest(touched) t (call_id)
        where not coalesce((
            select x.root_call_id is not null
            from cdr_sync.transfer x where x.account = (select of_account) and x.call_id = t.call_id
        ), false)
    ), now as materialized (
        select n from cdr_sync.calls_of(of_account, array(select call_id from alone), zone, stamp) n
    ), before as materialized (
        select b
        from unnest(touched) t (call_id)
        cross join lateral (
            select c as b from voicenter.calls c where c.account = (select of_account) and c.call_id = t.call_id offset 0
        ) c
    ), compared as materialized (
        select n, b
        from now
        full join before on (n).call_id = (b).call_id
        where case
            when (n).call_id is null or (b).call_id is null then true
            else to_jsonb(n) - 'updated_at' <> to_jsonb(b) - 'updated_at'
        end
    ), at as materialized (
        select distinct cdr_sync.quarter((n).started_at) as starts_at from now
    )
    select array_agg(n) filter (where (n).call_id is not null),
        array_agg((b).call_id) filter (where (b).call_id is not null),
        array(
            select cdr_sync.quarter(x.at)
            from compared
            cross join lateral (values ((n).started_at), ((b).started_at)) x (at)
            where x.at is not null
            union
            -- Each call has an agent's row, if only nobody's: a quarter without any was never counted.
            select q.starts_at
            from at q
            where not coalesce((
                select true
                from voicenter.agent_15min a where a.account = (select of_account) and a.starts_at = q.starts_at limit 1
            ), false)
        )
    into fresh, gone, slots
    from compared;

    if gone is not null then
        with deleted as (
            delete from voicenter.calls c
            using (select of_account as account, t.call_id from unnest(gone) t (call_id) offset 0) g
            where c.account = g.account and c.call_id = g.call_id
            returning c.call_id, c.started_at
        )
        insert into voicenter.removed_calls as r (account, call_id, started_at, updated_at)
        select of_account, d.call_id, d.started_at, stamp
        from deleted d
        where d.call_id not in (select f.call_id from unnest(fresh) f)
        on conflict (account, call_id) do update set started_at = excluded.started_at, updated_at = excluded.updated_at;
    end if;
    if fresh is not null then
        delete from voicenter.removed_calls r
        using (select of_account as account, t.call_id from unnest(fresh) t offset 0) f
        where r.account = f.account and r.call_id = f.call_id;
        insert into voicenter.calls select f.* from unnest(fresh) f;
    end if;

    with deleted as (
        delete from voicenter.queue_visits v
        using (select of_account as account, t.call_id from unnest(touched) t (call_id) offset 0) t
        where v.account = t.account and v.call_id = t.call_id
        returning v.entered_at
    )
    select array_agg(distinct cdr_sync.quarter(d.entered_at)) into visited from deleted d;
    with made as (
        insert into voicenter.queue_visits
        select * from cdr_sync.queue_visits_of(of_account, array(
            select t.call_id
            from unnest(touched) t (call_id)
            where coalesce((
                select true from voicenter.calls c where c.account = (select of_account) and c.call_id = t.call_id
            ), false)
        ), zone)
        returning entered_at
    )
    select array_agg(distinct cdr_sync.quarter(m.entered_at)) into entered from made m;
    visited := array(select unnest(visited) union select unnest(entered));

    if cardinality(visited) > 0 then
        with counted as materialized (
            select n from cdr_sync.queue_15min_of(of_account, visited, zone) n
        ), kept as materialized (
            select q.b
            from unnest(visited) s (starts_at)
            cross join lateral (
                select q as b from voicenter.queue_15min q where q.account = (select of_account) and q.starts_at = s.starts_at offset 0
            ) q
        )
        -- Compared as they are stored: 1.0 and 1 would be the same number.
        select array_agg(n) filter (where (n).account is not null), array_agg(b) filter (where (b).account is not null)
        into queues, before_queues
        from counted
        full join kept on (n).starts_at = (b).starts_at and (n).queue_name = (b).queue_name
        where coalesce(n *<> b, true);
        delete from voicenter.queue_15min q
        using (select t.* from unnest(before_queues) t offset 0) b
        where q.account = b.account and q.starts_at = b.starts_at and q.queue_name = b.queue_name;
        insert into voicenter.queue_15min select n.* from unnest(queues) n;
        select array_agg(d.day), array_agg(d.queue_name)
        into days, names
        from (select day, queue_name from unnest(queues) union select day, queue_name from unnest(before_queues)) d;
        delete from voicenter.queue_1day q
        using (select of_account as account, t.* from unnest(days, names) t (day, queue_name) offset 0) d
        where q.account = d.account and q.day = d.day and q.queue_name = d.queue_name;
        insert into voicenter.queue_1day select * from cdr_sync.queue_1day_of(of_account, days, names);
    end if;
    if cardinality(slots) > 0 then
        delete from voicenter.calls_15min c
        using (select of_account as account, t.starts_at from unnest(slots) t (starts_at) offset 0) s
        where c.account = s.account and c.starts_at = s.starts_at;
        insert into voicenter.calls_15min select * from cdr_sync.calls_15min_of(of_account, slots, zone);
        with counted as materialized (
            select n from cdr_sync.agent_15min_of(of_account, slots, zone) n
        ), kept as materialized (
            select a.b
            from unnest(slots) s (starts_at)
            cross join lateral (
                select a as b from voicenter.agent_15min a where a.account = (select of_account) and a.starts_at = s.starts_at offset 0
            ) a
        )
        select array_agg(n) filter (where (n).account is not null), array_agg(b) filter (where (b).account is not null)
        into agents, before_agents
        from counted
        full join kept
            on (n).starts_at = (b).starts_at and (n).agent_key = (b).agent_key and (n).agent = (b).agent
        where coalesce(n *<> b, true);
        delete from voicenter.agent_15min a
        using (select t.* from unnest(before_agents) t offset 0) b
        where a.account = b.account and a.starts_at = b.starts_at and a.agent_key = b.agent_key and a.agent = b.agent;
        insert into voicenter.agent_15min select n.* from unnest(agents) n;
        select array_agg(d.day), array_agg(d.agent_key)
        into days, names
        from (select day, agent_key from unnest(agents) union select day, agent_key from unnest(before_agents)) d;
        delete from voicenter.agent_1day a
        using (select of_account as account, t.* from unnest(days, names) t (day, agent_key) offset 0) d
        where a.account = d.account and a.day = d.day and a.agent_key = d.agent_key;
        insert into voicenter.agent_1day select * from cdr_sync.agent_1day_of(of_account, days, names);
    end if;
end
$$;

-- Planning took a third of following a hundred calls. A plan that lasts is as good for so few, each looked up by key, where the
-- tables are known: to the planner, each index of a small one is as good as that of the key, and reading all of one in which fifty
-- rows were as good as looking them up. So none may have grown to twice its size since either.
create function cdr_sync.plans_may_last() returns boolean language sql stable as $$
select bool_and(
    c.relkind = 'r' and pg_relation_size(c.oid) <= (2 * c.relpages + 8) * current_setting('block_size')::bigint
    and (c.reltuples >= t.known or t.known <= 1000 and pg_relation_size(c.oid) = 0)
)
from (values ('voicenter.calls'::regclass, 10000), ('voicenter.cdr', 10000), ('voicenter.queue_visits', 1000),
             ('cdr_sync.transfer', 1000), ('voicenter.calls_15min', 1000), ('voicenter.queue_15min', 1000),
             ('voicenter.agent_15min', 1000), ('voicenter.removed_calls', -1), ('voicenter.queue_1day', -1),
             ('voicenter.agent_1day', -1), ('voicenter.queues', -1), ('cdr_sync.number', -1)) t (name, known)
join pg_catalog.pg_class c on c.oid = t.name
$$;
comment on function cdr_sync.plans_may_last is 'Whether the tables are known to the planner, as large as they are, so that what it plans now is right tomorrow.';
create function cdr_sync.fold_with_plans_that_last(of_account text, changed text[], zone text, stamp timestamptz) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
begin
    return cdr_sync.fold_carefully(of_account, changed, zone, stamp);
end
$$;
comment on function cdr_sync.fold_with_plans_that_last is 'As fold_carefully, for a few calls: planned once for each connection.';

-- As in 0015, with plans that last.
create or replace function cdr_sync.fold_commit(of_account text, committed_at timestamptz) returns integer language plpgsql as $$
declare
    failed  integer;
    state   cdr_sync.reporting;
    changed text[];
    rows    bigint;
    next    timestamptz;
begin
    -- Planned each time: in general a commit may be half of the table, this one is known to be no part of it.
    execute 'select array_agg(distinct c.call_id), count(*) from voicenter.cdr c where c.account = (select $1) and c.updated_at = $2'
    into changed, rows
    using of_account, committed_at;
    if changed is null then
        return 0;
    end if;
    insert into cdr_sync.reporting (account) values (of_account) on conflict do nothing;
    select * into state from cdr_sync.reporting where account = of_account for update;
    next := greatest(clock_timestamp(), committed_at, state.stamp + interval '1 microsecond');
    if cardinality(changed) <= 300 and cdr_sync.plans_may_last() then
        failed := cdr_sync.fold_with_plans_that_last(of_account, changed, state.timezone, next);
    else
        failed := cdr_sync.fold_carefully(of_account, changed, state.timezone, next);
    end if;
    -- Ordered, so that it is one step in the index, however many rows the planner expects. (In exists() the order would be lost.)
    if coalesce((
        select true
        from voicenter.cdr c
        where c.account = (select of_account) and c.updated_at >= state.folded_until and c.updated_at < committed_at
          and (c.updated_at, c.call_id) > (state.folded_until, state.folded_call)
        order by c.updated_at, c.call_id
        limit 1
    ), false) then
        -- Older changes are still to come, and fold_changes will take them in their order.
        update cdr_sync.reporting set stamp = next where account = of_account;
    else
        update cdr_sync.reporting
        set stamp = next, folded_until = committed_at, folded_call = (select max(c) from unnest(changed) c),
            folded_rows = folded_rows + rows
        where account = of_account;
    end if;
    return failed;
end
$$;

create or replace function cdr_sync.follow_account() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    perform from cdr_sync.reporting where account = old.name for update;
    update voicenter.calls set account = new.name where account = old.name;
    update voicenter.removed_calls set account = new.name where account = old.name;
    update voicenter.queue_visits set account = new.name where account = old.name;
    update voicenter.calls_15min set account = new.name where account = old.name;
    update voicenter.queue_15min set account = new.name where account = old.name;
    update voicenter.queue_1day set account = new.name where account = old.name;
    update voicenter.agent_15min set account = new.name where account = old.name;
    update voicenter.agent_1day set account = new.name where account = old.name;
    update voicenter.queues set account = new.name where account = old.name;
    update cdr_sync.transfer set account = new.name where account = old.name;
    update cdr_sync.number set account = new.name where account = old.name;
    update cdr_sync.reporting set account = new.name where account = old.name;
    return null;
end
$$;

create or replace function cdr_sync.forget_account() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    delete from voicenter.queue_15min where account = old.account;
    delete from voicenter.queue_1day where account = old.account;
    delete from voicenter.agent_15min where account = old.account;
    delete from voicenter.agent_1day where account = old.account;
    delete from cdr_sync.number where account = old.account;
    return null;
end
$$;

-- The rules of a call, which otherwise stand in 0011, with 0015. How one ended was concluded again for each of the fifteen columns
-- that depend on it.
do $$
declare
    correction record;
    before     text;
    after      text;
begin
    for correction in
        select *
        from (values
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', E'    from judged j\n', E'    from judged j\n    offset 0\n'),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', E'    from concluded c\n', E'    from concluded c\n    offset 0\n'),
            -- The talk of a transferred call: its legs include one another, or begin where the one before ended. The longest alone
            -- was right only where one includes all others.
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'max(duration) filter (where is_answered) as talk,',
             'max(duration) filter (where is_answered) as talk,
        array_agg(started_at + coalesce(ring_seconds, 0) * interval ''1 second'') filter (where is_answered) as talks_from,
        array_agg(duration) filter (where is_answered) as talks_for,'),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)',
             'case when w.initiated_by = ''dialer'' then least(w.talk, w.own_talk) else w.talk end',
             'case when w.initiated_by = ''dialer'' then least(w.talk, w.own_talk)
             when w.is_passed_on and cardinality(w.talks_for) > 1 then (
                 select least(sum(extract(epoch from greatest(t.until - greatest(t.at, t.talked_until), interval ''0''))), 2147483647)::integer
                 from (
                     select f.at, f.at + f.seconds * interval ''1 second'' as until,
                         max(f.at + f.seconds * interval ''1 second'') over (
                             order by f.at, f.seconds rows between unbounded preceding and 1 preceding
                         ) as talked_until
                     from unnest(w.talks_from, w.talks_for) f (at, seconds)
                 ) t
             )
             else w.talk end')
        ) c (name, old, new)
    loop
        before := pg_get_functiondef(correction.name::regprocedure);
        after := replace(before, correction.old, correction.new);
        if after = before then
            raise exception '% does not read as this migration expects', correction.name;
        end if;
        execute after;
    end loop;
end
$$;

comment on column voicenter.calls.talk_seconds is 'How long was talked: Duration of the answered leg. Where the call was transferred, the time that its answered legs cover together, for one may include the next or end where that begins. For a dialer''s call at most Duration of the agent''s leg; 0 when not answered; null for calls answered in a queue, whose Duration includes the waiting.';
update cdr_sync.reporting set folded_until = '-infinity', folded_call = '';

create or replace view voicenter.agent_daily as
select
    account,
    day,
    nullif(agent, '') as agent,
    -- Where there is a code, it is the key.
    case when agent_key like 'code:%' then substr(agent_key, 6) end as representative_code,
    sum(calls)::bigint as calls,
    sum(incoming)::bigint as incoming,
    sum(outgoing)::bigint as outgoing,
    sum(answered)::bigint as answered,
    sum(incoming_answered)::bigint as incoming_answered,
    sum(outgoing_answered)::bigint as outgoing_answered,
    sum(missed)::bigint as missed,
    round(sum(incoming_answered) / nullif(sum(incoming), 0), 4) as answer_rate,
    sum(talk_seconds)::bigint as talk_seconds,
    sum(ring_seconds)::bigint as ring_seconds,
    sum(price_agorot) as price,
    sum(internal)::bigint as internal,
    sum(transferred)::bigint as transferred,
    sum(talks_known)::bigint as talks_known,
    sum(duration_seconds)::bigint as duration_seconds,
    sum(priced)::bigint as priced,
    sum(price_agorot) as price_agorot
from voicenter.agent_1day
group by 1, 2, 3, 4;

create or replace view voicenter.queue_daily as
select
    account,
    day,
    nullif(queue_name, '') as queue_name,
    offered,
    answered,
    abandoned,
    offered - answered - abandoned as other,
    short_abandoned,
    overflowed,
    round(answered::numeric / offered, 4) as answer_rate,
    waits_known,
    wait_seconds,
    duration_seconds,
    answered_duration_seconds as talk_seconds,
    round(wait_seconds::numeric / nullif(waits_known, 0), 1) as average_wait_seconds,
    longest_wait_seconds,
    no_answer,
    voicemail,
    queue_timeout,
    queue_full,
    queue_unstaffed,
    left_by_key,
    answered_waits,
    answered_within_20,
    answered_within_30,
    answered_within_60,
    answered_within_180,
    answered_within_360
from voicenter.queue_1day;

create or replace view voicenter.agent_names as
select
    n.account,
    n.agent_key,
    n.agent,
    n.first_day,
    n.last_day,
    row_number() over (partition by n.account, n.agent_key order by n.last_quarter, n.first_quarter, n.agent) = count(*) over (
        partition by n.account, n.agent_key
    ) as is_latest
from (
    select account, agent_key, agent, min(day) as first_day, max(day) as last_day, min(first_quarter) as first_quarter,
        max(last_quarter) as last_quarter
    from voicenter.agent_1day
    where agent_key > ''
    group by account, agent_key, agent
) n;
comment on view voicenter.agent_names is 'One row for each name that an agent had (account, agent_key, agent), and when: of agents for whom a call is counted (calls.agent_key). Its cost is that of the account''s rows in agent_1day, some 0.4 µs each.';

comment on table voicenter.queue_1day is 'Visits of queues by account, day and queue: voicenter.queue_15min added up, and always equal to it. voicenter.queue_daily has rates besides.';
comment on column voicenter.queue_1day.day is 'The day in the account''s zone, in which calls entered the queue.';
comment on table voicenter.agent_1day is 'Calls by account, day and agent: voicenter.agent_15min added up, and always equal to it. voicenter.agent_daily has rates besides.';
comment on column voicenter.agent_1day.day is 'The day in the account''s zone, in which calls started.';
comment on column voicenter.agent_1day.first_quarter is 'The quarter of an hour in which the first of them started.';
comment on column voicenter.agent_1day.last_quarter is 'The quarter of an hour in which the last of them started.';
-- What has the same name means the same.
do $$
declare
    shared record;
begin
    for shared in
        select a.attrelid::regclass as relation, a.attname as name, col_description(c.attrelid, c.attnum) as text
        from (values ('voicenter.queue_1day'::regclass, 'voicenter.queue_15min'::regclass), ('voicenter.agent_1day', 'voicenter.agent_15min')) p (own, other)
        join pg_attribute a on a.attrelid = p.own and a.attnum > 0 and col_description(a.attrelid, a.attnum) is null
        join pg_attribute c on c.attrelid = p.other and c.attname = a.attname and c.attnum > 0
        where col_description(c.attrelid, c.attnum) is not null
    loop
        execute format('comment on column %s.%I is %L', shared.relation, shared.name, shared.text);
    end loop;
end
$$;

-- Whoever may use the quarters may use the days, such as a daemon that is not the owner.
do $$
declare
    granted record;
begin
    for granted in
        select p.new, a.privilege_type, case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as name
        from (values ('voicenter.queue_1day'::regclass, 'voicenter.queue_15min'::regclass),
                     ('voicenter.agent_1day', 'voicenter.agent_15min')) p (new, old)
        join pg_catalog.pg_class c on c.oid = p.old
        cross join lateral aclexplode(c.relacl) a
        where a.grantee <> c.relowner
    loop
        execute format('grant %s on %s to %s', granted.privilege_type, granted.new, granted.name);
    end loop;
end
$$;
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

-- Last, for whoever asks a view has locked that before its table.
drop index voicenter.queue_15min_day_idx, voicenter.agent_15min_day_idx, voicenter.agent_15min_agent_idx;

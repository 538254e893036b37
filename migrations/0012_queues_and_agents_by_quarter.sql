-- Queues and agents counted by quarter of an hour, and rules that are parsed once for many commits.
--
-- A month of queue_daily counted the month's visits at each question, agent_daily its calls: 0.5 to 3 s at 20 million records.

-- Parsing and planning them took 20 ms of each commit. In PL/pgSQL a connection parses them once; the rules stay as they stand in
-- 0011 and 0009.
do $$
declare
    rule record;
begin
    for rule in
        select p.oid::regprocedure as name, p.proname, pg_get_function_arguments(p.oid) as arguments,
            pg_get_function_result(p.oid) as result, p.prosrc
        from pg_proc p
        where p.oid in ('cdr_sync.calls_of(text, text[], text, timestamptz)'::regprocedure,
                        'cdr_sync.queue_visits_of(text, text[], text)'::regprocedure,
                        'cdr_sync.calls_15min_of(text, timestamptz[], text)'::regprocedure)
    loop
        execute format(
            'create or replace function cdr_sync.%I(%s) returns %s language plpgsql stable set jit = off as %L',
            rule.proname, rule.arguments, rule.result,
            format(E'#variable_conflict use_column\nbegin\nreturn query\n%s;\nend', rule.prosrc));
    end loop;
end
$$;

-- The program says whether they are planned once or each time. (What is created anew here has lost the setting.)
alter function cdr_sync.fold_transfers reset plan_cache_mode;

-- extract() is not immutable to PostgreSQL, so it did not inline this, and prepared it once more for each statement.
create or replace function cdr_sync.quarter(at timestamptz) returns timestamptz language plpgsql immutable strict as $$
begin
    return to_timestamp(floor(extract(epoch from at) / 900)::double precision * 900);
end
$$;

create table voicenter.queue_15min (
    account              text        not null,
    starts_at            timestamptz not null,
    queue_name           text        not null,
    starts_local         timestamp   not null,
    hour                 timestamptz not null,
    day                  date        not null,
    offered              integer     not null,
    answered             integer     not null,
    abandoned            integer     not null,
    short_abandoned      integer     not null,
    overflowed           integer     not null,
    no_answer            integer     not null,
    voicemail            integer     not null,
    queue_timeout        integer     not null,
    queue_full           integer     not null,
    queue_unstaffed      integer     not null,
    left_by_key          integer     not null,
    waits_known          integer     not null,
    wait_seconds         bigint      not null,
    longest_wait_seconds integer,
    answered_waits       integer     not null,
    answered_within_20   integer     not null,
    answered_within_30   integer     not null,
    answered_within_60   integer     not null,
    answered_within_180  integer     not null,
    answered_within_360  integer     not null,
    duration_seconds     bigint      not null,
    talk_seconds         bigint      not null,
    primary key (account, starts_at, queue_name)
);
create index queue_15min_day_idx on voicenter.queue_15min (account, day);
alter table voicenter.queue_15min set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
-- What a quarter is counted from.
create index queue_visits_entered_idx on voicenter.queue_visits (account, entered_at);

create table voicenter.agent_15min (
    account           text        not null,
    starts_at         timestamptz not null,
    agent_key         text        not null,
    agent             text        not null,
    starts_local      timestamp   not null,
    hour              timestamptz not null,
    day               date        not null,
    calls             integer     not null,
    incoming          integer     not null,
    outgoing          integer     not null,
    internal          integer     not null,
    answered          integer     not null,
    incoming_answered integer     not null,
    outgoing_answered integer     not null,
    missed            integer     not null,
    transferred       integer     not null,
    talks_known       integer     not null,
    talk_seconds      bigint      not null,
    ring_seconds      bigint      not null,
    duration_seconds  bigint      not null,
    priced            integer     not null,
    price_agorot      numeric,
    primary key (account, starts_at, agent_key, agent)
);
create index agent_15min_day_idx on voicenter.agent_15min (account, day);
alter table voicenter.agent_15min set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

create function cdr_sync.queue_15min_of(of_account text, slots timestamptz[], zone text) returns setof voicenter.queue_15min
language plpgsql stable set jit = off as $$
#variable_conflict use_column
begin
return query
select of_account, s.starts_at, v.queue_name, s.starts_at at time zone zone,
    s.starts_at - extract(minute from s.starts_at at time zone zone) * interval '1 minute', (s.starts_at at time zone zone)::date,
    v.offered, v.answered, v.abandoned, v.short_abandoned, v.overflowed, v.no_answer, v.voicemail, v.queue_timeout, v.queue_full,
    v.queue_unstaffed, v.left_by_key, v.waits_known, v.wait_seconds, v.longest_wait_seconds, v.answered_waits,
    v.answered_within_20, v.answered_within_30, v.answered_within_60, v.answered_within_180, v.answered_within_360,
    v.duration_seconds, v.talk_seconds
from unnest(slots) s (starts_at)
cross join lateral (
    select
        -- No index holds a name of thousands of characters.
        left(coalesce(queue_name, ''), 200) as queue_name,
        count(*)::integer as offered,
        (count(*) filter (where answered))::integer as answered,
        (count(*) filter (where outcome in ('abandoned', 'short_abandoned')))::integer as abandoned,
        (count(*) filter (where outcome = 'short_abandoned'))::integer as short_abandoned,
        (count(*) filter (where outcome = 'overflowed'))::integer as overflowed,
        (count(*) filter (where outcome = 'no_answer'))::integer as no_answer,
        (count(*) filter (where outcome = 'voicemail'))::integer as voicemail,
        (count(*) filter (where outcome = 'queue_timeout'))::integer as queue_timeout,
        (count(*) filter (where outcome = 'queue_full'))::integer as queue_full,
        (count(*) filter (where outcome = 'queue_unstaffed'))::integer as queue_unstaffed,
        (count(*) filter (where outcome = 'left_by_key'))::integer as left_by_key,
        count(wait_seconds)::integer as waits_known,
        coalesce(sum(wait_seconds), 0)::bigint as wait_seconds,
        max(wait_seconds) as longest_wait_seconds,
        (count(wait_seconds) filter (where answered))::integer as answered_waits,
        (count(*) filter (where answered and wait_seconds <= 20))::integer as answered_within_20,
        (count(*) filter (where answered and wait_seconds <= 30))::integer as answered_within_30,
        (count(*) filter (where answered and wait_seconds <= 60))::integer as answered_within_60,
        (count(*) filter (where answered and wait_seconds <= 180))::integer as answered_within_180,
        (count(*) filter (where answered and wait_seconds <= 360))::integer as answered_within_360,
        sum(duration_seconds)::bigint as duration_seconds,
        coalesce(sum(duration_seconds) filter (where answered), 0)::bigint as talk_seconds
    from voicenter.queue_visits
    where account = (select of_account) and entered_at >= s.starts_at and entered_at < s.starts_at + interval '15 minutes'
    group by 1
    offset 0
) v;
end
$$;
comment on function cdr_sync.queue_15min_of is 'The visits of queues in the quarters of an hour that begin at these instants, counted from voicenter.queue_visits.';

create function cdr_sync.agent_15min_of(of_account text, slots timestamptz[], zone text) returns setof voicenter.agent_15min
language plpgsql stable set jit = off as $$
#variable_conflict use_column
begin
return query
select of_account, s.starts_at, c.agent_key, c.agent, s.starts_at at time zone zone,
    s.starts_at - extract(minute from s.starts_at at time zone zone) * interval '1 minute', (s.starts_at at time zone zone)::date,
    c.calls, c.incoming, c.outgoing, c.internal, c.answered, c.incoming_answered, c.outgoing_answered, c.missed, c.transferred,
    c.talks_known, c.talk_seconds, c.ring_seconds, c.duration_seconds, c.priced, c.price_agorot
from unnest(slots) s (starts_at)
cross join lateral (
    select
        left(coalesce(agent_key, ''), 205) as agent_key,
        left(coalesce(agent, ''), 200) as agent,
        count(*)::integer as calls,
        (count(*) filter (where direction = 'incoming'))::integer as incoming,
        (count(*) filter (where direction = 'outgoing'))::integer as outgoing,
        (count(*) filter (where direction = 'internal'))::integer as internal,
        (count(*) filter (where answered))::integer as answered,
        (count(*) filter (where direction = 'incoming' and answered))::integer as incoming_answered,
        (count(*) filter (where direction = 'outgoing' and answered))::integer as outgoing_answered,
        (count(*) filter (where missed))::integer as missed,
        (count(*) filter (where transferred))::integer as transferred,
        (count(talk_seconds) filter (where answered))::integer as talks_known,
        coalesce(sum(talk_seconds), 0)::bigint as talk_seconds,
        coalesce(sum(ring_seconds), 0)::bigint as ring_seconds,
        sum(duration_seconds)::bigint as duration_seconds,
        (count(*) filter (where priced))::integer as priced,
        sum(price_agorot) as price_agorot
    from voicenter.calls
    where account = (select of_account) and started_at >= s.starts_at and started_at < s.starts_at + interval '15 minutes'
    group by 1, 2
    offset 0
) c;
end
$$;
comment on function cdr_sync.agent_15min_of is 'The calls of agents in the quarters of an hour that begin at these instants, counted from voicenter.calls.';

-- As in 0009, with the counts of queues and agents.
create or replace function cdr_sync.fold(of_account text, changed text[], zone text, stamp timestamptz) returns void
language plpgsql set jit = off as $$
declare
    touched text[];
    fresh   voicenter.calls[];
    gone    text[];
    slots   timestamptz[];
    visited timestamptz[];
    entered timestamptz[];
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
      and not exists (
          select from voicenter.queues q where q.account = (select of_account) and q.queue_name = c.queue_name
      )
    on conflict do nothing;
    touched := array(select unnest(changed) union select unnest(cdr_sync.fold_transfers(of_account, changed)));

    with alone as (
        select t.call_id
        from unnest(touched) t (call_id)
        where not exists (
            select from cdr_sync.transfer x
            where x.account = (select of_account) and x.call_id = t.call_id and x.root_call_id is not null
        )
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
            where not exists (
                select from voicenter.agent_15min a where a.account = (select of_account) and a.starts_at = q.starts_at
            )
        )
    into fresh, gone, slots
    from compared;

    if gone is not null then
        with deleted as (
            delete from voicenter.calls c
            using unnest(gone) g (call_id)
            where c.account = (select of_account) and c.call_id = g.call_id
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
        using unnest(fresh) f
        where r.account = (select of_account) and r.call_id = f.call_id;
        insert into voicenter.calls select f.* from unnest(fresh) f;
    end if;

    with deleted as (
        delete from voicenter.queue_visits v
        where v.account = (select of_account) and v.ctid = any (array(
            select x.ctid
            from unnest(touched) t (call_id)
            cross join lateral (
                select y.ctid from voicenter.queue_visits y where y.account = (select of_account) and y.call_id = t.call_id offset 0
            ) x
        ))
        returning v.entered_at
    )
    select array_agg(distinct cdr_sync.quarter(d.entered_at)) into visited from deleted d;
    with made as (
        insert into voicenter.queue_visits
        select * from cdr_sync.queue_visits_of(of_account, array(
            select c.call_id
            from unnest(touched) t (call_id)
            join voicenter.calls c on c.account = (select of_account) and c.call_id = t.call_id
        ), zone)
        returning entered_at
    )
    select array_agg(distinct cdr_sync.quarter(m.entered_at)) into entered from made m;
    visited := array(select unnest(visited) union select unnest(entered));

    if cardinality(visited) > 0 then
        delete from voicenter.queue_15min q
        using unnest(visited) s (starts_at)
        where q.account = (select of_account) and q.starts_at = s.starts_at;
        insert into voicenter.queue_15min select * from cdr_sync.queue_15min_of(of_account, visited, zone);
    end if;
    if cardinality(slots) > 0 then
        delete from voicenter.calls_15min c
        using unnest(slots) s (starts_at)
        where c.account = (select of_account) and c.starts_at = s.starts_at;
        insert into voicenter.calls_15min select * from cdr_sync.calls_15min_of(of_account, slots, zone);
        delete from voicenter.agent_15min a
        using unnest(slots) s (starts_at)
        where a.account = (select of_account) and a.starts_at = s.starts_at;
        insert into voicenter.agent_15min select * from cdr_sync.agent_15min_of(of_account, slots, zone);
    end if;
end
$$;

-- How far it is, while calls are folded anew.
alter table cdr_sync.reporting add column folded_rows bigint not null default 0;
comment on column cdr_sync.reporting.folded_rows is 'How many changed rows were followed since all were last to be folded: of about as many as cdr_sync.day counts.';
create function cdr_sync.count_folded_anew() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    new.folded_rows := 0;
    return new;
end
$$;
comment on function cdr_sync.count_folded_anew is 'Counts followed rows from the start: all are to be folded again.';
create trigger count_folded_anew before update on cdr_sync.reporting
    for each row when (new.folded_until = '-infinity' and old.folded_until <> '-infinity')
    execute function cdr_sync.count_folded_anew();

create or replace function cdr_sync.fold_commit(of_account text, committed_at timestamptz) returns integer language plpgsql as $$
declare
    failed  integer;
    state   cdr_sync.reporting;
    changed text[];
    next    timestamptz;
begin
    -- Planned each time: in general a commit may be half of the table, this one is known to be no part of it.
    execute 'select array_agg(distinct c.call_id) from voicenter.cdr c where c.account = (select $1) and c.updated_at = $2'
    into changed
    using of_account, committed_at;
    if changed is null then
        return 0;
    end if;
    insert into cdr_sync.reporting (account) values (of_account) on conflict do nothing;
    select * into state from cdr_sync.reporting where account = of_account for update;
    next := greatest(clock_timestamp(), committed_at, state.stamp + interval '1 microsecond');
    failed := cdr_sync.fold_carefully(of_account, changed, state.timezone, next);
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
            folded_rows = folded_rows + cardinality(changed)
        where account = of_account;
    end if;
    return failed;
end
$$;

create or replace function cdr_sync.fold_changes(of_account text, at_most integer, out taken integer, out failed integer)
language plpgsql as $$
declare
    state   cdr_sync.reporting;
    last_at timestamptz;
    last_id text;
    changed text[];
    next    timestamptz;
begin
    insert into cdr_sync.reporting (account) values (of_account) on conflict do nothing;
    select * into state from cdr_sync.reporting where account = of_account for update;
    select count(*)::integer, array_agg(c.call_id), max(c.updated_at)
    into taken, changed, last_at
    from (
        select c.call_id, c.updated_at
        from voicenter.cdr c
        where c.account = (select of_account) and c.updated_at >= state.folded_until
          and (c.updated_at, c.call_id) > (state.folded_until, state.folded_call)
        order by c.updated_at, c.call_id
        limit at_most
    ) c;
    if taken = 0 then
        failed := 0;
        return;
    end if;
    last_id := changed[taken];
    changed := array(select distinct c from unnest(changed) c);
    next := greatest(clock_timestamp(), last_at, state.stamp + interval '1 microsecond');
    failed := cdr_sync.fold_carefully(of_account, changed, state.timezone, next);
    update cdr_sync.reporting
    set stamp = next, folded_until = last_at, folded_call = last_id, folded_rows = folded_rows + taken
    where account = of_account;
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
    update voicenter.agent_15min set account = new.name where account = old.name;
    update voicenter.queues set account = new.name where account = old.name;
    update cdr_sync.transfer set account = new.name where account = old.name;
    update cdr_sync.number set account = new.name where account = old.name;
    update cdr_sync.reporting set account = new.name where account = old.name;
    return null;
end
$$;

-- A program of before deletes an account without knowing of these.
create function cdr_sync.forget_account() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    delete from voicenter.queue_15min where account = old.account;
    delete from voicenter.agent_15min where account = old.account;
    delete from cdr_sync.number where account = old.account;
    return null;
end
$$;
comment on function cdr_sync.forget_account is 'Deletes what is counted and spelt for an account whose calls are deleted.';
create trigger forget_account after delete on cdr_sync.reporting
    for each row execute function cdr_sync.forget_account();

create or replace view voicenter.agent_daily as
select
    account,
    day,
    nullif(agent, '') as agent,
    -- Where there is a code, it is the key.
    case when agent_key like 'code:%' then substr(agent_key, 6) end as representative_code,
    sum(calls) as calls,
    sum(incoming) as incoming,
    sum(outgoing) as outgoing,
    sum(answered) as answered,
    sum(incoming_answered) as incoming_answered,
    sum(outgoing_answered) as outgoing_answered,
    sum(missed) as missed,
    round(sum(incoming_answered)::numeric / nullif(sum(incoming), 0), 4) as answer_rate,
    sum(talk_seconds)::bigint as talk_seconds,
    sum(ring_seconds)::bigint as ring_seconds,
    sum(price_agorot) as price,
    sum(internal) as internal,
    sum(transferred) as transferred,
    sum(talks_known) as talks_known,
    sum(duration_seconds)::bigint as duration_seconds,
    sum(priced) as priced,
    sum(price_agorot) as price_agorot
from voicenter.agent_15min
group by 1, 2, 3, 4;

create or replace view voicenter.queue_daily as
select
    account,
    day,
    nullif(queue_name, '') as queue_name,
    sum(offered) as offered,
    sum(answered) as answered,
    sum(abandoned) as abandoned,
    sum(offered) - sum(answered) - sum(abandoned) as other,
    sum(short_abandoned) as short_abandoned,
    sum(overflowed) as overflowed,
    round(sum(answered)::numeric / sum(offered), 4) as answer_rate,
    sum(waits_known) as waits_known,
    sum(wait_seconds)::bigint as wait_seconds,
    sum(duration_seconds)::bigint as duration_seconds,
    sum(talk_seconds)::bigint as talk_seconds,
    round(sum(wait_seconds) / nullif(sum(waits_known), 0), 1) as average_wait_seconds,
    max(longest_wait_seconds) as longest_wait_seconds,
    sum(no_answer) as no_answer,
    sum(voicemail) as voicemail,
    sum(queue_timeout) as queue_timeout,
    sum(queue_full) as queue_full,
    sum(queue_unstaffed) as queue_unstaffed,
    sum(left_by_key) as left_by_key,
    sum(answered_waits) as answered_waits,
    sum(answered_within_20) as answered_within_20,
    sum(answered_within_30) as answered_within_30,
    sum(answered_within_60) as answered_within_60,
    sum(answered_within_180) as answered_within_180,
    sum(answered_within_360) as answered_within_360
from voicenter.queue_15min
group by 1, 2, 3;

comment on table voicenter.queue_15min is 'Visits of queues by account, quarter of an hour and queue: sums and counts, so that any span can be added up. Always equal to what voicenter.queue_visits holds.';
comment on column voicenter.queue_15min.starts_at is 'When the quarter of an hour begins, in which calls entered the queue.';
comment on column voicenter.queue_15min.queue_name is 'The queue (at most 200 characters of its name); empty for legs of a queue''s type that name none.';
comment on column voicenter.queue_15min.day is 'Its day, in the account''s zone.';
comment on column voicenter.queue_daily.queue_name is 'The queue (at most 200 characters of its name); null for legs of a queue''s type that name none.';
comment on column voicenter.queue_daily.no_answer is 'Those of other with this outcome.';
comment on column voicenter.queue_daily.voicemail is 'Those of other with this outcome.';
comment on column voicenter.queue_daily.queue_timeout is 'Those of other with this outcome.';
comment on column voicenter.queue_daily.queue_full is 'Those of other with this outcome.';
comment on column voicenter.queue_daily.queue_unstaffed is 'Those of other with this outcome.';
comment on column voicenter.queue_daily.left_by_key is 'Those of other with this outcome.';
comment on column voicenter.queue_daily.answered_waits is 'Those of answered whose wait is known: what the next ones are shares of. The API tells no wait of answered queue calls.';
comment on table voicenter.agent_15min is 'Calls by account, quarter of an hour and agent: sums and counts, so that any span can be added up. Always equal to what voicenter.calls holds; each call counts once, for its agent_key.';
comment on column voicenter.agent_15min.agent_key is 'As in calls.agent_key (at most 205 characters of it); empty for calls that name nobody, so that the rows of a quarter add up to calls_15min.';
comment on column voicenter.agent_15min.agent is 'The agent as voicenter.calls shows it (at most 200 characters).';
comment on column voicenter.agent_daily.agent is 'The agent as voicenter.calls shows it (at most 200 characters); null for calls that name nobody.';
comment on column voicenter.agent_daily.internal is 'Those from one extension to another.';
comment on column voicenter.agent_daily.price is 'Deprecated: see price_agorot.';
-- What has the same name means the same.
do $$
declare
    shared record;
begin
    for shared in
        select a.attrelid::regclass as relation, a.attname as name, col_description(c.attrelid, c.attnum) as text
        from (values (1, 'voicenter.queue_15min'::regclass, 'voicenter.queue_daily'::regclass), (2, 'voicenter.queue_15min', 'voicenter.calls_15min'),
                     (3, 'voicenter.queue_daily', 'voicenter.calls_15min'), (4, 'voicenter.agent_15min', 'voicenter.agent_daily'),
                     (5, 'voicenter.agent_15min', 'voicenter.calls_15min'), (6, 'voicenter.agent_daily', 'voicenter.calls_15min')) p (nth, own, other)
        join pg_attribute a on a.attrelid = p.own and a.attnum > 0
        join pg_attribute c on c.attrelid = p.other and c.attname = a.attname and c.attnum > 0
        where col_description(c.attrelid, c.attnum) is not null
        order by p.nth
    loop
        if col_description(shared.relation, (
            select attnum from pg_attribute where attrelid = shared.relation and attname = shared.name
        )) is null then
            execute format('comment on column %s.%I is %L', shared.relation, shared.name, shared.text);
        end if;
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

-- The newest two months at once, for they are what dashboards show; the rest follows with all calls.
insert into voicenter.queue_15min
select q.*
from cdr_sync.reporting r
cross join lateral (
    select max(v.entered_at) as at from voicenter.queue_visits v where v.account = r.account
) newest
cross join lateral cdr_sync.queue_15min_of(r.account, array(
    select cdr_sync.quarter(newest.at) - n * interval '15 minutes' from generate_series(0, 62 * 96) n where newest.at is not null
), r.timezone) q;
insert into voicenter.agent_15min
select a.*
from cdr_sync.reporting r
cross join lateral (
    select max(c.started_at) as at from voicenter.calls c where c.account = r.account
) newest
cross join lateral cdr_sync.agent_15min_of(r.account, array(
    select cdr_sync.quarter(newest.at) - n * interval '15 minutes' from generate_series(0, 62 * 96) n where newest.at is not null
), r.timezone) a;
update cdr_sync.reporting set folded_until = '-infinity', folded_call = '';

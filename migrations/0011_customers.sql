-- Customers: numbers in one spelling, missed calls and what became of them, who called again.
--
-- How a number is spelt is what a library of the program says (src/phone_number.rs): cdr_sync.number holds its answers, so
-- that calls can be made of the rows by SQL alone.

create table cdr_sync.number (
    account text not null,
    raw     text not null check (length(raw) <= 200),
    number  text,
    primary key (account, raw)
);
comment on table cdr_sync.number is 'How the numbers in voicenter.cdr are spelt: filled by the program before it folds calls.';
comment on column cdr_sync.number.account is 'The account.';
comment on column cdr_sync.number.raw is 'CallerNumber or TargetNumber as sent, at most 200 characters of it.';
comment on column cdr_sync.number.number is 'The same in one spelling, by the account''s country; null where it names nobody, as a withheld one.';

alter table cdr_sync.reporting
    add column country          text    not null default 'IL',
    add column lacks_customers  boolean not null default false;
comment on table cdr_sync.reporting is 'How far voicenter.calls follows voicenter.cdr, by which clock it counts days, and in which country numbers are read.';
comment on column cdr_sync.reporting.country is 'The country of numbers that name none: reporting.country.';
comment on column cdr_sync.reporting.lacks_customers is 'A program that cannot spell numbers has folded calls: the next one that can folds all of them again.';

alter table voicenter.calls add column customer_number text, add column customer_key text;
comment on column voicenter.calls.customer_number is 'The customer''s number in one spelling (+972541234567; short codes as they are): the caller''s of an incoming call, the target''s of an outgoing one. Null where withheld, and for internal and unknown calls.';
comment on column voicenter.calls.customer_key is 'Tells customers apart without showing their number: the same for all calls of a customer, and of no use outside this database.';
create index calls_customer_number_idx on voicenter.calls (account, customer_number, started_at) where customer_number is not null;

create or replace function cdr_sync.calls_of(of_account text, roots text[], zone text, changed_at timestamptz) returns setof voicenter.calls
language sql stable set jit = off as $$
with member as materialized (
    select r.call_id as root, r.call_id from unnest(roots) r (call_id)
    union all
    select r.call_id, t.call_id
    from unnest(roots) r (call_id)
    cross join lateral (
        select x.call_id from cdr_sync.transfer x where x.account = (select of_account) and x.root_call_id = r.call_id offset 0
    ) t
),
leg as materialized (
    select m.root, m.call_id <> m.root as is_continuation, l.*, o.missed as is_missed,
        l.is_transfer or m.call_id <> m.root as is_passed_on,
        coalesce(l.duration_seconds, 0) as duration,
        greatest(l.ring_seconds, l.duration_seconds, 0) as longest
    from member m
    cross join lateral (
        select * from cdr_sync.leg l where l.account = (select of_account) and l.call_id = m.call_id offset 0
    ) l
    join voicenter.outcomes o on o.outcome = l.outcome
),
-- The leg that speaks for the call: an answered one before others, the longest talk first.
speaker as (
    select distinct on (root) *
    from leg
    order by root, is_continuation, is_answered desc, case when is_answered then duration_seconds end desc nulls last, rank,
        started_at, type
),
-- The one who talked longest, over transfers too.
agent as (
    select distinct on (root) root, agent_key, agent, agent_extension, representative_code, representative_name, user_id, user_name
    from leg
    where agent_key is not null
    order by root, (is_answered or has_own_agent) desc, names_agent desc, case when is_answered then duration_seconds end desc nulls last, rank,
        started_at, type
),
gathered as (
    -- In the order of time; no aggregate has an order of its own nor is distinct, for PostgreSQL 16 would sort all by it.
    select
        root,
        min(started_at) as started_at,
        max(started_at + (duration::bigint + case when is_queued then 0 else coalesce(ring_seconds, 0) end) * interval '1 second') as ended_at,
        (array_agg(direction) filter (where direction is not null and not is_continuation))[1] as direction,
        (array_agg(initiated_by) filter (where initiated_by is not null))[1] as initiated_by,
        bool_or(is_answered) filter (where not is_own_agent) as is_answered,
        bool_or(is_own_agent) as has_agent_leg,
        bool_or(has_own_agent) as has_own_agent,
        bool_or(is_answered and (kind in (17, 18))) as is_machine,
        -- A menu that was used, and nothing that speaks of a person.
        bool_or(jsonb_typeof(dtmf_data) = 'array' and dtmf_data <> '[]')
            and not bool_or(is_answered and (is_queued or is_passed_on or agent_key is not null or kind = 23)) as is_menu,
        -- Whether a person was reached; what a menu or a recording did afterwards decides nothing.
        array_agg(outcome) filter (where (is_missed or outcome in ('left_by_key', 'busy')) and not is_own_agent) as missed_outcomes,
        array_agg(outcome) filter (where outcome not in ('unknown', 'answered') and not is_own_agent) as outcomes,
        array_agg(queue_name) filter (where queue_name is not null) as queue_names,
        bool_or(is_queued) as is_queued,
        (case when bool_or(is_queued) then least(sum(longest::bigint) filter (where is_queued), 2147483647) end)::integer as queue_seconds,
        max(longest) as longest,
        max(ring_seconds) filter (where is_answered and not is_passed_on) as answered_ring,
        max(duration) filter (where is_answered) as talk,
        max(duration) filter (where has_own_agent) as own_talk,
        bool_or(is_answered and is_queued) as is_answered_in_queue,
        (array_agg(did) filter (where did is not null))[1] as did,
        (array_agg(ring_seconds) filter (where ring_seconds is not null))[1] as ring_seconds,
        (array_agg(department_id) filter (where coalesce(department_id, department_name) is not null))[1] as department_id,
        (array_agg(department_name) filter (where coalesce(department_id, department_name) is not null))[1] as department_name,
        array_agg(agent_key) filter (where agent_key is not null) as agent_keys,
        bool_or(is_passed_on) as is_passed_on,
        (array_agg(coalesce(target_extension, target_number)) filter (where is_passed_on))[1] as passed_on_to,
        bool_or(is_answered) filter (where is_passed_on) as passed_on_answered,
        (array_agg(original_call_id) filter (where original_call_id is not null and not is_continuation))[1] as original_call_id,
        sum(price) as price,
        bool_and(price is not null) as priced,
        (array_agg(record_url) filter (where record_url is not null))[1] as record_url,
        array_agg(record_url) filter (where record_url is not null) as record_urls,
        bool_or(record_expected) as record_expected,
        (array_agg(dtmf_data) filter (where jsonb_typeof(dtmf_data) = 'array'))[1] as dtmf_data,
        (array_agg(custom_data) filter (where custom_data is not null))[1] as custom_data,
        count(*)::integer as legs,
        string_agg(type, ', ') as types,
        min(first_seen_at) as first_seen_at
    from (select * from leg order by root, started_at, type) l
    group by root
),
judged as (
    select g.*, s.caller_number, s.caller_extension, s.target_number, s.target_extension, s.target_prefix_name, s.dial_status,
        s.did as speaker_did, s.ring_seconds as speaker_ring, s.queue_name as speaker_queue, s.record_url as speaker_url,
        s.is_own_agent as speaker_is_own_agent,
        coalesce(g.direction, case
            when s.did is not null then 'incoming'
            when not g.is_passed_on then 'unknown'
            when s.caller_extension is not null and s.target_extension is not null then 'internal'
            when s.caller_extension is not null then 'outgoing'
            when s.target_extension is not null then 'incoming'
            else 'unknown'
        end) as way,
        q.short_abandon_seconds,
        a.agent_key, a.agent, a.agent_extension, a.representative_code, a.representative_name, a.user_id, a.user_name
    from gathered g
    join speaker s on s.root = g.root
    left join agent a on a.root = g.root
    left join voicenter.queues q on q.account = (select of_account) and q.queue_name = g.queue_names[array_upper(g.queue_names, 1)]
),
concluded as (
    select j.*, case
        when j.is_answered and j.initiated_by = 'dialer' and j.has_agent_leg and not j.has_own_agent then 'dialer_abandoned'
        when j.is_answered and j.way = 'incoming' and j.is_menu then 'in_menu'
        when j.is_answered then 'answered'
        when j.has_agent_leg and not j.has_own_agent then 'not_dialled'
        when j.missed_outcomes[array_upper(j.missed_outcomes, 1)] = 'abandoned'
            and j.queue_seconds < coalesce(j.short_abandon_seconds, 10) then 'short_abandoned'
        else coalesce(case when j.way = 'incoming' then j.missed_outcomes[array_upper(j.missed_outcomes, 1)] end,
                      j.outcomes[array_upper(j.outcomes, 1)], 'unknown')
    end as outcome
    from judged j
),
waited as (
    select c.*, case
        when c.way <> 'incoming' then null
        when c.outcome in ('in_menu', 'recording_played', 'after_hours', 'not_dialled', 'failed', 'busy', 'unknown') then null
        when c.outcome = 'answered' and not c.is_queued and c.answered_ring is not null then 'vendor'
        when c.outcome in ('abandoned', 'short_abandoned', 'no_answer', 'queue_timeout', 'queue_full', 'queue_unstaffed')
            then 'derived'
        else 'unknown'
    end as wait_source
    from concluded c
)
select
    of_account,
    w.root,
    w.started_at,
    w.ended_at,
    w.started_at at time zone zone,
    (w.started_at at time zone zone)::date,
    extract(hour from w.started_at at time zone zone)::smallint,
    (extract(dow from w.started_at at time zone zone) + 1)::smallint,
    w.way,
    coalesce(w.initiated_by, 'person'),
    w.outcome,
    w.outcome = 'answered',
    w.way = 'incoming' and o.missed,
    w.outcome = 'short_abandoned',
    case
        when w.outcome = 'answered' and w.is_machine then 'machine'
        when w.outcome = 'answered' then 'agent'
        when w.outcome = 'voicemail' then 'voicemail'
        when w.outcome in ('in_menu', 'recording_played', 'after_hours') then 'machine'
        else 'nobody'
    end,
    left(w.caller_number, 200),
    w.caller_extension,
    left(w.target_number, 200),
    w.target_extension,
    coalesce(w.speaker_did, w.did),
    w.dial_status,
    w.queue_names[1],
    w.queue_names[array_upper(w.queue_names, 1)],
    (select count(distinct n)::integer from unnest(w.queue_names) n),
    w.department_id,
    w.department_name,
    w.agent_key,
    w.agent_keys[1],
    w.agent_keys[array_upper(w.agent_keys, 1)],
    w.agent,
    w.agent_extension,
    w.representative_code,
    w.representative_name,
    w.user_id,
    w.user_name,
    w.is_passed_on,
    w.passed_on_to,
    w.passed_on_answered,
    w.original_call_id,
    case w.wait_source when 'vendor' then w.answered_ring when 'derived' then coalesce(w.queue_seconds, w.longest) end,
    w.wait_source,
    coalesce(w.speaker_ring, w.ring_seconds),
    case when w.outcome <> 'answered' then 0 when not w.is_answered_in_queue then
        -- A customer who was reached by a dialer waits for an agent first.
        case when w.initiated_by = 'dialer' then least(w.talk, w.own_talk) else w.talk end
    end,
    case when w.outcome <> 'answered' then 'derived' when not w.is_answered_in_queue then 'vendor' else 'unknown' end,
    least(greatest(floor(extract(epoch from w.ended_at - w.started_at)), 0), 2147483647)::integer,
    w.price,
    w.priced,
    w.target_prefix_name,
    coalesce(w.speaker_url, w.record_url),
    case when w.record_url is not null then 'available' when w.record_expected then 'expected' else 'none' end,
    case when w.dtmf_data is not null then (
        select string_agg(coalesce(nullif(d.choice ->> 'LayerName', ''), d.choice ->> 'LayerNumber', '?') || ': '
                          || coalesce(d.choice ->> 'DTMF', '?'), ' > ' order by d.nth)
        from jsonb_array_elements(w.dtmf_data) with ordinality d (choice, nth)
        where jsonb_typeof(d.choice) = 'object'
    ) end,
    w.custom_data,
    w.legs,
    w.types,
    w.first_seen_at,
    changed_at,
    w.price,
    coalesce(w.speaker_url, w.record_url),
    (select array_agg(distinct u) from unnest(w.record_urls) u),
    w.record_expected,
    w.target_prefix_name,
    c.number,
    left(encode(sha256((select i.salt from cdr_sync.installation i) || convert_to(c.number, 'UTF8')), 'hex'), 16)
from waited w
join voicenter.outcomes o on o.outcome = w.outcome
left join lateral (
    select n.number
    from cdr_sync.number n
    where n.account = (select of_account)
      -- To one's own agent, the system calls in the customer's name.
      and n.raw = left(case when w.way = 'incoming' or w.way = 'outgoing' and w.speaker_is_own_agent then w.caller_number
                            when w.way = 'outgoing' then w.target_number end, 200)
    offset 0
) c on true
$$;
comment on function cdr_sync.calls_of is 'The calls with these ids, made from their legs: the rules of voicenter.calls. Customers are named where cdr_sync.number has their number.';

-- The lookups are laterals, so that no plan reads all numbers of an account; PL/pgSQL, so that each is planned for its stamp.
create function cdr_sync.unspelt(of_account text, committed_at timestamptz) returns setof text
language plpgsql stable set jit = off as $$
begin
    return query
    select distinct x.raw
    from voicenter.cdr c
    cross join lateral (values (left(c.caller_number, 200)), (left(c.target_number, 200))) x (raw)
    left join lateral (
        select true as is_known from cdr_sync.number n where n.account = (select of_account) and n.raw = x.raw offset 0
    ) n on true
    where c.account = (select of_account) and c.updated_at = committed_at and x.raw is not null and n.is_known is null;
end
$$;
comment on function cdr_sync.unspelt is 'The numbers in rows of this updated_at that cdr_sync.number lacks.';

create function cdr_sync.unspelt_of_slice(of_account text, at_most integer) returns setof text
language plpgsql stable set jit = off as $$
begin
    return query
    with taken as materialized (
        select distinct t.call_id
        from (
            select c.call_id
            from (select folded_until, folded_call from cdr_sync.reporting where account = of_account) s
            cross join lateral (
                select c.call_id
                from voicenter.cdr c
                where c.account = (select of_account) and c.updated_at >= s.folded_until
                  and (c.updated_at, c.call_id) > (s.folded_until, s.folded_call)
                order by c.updated_at, c.call_id
                limit at_most
            ) c
        ) t
    )
    select distinct x.raw
    from taken t
    -- All rows of those calls: a slice may end between two of one call, which is folded whole.
    cross join lateral (
        select c.caller_number, c.target_number
        from voicenter.cdr c
        where c.account = (select of_account) and c.call_id = t.call_id
        offset 0
    ) c
    cross join lateral (values (left(c.caller_number, 200)), (left(c.target_number, 200))) x (raw)
    left join lateral (
        select true as is_known from cdr_sync.number n where n.account = (select of_account) and n.raw = x.raw offset 0
    ) n on true
    where x.raw is not null and n.is_known is null;
end
$$;
comment on function cdr_sync.unspelt_of_slice is 'The numbers that cdr_sync.number lacks, in the calls that fold_changes would take next.';

-- A program of before folds without spelling: while both run, or when a release was taken back.
create function cdr_sync.note_lacking_customers() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    new.lacks_customers := new.lacks_customers or coalesce(current_setting('cdr_sync.numbers_spelt', true), '') <> 'on';
    return new;
end
$$;
comment on function cdr_sync.note_lacking_customers is 'Notes when calls were folded by a program that does not spell numbers.';
create trigger note_lacking_customers before update on cdr_sync.reporting
    for each row when (old.stamp <> new.stamp) execute function cdr_sync.note_lacking_customers();

create or replace function cdr_sync.follow_account() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    perform from cdr_sync.reporting where account = old.name for update;
    update voicenter.calls set account = new.name where account = old.name;
    update voicenter.removed_calls set account = new.name where account = old.name;
    update voicenter.queue_visits set account = new.name where account = old.name;
    update voicenter.calls_15min set account = new.name where account = old.name;
    update voicenter.queues set account = new.name where account = old.name;
    update cdr_sync.transfer set account = new.name where account = old.name;
    update cdr_sync.number set account = new.name where account = old.name;
    update cdr_sync.reporting set account = new.name where account = old.name;
    return null;
end
$$;

alter function cdr_sync.calls_of set plan_cache_mode = force_custom_plan;
alter function cdr_sync.unspelt set plan_cache_mode = force_custom_plan;
alter function cdr_sync.unspelt_of_slice set plan_cache_mode = force_custom_plan;

create view voicenter.missed_calls as
select
    m.account,
    m.call_id,
    m.started_at,
    m.started_local,
    m.day,
    m.customer_number,
    m.customer_key,
    m.queue_name,
    m.outcome,
    m.did,
    case
        when m.customer_number is null then 'no_number'
        when r.call_id is null then 'open'
        when r.direction = 'outgoing' then 'called_back'
        else 'called_again'
    end as resolution,
    r.started_at as resolved_at,
    r.call_id as resolved_call_id,
    r.agent as resolved_by,
    floor(extract(epoch from r.started_at - m.started_at) / 60)::integer as minutes_to_resolve,
    case when m.customer_number is not null
        then coalesce(r.started_at <= m.started_at + interval '3 hours', false)
    end as resolved_within_3_hours,
    t.started_at as first_attempt_at
from voicenter.calls m
left join lateral (
    select c.call_id, c.started_at, c.direction, c.agent
    from voicenter.calls c
    where c.account = m.account and c.customer_number = m.customer_number and c.started_at > m.started_at and c.answered
    order by c.started_at, c.call_id
    limit 1
) r on true
left join lateral (
    select c.started_at
    from voicenter.calls c
    where c.account = m.account and c.customer_number = m.customer_number and c.started_at > m.started_at
      and c.direction = 'outgoing' and c.outcome <> 'not_dialled'
    order by c.started_at
    limit 1
) t on true
where m.missed;
comment on view voicenter.missed_calls is 'One row for each missed incoming call (calls.missed), and what became of it: a list to work off is where resolution = ''open''. A customer who was missed three times stands in it three times; one later call resolves all of them.';
comment on column voicenter.missed_calls.account is 'The account.';
comment on column voicenter.missed_calls.call_id is 'The missed call in voicenter.calls.';
comment on column voicenter.missed_calls.started_at is 'When it started.';
comment on column voicenter.missed_calls.started_local is 'The same by the clock of the account.';
comment on column voicenter.missed_calls.day is 'Its day, in the account''s zone.';
comment on column voicenter.missed_calls.customer_number is 'Whom to call back, as in calls.customer_number; null where withheld.';
comment on column voicenter.missed_calls.customer_key is 'As in calls.customer_key.';
comment on column voicenter.missed_calls.queue_name is 'The first queue that it entered.';
comment on column voicenter.missed_calls.outcome is 'How it ended, as in calls.outcome.';
comment on column voicenter.missed_calls.did is 'The number that was called.';
comment on column voicenter.missed_calls.resolution is 'What came first afterwards: called_back, an answered call to the customer; called_again, an answered call of the customer; open, neither so far; no_number, nobody can be called back.';
comment on column voicenter.missed_calls.resolved_at is 'When that answered call started.';
comment on column voicenter.missed_calls.resolved_call_id is 'That call in voicenter.calls.';
comment on column voicenter.missed_calls.resolved_by is 'Its agent, as in calls.agent.';
comment on column voicenter.missed_calls.minutes_to_resolve is 'Whole minutes from the start of the missed call to the start of that one.';
comment on column voicenter.missed_calls.resolved_within_3_hours is 'Whether that was at most three hours later: false while open, null without a number.';
comment on column voicenter.missed_calls.first_attempt_at is 'When the customer was first called afterwards, answered or not. Click2Calls whose own agent did not pick up are none.';

create view voicenter.repeat_callers as
select
    account,
    day,
    customer_number,
    customer_key,
    count(*) as calls,
    count(*) filter (where answered) as answered,
    count(*) filter (where missed) as missed,
    min(started_at) as first_at,
    max(started_at) as last_at
from voicenter.calls
where direction = 'incoming' and customer_number is not null
group by account, day, customer_number, customer_key
having count(*) >= 2;
comment on view voicenter.repeat_callers is 'One row for each customer and day with two or more incoming calls.';
comment on column voicenter.repeat_callers.account is 'The account.';
comment on column voicenter.repeat_callers.day is 'The day, in the account''s zone.';
comment on column voicenter.repeat_callers.customer_number is 'As in calls.customer_number.';
comment on column voicenter.repeat_callers.customer_key is 'As in calls.customer_key.';
comment on column voicenter.repeat_callers.calls is 'Incoming calls of the customer on that day.';
comment on column voicenter.repeat_callers.answered is 'Those of them that were answered.';
comment on column voicenter.repeat_callers.missed is 'Those that were missed.';
comment on column voicenter.repeat_callers.first_at is 'When the first one started.';
comment on column voicenter.repeat_callers.last_at is 'When the last one started.';

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

-- All calls get their customers.
update cdr_sync.reporting set folded_until = '-infinity', folded_call = '';

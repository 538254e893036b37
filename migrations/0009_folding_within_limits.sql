-- Folding within limits: no record can make it fail for others or take without end, and no commit waits for it.
--
-- `account = (select of_account)`: of an account that is new since the last ANALYZE the planner expects no row, takes any index
-- that begins with account, and reads all its rows for each lookup. So it does not learn which account it is.

-- An index holds no text of more than about 2,700 bytes, and a number of that length is none: calls_of cuts it.
drop index voicenter.queue_visits_day_idx;
create index queue_visits_day_idx on voicenter.queue_visits (account, day);

-- Where folding has come to is a place among the rows of one commit: without call_id each look would read all of them.
create index cdr_changes_idx on voicenter.cdr (account, updated_at, call_id);
drop index voicenter.cdr_updated_at_idx;

-- As in 0008, with numbers of at most 200 characters, and sums of times that no integer holds.
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
    w.target_prefix_name
from waited w
join voicenter.outcomes o on o.outcome = w.outcome
$$;
comment on function cdr_sync.calls_of is 'The calls with these ids, made from their legs: the rules of voicenter.calls.';


-- Notes which calls continue which, for these calls; returns all calls that may look different for it.
--
-- A call continues the one that it names if that began before it, and within a day; no longer chain than of 20, and no call
-- that more than 50 name: some systems write one id everywhere. So each call costs a bounded number of lookups.
create or replace function cdr_sync.fold_transfers(of_account text, touched text[]) returns text[] language plpgsql as $$
declare
    dropped text[];
    parted  text[];
    noted   text[];
    linked  text[];
    roots   text[];
begin
    with named as materialized (
        select t.call_id, o.original
        from unnest(touched) t (call_id)
        cross join lateral (
            select min(nullif(btrim(c.custom_data ->> 'OriginalIvrUniqueID'), '')) as original
            from voicenter.cdr c
            where c.account = (select of_account) and c.call_id = t.call_id and c.removed_at is null
            offset 0
        ) o
    ), gone as (
        delete from cdr_sync.transfer x
        using named n
        where x.account = (select of_account) and x.call_id = n.call_id
          and x.original_call_id is distinct from nullif(n.original, n.call_id)
        returning x.call_id, x.original_call_id, x.root_call_id
    )
    select array(select call_id from gone union select original_call_id from gone),
        array(select root_call_id from gone where root_call_id is not null)
    into dropped, parted;
    with named as materialized (
        select t.call_id, o.original
        from unnest(touched) t (call_id)
        cross join lateral (
            select min(nullif(btrim(c.custom_data ->> 'OriginalIvrUniqueID'), '')) as original
            from voicenter.cdr c
            where c.account = (select of_account) and c.call_id = t.call_id and c.removed_at is null
            offset 0
        ) o
    ), fresh as (
        insert into cdr_sync.transfer (account, call_id, original_call_id)
        select of_account, n.call_id, n.original
        from named n
        where n.original <> n.call_id and octet_length(n.original) <= 2000
        on conflict (account, call_id) do nothing
        returning original_call_id
    )
    select array(select original_call_id from fresh) into noted;

    -- What may be linked otherwise now: these calls, the others that name the same one, and all that were part of a call with
    -- one of them.
    linked := array(
        select unnest(dropped)
        union select unnest(noted)
        union
        select t.call_id
        from unnest(touched) t (call_id)
        where exists (select from cdr_sync.transfer x where x.account = (select of_account) and x.original_call_id = t.call_id)
           or exists (select from cdr_sync.transfer x where x.account = (select of_account) and x.call_id = t.call_id)
    );
    if cardinality(linked) = 0 then
        return '{}';
    end if;
    roots := array(
        select unnest(linked)
        union select unnest(parted)
        union
        select x.root_call_id
        from unnest(linked) t (call_id)
        join cdr_sync.transfer x on x.account = (select of_account) and x.call_id = t.call_id
        where x.root_call_id is not null
    );
    with recursive start as materialized (
        select unnest(linked) as call_id
        union
        select x.call_id
        from unnest(roots) r (call_id)
        cross join lateral (
            select x.call_id from cdr_sync.transfer x where x.account = (select of_account) and x.root_call_id = r.call_id offset 0
        ) x
        union
        -- Those whose original more than 50 calls name only now: they may have had others below them.
        select x.call_id
        from (select o.call_id, count(*) as fresh from unnest(noted) o (call_id) group by o.call_id) o
        cross join lateral (
            select y.call_id, count(*) over () as names
            from (
                select y.call_id
                from cdr_sync.transfer y
                where y.account = (select of_account) and y.original_call_id = o.call_id
                limit 51 + o.fresh
            ) y
            offset 0
        ) x
        where x.names - o.fresh <= 50
    ), down (call_id, hops) as (
        select call_id, 0 from start
        union
        select x.call_id, d.hops + 1
        from down d
        cross join lateral (
            -- A call that more than 50 name is continued by none of them.
            select o.call_id
            from (
                select x.call_id, count(*) over () as names
                from (
                    select x.call_id
                    from cdr_sync.transfer x
                    where x.account = (select of_account) and x.original_call_id = d.call_id
                    limit 51
                ) x
            ) o
            where o.names <= 50
            offset 0
        ) x
        where d.hops <= 20 and x.call_id not in (select s.call_id from start s)
    ), up (call_id, root, depth) as (
        select distinct d.call_id, d.call_id, 0 from down d
        union all
        select u.call_id, l.original, u.depth + 1
        from up u
        cross join lateral (
            select x.original_call_id as original
            from cdr_sync.transfer x
            cross join lateral (
                select min(c.started_at) as at
                from voicenter.cdr c
                where c.account = (select of_account) and c.call_id = x.call_id and c.removed_at is null
            ) own
            cross join lateral (
                select min(c.started_at) as at
                from voicenter.cdr c
                where c.account = (select of_account) and c.call_id = x.original_call_id and c.removed_at is null
            ) earlier
            where x.account = (select of_account) and x.call_id = u.root
              and earlier.at <= own.at and own.at < earlier.at + interval '24 hours'
              -- Of two that began at one instant, the later id is the later one, unless the other continues nothing. So nothing
              -- can continue itself by a detour.
              and (earlier.at < own.at or x.original_call_id < x.call_id or not exists (
                  select from cdr_sync.transfer y where y.account = (select of_account) and y.call_id = x.original_call_id
              ))
              and (select count(*) from (
                  select from cdr_sync.transfer y
                  where y.account = (select of_account) and y.original_call_id = x.original_call_id
                  limit 51
              ) y) <= 50
            offset 0
        ) l
        where u.depth <= 20
    ), rooted as materialized (
        select distinct on (u.call_id) u.call_id, case when u.depth between 1 and 20 then u.root end as root
        from up u
        order by u.call_id, u.depth desc
    ), changed as (
        update cdr_sync.transfer x
        set root_call_id = r.root
        from rooted r
        where x.account = (select of_account) and x.call_id = r.call_id and x.root_call_id is distinct from r.root
    )
    select array(select r.call_id from rooted r union select r.root from rooted r where r.root is not null union select unnest(roots))
    into linked;
    return linked;
end
$$;

-- As in 0008 but for the account; who had waited in another queue before is no short abandoner, as in calls.
create or replace function cdr_sync.queue_visits_of(of_account text, roots text[], zone text) returns setof voicenter.queue_visits
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
    select m.root, l.*
    from member m
    cross join lateral (
        select * from cdr_sync.leg l where l.account = (select of_account) and l.call_id = m.call_id and l.is_queued offset 0
    ) l
),
visit as (
    -- In the order of time; no aggregate has an order of its own, for PostgreSQL 16 would sort all of them by it.
    select
        root,
        queue_name,
        min(started_at) as entered_at,
        bool_or(is_answered) as is_answered,
        (array_agg(outcome) filter (where outcome <> 'unknown'))[count(*) filter (where outcome <> 'unknown')] as outcome,
        max(greatest(ring_seconds, duration_seconds, 0)) as longest,
        (array_agg(agent_key) filter (where agent_key is not null and is_answered))[1] as agent_key,
        (array_agg(agent) filter (where agent_key is not null and is_answered))[1] as agent
    from (select * from leg order by root, queue_name, started_at, type) l
    group by root, queue_name
),
numbered as (
    select
        v.*,
        row_number() over (partition by root order by entered_at, queue_name) as nth,
        lead(queue_name) over (partition by root order by entered_at, queue_name) as next_queue,
        lead(entered_at) over (partition by root order by entered_at, queue_name) is null as is_last,
        sum(longest) over (partition by root order by entered_at, queue_name) as waited,
        -- What voicemail, a menu or a key took of it, nobody knows.
        not is_answered and coalesce(outcome in ('abandoned', 'no_answer', 'queue_timeout', 'queue_full', 'queue_unstaffed'), false)
            as is_waiting
    from visit v
)
select
    of_account,
    n.root,
    n.nth::integer,
    n.queue_name,
    n.entered_at,
    n.entered_at at time zone zone,
    (n.entered_at at time zone zone)::date,
    case
        when n.is_answered then 'answered'
        when not n.is_last and coalesce(n.outcome, 'unknown') not in ('abandoned', 'voicemail') then 'overflowed'
        when n.outcome = 'abandoned' and n.waited < coalesce(q.short_abandon_seconds, 10) then 'short_abandoned'
        else coalesce(n.outcome, 'unknown')
    end,
    n.is_answered,
    case when not n.is_answered and not n.is_last and coalesce(n.outcome, 'unknown') not in ('abandoned', 'voicemail')
        then n.next_queue end,
    case when n.is_waiting then n.longest end,
    case when n.is_waiting then 'derived' else 'unknown' end,
    n.agent_key,
    n.agent,
    coalesce(n.longest, 0),
    n.is_last
from numbered n
left join voicenter.queues q on q.account = (select of_account) and q.queue_name = n.queue_name
$$;

create or replace function cdr_sync.calls_15min_of(of_account text, slots timestamptz[], zone text) returns setof voicenter.calls_15min
language sql stable set jit = off as $$
select of_account, s.starts_at, c.direction, s.starts_at at time zone zone,
    s.starts_at - extract(minute from s.starts_at at time zone zone) * interval '1 minute', (s.starts_at at time zone zone)::date,
    c.calls, c.answered, c.missed, c.abandoned, c.short_abandoned, c.no_answer, c.busy, c.voicemail, c.in_menu,
    c.recording_played, c.after_hours, c.queue_timeout, c.queue_full, c.queue_unstaffed, c.left_by_key, c.not_dialled,
    c.failed, c.dialer_abandoned, c.unknown, c.waits_known, c.wait_seconds, c.answered_waits, c.answered_within_20,
    c.answered_within_30, c.answered_within_60, c.answered_within_180, c.answered_within_360, c.talks_known, c.talk_seconds,
    c.ring_seconds, c.duration_seconds, c.transferred, c.priced, c.price_agorot
from unnest(slots) s (starts_at)
cross join lateral (
    select
        direction,
        count(*)::integer as calls,
        (count(*) filter (where outcome = 'answered'))::integer as answered,
        (count(*) filter (where missed))::integer as missed,
        (count(*) filter (where outcome = 'abandoned'))::integer as abandoned,
        (count(*) filter (where outcome = 'short_abandoned'))::integer as short_abandoned,
        (count(*) filter (where outcome = 'no_answer'))::integer as no_answer,
        (count(*) filter (where outcome = 'busy'))::integer as busy,
        (count(*) filter (where outcome = 'voicemail'))::integer as voicemail,
        (count(*) filter (where outcome = 'in_menu'))::integer as in_menu,
        (count(*) filter (where outcome = 'recording_played'))::integer as recording_played,
        (count(*) filter (where outcome = 'after_hours'))::integer as after_hours,
        (count(*) filter (where outcome = 'queue_timeout'))::integer as queue_timeout,
        (count(*) filter (where outcome = 'queue_full'))::integer as queue_full,
        (count(*) filter (where outcome = 'queue_unstaffed'))::integer as queue_unstaffed,
        (count(*) filter (where outcome = 'left_by_key'))::integer as left_by_key,
        (count(*) filter (where outcome = 'not_dialled'))::integer as not_dialled,
        (count(*) filter (where outcome = 'failed'))::integer as failed,
        (count(*) filter (where outcome = 'dialer_abandoned'))::integer as dialer_abandoned,
        (count(*) filter (where outcome = 'unknown'))::integer as unknown,
        count(wait_seconds)::integer as waits_known,
        coalesce(sum(wait_seconds), 0)::bigint as wait_seconds,
        (count(wait_seconds) filter (where answered))::integer as answered_waits,
        (count(*) filter (where answered and wait_seconds <= 20))::integer as answered_within_20,
        (count(*) filter (where answered and wait_seconds <= 30))::integer as answered_within_30,
        (count(*) filter (where answered and wait_seconds <= 60))::integer as answered_within_60,
        (count(*) filter (where answered and wait_seconds <= 180))::integer as answered_within_180,
        (count(*) filter (where answered and wait_seconds <= 360))::integer as answered_within_360,
        (count(talk_seconds) filter (where answered))::integer as talks_known,
        coalesce(sum(talk_seconds), 0)::bigint as talk_seconds,
        coalesce(sum(ring_seconds), 0)::bigint as ring_seconds,
        sum(duration_seconds)::bigint as duration_seconds,
        (count(*) filter (where transferred))::integer as transferred,
        (count(*) filter (where priced))::integer as priced,
        sum(price_agorot) as price_agorot
    from voicenter.calls
    where account = (select of_account) and started_at >= s.starts_at and started_at < s.starts_at + interval '15 minutes'
    group by direction
    offset 0
) c
$$;

create or replace function cdr_sync.fold(of_account text, changed text[], zone text, stamp timestamptz) returns void
language plpgsql set jit = off as $$
declare
    touched text[];
    fresh   voicenter.calls[];
    gone    text[];
    slots   timestamptz[];
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
    )
    select array_agg(n) filter (where (n).call_id is not null),
        array_agg((b).call_id) filter (where (b).call_id is not null),
        array(
            select distinct cdr_sync.quarter(x.at)
            from compared
            cross join lateral (values ((n).started_at), ((b).started_at)) x (at)
            where x.at is not null
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
    delete from voicenter.queue_visits v
    using unnest(touched) t (call_id)
    where v.account = (select of_account) and v.call_id = t.call_id;
    insert into voicenter.queue_visits
    select * from cdr_sync.queue_visits_of(of_account, array(
        select c.call_id
        from unnest(touched) t (call_id)
        join voicenter.calls c on c.account = (select of_account) and c.call_id = t.call_id
    ), zone);
    delete from voicenter.calls_15min c
    using unnest(slots) s (starts_at)
    where c.account = (select of_account) and c.starts_at = s.starts_at;
    insert into voicenter.calls_15min select * from cdr_sync.calls_15min_of(of_account, slots, zone);
end
$$;

create or replace function cdr_sync.fold_commit(of_account text, committed_at timestamptz) returns integer language plpgsql as $$
declare
    failed  integer;
    state   cdr_sync.reporting;
    changed text[];
    next    timestamptz;
begin
    select array_agg(distinct c.call_id) into changed
    from voicenter.cdr c
    where c.account = (select of_account) and c.updated_at = committed_at;
    if changed is null then
        return 0;
    end if;
    insert into cdr_sync.reporting (account) values (of_account) on conflict do nothing;
    select * into state from cdr_sync.reporting where account = of_account for update;
    next := greatest(clock_timestamp(), committed_at, state.stamp + interval '1 microsecond');
    failed := cdr_sync.fold_carefully(of_account, changed, state.timezone, next);
    if exists (
        select from voicenter.cdr c
        where c.account = (select of_account) and c.updated_at >= state.folded_until and c.updated_at < committed_at
          and (c.updated_at, c.call_id) > (state.folded_until, state.folded_call)
    ) then
        -- Older changes are still to come, and fold_changes will take them in their order.
        update cdr_sync.reporting set stamp = next where account = of_account;
    else
        update cdr_sync.reporting
        set stamp = next, folded_until = committed_at, folded_call = (select max(c) from unnest(changed) c)
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
    set stamp = next, folded_until = last_at, folded_call = last_id
    where account = of_account;
end
$$;

-- The same as cdr_sync.fold, but a call whose values no rule foresaw costs that call only. Returns how many were left as they
-- were.
create or replace function cdr_sync.fold_carefully(of_account text, changed text[], zone text, stamp timestamptz) returns integer
language plpgsql as $$
declare
    half integer := cardinality(changed) / 2;
begin
    begin
        perform cdr_sync.fold(of_account, changed, zone, stamp);
        return 0;
    exception when others then
        -- Conflicts, resources, missing rights, and whatever an operator does: not for the sake of a value.
        if left(sqlstate, 2) in ('08', '25', '40', '42', '53', '55', '57', '58', 'XX') then
            raise;
        end if;
    end;
    if half = 0 then
        return 1;
    end if;
    return cdr_sync.fold_carefully(of_account, changed[:half], zone, stamp)
        + cdr_sync.fold_carefully(of_account, changed[half + 1:], zone, stamp);
end
$$;

-- Outcomes are a closed list, so that they add up: only what they are called and whether they count as missed may change.
create function cdr_sync.keep_outcomes() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    raise exception 'voicenter.outcomes is a closed list: only missed, meaning and meaning_he may be changed'
        using errcode = 'restrict_violation', hint = 'To give a DialStatus another outcome, change voicenter.dial_statuses.';
end
$$;
comment on function cdr_sync.keep_outcomes is 'Refuses new, renamed and deleted outcomes.';
create trigger keep_outcomes before insert or delete or truncate on voicenter.outcomes
    for each statement execute function cdr_sync.keep_outcomes();
create trigger keep_outcome before update on voicenter.outcomes
    for each row when (old.outcome is distinct from new.outcome) execute function cdr_sync.keep_outcomes();

create function cdr_sync.fold_account_of_deleted() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    update cdr_sync.reporting set folded_until = '-infinity', folded_call = '' where account = old.account;
    return null;
end
$$;
comment on function cdr_sync.fold_account_of_deleted is 'Lets the calls of an account be folded again: a queue with thresholds of its own was deleted.';
create trigger fold_account_again_for_deleted after delete on voicenter.queues
    for each row when (old.short_abandon_seconds <> 10) execute function cdr_sync.fold_account_of_deleted();

-- A program of before renames accounts without knowing of what is made of their rows. (What it deletes, forget deletes again.)
create function cdr_sync.follow_account() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    perform from cdr_sync.reporting where account = old.name for update;
    update voicenter.calls set account = new.name where account = old.name;
    update voicenter.removed_calls set account = new.name where account = old.name;
    update voicenter.queue_visits set account = new.name where account = old.name;
    update voicenter.calls_15min set account = new.name where account = old.name;
    update voicenter.queues set account = new.name where account = old.name;
    update cdr_sync.transfer set account = new.name where account = old.name;
    update cdr_sync.reporting set account = new.name where account = old.name;
    return null;
end
$$;
comment on function cdr_sync.follow_account is 'Renames an account in what is made of its rows.';
create trigger follow_account after update on cdr_sync.account
    for each row when (old.name <> new.name) execute function cdr_sync.follow_account();

-- Planned each time: what was planned while a table was empty would read all of it later.
alter function cdr_sync.calls_of set plan_cache_mode = force_custom_plan;
alter function cdr_sync.queue_visits_of set plan_cache_mode = force_custom_plan;
alter function cdr_sync.calls_15min_of set plan_cache_mode = force_custom_plan;
alter function cdr_sync.fold_transfers set plan_cache_mode = force_custom_plan;
alter function cdr_sync.fold set plan_cache_mode = force_custom_plan;
alter function cdr_sync.fold_commit set plan_cache_mode = force_custom_plan;
alter function cdr_sync.fold_changes set plan_cache_mode = force_custom_plan;

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
-- Ordered, so that it is one step in the index however the planner thinks of it.
    not coalesce((
        select true
        from voicenter.cdr d
        where d.account = a.name and d.updated_at >= coalesce(r.folded_until, '-infinity')
          and (d.updated_at, d.call_id) > (coalesce(r.folded_until, '-infinity'), coalesce(r.folded_call, ''))
        order by d.updated_at
        limit 1
    ), false) as calls_current
from cdr_sync.account a
left join cdr_sync.cursor c on c.account = a.name
left join cdr_sync.reporting r on r.account = a.name;

comment on table voicenter.outcomes is 'How a call can end: a closed list that adds up. Change missed here to count an outcome otherwise; all calls follow within minutes. Rows can neither be added nor deleted.';
comment on column voicenter.calls.caller_number is 'CallerNumber as sent (at most 200 characters of it), of the leg that speaks for the call: an answered one before others, the longest talk first; then voicemail and one''s own agent last, the earliest first.';
comment on column voicenter.calls.target_number is 'TargetNumber of that leg, as sent (at most 200 characters of it).';
comment on column voicenter.calls.original_call_id is 'The call that it says it continues, where it is not part of that one: that is not stored, or did not begin within the day before, or more than 50 calls name it.';
comment on column cdr_sync.transfer.root_call_id is 'The call of voicenter.calls that it is part of; null: it stands for itself, because the original is not stored, did not begin within the day before, or is named by more than 50 calls.';

-- The rules have changed: all calls follow.
update cdr_sync.reporting set folded_until = '-infinity', folded_call = '';

-- What is folded is looked up call by call, whatever the planner expects.
--
-- It takes an account for one of average size. So for a few calls of a large one it read all of the account's calls, transfers
-- or counted quarters, to join them or for a `not exists`: of the 50 ms that following 100 calls took, 30 went there at a hundred
-- thousand records, and more the more there were. Lookups are laterals or scalar subqueries, and what is deleted is joined to
-- keys that name the account themselves, so that its size is never guessed.

-- As in 0009.
create or replace function cdr_sync.fold_transfers(of_account text, touched text[]) returns text[] language plpgsql as $$
declare
    ids       text[];
    originals text[];
    dropped   text[];
    parted    text[];
    noted     text[];
    linked    text[];
    roots     text[];
begin
    select array_agg(t.call_id), array_agg(o.original)
    into ids, originals
    from unnest(touched) t (call_id)
    cross join lateral (
        select min(nullif(btrim(c.custom_data ->> 'OriginalIvrUniqueID'), '')) as original
        from voicenter.cdr c
        where c.account = (select of_account) and c.call_id = t.call_id and c.removed_at is null
        offset 0
    ) o;
    with gone as (
        delete from cdr_sync.transfer x
        using (select of_account as account, t.* from unnest(ids, originals) t (call_id, original) offset 0) n
        where x.account = n.account and x.call_id = n.call_id and x.original_call_id is distinct from nullif(n.original, n.call_id)
        returning x.call_id, x.original_call_id, x.root_call_id
    )
    select array(select call_id from gone union select original_call_id from gone),
        array(select root_call_id from gone where root_call_id is not null)
    into dropped, parted;
    with fresh as (
        insert into cdr_sync.transfer (account, call_id, original_call_id)
        select of_account, n.call_id, n.original
        from unnest(ids, originals) n (call_id, original)
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
        where coalesce((
            -- Ordered, so that it is one step in the index where most transfers name the same few.
            select true
            from (
                select x.original_call_id
                from cdr_sync.transfer x
                where x.account = (select of_account) and x.original_call_id >= t.call_id
                order by x.original_call_id
                limit 1
            ) x
            where x.original_call_id = t.call_id
        ), (
            select true from cdr_sync.transfer x where x.account = (select of_account) and x.call_id = t.call_id
        ), false)
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
        cross join lateral (
            select y.root_call_id from cdr_sync.transfer y where y.account = (select of_account) and y.call_id = t.call_id offset 0
        ) x
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
              and (earlier.at < own.at or x.original_call_id < x.call_id or not coalesce((
                  select true from cdr_sync.transfer y where y.account = (select of_account) and y.call_id = x.original_call_id
              ), false))
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
    )
    select array_agg(r.call_id), array_agg(r.root) into ids, originals from rooted r;
    update cdr_sync.transfer x
    set root_call_id = r.root
    from (select of_account as account, t.* from unnest(ids, originals) t (call_id, root) offset 0) r
    where x.account = r.account and x.call_id = r.call_id and x.root_call_id is distinct from r.root;
    return array(
        select unnest(ids)
        union select o.root from unnest(originals) o (root) where o.root is not null
        union select unnest(roots)
    );
end
$$;

-- As in 0012.
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
        delete from voicenter.queue_15min q
        using (select of_account as account, t.starts_at from unnest(visited) t (starts_at) offset 0) s
        where q.account = s.account and q.starts_at = s.starts_at;
        insert into voicenter.queue_15min select * from cdr_sync.queue_15min_of(of_account, visited, zone);
    end if;
    if cardinality(slots) > 0 then
        delete from voicenter.calls_15min c
        using (select of_account as account, t.starts_at from unnest(slots) t (starts_at) offset 0) s
        where c.account = s.account and c.starts_at = s.starts_at;
        insert into voicenter.calls_15min select * from cdr_sync.calls_15min_of(of_account, slots, zone);
        delete from voicenter.agent_15min a
        using (select of_account as account, t.starts_at from unnest(slots) t (starts_at) offset 0) s
        where a.account = s.account and a.starts_at = s.starts_at;
        insert into voicenter.agent_15min select * from cdr_sync.agent_15min_of(of_account, slots, zone);
    end if;
end
$$;

-- As in 0012, but what was followed is counted in rows, as the rest is.
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
            folded_rows = folded_rows + rows
        where account = of_account;
    end if;
    return failed;
end
$$;

-- Three corrections of the rules, which otherwise stand as in 0011 and 0009.
do $$
declare
    correction record;
    before     text;
    after      text;
begin
    for correction in
        select *
        from (values
            -- Legs that began at one instant have an order, too: without it, the same rows made one call today and another tomorrow.
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'started_at, type', 'started_at, type, call_id'),
            ('cdr_sync.queue_visits_of(text, text[], text)', 'started_at, type', 'started_at, type, call_id'),
            -- A leg without choices is no menu.
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'filter (where jsonb_typeof(dtmf_data) = ''array'')',
             'filter (where jsonb_typeof(dtmf_data) = ''array'' and dtmf_data <> ''[]'')'),
            -- Whom a click or a dialer put into a queue is no caller: Click 2 Queue stood among those who had called.
            ('cdr_sync.queue_visits_of(text, text[], text)', 'and l.is_queued offset 0',
             'and l.is_queued and l.direction is distinct from ''outgoing'' offset 0')
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
update cdr_sync.reporting set folded_until = '-infinity', folded_call = '';

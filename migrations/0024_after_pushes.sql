-- What the joining of pushes left open: agents' talk, and accounts that a program of before renames or forgets.
set local lock_timeout = '5s';

-- As in 0013, with the talk that the push told of a leg.
create or replace view voicenter.agent_calls as
select
    c.account,
    c.call_id,
    a.agent_key,
    a.nth,
    a.is_last,
    a.agent,
    a.agent_extension,
    a.started_at,
    c.day,
    c.direction,
    a.queue_name,
    a.role,
    a.offered,
    a.answered,
    a.ring_seconds,
    case
        when not a.answered then 0
        when a.is_talk_unknown then null
        -- The customer whom a dialer has reached waits for the agent first.
        when c.initiated_by = 'dialer' then least(a.talk, a.own_talk)
        else a.talk
    end as talk_seconds
from voicenter.calls c
cross join lateral (
    select
        g.*,
        row_number() over (order by g.started_at, g.agent_key)::integer as nth,
        lead(g.agent_key) over (order by g.started_at, g.agent_key) is null as is_last,
        case when g.has_agent_leg then g.has_own_agent and c.answered or g.is_answered_there else g.is_answered end as answered
    from (
        select
            l.agent_key,
            min(l.started_at) as started_at,
            coalesce((array_agg(l.agent) filter (where l.names_agent))[1], (array_agg(l.agent))[1]) as agent,
            (array_agg(l.agent_extension) filter (where l.agent_extension is not null))[1] as agent_extension,
            (array_agg(l.queue_name) filter (where l.queue_name is not null))[1] as queue_name,
            case
                when bool_or(l.kind in (4, 9, 10) and not l.is_passed_on) then 'caller'
                when bool_and(l.is_passed_on) then 'transferred_to'
                else 'called'
            end as role,
            bool_or(l.kind not in (4, 9, 10, 15)) as offered,
            bool_or(l.is_own_agent) as has_agent_leg,
            bool_or(l.has_own_agent) as has_own_agent,
            bool_or(l.is_answered) as is_answered,
            bool_or(l.is_answered and l.kind not in (10, 15)) as is_answered_there,
            bool_or(l.is_answered and l.is_queued and l.vendor_talk_seconds is null) as is_talk_unknown,
            least(sum(l.ring_seconds::bigint) filter (where l.kind <> 15), 2147483647)::integer as ring_seconds,
            least(sum(l.talked::bigint) filter (where l.is_answered), 2147483647)::integer as talk,
            least(sum(l.talked::bigint) filter (where l.has_own_agent), 2147483647)::integer as own_talk
        -- In the order of time; an aggregate with an order of its own would sort once more.
        from (
            select l.type, l.started_at, l.agent_key, l.agent, l.agent_extension, l.names_agent, l.queue_name, l.is_queued,
                l.is_own_agent, l.has_own_agent, l.ring_seconds, l.vendor_talk_seconds,
                coalesce(l.vendor_talk_seconds, l.duration_seconds) as talked, coalesce(l.kind, 0) as kind,
                -- A menu that a click called is no person.
                l.is_answered and coalesce(l.kind, 0) not in (17, 18) as is_answered,
                l.is_transfer or m.is_continuation as is_passed_on
            from (
                select c.call_id, false as is_continuation
                union all
                select x.call_id, true from cdr_sync.transfer x where x.account = c.account and x.root_call_id = c.call_id
            ) m
            cross join lateral (
                select * from cdr_sync.leg l where l.account = c.account and l.call_id = m.call_id and l.agent_key is not null
                offset 0
            ) l
            order by l.agent_key, l.started_at, l.type
        ) l
        group by l.agent_key
    ) g
    offset 0
) a;
comment on column cdr_sync.push.state is 'new: to be applied; applied; rejected: not understood, or its analysis was refused, to be read again after an upgrade (cdr-sync push replay); unsupported: XML-RPC; forgotten: about nothing but what was forgotten (cdr-sync forget).';
comment on column voicenter.agent_calls.talk_seconds is 'How long was talked in these legs, added up where answered: actualCallDuration where a notification (push) told it, else Duration. For a dialer''s call at most that of the agent''s leg; 0 when not answered; null when answered in a queue without a notification, whose Duration includes the waiting.';

-- Analyses under another key. Whoever may not use their schema has stored none: syncing needs no right there.
create function cdr_sync.may_write_analyses() returns boolean language sql stable as $$
select count(*) filter (
    where has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')
        and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete')
) = 5
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'voicenter_ai' and has_schema_privilege(n.oid, 'usage')
    and c.relname in ('call_ai', 'call_ai_part', 'call_ai_answer', 'call_ai_sentence', 'call_transcript')
$$;
comment on function cdr_sync.may_write_analyses is 'Whether this role may change what is in voicenter_ai.';

create function cdr_sync.move_analysis(from_account text, of_call text, from_type text, to_account text, to_type text) returns void
language plpgsql as $$
declare
    newer text[];
begin
    if (from_account, from_type) = (to_account, to_type) or not cdr_sync.may_write_analyses() then
        return;
    end if;
    delete from voicenter_ai.call_ai_part t
    using voicenter_ai.call_ai_part f
    where t.account = to_account and t.call_id = of_call and t.type = to_type
        and f.account = from_account and f.call_id = of_call and f.type = from_type and f.part = t.part
        and (t.source = 'push', t.received_at, t.body_sha256) < (f.source = 'push', f.received_at, f.body_sha256);
    with moved as (
        update voicenter_ai.call_ai_part f
        set account = to_account, type = to_type
        where f.account = from_account and f.call_id = of_call and f.type = from_type
            and not exists (
                select from voicenter_ai.call_ai_part t
                where t.account = to_account and t.call_id = of_call and t.type = to_type and t.part = f.part
            )
        returning f.part
    )
    select coalesce(array_agg(m.part), '{}') into newer from moved m;
    delete from voicenter_ai.call_ai_part where account = from_account and call_id = of_call and type = from_type;

    delete from voicenter_ai.call_ai_answer
    where account = to_account and call_id = of_call and type = to_type and part = any (newer);
    delete from voicenter_ai.call_ai_answer
    where account = from_account and call_id = of_call and type = from_type and part <> all (newer);
    update voicenter_ai.call_ai_answer set account = to_account, type = to_type
    where account = from_account and call_id = of_call and type = from_type;
    delete from voicenter_ai.call_ai_sentence
    where account = to_account and call_id = of_call and type = to_type and 'sentences' = any (newer);
    delete from voicenter_ai.call_ai_sentence
    where account = from_account and call_id = of_call and type = from_type and 'sentences' <> all (newer);
    update voicenter_ai.call_ai_sentence set account = to_account, type = to_type
    where account = from_account and call_id = of_call and type = from_type;
    delete from voicenter_ai.call_transcript
    where account = to_account and call_id = of_call and type = to_type and 'transcript' = any (newer);
    delete from voicenter_ai.call_transcript
    where account = from_account and call_id = of_call and type = from_type and 'transcript' <> all (newer);
    update voicenter_ai.call_transcript set account = to_account, type = to_type
    where account = from_account and call_id = of_call and type = from_type;

    insert into voicenter_ai.call_ai as t (account, call_id, type, summary, caller_name, callee_name, personality, extra,
        source, received_at, body_sha256, first_received_at)
    select to_account, f.call_id, to_type, f.summary, f.caller_name, f.callee_name, f.personality, f.extra,
        f.source, f.received_at, f.body_sha256, f.first_received_at
    from voicenter_ai.call_ai f
    where f.account = from_account and f.call_id = of_call and f.type = from_type
    on conflict (account, call_id, type) do update
    set summary = case when 'summary' = any (newer) then excluded.summary else t.summary end,
        caller_name = case when 'participants' = any (newer) then excluded.caller_name else t.caller_name end,
        callee_name = case when 'participants' = any (newer) then excluded.callee_name else t.callee_name end,
        personality = case when 'participants' = any (newer) then excluded.personality else t.personality end,
        extra = case when 'extra' = any (newer) then excluded.extra else t.extra end,
        source = case when excluded.received_at > t.received_at then excluded.source else t.source end,
        body_sha256 = case when excluded.received_at > t.received_at then excluded.body_sha256 else t.body_sha256 end,
        received_at = greatest(excluded.received_at, t.received_at),
        first_received_at = least(excluded.first_received_at, t.first_received_at);
    delete from voicenter_ai.call_ai where account = from_account and call_id = of_call and type = from_type;
end
$$;
comment on function cdr_sync.move_analysis is 'Gives the analysis of a call another account or type. Where there is one already, the newer counts of each part, as where they are stored.';
-- Planned each time: what was planned while a table was empty would read all of it later.
alter function cdr_sync.move_analysis set plan_cache_mode = force_custom_plan;

create function cdr_sync.move_analyses(from_account text, to_account text) returns void language plpgsql as $$
declare
    one record;
begin
    if from_account = to_account or not cdr_sync.may_write_analyses() then
        return;
    end if;
    for one in
        select f.call_id, f.type
        from voicenter_ai.call_ai f
        where f.account = from_account
            and exists (select from voicenter_ai.call_ai t where t.account = to_account and t.call_id = f.call_id and t.type = f.type)
    loop
        perform cdr_sync.move_analysis(from_account, one.call_id, one.type, to_account, one.type);
    end loop;
    update voicenter_ai.call_ai_part set account = to_account where account = from_account;
    update voicenter_ai.call_ai_answer set account = to_account where account = from_account;
    update voicenter_ai.call_ai_sentence set account = to_account where account = from_account;
    update voicenter_ai.call_transcript set account = to_account where account = from_account;
    update voicenter_ai.call_ai set account = to_account where account = from_account;
end
$$;
comment on function cdr_sync.move_analyses is 'Gives all analyses of an account another account.';
alter function cdr_sync.move_analyses set plan_cache_mode = force_custom_plan;

-- A program of before renames and forgets accounts without knowing of what 0020 to 0023 keep of them.
create function cdr_sync.follow_account_in_pushes() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    delete from voicenter.cdr_push o
    where o.account = old.name
        and exists (
            select from voicenter.cdr_push n where n.account = new.name and n.call_id = o.call_id and n.type = o.type
        );
    update voicenter.cdr_push set account = new.name where account = old.name;
    delete from cdr_sync.push_uptime o
    where o.account = old.name
        and exists (select from cdr_sync.push_uptime n where n.account = new.name and n.from_at = o.from_at);
    update cdr_sync.push_uptime set account = new.name where account = old.name;
    -- Where the owner of the tables has no right there, whoever renames does it.
    perform cdr_sync.move_analyses(old.name, new.name);
    return null;
end
$$;
comment on function cdr_sync.follow_account_in_pushes is 'Renames an account in what is made of its notifications.';
create trigger follow_account_in_pushes after update on cdr_sync.account
    for each row when (old.name <> new.name) execute function cdr_sync.follow_account_in_pushes();

-- At the end of the transaction: whoever stores a notification waits from here on, and then finds what is forgotten. It stays
-- forgotten under the old name as well: a receiver that still has that name may store notifications under it.
create function cdr_sync.follow_account_in_inbox() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    perform pg_advisory_xact_lock(1667527265, hashtext(new.name));
    insert into cdr_sync.forgotten (account, hash, forgotten_at)
    select new.name, f.hash, f.forgotten_at from cdr_sync.forgotten f where f.account = old.name
    on conflict do nothing;
    -- The same body may have come under both names.
    delete from cdr_sync.push o
    where o.account = old.name
        and exists (select from cdr_sync.push n where n.account = new.name and n.body_sha256 = o.body_sha256);
    update cdr_sync.push set account = new.name where account = old.name;
    return null;
end
$$;
comment on function cdr_sync.follow_account_in_inbox is 'Renames an account in its notifications, and lets what it has forgotten stay so.';
create constraint trigger follow_account_in_inbox after update on cdr_sync.account
    deferrable initially deferred
    for each row when (old.name <> new.name) execute function cdr_sync.follow_account_in_inbox();

create function cdr_sync.follow_account_in_reference() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    delete from cdr_sync.reference_list where account = new.name;
    update cdr_sync.reference_list set account = new.name where account = old.name;
    update voicenter.extension set account = new.name where account = old.name;
    update voicenter.queue set account = new.name where account = old.name;
    return null;
end
$$;
comment on function cdr_sync.follow_account_in_reference is 'Renames an account in its reference data.';
create trigger follow_account_in_reference after update on cdr_sync.account
    for each row when (old.name <> new.name) execute function cdr_sync.follow_account_in_reference();

create function cdr_sync.forget_ledger_of_account() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    delete from cdr_sync.push where account = old.name;
    delete from cdr_sync.push_uptime where account = old.name;
    delete from cdr_sync.reference_list where account = old.name;
    return null;
end
$$;
comment on function cdr_sync.forget_ledger_of_account is 'Deletes the notifications of a forgotten account, and what is known of its lists.';
create trigger forget_ledger_of_account after delete on cdr_sync.account
    for each row execute function cdr_sync.forget_ledger_of_account();

create or replace function cdr_sync.forget_account() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    delete from voicenter.queue_15min where account = old.account;
    delete from voicenter.queue_1day where account = old.account;
    delete from voicenter.agent_15min where account = old.account;
    delete from voicenter.agent_1day where account = old.account;
    delete from voicenter.cdr_push where account = old.account;
    delete from voicenter.extension where account = old.account;
    delete from voicenter.queue where account = old.account;
    delete from cdr_sync.number where account = old.account;
    if cdr_sync.may_write_analyses() then
        delete from voicenter_ai.call_ai_part where account = old.account;
        delete from voicenter_ai.call_ai_answer where account = old.account;
        delete from voicenter_ai.call_ai_sentence where account = old.account;
        delete from voicenter_ai.call_transcript where account = old.account;
        delete from voicenter_ai.call_ai where account = old.account;
    end if;
    return null;
end
$$;
comment on function cdr_sync.forget_account is 'Deletes what is counted, spelt, pushed and listed for an account whose calls are deleted.';

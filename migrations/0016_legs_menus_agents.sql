-- What readers look up beside the calls: their legs, the choices in menus, who the agents are, what numbers are called, and
-- what every column means.
set local lock_timeout = '5s';

-- Each call's legs are looked up by their key, as in agent_calls: joined as tables, the planner would read all of them.
create view voicenter.call_legs as
select
    c.account,
    c.call_id,
    l.nth,
    l.call_id as leg_call_id,
    l.type,
    l.kind as cdr_type,
    l.is_continuation,
    l.started_at,
    c.day,
    l.direction,
    l.outcome,
    l.is_answered as answered,
    l.queue_name,
    l.agent_key,
    l.agent,
    l.agent_extension,
    l.caller_number,
    l.caller_extension,
    l.target_number,
    l.target_extension,
    l.did,
    l.dial_status,
    l.ring_seconds,
    l.duration_seconds,
    l.price as price_agorot,
    l.record_url as recording_url,
    l.first_seen_at
from voicenter.calls c
cross join lateral (
    select l.*, m.is_continuation, row_number() over (order by l.started_at, l.type, l.call_id)::integer as nth
    from (
        select c.call_id, false as is_continuation
        union all
        select x.call_id, true from cdr_sync.transfer x where x.account = c.account and x.root_call_id = c.call_id
    ) m
    cross join lateral (
        select * from cdr_sync.leg l where l.account = c.account and l.call_id = m.call_id offset 0
    ) l
    offset 0
) l;
comment on view voicenter.call_legs is 'One row for each record of a call (account, call_id, nth), those of transfers included: what voicenter.calls is made of. Filter by account and day, or by account and call_id: its cost is that of the calls asked for.';
comment on column voicenter.call_legs.account is 'The account.';
comment on column voicenter.call_legs.call_id is 'The call in voicenter.calls.';
comment on column voicenter.call_legs.nth is '1 for the first leg of the call.';
comment on column voicenter.call_legs.leg_call_id is 'CallID of the record: another one than call_id where a transfer has an id of its own. With type it is the key in voicenter.cdr.';
comment on column voicenter.call_legs.type is 'Type of the record, as sent.';
comment on column voicenter.call_legs.cdr_type is 'CdrType of the record, or what its type is known to mean; null for types that are not known.';
comment on column voicenter.call_legs.is_continuation is 'Whether it is the leg of a transfer that names this call as its original.';
comment on column voicenter.call_legs.started_at is 'When the leg started.';
comment on column voicenter.call_legs.day is 'The day of the call, as in calls.day.';
comment on column voicenter.call_legs.direction is 'What the type of the leg says: incoming, outgoing or internal; null where it says nothing.';
comment on column voicenter.call_legs.outcome is 'How the leg ended, by voicenter.dial_statuses: unknown for a status that is not in it, and always voicemail for a leg of that type.';
comment on column voicenter.call_legs.answered is 'Whether the leg was answered. A leg to one''s own agent (Click2Call leg1, a dialer''s leg1) and voicemail never count as answered.';
comment on column voicenter.call_legs.queue_name is 'The queue that the leg names.';
comment on column voicenter.call_legs.agent_key is 'The agent that the leg names, as in calls.agent_key; null for none.';
comment on column voicenter.call_legs.agent is 'The same agent, to show.';
comment on column voicenter.call_legs.agent_extension is 'The extension of that agent in this leg.';
comment on column voicenter.call_legs.caller_number is 'Who calls, as sent.';
comment on column voicenter.call_legs.caller_extension is 'The extension that calls, as sent.';
comment on column voicenter.call_legs.target_number is 'Who is called, as sent.';
comment on column voicenter.call_legs.target_extension is 'The extension that is called, as sent.';
comment on column voicenter.call_legs.did is 'The company''s number that was called, as sent.';
comment on column voicenter.call_legs.dial_status is 'DialStatus, as sent.';
comment on column voicenter.call_legs.ring_seconds is 'RingTime of the leg, in seconds.';
comment on column voicenter.call_legs.duration_seconds is 'Duration of the leg, in seconds. In a queue it includes the waiting.';
comment on column voicenter.call_legs.price_agorot is 'Price of the leg in agorot (1/100 ILS); null while it has none.';
comment on column voicenter.call_legs.recording_url is 'The recording of the leg; null while there is none.';
comment on column voicenter.call_legs.first_seen_at is 'When the record was first read.';

create view voicenter.menu_choices as
select
    c.account,
    c.call_id,
    d.nth::integer as nth,
    c.started_at,
    c.day,
    nullif(d.choice ->> 'LayerNumber', '') as layer_number,
    nullif(d.choice ->> 'LayerName', '') as layer_name,
    d.choice ->> 'DTMF' as keys
from voicenter.calls c
cross join lateral (
    -- The same leg as calls.menu_path: the first one that has choices.
    select l.dtmf_data
    from (
        select c.call_id
        union all
        select x.call_id from cdr_sync.transfer x where x.account = c.account and x.root_call_id = c.call_id
    ) m
    cross join lateral (
        select l.dtmf_data, l.started_at, l.type, l.call_id
        from cdr_sync.leg l
        where l.account = c.account and l.call_id = m.call_id and jsonb_typeof(l.dtmf_data) = 'array' and l.dtmf_data <> '[]'
        offset 0
    ) l
    order by l.started_at, l.type, l.call_id
    limit 1
) l
cross join lateral jsonb_array_elements(l.dtmf_data) with ordinality d (choice, nth)
where c.menu_path is not null and jsonb_typeof(d.choice) = 'object';
comment on view voicenter.menu_choices is 'One row for each choice that a caller made in a menu (account, call_id, nth): calls.menu_path taken apart. Filter by account and day, or by account and call_id: its cost is that of the calls asked for.';
comment on column voicenter.menu_choices.account is 'The account.';
comment on column voicenter.menu_choices.call_id is 'The call in voicenter.calls.';
comment on column voicenter.menu_choices.nth is '1 for the first choice of the call.';
comment on column voicenter.menu_choices.started_at is 'When the call started.';
comment on column voicenter.menu_choices.day is 'The day of the call, as in calls.day.';
comment on column voicenter.menu_choices.layer_number is 'The number of the menu (LayerNumber), as sent.';
comment on column voicenter.menu_choices.layer_name is 'The name of the menu (LayerName); null where it has none.';
comment on column voicenter.menu_choices.keys is 'What was pressed (DTMF), as sent.';

-- A name's first and last quarter are one step in it each, and so is the next name.
create index agent_15min_agent_idx on voicenter.agent_15min (account, agent_key, agent, starts_at);

create view voicenter.agent_names as
select
    r.account,
    n.agent_key,
    n.agent,
    f.day as first_day,
    l.day as last_day,
    row_number() over (partition by r.account, n.agent_key order by l.starts_at, f.starts_at, n.agent) = count(*) over (
        partition by r.account, n.agent_key
    ) as is_latest
from cdr_sync.reporting r
cross join lateral (
    with recursive name as (
        (
            select a.agent_key, a.agent
            from voicenter.agent_15min a
            where a.account = r.account and a.agent_key > ''
            order by a.agent_key, a.agent
            limit 1
        )
        union all
        select next.agent_key, next.agent
        from name n
        cross join lateral (
            select a.agent_key, a.agent
            from voicenter.agent_15min a
            where a.account = r.account and (a.agent_key, a.agent) > (n.agent_key, n.agent)
            order by a.agent_key, a.agent
            limit 1
        ) next
    )
    select * from name
) n
cross join lateral (
    select a.day, a.starts_at
    from voicenter.agent_15min a
    where a.account = r.account and a.agent_key = n.agent_key and a.agent = n.agent
    order by a.starts_at
    limit 1
) f
cross join lateral (
    select a.day, a.starts_at
    from voicenter.agent_15min a
    where a.account = r.account and a.agent_key = n.agent_key and a.agent = n.agent
    order by a.starts_at desc
    limit 1
) l;
comment on view voicenter.agent_names is 'One row for each name that an agent had (account, agent_key, agent), and when: of agents for whom a call is counted (calls.agent_key). Its cost is that of all names of the account, some 30 µs each, whatever is asked for.';
comment on column voicenter.agent_names.account is 'The account.';
comment on column voicenter.agent_names.agent_key is 'The agent, as in calls.agent_key (at most 205 characters of it).';
comment on column voicenter.agent_names.agent is 'A name of that agent (at most 200 characters).';
comment on column voicenter.agent_names.first_day is 'The first day with a call under this name, by the clock of the account.';
comment on column voicenter.agent_names.last_day is 'The last day with a call under this name.';
comment on column voicenter.agent_names.is_latest is 'Whether it is the agent''s newest name, by the quarter of an hour of its last call: one row of each agent.';

create view voicenter.agents as
select
    n.account,
    n.agent_key,
    max(n.agent) filter (where n.is_latest) as agent,
    case when n.agent_key like 'code:%' then substr(n.agent_key, 6) end as representative_code,
    count(*)::integer as names,
    min(n.first_day) as first_day,
    max(n.last_day) as last_day
from voicenter.agent_names n
group by n.account, n.agent_key;
comment on view voicenter.agents is 'One row for each agent for whom a call is counted (account, agent_key), with the newest name.';
comment on column voicenter.agents.account is 'The account.';
comment on column voicenter.agents.agent_key is 'The agent, as in calls.agent_key (at most 205 characters of it): by code, else by user, else by extension, else by name.';
comment on column voicenter.agents.agent is 'The newest name, by the quarter of an hour of its last call (at most 200 characters).';
comment on column voicenter.agents.representative_code is 'RepresentativeCode, where the key is one.';
comment on column voicenter.agents.names is 'How many names the agent had: see voicenter.agent_names.';
comment on column voicenter.agents.first_day is 'The day of the agent''s first call, by the clock of the account.';
comment on column voicenter.agents.last_day is 'The day of the agent''s newest call, by the clock of the account.';

create table voicenter.numbers (
    account text not null,
    did     text not null,
    label   text not null,
    primary key (account, did),
    constraint names_are_short check (octet_length(account) + octet_length(did) <= 2000)
);
comment on table voicenter.numbers is 'What the company''s own numbers are for, as a campaign or a branch: filled by an operator, and empty until then. Nothing that cdr-sync stores depends on it.';
comment on column voicenter.numbers.account is 'The account.';
comment on column voicenter.numbers.did is 'The number, as in calls.did.';
comment on column voicenter.numbers.label is 'What to show for it.';

create function cdr_sync.follow_account_in_numbers() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    update voicenter.numbers set account = new.name where account = old.name;
    return null;
end
$$;
comment on function cdr_sync.follow_account_in_numbers is 'Renames an account in voicenter.numbers.';
create trigger follow_account_in_numbers after update on cdr_sync.account
    for each row when (old.name <> new.name) execute function cdr_sync.follow_account_in_numbers();

create view voicenter.dictionary as
select
    c.relname::text as relation,
    a.attname::text as column_name,
    case when a.attname is null then case c.relkind when 'v' then 'view' else 'table' end
         else format_type(a.atttypid, a.atttypmod) end as type,
    case
        when a.attname like '%\_seconds' then 'seconds'
        when a.attname like 'minutes\_%' then 'minutes'
        when a.attname like '%\_agorot' or a.attname = 'price' then 'agorot'
        when a.atttypid = 'timestamptz'::regtype then 'instant'
        when a.atttypid in ('timestamp'::regtype, 'time'::regtype) then 'local time'
        when a.atttypid = 'date'::regtype then 'local day'
    end as unit,
    coalesce(a.attnum, 0)::integer as nth,
    d.description as meaning
from pg_catalog.pg_class c
cross join lateral (
    select null::name as attname, null::oid as atttypid, null::integer as atttypmod, 0::smallint as attnum
    union all
    select a.attname, a.atttypid, a.atttypmod, a.attnum
    from pg_catalog.pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
) a
left join pg_catalog.pg_description d
    on d.objoid = c.oid and d.classoid = 'pg_catalog.pg_class'::regclass and d.objsubid = a.attnum
where c.relnamespace = 'voicenter'::regnamespace and c.relkind in ('r', 'p', 'v', 'm');
comment on view voicenter.dictionary is 'What every table, view and column of schema voicenter means: a row for each (relation, column_name), with the meaning from the COMMENT.';
comment on column voicenter.dictionary.relation is 'The table or view.';
comment on column voicenter.dictionary.column_name is 'The column; null in the row of the table or view itself.';
comment on column voicenter.dictionary.type is 'The type of the column; table or view in the row of the relation itself.';
comment on column voicenter.dictionary.unit is 'seconds, minutes, agorot, instant, local time or local day, where one of these, by name and type of the column; null otherwise.';
comment on column voicenter.dictionary.nth is 'The order of the columns; 0 in the row of the relation itself.';
comment on column voicenter.dictionary.meaning is 'What it means, and by which rule it is made.';

-- In a new table no column has the name that is deprecated elsewhere for holding the wait as well.
alter table voicenter.queue_15min rename column talk_seconds to answered_duration_seconds;
comment on column voicenter.queue_15min.answered_duration_seconds is 'Duration of the answered visits, added up. It includes their waiting, which the API does not tell apart from the talk.';

comment on table voicenter.queue_visits is 'One row for each queue that a caller went through: made from the legs of the call, as voicenter.calls is. Whom a click or a dialer put into a queue is no caller.';
comment on table voicenter.queues is 'The queues that calls name. short_abandon_seconds may be changed; all calls follow within minutes.';
comment on column voicenter.queues.service_level_seconds is 'Within which time whoever is answered was served in time: for questions only, which take the answered_within_… that is meant. No stored figure depends on it.';
comment on column voicenter.calls_15min.after_hours is 'Calls with this outcome: none unless an operator gives it to a DialStatus, for Voicenter has no status for it.';
comment on column voicenter.calls.menu_path is 'What the caller pressed, menu by menu, in the first leg that has choices: voicenter.menu_choices has each.';

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

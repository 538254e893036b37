-- Calls as a table: each call folded from its legs, in the commit that stores them, and counted by quarter of an hour.
--
-- The rules stand here once: what a status means in dial_statuses, what an outcome means in outcomes, how legs make a call
-- in cdr_sync.calls_of. cdr_sync.fold_calls keeps the tables equal to it, and verify compares them.

-- Somebody's own views may be made of the views of before: those stay then, under another name.
do $$
declare
    before regclass;
begin
    foreach before in array array['voicenter.queue_daily', 'voicenter.agent_daily', 'voicenter.calls_daily',
                                  'voicenter.calls_hourly', 'voicenter.calls', 'cdr_sync.call_day', 'cdr_sync.leg']::regclass[]
    loop
        begin
            execute format('drop view %s', before);
        exception when dependent_objects_still_exist then
            execute format('alter view %s rename to %I', before, (select relname || '_0_1' from pg_class where oid = before));
            execute format('comment on view %s is %L', before,
                           'Deprecated, kept because another view is made of it: the view of version 0.1. The name without _0_1 has its successor.');
        end;
    end loop;
end
$$;

create table voicenter.outcomes (
    outcome    text    primary key,
    meaning    text    not null,
    meaning_he text    not null,
    missed     boolean not null
);
comment on table voicenter.outcomes is 'How a call can end: a closed list that adds up. Change missed here to count an outcome otherwise; all calls follow within minutes.';
comment on column voicenter.outcomes.outcome is 'As in calls.outcome.';
comment on column voicenter.outcomes.meaning is 'What it means, in English.';
comment on column voicenter.outcomes.meaning_he is 'What it means, in Hebrew.';
comment on column voicenter.outcomes.missed is 'Whether an incoming call that ends so is missed: the caller had reached a person''s queue or extension and was not served.';
insert into voicenter.outcomes (outcome, meaning, meaning_he, missed) values
    ('answered', 'A person on the other side answered.', 'נענתה', false),
    ('abandoned', 'The caller hung up while waiting in a queue.', 'ננטשה בתור', true),
    ('short_abandoned', 'The caller hung up within the first seconds in a queue (queues.short_abandon_seconds).', 'ננטשה מיד', false),
    ('no_answer', 'An extension or number rang and nobody answered.', 'לא נענתה', true),
    ('busy', 'The other side was busy.', 'תפוס', false),
    ('voicemail', 'Ended in voicemail.', 'תא קולי', true),
    ('in_menu', 'The caller hung up in the menu, or got an answer there.', 'הסתיימה בתפריט', false),
    ('recording_played', 'A recorded announcement was played.', 'הושמעה הודעה מוקלטת', false),
    ('after_hours', 'Came outside opening hours.', 'מחוץ לשעות הפעילות', false),
    ('queue_timeout', 'Waited for as long as the queue allows.', 'פג זמן ההמתנה בתור', true),
    ('queue_full', 'The queue was full.', 'התור מלא', true),
    ('queue_unstaffed', 'Nobody was logged in to the queue.', 'אין נציגים בתור', true),
    ('left_by_key', 'The caller left the queue by a key.', 'יצא מהתור בהקשה', false),
    ('not_dialled', 'The other side was never dialled: for Click2Call, because one''s own agent did not pick up.', 'לא חויגה', false),
    ('failed', 'The network could not put it through.', 'נכשלה', false),
    ('dialer_abandoned', 'A dialer reached a customer, but no agent was free.', 'ננטשה בחייגן', false),
    ('unknown', 'The API names no status, or one that dial_statuses lacks.', 'לא ידוע', false);

create table voicenter.dial_statuses (
    status     text primary key check (status = upper(btrim(status))),
    meaning    text not null,
    meaning_he text not null,
    outcome    text not null references voicenter.outcomes (outcome)
);
comment on table voicenter.dial_statuses is 'What each DialStatus means: the one place of that rule. Rows may be corrected and added; all calls follow within minutes.';
comment on column voicenter.dial_statuses.status is 'DialStatus in upper case, without surrounding spaces.';
comment on column voicenter.dial_statuses.meaning is 'What it means, in English.';
comment on column voicenter.dial_statuses.meaning_he is 'What it means, in Hebrew.';
comment on column voicenter.dial_statuses.outcome is 'The outcome of a leg that ended so. One''s own agent or voicemail picking up is no answer, whatever stands here.';
insert into voicenter.dial_statuses (status, meaning, meaning_he, outcome) values
    ('ANSWER', 'Answered.', 'נענתה', 'answered'),
    ('ANSWERED', 'Answered: another spelling.', 'נענתה', 'answered'),
    ('ABANDONE', 'The caller hung up while waiting in the queue.', 'המתקשר ניתק בתור', 'abandoned'),
    ('ABANDON', 'As ABANDONE: another spelling.', 'המתקשר ניתק בתור', 'abandoned'),
    ('ABANDONED', 'As ABANDONE: another spelling.', 'המתקשר ניתק בתור', 'abandoned'),
    ('NOANSWER', 'It rang and nobody answered.', 'אין מענה', 'no_answer'),
    ('NO_ANSWER', 'As NOANSWER: another spelling.', 'אין מענה', 'no_answer'),
    ('NO ANSWER', 'As NOANSWER: another spelling.', 'אין מענה', 'no_answer'),
    ('CANCEL', 'The side that called hung up while it rang.', 'המתקשר ניתק לפני מענה', 'no_answer'),
    ('BUSY', 'Busy.', 'תפוס', 'busy'),
    ('VOICEMAIL', 'Ended in voicemail.', 'תא קולי', 'voicemail'),
    ('TIMEOUT', 'Waited for as long as the queue allows.', 'פג זמן ההמתנה', 'queue_timeout'),
    ('FULL', 'The queue was full.', 'התור מלא', 'queue_full'),
    ('JOINEMPTY', 'Nobody was logged in to the queue.', 'אין נציגים בתור', 'queue_unstaffed'),
    ('EXIT', 'Left the queue by a key.', 'יצא מהתור בהקשה', 'left_by_key'),
    ('VOEND', 'Hung up in the menu.', 'ניתק בתפריט', 'in_menu'),
    ('TE', 'A recorded announcement was played.', 'הושמעה הודעה', 'recording_played'),
    ('NOTCALLED', 'Not dialled.', 'לא חויגה', 'not_dialled'),
    ('NOTDIALED', 'Not dialled.', 'לא חויגה', 'not_dialled'),
    ('CONGESTION', 'The network was congested.', 'עומס ברשת', 'failed'),
    ('CHANUNAVAIL', 'The other side could not be reached.', 'היעד אינו זמין', 'failed'),
    ('INVALIDARGS', 'Voicenter could not place the call.', 'שגיאה בחיוג', 'failed'),
    ('SSWPREAUTH', 'Voicenter did not allow the call.', 'החיוג לא הורשה', 'failed');

create table voicenter.queues (
    account               text    not null,
    queue_name            text    not null,
    service_level_seconds integer not null default 20 check (service_level_seconds > 0),
    short_abandon_seconds integer not null default 10 check (short_abandon_seconds >= 0),
    primary key (account, queue_name),
    check (octet_length(account) + octet_length(queue_name) <= 2000)
);
comment on table voicenter.queues is 'The queues that calls name. The thresholds may be changed; all calls follow within minutes.';
comment on column voicenter.queues.account is 'The account.';
comment on column voicenter.queues.queue_name is 'QueueName.';
comment on column voicenter.queues.service_level_seconds is 'Whoever is answered within this time was served in time.';
comment on column voicenter.queues.short_abandon_seconds is 'Who hangs up sooner than this is no abandoned caller but a short_abandoned one.';

create table cdr_sync.reporting (
    account      text        primary key,
    timezone     text        not null default 'Asia/Jerusalem',
    folded_until timestamptz not null default '-infinity',
    folded_call  text        not null default '',
    stamp        timestamptz not null default '-infinity'
);
comment on table cdr_sync.reporting is 'How far voicenter.calls follows voicenter.cdr, and by which clock it counts days.';
comment on column cdr_sync.reporting.account is 'The account.';
comment on column cdr_sync.reporting.timezone is 'The zone of local days and hours: reporting.timezone.';
comment on column cdr_sync.reporting.folded_until is 'Rows of voicenter.cdr up to this updated_at are in voicenter.calls …';
comment on column cdr_sync.reporting.folded_call is '… and of those with this very updated_at, the calls up to this one.';
comment on column cdr_sync.reporting.stamp is 'The last calls.updated_at that was given out.';

create table cdr_sync.transfer (
    account          text not null,
    call_id          text not null,
    original_call_id text not null,
    root_call_id     text,
    primary key (account, call_id)
);
create index transfer_original_idx on cdr_sync.transfer (account, original_call_id);
create index transfer_root_idx on cdr_sync.transfer (account, root_call_id) where root_call_id is not null;
comment on table cdr_sync.transfer is 'Calls that name the call which was transferred to them.';
comment on column cdr_sync.transfer.account is 'The account.';
comment on column cdr_sync.transfer.call_id is 'The call that continues another.';
comment on column cdr_sync.transfer.original_call_id is 'The call that it names (custom_data.OriginalIvrUniqueID).';
comment on column cdr_sync.transfer.root_call_id is 'The call of voicenter.calls that it is part of; null while the original is not stored: it stands for itself then.';

create table voicenter.calls (
    account             text        not null,
    call_id             text        not null,
    started_at          timestamptz not null,
    ended_at            timestamptz not null,
    started_local       timestamp   not null,
    day                 date        not null,
    hour_of_day         smallint    not null,
    day_of_week         smallint    not null,
    direction           text        not null,
    initiated_by        text        not null,
    outcome             text        not null,
    answered            boolean     not null,
    missed              boolean     not null,
    short_abandoned     boolean     not null,
    handled_by          text        not null,
    caller_number       text,
    caller_extension    text,
    target_number       text,
    target_extension    text,
    did                 text,
    dial_status         text,
    queue_name          text,
    last_queue_name     text,
    queues              integer     not null,
    department_id       text,
    department_name     text,
    agent_key           text,
    first_agent_key     text,
    last_agent_key      text,
    agent               text,
    agent_extension     text,
    representative_code text,
    representative_name text,
    user_id             text,
    user_name           text,
    transferred         boolean     not null,
    transferred_to      text,
    transfer_answered   boolean,
    original_call_id    text,
    wait_seconds        integer,
    wait_source         text,
    ring_seconds        integer,
    talk_seconds        integer,
    talk_source         text        not null,
    duration_seconds    integer     not null,
    price_agorot        numeric,
    priced              boolean     not null,
    destination         text,
    recording_url       text,
    recording_state     text        not null,
    menu_path           text,
    custom_data         jsonb,
    legs                integer     not null,
    types               text        not null,
    first_seen_at       timestamptz not null,
    updated_at          timestamptz not null,
    price               numeric,
    record_url          text,
    record_urls         text[],
    record_expected     boolean,
    target_prefix_name  text,
    primary key (account, call_id)
);
create index calls_started_at_idx on voicenter.calls (account, started_at);
create index calls_day_idx on voicenter.calls (account, day);
create index calls_updated_at_idx on voicenter.calls (account, updated_at);
create index calls_caller_number_idx on voicenter.calls (account, caller_number, started_at) where caller_number is not null;
create index calls_target_number_idx on voicenter.calls (account, target_number, started_at) where target_number is not null;
alter table voicenter.calls set (
    autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.05
);

create table voicenter.removed_calls (
    account    text        not null,
    call_id    text        not null,
    started_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (account, call_id)
);
create index removed_calls_updated_at_idx on voicenter.removed_calls (account, updated_at);

create table voicenter.queue_visits (
    account          text        not null,
    call_id          text        not null,
    nth              integer     not null,
    queue_name       text,
    entered_at       timestamptz not null,
    entered_local    timestamp   not null,
    day              date        not null,
    outcome          text        not null,
    answered         boolean     not null,
    overflowed_to    text,
    wait_seconds     integer,
    wait_source      text        not null,
    agent_key        text,
    agent            text,
    duration_seconds integer     not null,
    is_last          boolean     not null,
    primary key (account, call_id, nth)
);
create index queue_visits_day_idx on voicenter.queue_visits (account, day, queue_name);
alter table voicenter.queue_visits set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

create table voicenter.calls_15min (
    account            text        not null,
    starts_at          timestamptz not null,
    direction          text        not null,
    starts_local       timestamp   not null,
    hour               timestamptz not null,
    day                date        not null,
    calls              integer     not null,
    answered           integer     not null,
    missed             integer     not null,
    abandoned          integer     not null,
    short_abandoned    integer     not null,
    no_answer          integer     not null,
    busy               integer     not null,
    voicemail          integer     not null,
    in_menu            integer     not null,
    recording_played   integer     not null,
    after_hours        integer     not null,
    queue_timeout      integer     not null,
    queue_full         integer     not null,
    queue_unstaffed    integer     not null,
    left_by_key        integer     not null,
    not_dialled        integer     not null,
    failed             integer     not null,
    dialer_abandoned   integer     not null,
    unknown            integer     not null,
    waits_known        integer     not null,
    wait_seconds       bigint      not null,
    answered_waits     integer     not null,
    answered_within_20 integer     not null,
    answered_within_30 integer     not null,
    answered_within_60 integer     not null,
    answered_within_180 integer    not null,
    answered_within_360 integer    not null,
    talks_known        integer     not null,
    talk_seconds       bigint      not null,
    ring_seconds       bigint      not null,
    duration_seconds   bigint      not null,
    transferred        integer     not null,
    priced             integer     not null,
    price_agorot       numeric,
    primary key (account, starts_at, direction)
);
create index calls_15min_day_idx on voicenter.calls_15min (account, day);
create index calls_15min_hour_idx on voicenter.calls_15min (account, hour);
alter table voicenter.calls_15min set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

-- A leg with what the rules conclude from it alone.
create view cdr_sync.leg as
select
    c.account,
    c.call_id,
    c.type,
    c.started_at,
    k.kind,
    case
        when k.kind = 4 and c.caller_extension is not null and c.target_extension is not null then 'internal'
        when k.kind in (4, 9, 10, 14, 15, 17, 18, 19) then 'outgoing'
        when k.kind in (1, 8, 11, 23) then 'incoming'
    end as direction,
    case when k.kind in (9, 10, 17, 18, 19) then 'click2call' when k.kind in (14, 15) then 'dialer' end as initiated_by,
    coalesce(k.kind in (9, 14), false) as is_own_agent,
    coalesce(k.kind in (13, 21, 22), false) as is_transfer,
    coalesce(k.kind in (8, 19), false) or c.queue_name is not null as is_queued,
    case when k.kind = 11 then 'voicemail' else coalesce(d.outcome, 'unknown') end as outcome,
    coalesce(d.outcome = 'answered' and coalesce(k.kind, 0) not in (9, 11, 14), false) as is_answered,
    coalesce(d.outcome = 'answered' and k.kind in (9, 14), false) as has_own_agent,
    case when k.kind in (9, 14) then 3 when k.kind = 11 then 2 else 1 end as rank,
    case
        when coalesce(c.representative_code, c.user_id, a.extension, c.representative_name, c.user_name) is not null
        then coalesce('code:' || c.representative_code, 'user:' || c.user_id, 'extension:' || a.extension,
                      'name:' || coalesce(c.representative_name, c.user_name))
    end as agent_key,
    coalesce(c.representative_name, c.user_name, a.extension, c.representative_code, c.user_id) as agent,
    a.extension as agent_extension,
    coalesce(c.representative_name, c.representative_code, c.user_name, c.user_id) is not null as names_agent,
    c.duration_seconds,
    c.ring_seconds,
    c.caller_number,
    c.caller_extension,
    c.target_number,
    c.target_extension,
    c.target_prefix_name,
    c.did,
    c.dial_status,
    c.queue_name,
    c.department_id,
    c.department_name,
    c.representative_code,
    c.representative_name,
    c.user_id,
    c.user_name,
    c.price,
    c.record_url,
    c.record_expected,
    c.dtmf_data,
    c.custom_data,
    nullif(btrim(c.custom_data ->> 'OriginalIvrUniqueID'), '') as original_call_id,
    c.first_seen_at
from voicenter.cdr c
-- The older API sends no CdrType.
cross join lateral (
    select coalesce(nullif(c.cdr_type, 0), case lower(btrim(c.type))
        when 'incoming call' then 1
        when 'extension outgoing' then 4
        when 'queue' then 8
        when 'click2call leg1' then 9
        when 'click2call leg2' then 10
        when 'voicemail' then 11
        when 'xfercdr' then 13
        when 'productivecall leg1' then 14
        when 'productivecall leg2' then 15
        when 'click 2 ivr' then 17
        when 'click 2 ivr incoming' then 18
        when 'click 2 queue incoming' then 19
        when 'attended cdr leg1' then 21
        when 'attended cdr leg2' then 22
        when 'auto forward' then 23
    end) as kind
) k
cross join lateral (
    select case when k.kind in (4, 10, 15, 22) then c.caller_extension else c.target_extension end as extension
) a
left join voicenter.dial_statuses d on d.status = upper(btrim(c.dial_status))
where c.removed_at is null;

-- The calls with these ids, as the rules make them from their legs: the only place where legs become a call. Ids of calls
-- without a leg give no row. Every leg is looked up by its key; joined as tables the planner would read all of them.
create function cdr_sync.calls_of(of_account text, roots text[], zone text, changed_at timestamptz) returns setof voicenter.calls
language sql stable set jit = off as $$
with member as materialized (
    select r.call_id as root, r.call_id from unnest(roots) r (call_id)
    union all
    select r.call_id, t.call_id
    from unnest(roots) r (call_id)
    cross join lateral (
        select x.call_id from cdr_sync.transfer x where x.account = of_account and x.root_call_id = r.call_id offset 0
    ) t
),
leg as materialized (
    select m.root, m.call_id <> m.root as is_continuation, l.*, o.missed as is_missed,
        l.is_transfer or m.call_id <> m.root as is_passed_on,
        coalesce(l.duration_seconds, 0) as duration,
        greatest(l.ring_seconds, l.duration_seconds, 0) as longest
    from member m
    cross join lateral (
        select * from cdr_sync.leg l where l.account = of_account and l.call_id = m.call_id offset 0
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
        max(started_at + (duration + case when is_queued then 0 else coalesce(ring_seconds, 0) end) * interval '1 second') as ended_at,
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
    left join voicenter.queues q on q.account = of_account and q.queue_name = g.queue_names[array_upper(g.queue_names, 1)]
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
    w.caller_number,
    w.caller_extension,
    w.target_number,
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

-- The queues that these calls went through, each once.
create function cdr_sync.queue_visits_of(of_account text, roots text[], zone text) returns setof voicenter.queue_visits
language sql stable set jit = off as $$
with member as materialized (
    select r.call_id as root, r.call_id from unnest(roots) r (call_id)
    union all
    select r.call_id, t.call_id
    from unnest(roots) r (call_id)
    cross join lateral (
        select x.call_id from cdr_sync.transfer x where x.account = of_account and x.root_call_id = r.call_id offset 0
    ) t
),
leg as materialized (
    select m.root, l.*
    from member m
    cross join lateral (
        select * from cdr_sync.leg l where l.account = of_account and l.call_id = m.call_id and l.is_queued offset 0
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
        when n.outcome = 'abandoned' and n.longest < coalesce(q.short_abandon_seconds, 10) then 'short_abandoned'
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
left join voicenter.queues q on q.account = of_account and q.queue_name = n.queue_name
$$;
comment on function cdr_sync.queue_visits_of is 'The queues that these calls went through, made from their legs: the rules of voicenter.queue_visits.';

-- The quarters of an hour that begin at these instants, counted from voicenter.calls.
create function cdr_sync.calls_15min_of(of_account text, slots timestamptz[], zone text) returns setof voicenter.calls_15min
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
    where account = of_account and started_at >= s.starts_at and started_at < s.starts_at + interval '15 minutes'
    group by direction
    offset 0
) c
$$;
comment on function cdr_sync.calls_15min_of is 'Quarters of an hour, counted from voicenter.calls.';

create function cdr_sync.quarter(at timestamptz) returns timestamptz language sql immutable strict as
$$ select to_timestamp(floor(extract(epoch from at) / 900)::double precision * 900) $$;
comment on function cdr_sync.quarter is 'The quarter of an hour that an instant lies in: when it begins. The offset of every zone since 1972 is a multiple of it.';

-- Notes which calls continue which, for these calls; returns all calls that may look different for it.
create function cdr_sync.fold_transfers(of_account text, touched text[]) returns text[] language plpgsql as $$
declare
    linked text[];
begin
    with named as materialized (
        select t.call_id, o.original
        from unnest(touched) t (call_id)
        cross join lateral (
            select min(nullif(btrim(c.custom_data ->> 'OriginalIvrUniqueID'), '')) as original
            from voicenter.cdr c
            where c.account = of_account and c.call_id = t.call_id and c.removed_at is null
            offset 0
        ) o
    ), dropped as (
        delete from cdr_sync.transfer x
        using named n
        where x.account = of_account and x.call_id = n.call_id
          and x.original_call_id is distinct from nullif(n.original, n.call_id)
        returning x.call_id, x.original_call_id, x.root_call_id
    ), noted as (
        select n.call_id, n.original
        from named n
        where n.original <> n.call_id and octet_length(n.original) <= 2000
    )
    select array(
        select call_id from noted
        union select original_call_id from dropped
        union select root_call_id from dropped where root_call_id is not null
        union select call_id from dropped
        union select t.call_id from unnest(touched) t (call_id)
              where exists (select from cdr_sync.transfer x where x.account = of_account and x.original_call_id = t.call_id)
                 or exists (select from cdr_sync.transfer x where x.account = of_account and x.call_id = t.call_id)
    ) into linked;
    if cardinality(linked) = 0 then
        return '{}';
    end if;
    insert into cdr_sync.transfer (account, call_id, original_call_id)
    select of_account, t.call_id, o.original
    from unnest(touched) t (call_id)
    cross join lateral (
        select min(nullif(btrim(c.custom_data ->> 'OriginalIvrUniqueID'), '')) as original
        from voicenter.cdr c
        where c.account = of_account and c.call_id = t.call_id and c.removed_at is null
        offset 0
    ) o
    where o.original <> t.call_id and octet_length(o.original) <= 2000
    on conflict (account, call_id) do nothing;
    -- Whatever hangs together. An original that is not stored joins nothing: some systems write the same id everywhere.
    with recursive together (call_id) as (
        select unnest(linked)
        union
        select n.call_id
        from together l
        cross join lateral (
            select x.original_call_id
            from cdr_sync.transfer x
            where x.account = of_account and x.call_id = l.call_id
              and exists (select from voicenter.cdr c where c.account = of_account and c.call_id = x.original_call_id)
            union all
            select x.call_id
            from cdr_sync.transfer x
            where x.account = of_account and x.original_call_id = l.call_id
              and exists (select from voicenter.cdr c where c.account = of_account and c.call_id = l.call_id)
        ) n (call_id)
    )
    select array_agg(call_id) into linked from together;
    -- A call continues one that began before it: so nothing can continue itself by a detour.
    with recursive began as materialized (
        select t.call_id, b.began_at
        from unnest(linked) t (call_id)
        cross join lateral (
            select min(c.started_at) as began_at
            from voicenter.cdr c
            where c.account = of_account and c.call_id = t.call_id and c.removed_at is null
            offset 0
        ) b
        where b.began_at is not null
    ), link as materialized (
        select x.call_id, x.original_call_id
        from cdr_sync.transfer x
        join began later on later.call_id = x.call_id
        join began earlier on earlier.call_id = x.original_call_id
        where x.account = of_account and (earlier.began_at, earlier.call_id) < (later.began_at, later.call_id)
    ), up (call_id, root, depth) as (
        select call_id, original_call_id, 1 from link
        union all
        select u.call_id, l.original_call_id, u.depth + 1 from up u join link l on l.call_id = u.root
    ), rooted as (
        select distinct on (call_id) call_id, root from up order by call_id, depth desc
    )
    update cdr_sync.transfer x
    set root_call_id = r.root
    from unnest(linked) t (call_id)
    left join rooted r on r.call_id = t.call_id
    where x.account = of_account and x.call_id = t.call_id and x.root_call_id is distinct from r.root;
    return linked;
end
$$;
comment on function cdr_sync.fold_transfers is 'Keeps cdr_sync.transfer; returns the calls that may look different for it.';


-- Brings voicenter.calls and its quarters up to date for these calls. The caller holds the account's row of
-- cdr_sync.reporting.
create function cdr_sync.fold(of_account text, changed text[], zone text, stamp timestamptz) returns void
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
        where r.account = of_account and r.call_id = t.call_id and r.queue_name is not null
        offset 0
    ) c
    where octet_length(of_account) + octet_length(c.queue_name) <= 2000
    on conflict do nothing;
    touched := array(select unnest(changed) union select unnest(cdr_sync.fold_transfers(of_account, changed)));

    with alone as (
        select t.call_id
        from unnest(touched) t (call_id)
        where not exists (
            select from cdr_sync.transfer x
            where x.account = of_account and x.call_id = t.call_id and x.root_call_id is not null
        )
    ), now as materialized (
        select n from cdr_sync.calls_of(of_account, array(select call_id from alone), zone, stamp) n
    ), before as materialized (
        select b
        from unnest(touched) t (call_id)
        cross join lateral (
            select c as b from voicenter.calls c where c.account = of_account and c.call_id = t.call_id offset 0
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
            where c.account = of_account and c.call_id = g.call_id
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
        where r.account = of_account and r.call_id = f.call_id;
        insert into voicenter.calls select f.* from unnest(fresh) f;
    end if;
    delete from voicenter.queue_visits v
    using unnest(touched) t (call_id)
    where v.account = of_account and v.call_id = t.call_id;
    insert into voicenter.queue_visits
    select * from cdr_sync.queue_visits_of(of_account, array(
        select c.call_id
        from unnest(touched) t (call_id)
        join voicenter.calls c on c.account = of_account and c.call_id = t.call_id
    ), zone);
    delete from voicenter.calls_15min c
    using unnest(slots) s (starts_at)
    where c.account = of_account and c.starts_at = s.starts_at;
    insert into voicenter.calls_15min select * from cdr_sync.calls_15min_of(of_account, slots, zone);
end
$$;
comment on function cdr_sync.fold is 'Brings voicenter.calls and what is counted from it up to date for some calls.';

-- The same, but a call whose values no rule foresaw costs that call only. Returns how many were left as they were.
create function cdr_sync.fold_carefully(of_account text, changed text[], zone text, stamp timestamptz) returns integer
language plpgsql as $$
declare
    one    text;
    failed integer := 0;
begin
    begin
        perform cdr_sync.fold(of_account, changed, zone, stamp);
        return 0;
    exception when others then
        -- Conflicts, resources, and whatever an operator does: not for the sake of a value.
        if left(sqlstate, 2) in ('08', '25', '40', '53', '54', '55', '57', '58', 'XX') then
            raise;
        end if;
    end;
    foreach one in array changed loop
        begin
            perform cdr_sync.fold(of_account, array[one], zone, stamp);
        exception when others then
            if left(sqlstate, 2) in ('08', '25', '40', '53', '54', '55', '57', '58', 'XX') then
                raise;
            end if;
            failed := failed + 1;
        end;
    end loop;
    return failed;
end
$$;
comment on function cdr_sync.fold_carefully is 'cdr_sync.fold, leaving out calls that cannot be folded; returns how many.';

-- What a commit changed, in its own transaction: the rows with this updated_at.
create function cdr_sync.fold_commit(of_account text, committed_at timestamptz) returns integer language plpgsql as $$
declare
    failed  integer;
    state   cdr_sync.reporting;
    changed text[];
    next    timestamptz;
begin
    select array_agg(distinct c.call_id) into changed
    from voicenter.cdr c
    where c.account = of_account and c.updated_at = committed_at;
    if changed is null then
        return 0;
    end if;
    insert into cdr_sync.reporting (account) values (of_account) on conflict do nothing;
    select * into state from cdr_sync.reporting where account = of_account for update;
    next := greatest(clock_timestamp(), committed_at, state.stamp + interval '1 microsecond');
    failed := cdr_sync.fold_carefully(of_account, changed, state.timezone, next);
    if exists (
        select from voicenter.cdr c
        where c.account = of_account and c.updated_at >= state.folded_until and c.updated_at < committed_at
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
comment on function cdr_sync.fold_commit is 'Brings voicenter.calls up to date with the rows that one commit changed; returns how many calls could not be folded.';

-- At most so many changed rows, the oldest change first. Returns how many it took (fewer than asked for: nothing is left)
-- and how many calls could not be folded.
create function cdr_sync.fold_changes(of_account text, at_most integer, out taken integer, out failed integer)
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
        where c.account = of_account and c.updated_at >= state.folded_until
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
comment on function cdr_sync.fold_changes is 'Brings voicenter.calls up to date with the oldest changes of voicenter.cdr that it does not hold yet.';

-- Calls follow the rules: whoever corrects one lets all calls be folded again.
create function cdr_sync.fold_again() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    update cdr_sync.reporting set folded_until = '-infinity', folded_call = '';
    return null;
end
$$;
comment on function cdr_sync.fold_again is 'Lets all calls be folded again: a rule has changed.';
create trigger fold_again after insert or update or delete on voicenter.outcomes
    for each statement execute function cdr_sync.fold_again();
create trigger fold_again after insert or update or delete on voicenter.dial_statuses
    for each statement execute function cdr_sync.fold_again();

create function cdr_sync.fold_account_again() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
    update cdr_sync.reporting set folded_until = '-infinity', folded_call = '' where account = new.account;
    return null;
end
$$;
comment on function cdr_sync.fold_account_again is 'Lets the calls of an account be folded again: the thresholds of a queue have changed.';
create trigger fold_account_again after update on voicenter.queues for each row
    when (old.short_abandon_seconds <> new.short_abandon_seconds or old.queue_name <> new.queue_name)
    execute function cdr_sync.fold_account_again();
create trigger fold_account_again_for_new after insert on voicenter.queues for each row when (new.short_abandon_seconds <> 10)
    execute function cdr_sync.fold_account_again();

create view voicenter.changes as
select account, updated_at, call_id, started_at, 'stored' as kind from voicenter.calls
union all
select account, updated_at, call_id, started_at, 'removed' from voicenter.removed_calls;

create view voicenter.calls_hourly as
select
    account,
    hour,
    date_trunc('hour', min(starts_local)) as hour_local,
    day,
    extract(hour from min(starts_local))::smallint as hour_of_day,
    (extract(dow from day) + 1)::smallint as day_of_week,
    sum(calls) as calls,
    coalesce(sum(calls) filter (where direction = 'incoming'), 0) as incoming,
    coalesce(sum(calls) filter (where direction = 'outgoing'), 0) as outgoing,
    coalesce(sum(calls) filter (where direction = 'internal'), 0) as internal,
    sum(answered) as answered,
    coalesce(sum(answered) filter (where direction = 'incoming'), 0) as incoming_answered,
    coalesce(sum(answered) filter (where direction = 'outgoing'), 0) as outgoing_answered,
    sum(missed) as missed,
    round(sum(answered) filter (where direction = 'incoming')
        / nullif(sum(calls) filter (where direction = 'incoming'), 0)::numeric, 4) as answer_rate,
    sum(abandoned) as abandoned,
    sum(short_abandoned) as short_abandoned,
    sum(no_answer) as no_answer,
    sum(busy) as busy,
    sum(voicemail) as voicemail,
    sum(in_menu) as in_menu,
    sum(recording_played) as recording_played,
    sum(after_hours) as after_hours,
    sum(queue_timeout) as queue_timeout,
    sum(queue_full) as queue_full,
    sum(queue_unstaffed) as queue_unstaffed,
    sum(left_by_key) as left_by_key,
    sum(not_dialled) as not_dialled,
    sum(failed) as failed,
    sum(dialer_abandoned) as dialer_abandoned,
    sum(unknown) as unknown,
    sum(waits_known) as waits_known,
    sum(wait_seconds) as wait_seconds,
    sum(answered_waits) as answered_waits,
    sum(answered_within_20) as answered_within_20,
    sum(answered_within_30) as answered_within_30,
    sum(answered_within_60) as answered_within_60,
    sum(answered_within_180) as answered_within_180,
    sum(answered_within_360) as answered_within_360,
    sum(talks_known) as talks_known,
    sum(talk_seconds) as talk_seconds,
    sum(ring_seconds) as ring_seconds,
    sum(duration_seconds) as duration_seconds,
    sum(transferred) as transferred,
    sum(priced) as priced,
    sum(price_agorot) as price_agorot,
    sum(price_agorot) as price
from voicenter.calls_15min
group by account, day, hour;

create view voicenter.calls_daily as
select
    account,
    day,
    (extract(dow from day) + 1)::smallint as day_of_week,
    sum(calls) as calls,
    coalesce(sum(calls) filter (where direction = 'incoming'), 0) as incoming,
    coalesce(sum(calls) filter (where direction = 'outgoing'), 0) as outgoing,
    coalesce(sum(calls) filter (where direction = 'internal'), 0) as internal,
    sum(answered) as answered,
    coalesce(sum(answered) filter (where direction = 'incoming'), 0) as incoming_answered,
    coalesce(sum(answered) filter (where direction = 'outgoing'), 0) as outgoing_answered,
    sum(missed) as missed,
    round(sum(answered) filter (where direction = 'incoming')
        / nullif(sum(calls) filter (where direction = 'incoming'), 0)::numeric, 4) as answer_rate,
    sum(abandoned) as abandoned,
    sum(short_abandoned) as short_abandoned,
    sum(no_answer) as no_answer,
    sum(busy) as busy,
    sum(voicemail) as voicemail,
    sum(in_menu) as in_menu,
    sum(recording_played) as recording_played,
    sum(after_hours) as after_hours,
    sum(queue_timeout) as queue_timeout,
    sum(queue_full) as queue_full,
    sum(queue_unstaffed) as queue_unstaffed,
    sum(left_by_key) as left_by_key,
    sum(not_dialled) as not_dialled,
    sum(failed) as failed,
    sum(dialer_abandoned) as dialer_abandoned,
    sum(unknown) as unknown,
    sum(waits_known) as waits_known,
    sum(wait_seconds) as wait_seconds,
    sum(answered_waits) as answered_waits,
    sum(answered_within_20) as answered_within_20,
    sum(answered_within_30) as answered_within_30,
    sum(answered_within_60) as answered_within_60,
    sum(answered_within_180) as answered_within_180,
    sum(answered_within_360) as answered_within_360,
    sum(talks_known) as talks_known,
    sum(talk_seconds) as talk_seconds,
    sum(ring_seconds) as ring_seconds,
    sum(duration_seconds) as duration_seconds,
    sum(transferred) as transferred,
    sum(priced) as priced,
    sum(price_agorot) as price_agorot,
    sum(price_agorot) as price
from voicenter.calls_15min
group by account, day;

create view voicenter.agent_daily as
select
    account,
    day,
    agent,
    representative_code,
    count(*) as calls,
    count(*) filter (where direction = 'incoming') as incoming,
    count(*) filter (where direction = 'outgoing') as outgoing,
    count(*) filter (where answered) as answered,
    count(*) filter (where direction = 'incoming' and answered) as incoming_answered,
    count(*) filter (where direction = 'outgoing' and answered) as outgoing_answered,
    count(*) filter (where missed) as missed,
    round(count(*) filter (where direction = 'incoming' and answered)::numeric
        / nullif(count(*) filter (where direction = 'incoming'), 0), 4) as answer_rate,
    coalesce(sum(talk_seconds), 0) as talk_seconds,
    coalesce(sum(ring_seconds), 0) as ring_seconds,
    sum(price_agorot) as price
from voicenter.calls
group by account, day, agent, representative_code;

create view voicenter.queue_daily as
select
    account,
    day,
    queue_name,
    count(*) as offered,
    count(*) filter (where answered) as answered,
    count(*) filter (where outcome in ('abandoned', 'short_abandoned')) as abandoned,
    count(*) filter (where not answered and outcome not in ('abandoned', 'short_abandoned')) as other,
    count(*) filter (where outcome = 'short_abandoned') as short_abandoned,
    count(*) filter (where outcome = 'overflowed') as overflowed,
    round(count(*) filter (where answered)::numeric / count(*), 4) as answer_rate,
    count(wait_seconds) as waits_known,
    coalesce(sum(wait_seconds), 0) as wait_seconds,
    sum(duration_seconds) as duration_seconds,
    coalesce(sum(duration_seconds) filter (where answered), 0) as talk_seconds,
    round(avg(wait_seconds), 1) as average_wait_seconds,
    max(wait_seconds) as longest_wait_seconds
from voicenter.queue_visits
group by account, day, queue_name;

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
    not exists (
        select from voicenter.cdr d
        where d.account = a.name and d.updated_at >= coalesce(r.folded_until, '-infinity')
          and (d.updated_at, d.call_id) > (coalesce(r.folded_until, '-infinity'), coalesce(r.folded_call, ''))
    ) as calls_current
from cdr_sync.account a
left join cdr_sync.cursor c on c.account = a.name
left join cdr_sync.reporting r on r.account = a.name;

comment on table voicenter.calls is 'One row for each call (account, call_id), folded from its legs in the commit that stores them. What was transferred is part of the call that it continues. Removed calls are not here: see voicenter.changes. How legs make a call: cdr_sync.calls_of. While sync_state.calls_current is false, older changes are still being folded.';
comment on column voicenter.calls.account is 'The account''s name in the configuration of cdr-sync. Calls of different accounts are never one, also with the same call_id.';
comment on column voicenter.calls.call_id is 'CallID: with account it identifies the call.';
comment on column voicenter.calls.started_at is 'When its earliest leg started.';
comment on column voicenter.calls.ended_at is 'When its last leg ended, from Date, Duration and, outside queues, RingTime.';
comment on column voicenter.calls.started_local is 'started_at by the clock of the account (sync_state.timezone). In autumn an hour occurs twice: use started_at to tell them apart.';
comment on column voicenter.calls.day is 'The day on which it started, in the account''s zone.';
comment on column voicenter.calls.hour_of_day is 'The hour in which it started, 0 to 23, in the account''s zone.';
comment on column voicenter.calls.day_of_week is 'The day of the week on which it started, in the account''s zone: 1 is Sunday, 7 is Saturday.';
comment on column voicenter.calls.direction is 'incoming, outgoing, internal or unknown; these add up. Of the earliest leg, by CdrType or Type: Incoming Call, Queue, VoiceMail and Auto forward are incoming; Extension Outgoing, from one extension to another, is internal; it and whatever is dialled by Click2Call, ProductiveCall, Click 2 IVR or Click 2 Queue is outgoing. A transfer whose original is not stored goes by its extensions and DID.';
comment on column voicenter.calls.initiated_by is 'Who placed it: person, click2call or dialer (ProductiveCall).';
comment on column voicenter.calls.outcome is 'How it ended: one of voicenter.outcomes. By the statuses of its legs (voicenter.dial_statuses): answered if the other side answered any (but in_menu if keys were pressed and neither a queue nor an agent is named); else, for incoming calls, the last one at a person''s queue or extension, else the last that is known.';
comment on column voicenter.calls.answered is 'Whether a person on the other side was reached: outcome is answered. Voicemail, a menu, and one''s own agent in Click2Call and ProductiveCall are no answer.';
comment on column voicenter.calls.missed is 'Incoming, and its outcome is one that counts as missed (voicenter.outcomes.missed).';
comment on column voicenter.calls.short_abandoned is 'Hung up in a queue sooner than queues.short_abandon_seconds: no missed call.';
comment on column voicenter.calls.handled_by is 'agent, voicemail, machine (menu or recording) or nobody.';
comment on column voicenter.calls.caller_number is 'CallerNumber as sent, of the leg that speaks for the call: an answered one before others, the longest talk first; then voicemail and one''s own agent last, the earliest first.';
comment on column voicenter.calls.caller_extension is 'CallerExtension of that leg: the SIP name.';
comment on column voicenter.calls.target_number is 'TargetNumber of that leg, as sent.';
comment on column voicenter.calls.target_extension is 'TargetExtension of that leg: the SIP name.';
comment on column voicenter.calls.did is 'The number of the account that was dialled: of that leg, else of the first one that has it.';
comment on column voicenter.calls.dial_status is 'DialStatus of that leg, as sent.';
comment on column voicenter.calls.queue_name is 'The first queue that it entered.';
comment on column voicenter.calls.last_queue_name is 'The last queue that it entered.';
comment on column voicenter.calls.queues is 'How many different queues it entered.';
comment on column voicenter.calls.department_id is 'DepartmentId of the first leg that names a department.';
comment on column voicenter.calls.department_name is 'DepartmentName of that leg.';
comment on column voicenter.calls.agent_key is 'Who talked longest, else who was named first: code:REPRESENTATIVECODE, else user:USERID, else extension:NAME, else name:NAME. Null when nobody is named.';
comment on column voicenter.calls.first_agent_key is 'The first agent of the call.';
comment on column voicenter.calls.last_agent_key is 'The last agent of the call.';
comment on column voicenter.calls.agent is 'The agent of agent_key, to show: the representative''s name, else the user''s, else the extension, else a code.';
comment on column voicenter.calls.agent_extension is 'The extension of that agent.';
comment on column voicenter.calls.representative_code is 'RepresentativeCode of that agent.';
comment on column voicenter.calls.representative_name is 'RepresentativeName of that agent.';
comment on column voicenter.calls.user_id is 'UserId of that agent.';
comment on column voicenter.calls.user_name is 'UserName of that agent.';
comment on column voicenter.calls.transferred is 'Whether it was transferred.';
comment on column voicenter.calls.transferred_to is 'The first extension or number that it was transferred to.';
comment on column voicenter.calls.transfer_answered is 'Whether anybody answered it there; null unless transferred.';
comment on column voicenter.calls.original_call_id is 'The call that it says it continues, where that call is not stored; otherwise it is part of that one.';
comment on column voicenter.calls.wait_seconds is 'How long the caller of an incoming call waited; null where that is unknown or there is no wait. wait_source says where it is from.';
comment on column voicenter.calls.wait_source is 'vendor: the RingTime of an answered call outside queues. derived: nobody answered, so all of it was waiting; over several queues their sum. unknown: a call that went through a queue and was answered or ended elsewhere, for the API tells its waiting and the rest only together. Null where nobody waits for a person.';
comment on column voicenter.calls.ring_seconds is 'RingTime of the leg that speaks for the call, else of the first one that has it.';
comment on column voicenter.calls.talk_seconds is 'Duration of the longest answered leg, for a dialer''s call at most that of the agent''s leg; 0 when not answered; null for calls answered in a queue, whose Duration includes the waiting. Legs run beside each other, so they are never added up.';
comment on column voicenter.calls.talk_source is 'vendor: as sent. derived: nobody answered. unknown: answered in a queue.';
comment on column voicenter.calls.duration_seconds is 'From started_at to ended_at: waiting, ringing and talk.';
comment on column voicenter.calls.price_agorot is 'The legs'' prices added up, in agorot (1/100 ILS): each leg is charged by itself. Null when none has one yet.';
comment on column voicenter.calls.priced is 'Whether every leg has a price.';
comment on column voicenter.calls.destination is 'TargetPrefixName of the leg that speaks for the call: the destination''s country or operator.';
comment on column voicenter.calls.recording_url is 'A recording: of the leg that speaks for the call, else of the first one that has it.';
comment on column voicenter.calls.recording_state is 'available, expected or none.';
comment on column voicenter.calls.menu_path is 'The keys that were pressed in menus, as LAYER: KEY > LAYER: KEY.';
comment on column voicenter.calls.custom_data is 'CustomData of the first leg that has it.';
comment on column voicenter.calls.legs is 'How many rows of voicenter.cdr it has that are not removed, those of its transfers included.';
comment on column voicenter.calls.types is 'Their types, the earliest first, separated by commas.';
comment on column voicenter.calls.first_seen_at is 'When its first row was stored.';
comment on column voicenter.calls.updated_at is 'When this row last changed. Rows changed together share it; within an account it only grows with each commit.';
comment on column voicenter.calls.price is 'Deprecated: see price_agorot.';
comment on column voicenter.calls.record_url is 'Deprecated: see recording_url.';
comment on column voicenter.calls.record_urls is 'Deprecated, for many tools cannot show arrays: all recordings of its legs, each once.';
comment on column voicenter.calls.record_expected is 'Deprecated: see recording_state.';
comment on column voicenter.calls.target_prefix_name is 'Deprecated: see destination.';
comment on table voicenter.removed_calls is 'Calls that were there and are no more: all their records were removed, or became part of another call.';
comment on column voicenter.removed_calls.account is 'The account.';
comment on column voicenter.removed_calls.call_id is 'CallID.';
comment on column voicenter.removed_calls.started_at is 'When it had started.';
comment on column voicenter.removed_calls.updated_at is 'When it went, as in calls.updated_at.';
comment on view voicenter.changes is 'What changed in voicenter.calls, for copies elsewhere: keep the highest updated_at of each account, ask for account = A and updated_at > that, and replace or delete these calls. Nothing is missed, and each call stands here once.';
comment on column voicenter.changes.account is 'The account.';
comment on column voicenter.changes.updated_at is 'When it last changed.';
comment on column voicenter.changes.call_id is 'The call.';
comment on column voicenter.changes.started_at is 'When it started.';
comment on column voicenter.changes.kind is 'stored: its row in voicenter.calls is new or has changed. removed: it has none any more.';
comment on table voicenter.calls_15min is 'Calls by account, quarter of an hour and direction: sums and counts, so that any span can be added up. Always equal to what voicenter.calls holds.';
comment on column voicenter.calls_15min.account is 'The account. Accounts are never added up.';
comment on column voicenter.calls_15min.starts_at is 'When the quarter of an hour begins.';
comment on column voicenter.calls_15min.direction is 'As in calls.direction.';
comment on column voicenter.calls_15min.starts_local is 'The same by the account''s clock.';
comment on column voicenter.calls_15min.hour is 'When the hour of that zone begins in which it lies.';
comment on column voicenter.calls_15min.day is 'Its day, in the account''s zone.';
comment on column voicenter.calls_15min.calls is 'Calls that started in it.';
comment on column voicenter.calls_15min.answered is 'Calls with this outcome.';
comment on column voicenter.calls_15min.missed is 'Incoming calls that were missed (calls.missed).';
comment on column voicenter.calls_15min.abandoned is 'Calls with this outcome.';
comment on column voicenter.calls_15min.short_abandoned is 'Calls with this outcome.';
comment on column voicenter.calls_15min.no_answer is 'Calls with this outcome.';
comment on column voicenter.calls_15min.busy is 'Calls with this outcome.';
comment on column voicenter.calls_15min.voicemail is 'Calls with this outcome.';
comment on column voicenter.calls_15min.in_menu is 'Calls with this outcome.';
comment on column voicenter.calls_15min.recording_played is 'Calls with this outcome.';
comment on column voicenter.calls_15min.after_hours is 'Calls with this outcome.';
comment on column voicenter.calls_15min.queue_timeout is 'Calls with this outcome.';
comment on column voicenter.calls_15min.queue_full is 'Calls with this outcome.';
comment on column voicenter.calls_15min.queue_unstaffed is 'Calls with this outcome.';
comment on column voicenter.calls_15min.left_by_key is 'Calls with this outcome.';
comment on column voicenter.calls_15min.not_dialled is 'Calls with this outcome.';
comment on column voicenter.calls_15min.failed is 'Calls with this outcome.';
comment on column voicenter.calls_15min.dialer_abandoned is 'Calls with this outcome.';
comment on column voicenter.calls_15min.unknown is 'Calls with this outcome.';
comment on column voicenter.calls_15min.waits_known is 'Calls whose wait is known.';
comment on column voicenter.calls_15min.wait_seconds is 'Their waits added up: divide by waits_known.';
comment on column voicenter.calls_15min.answered_waits is 'Answered calls whose wait is known: what the next ones are shares of.';
comment on column voicenter.calls_15min.answered_within_20 is 'Answered after at most 20 seconds, where the wait is known.';
comment on column voicenter.calls_15min.answered_within_30 is 'After at most 30 seconds.';
comment on column voicenter.calls_15min.answered_within_60 is 'After at most 60 seconds.';
comment on column voicenter.calls_15min.answered_within_180 is 'After at most three minutes.';
comment on column voicenter.calls_15min.answered_within_360 is 'After at most six minutes, the limit of Israeli law for some services.';
comment on column voicenter.calls_15min.talks_known is 'Answered calls whose talk is known.';
comment on column voicenter.calls_15min.talk_seconds is 'Their talk added up: divide by talks_known.';
comment on column voicenter.calls_15min.ring_seconds is 'The calls'' ring_seconds added up, answered or not.';
comment on column voicenter.calls_15min.duration_seconds is 'The calls'' duration_seconds added up.';
comment on column voicenter.calls_15min.transferred is 'Calls that were transferred.';
comment on column voicenter.calls_15min.priced is 'Calls with a price for every leg.';
comment on column voicenter.calls_15min.price_agorot is 'The calls'' prices added up, in agorot (1/100 ILS); null when none has one.';
comment on view voicenter.calls_hourly is 'Calls by account and hour of its zone; a call belongs to the hour in which it started. Hours without calls have no row; an autumn day has 25.';
comment on column voicenter.calls_hourly.hour is 'When the hour begins.';
comment on column voicenter.calls_hourly.hour_local is 'The same by the clock of the account.';
comment on column voicenter.calls_hourly.hour_of_day is '0 to 23, in the zone of the account.';
comment on view voicenter.calls_daily is 'Calls by account and day of its zone; a call belongs to the day on which it started. Days without calls have no row.';
comment on column voicenter.calls_hourly.incoming is 'Incoming ones.';
comment on column voicenter.calls_hourly.outgoing is 'Outgoing ones. calls = incoming + outgoing + internal + those of unknown direction.';
comment on column voicenter.calls_hourly.internal is 'From one extension to another.';
comment on column voicenter.calls_hourly.incoming_answered is 'Incoming ones that were answered.';
comment on column voicenter.calls_hourly.outgoing_answered is 'Outgoing ones that were answered.';
comment on column voicenter.calls_hourly.answer_rate is 'Deprecated, for rates cannot be averaged: use sum(incoming_answered) / sum(incoming).';
comment on column voicenter.calls_hourly.price is 'Deprecated: see price_agorot.';
comment on column voicenter.calls_hourly.day_of_week is '1 is Sunday, 7 is Saturday.';
comment on column voicenter.calls_daily.incoming is 'Incoming ones.';
comment on column voicenter.calls_daily.outgoing is 'Outgoing ones. calls = incoming + outgoing + internal + those of unknown direction.';
comment on column voicenter.calls_daily.internal is 'From one extension to another.';
comment on column voicenter.calls_daily.incoming_answered is 'Incoming ones that were answered.';
comment on column voicenter.calls_daily.outgoing_answered is 'Outgoing ones that were answered.';
comment on column voicenter.calls_daily.answer_rate is 'Deprecated, for rates cannot be averaged: use sum(incoming_answered) / sum(incoming).';
comment on column voicenter.calls_daily.price is 'Deprecated: see price_agorot.';
comment on column voicenter.calls_daily.day_of_week is '1 is Sunday, 7 is Saturday.';
comment on view voicenter.agent_daily is 'Calls by account, day and agent. Each call counts once, for the agent of voicenter.calls.';
comment on column voicenter.agent_daily.account is 'The account. Accounts are never added up.';
comment on column voicenter.agent_daily.day is 'The day, in the account''s zone.';
comment on column voicenter.agent_daily.agent is 'The agent as voicenter.calls shows it; null for calls that name nobody.';
comment on column voicenter.agent_daily.representative_code is 'RepresentativeCode: tells agents of one name apart.';
comment on column voicenter.agent_daily.calls is 'Calls of which this agent is the one of voicenter.calls.agent_key; those of nobody stand under null, so the rows of a day add up to calls_daily.';
comment on column voicenter.agent_daily.incoming is 'Incoming ones.';
comment on column voicenter.agent_daily.outgoing is 'Outgoing ones.';
comment on column voicenter.agent_daily.answered is 'Answered ones, of every direction.';
comment on column voicenter.agent_daily.incoming_answered is 'Incoming ones that were answered.';
comment on column voicenter.agent_daily.outgoing_answered is 'Outgoing ones that were answered.';
comment on column voicenter.agent_daily.missed is 'Missed ones. Where the API names an agent only once somebody answered, they stand under the null agent.';
comment on column voicenter.agent_daily.answer_rate is 'Deprecated, for rates cannot be averaged: use sum(incoming_answered) / sum(incoming).';
comment on column voicenter.agent_daily.talk_seconds is 'The calls'' known talk added up.';
comment on column voicenter.agent_daily.ring_seconds is 'The calls'' ring_seconds added up.';
comment on column voicenter.agent_daily.price is 'The calls'' prices added up, in agorot (1/100 ILS); null when none has one.';
comment on view voicenter.queue_daily is 'Calls by account, day and queue.';
comment on column voicenter.queue_daily.account is 'The account. Accounts are never added up.';
comment on column voicenter.queue_daily.day is 'The day on which the call entered the queue, in the account''s zone.';
comment on column voicenter.queue_daily.queue_name is 'The queue; null for legs of a queue''s type that name none.';
comment on column voicenter.queue_daily.offered is 'Calls that entered the queue: answered + abandoned + other. A call through several queues stands under each, so queues do not add up to calls.';
comment on column voicenter.queue_daily.answered is 'Those answered from it.';
comment on column voicenter.queue_daily.abandoned is 'Those whose caller hung up while waiting, the short ones included.';
comment on column voicenter.queue_daily.other is 'The rest: overflowed, timed out, left by a key, full, nobody logged in, voicemail and the like.';
comment on column voicenter.queue_daily.short_abandoned is 'Those of abandoned who hung up sooner than queues.short_abandon_seconds.';
comment on column voicenter.queue_daily.overflowed is 'Those of other that went on to another queue.';
comment on column voicenter.queue_daily.answer_rate is 'Deprecated, for rates cannot be averaged: use sum(answered) / sum(offered).';
comment on column voicenter.queue_daily.waits_known is 'Calls whose wait is known.';
comment on column voicenter.queue_daily.wait_seconds is 'Their waits added up: divide by waits_known.';
comment on column voicenter.queue_daily.duration_seconds is 'Waiting and talk added up.';
comment on column voicenter.queue_daily.talk_seconds is 'Deprecated, for Voicenter counts the waiting too: Duration of the answered ones.';
comment on column voicenter.queue_daily.average_wait_seconds is 'Deprecated, for averages cannot be averaged: the average of the known waits. The API tells no wait of answered queue calls.';
comment on column voicenter.queue_daily.longest_wait_seconds is 'The longest known wait.';
comment on table voicenter.queue_visits is 'One row for each queue that a call went through: made from its legs, as voicenter.calls is.';
comment on column voicenter.queue_visits.account is 'The account.';
comment on column voicenter.queue_visits.call_id is 'The call in voicenter.calls.';
comment on column voicenter.queue_visits.nth is '1 for the first queue that it entered.';
comment on column voicenter.queue_visits.queue_name is 'QueueName; null for legs of a queue''s type that name none.';
comment on column voicenter.queue_visits.entered_at is 'When it entered.';
comment on column voicenter.queue_visits.entered_local is 'The same by the account''s clock.';
comment on column voicenter.queue_visits.day is 'Its day, in the account''s zone.';
comment on column voicenter.queue_visits.outcome is 'As in calls.outcome, or overflowed: it went on to another queue without having been answered.';
comment on column voicenter.queue_visits.answered is 'Whether a person answered from this queue.';
comment on column voicenter.queue_visits.overflowed_to is 'The queue that it went on to.';
comment on column voicenter.queue_visits.wait_seconds is 'How long the caller waited in it; null where that is unknown.';
comment on column voicenter.queue_visits.wait_source is 'derived: nobody answered, so all of it was waiting. unknown: answered, or ended in voicemail, a menu or by a key, for the API tells waiting and the rest only together.';
comment on column voicenter.queue_visits.agent_key is 'Who answered, as in calls.agent_key.';
comment on column voicenter.queue_visits.agent is 'The same, to show.';
comment on column voicenter.queue_visits.duration_seconds is 'Waiting and talk together.';
comment on column voicenter.queue_visits.is_last is 'Whether it entered no other queue after this one.';
comment on column voicenter.sync_state.timezone is 'The zone of local days and hours (reporting.timezone); null before the first call.';
comment on column voicenter.sync_state.calls_current is 'Whether voicenter.calls and what is counted from it hold every change of voicenter.cdr. False during a first sync, after an upgrade and after a rule was changed, until all of it was folded.';
comment on view cdr_sync.leg is 'The rows of voicenter.cdr that are not removed, with what the rules conclude from each alone.';
comment on column cdr_sync.leg.account is 'The account.';
comment on column cdr_sync.leg.call_id is 'CallID.';
comment on column cdr_sync.leg.type is 'Type.';
comment on column cdr_sync.leg.started_at is 'Date.';
comment on column cdr_sync.leg.kind is 'CdrType, or the one of its Type where that is absent.';
comment on column cdr_sync.leg.direction is 'By kind; null for transfers and unknown ones.';
comment on column cdr_sync.leg.initiated_by is 'click2call or dialer; else null.';
comment on column cdr_sync.leg.is_own_agent is 'Whether it goes to one''s own agent, before the other side is dialled.';
comment on column cdr_sync.leg.is_transfer is 'Whether it continues a call elsewhere.';
comment on column cdr_sync.leg.is_queued is 'Whether it stood in a queue: it names one, or is of a kind of queues.';
comment on column cdr_sync.leg.outcome is 'By voicenter.dial_statuses; of voicemail always voicemail.';
comment on column cdr_sync.leg.is_answered is 'Whether the other side answered: no voicemail and no leg to one''s own agent.';
comment on column cdr_sync.leg.has_own_agent is 'Whether one''s own agent picked up.';
comment on column cdr_sync.leg.rank is 'Which leg speaks for a call, after the answered ones: 1 an ordinary one, 2 voicemail, 3 the one to one''s own agent.';
comment on column cdr_sync.leg.agent_key is 'The agent, by code, user, extension or name.';
comment on column cdr_sync.leg.agent is 'The agent, to show.';
comment on column cdr_sync.leg.agent_extension is 'The extension on the account''s side.';
comment on column cdr_sync.leg.names_agent is 'Whether it names a representative or user.';
comment on column cdr_sync.leg.original_call_id is 'custom_data.OriginalIvrUniqueID.';
comment on column cdr_sync.leg.dtmf_data is 'DTMFData.';
comment on column cdr_sync.leg.custom_data is 'CustomData.';
comment on column cdr_sync.leg.first_seen_at is 'When the row was first stored.';
-- What has the same name means the same.
do $$
declare
    shared record;
begin
    for shared in
        select a.attrelid::regclass as relation, a.attname as name, col_description(c.attrelid, c.attnum) as text
        from (values ('cdr_sync.leg'::regclass, 'voicenter.cdr'::regclass),
                     ('voicenter.calls_hourly', 'voicenter.calls_15min'), ('voicenter.calls_daily', 'voicenter.calls_15min')) p (own, other)
        join pg_attribute a on a.attrelid = p.own and a.attnum > 0
        join pg_attribute c on c.attrelid = p.other and c.attname = a.attname and c.attnum > 0
        where col_description(a.attrelid, a.attnum) is null
    loop
        execute format('comment on column %s.%I is %L', shared.relation, shared.name, shared.text);
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

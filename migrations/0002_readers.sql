-- For readers: calls, what people chart, how fresh the data is, and the role that may read it.
--
-- All are plain views that run with their owner's rights, so that readers need nothing in cdr_sync. They are written so
-- that a condition on account and time reaches the index of voicenter.cdr. PostgreSQL 13 or newer, no extension.

create view cdr_sync.leg as
select
    c.account,
    c.call_id,
    c.type,
    c.started_at,
    case
        when k.kind = 4 and c.caller_extension is not null and c.target_extension is not null then 'internal'
        when k.kind in (4, 9, 10, 14, 15, 17, 18, 19) then 'outgoing'
        when k.kind in (1, 8, 11, 23) then 'incoming'
        when k.kind in (13, 21, 22) then 'transfer'
    end as direction,
    -- One's own agent or a machine picking up is no answer. NO_ANSWER is none either: hence the list.
    coalesce(upper(btrim(c.dial_status)) in ('ANSWER', 'ANSWERED', 'TE_ANSWER'), false)
        and coalesce(k.kind, 0) not in (9, 11, 14) as answered,
    case when k.kind in (9, 14) then 3 when k.kind = 11 then 2 else 1 end as rank,
    k.kind in (8, 19) or c.queue_name is not null as queued,
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
    coalesce(c.representative_name, c.representative_code, c.user_name, c.user_id) is not null as names_agent,
    c.representative_code,
    c.representative_name,
    c.user_id,
    c.user_name,
    case when k.kind in (4, 10, 15, 22) then c.caller_extension else c.target_extension end as agent_extension,
    c.price,
    c.record_url,
    c.record_expected,
    c.custom_data ->> 'OriginalIvrUniqueID' as original_call_id
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
where c.removed_at is null;
comment on view cdr_sync.leg is 'The rows of voicenter.cdr that are not removed, with what the views for readers conclude from each: the one place of those rules.';
comment on column cdr_sync.leg.direction is 'By cdr_type, or type where that is absent. 1, 8, 11, 23: incoming; 4, 9, 10, 14, 15, 17, 18, 19: outgoing; 4 from one extension to another: internal; 13, 21, 22: transfer; else null.';
comment on column cdr_sync.leg.answered is 'dial_status is ANSWER, ANSWERED or TE_ANSWER in any case, and the leg is no voicemail (11) and no leg to one''s own agent (9, 14).';
comment on column cdr_sync.leg.rank is 'Which of a call''s legs speaks for it, after the answered ones: 1 an ordinary one, 2 voicemail, 3 the leg to one''s own agent.';
comment on column cdr_sync.leg.queued is 'Whether it stood in a queue: it names one, or is of a queue''s type (8, 19).';
comment on column cdr_sync.leg.names_agent is 'Whether it names a representative or user.';
comment on column cdr_sync.leg.agent_extension is 'The extension on the account''s side: the caller''s in outgoing legs (4, 10, 15, 22), else the target''s.';
comment on column cdr_sync.leg.original_call_id is 'custom_data.OriginalIvrUniqueID.';
do $$
declare
    shared record;
begin
    for shared in
        select a.attname as name, col_description('voicenter.cdr'::regclass, c.attnum) as text
        from pg_attribute a
        join pg_attribute c on c.attrelid = 'voicenter.cdr'::regclass and c.attname = a.attname and c.attnum > 0
        where a.attrelid = 'cdr_sync.leg'::regclass
    loop
        execute format('comment on column cdr_sync.leg.%I is %L', shared.name, shared.text);
    end loop;
end
$$;

-- Every leg looks up its call's legs by the primary key, and the earliest stands for the call: so started_at and account
-- stay plain columns, and a condition on them is one on the index (account, started_at). Grouping would hide them.
create view voicenter.calls as
select
    f.account,
    f.call_id,
    f.started_at,
    coalesce(f.direction, l.direction) as direction,
    l.answered,
    coalesce(coalesce(f.direction, l.direction) = 'incoming' and not l.answered, false) as missed,
    l.talk_seconds,
    l.ring_seconds,
    l.caller_number,
    l.caller_extension,
    l.target_number,
    l.target_extension,
    l.target_prefix_name,
    l.did,
    l.dial_status,
    l.queue_name,
    l.department_id,
    l.department_name,
    coalesce(l.representative_name, l.user_name, l.agent_extension, l.representative_code, l.user_id) as agent,
    l.agent_extension,
    l.representative_code,
    l.representative_name,
    l.user_id,
    l.user_name,
    l.price,
    l.record_url,
    (select array_agg(distinct u.url) from unnest(l.record_urls) as u (url)) as record_urls,
    l.record_expected,
    l.original_call_id,
    l.legs,
    (select array_agg(t.type order by t.nth) from unnest(l.types, l.nths) as t (type, nth)) as types
from cdr_sync.leg f
cross join lateral (
    select
        count(*)::integer as legs,
        array_agg(o.type) as types,
        array_agg(o.nth) as nths,
        max(o.type) filter (where o.nth = 1) as first_type,
        (array_agg(o.direction) filter (where o.direction is not null))[1] as direction,
        bool_or(o.answered) as answered,
        coalesce(max(o.duration_seconds) filter (where o.answered), 0) as talk_seconds,
        (array_agg(o.ring_seconds) filter (where o.ring_seconds is not null))[1] as ring_seconds,
        (array_agg(o.caller_number))[1] as caller_number,
        (array_agg(o.caller_extension))[1] as caller_extension,
        (array_agg(o.target_number))[1] as target_number,
        (array_agg(o.target_extension))[1] as target_extension,
        (array_agg(o.target_prefix_name))[1] as target_prefix_name,
        (array_agg(o.did) filter (where o.did is not null))[1] as did,
        (array_agg(o.dial_status))[1] as dial_status,
        (array_agg(o.queue_name) filter (where o.queue_name is not null))[1] as queue_name,
        (array_agg(o.department_id) filter (where coalesce(o.department_id, o.department_name) is not null))[1] as department_id,
        (array_agg(o.department_name) filter (where coalesce(o.department_id, o.department_name) is not null))[1] as department_name,
        (array_agg(o.representative_code) filter (where o.names_agent))[1] as representative_code,
        (array_agg(o.representative_name) filter (where o.names_agent))[1] as representative_name,
        (array_agg(o.user_id) filter (where o.names_agent))[1] as user_id,
        (array_agg(o.user_name) filter (where o.names_agent))[1] as user_name,
        (array_agg(o.agent_extension) filter (where o.agent_extension is not null))[1] as agent_extension,
        sum(o.price) as price,
        (array_agg(o.record_url) filter (where o.record_url is not null))[1] as record_url,
        array_agg(o.record_url) filter (where o.record_url is not null) as record_urls,
        bool_or(o.record_expected) as record_expected,
        (array_agg(o.original_call_id) filter (where o.original_call_id is not null))[1] as original_call_id
    from (
        -- The leg that speaks for the call comes first. No aggregate above may have an order of its own: from PostgreSQL
        -- 16 on that would sort all of them by it.
        select s.*, row_number() over (order by s.started_at, s.type) as nth
        from cdr_sync.leg s
        where s.account = f.account and s.call_id = f.call_id
        order by s.answered desc, case when s.answered then s.duration_seconds end desc nulls last, s.rank, s.started_at, s.type
    ) o
) l
where l.first_type = f.type;

-- A loose walk over the index (account, started_at): one look-up for each day that has calls, and no other.
create view cdr_sync.call_day as
with recursive walk (account, day) as (
    (
        select c.account, (c.started_at at time zone 'UTC')::date
        from voicenter.cdr c
        order by c.account, c.started_at
        limit 1
    )
    union all
    select n.account, n.day
    from walk w
    cross join lateral (
        select c.account, (c.started_at at time zone 'UTC')::date as day
        from voicenter.cdr c
        where (c.account, c.started_at) >= (w.account, (w.day + 1)::timestamp at time zone 'UTC')
        order by c.account, c.started_at
        limit 1
    ) n
)
select account, day from walk;
comment on view cdr_sync.call_day is 'The days (UTC) of each account that have rows in voicenter.cdr. The views by day and hour start from it, so that a condition on the day rules days out before their calls are read.';
comment on column cdr_sync.call_day.account is 'The account.';
comment on column cdr_sync.call_day.day is 'The day, in UTC.';

create view voicenter.calls_hourly as
select
    d.account,
    (d.day::timestamp + n.hour * interval '1 hour') at time zone 'UTC' as hour,
    s.calls,
    s.incoming,
    s.outgoing,
    s.answered,
    s.incoming_answered,
    s.outgoing_answered,
    s.missed,
    round(s.incoming_answered::numeric / nullif(s.incoming, 0), 4) as answer_rate,
    s.talk_seconds,
    s.ring_seconds,
    s.price
from cdr_sync.call_day d
cross join generate_series(0, 23) as n (hour)
cross join lateral (
    select
        count(*) as calls,
        count(*) filter (where c.direction = 'incoming') as incoming,
        count(*) filter (where c.direction = 'outgoing') as outgoing,
        count(*) filter (where c.answered) as answered,
        count(*) filter (where c.direction = 'incoming' and c.answered) as incoming_answered,
        count(*) filter (where c.direction = 'outgoing' and c.answered) as outgoing_answered,
        count(*) filter (where c.missed) as missed,
        sum(c.talk_seconds) as talk_seconds,
        coalesce(sum(c.ring_seconds), 0) as ring_seconds,
        sum(c.price) as price
    from voicenter.calls c
    where c.account = d.account
      and c.started_at >= (d.day::timestamp + n.hour * interval '1 hour') at time zone 'UTC'
      and c.started_at < (d.day::timestamp + (n.hour + 1) * interval '1 hour') at time zone 'UTC'
) s
where s.calls > 0;

create view voicenter.calls_daily as
select
    d.account,
    d.day,
    s.calls,
    s.incoming,
    s.outgoing,
    s.answered,
    s.incoming_answered,
    s.outgoing_answered,
    s.missed,
    round(s.incoming_answered::numeric / nullif(s.incoming, 0), 4) as answer_rate,
    s.talk_seconds,
    s.ring_seconds,
    s.price
from cdr_sync.call_day d
cross join lateral (
    select
        count(*) as calls,
        count(*) filter (where c.direction = 'incoming') as incoming,
        count(*) filter (where c.direction = 'outgoing') as outgoing,
        count(*) filter (where c.answered) as answered,
        count(*) filter (where c.direction = 'incoming' and c.answered) as incoming_answered,
        count(*) filter (where c.direction = 'outgoing' and c.answered) as outgoing_answered,
        count(*) filter (where c.missed) as missed,
        sum(c.talk_seconds) as talk_seconds,
        coalesce(sum(c.ring_seconds), 0) as ring_seconds,
        sum(c.price) as price
    from voicenter.calls c
    where c.account = d.account
      and c.started_at >= d.day::timestamp at time zone 'UTC'
      and c.started_at < (d.day + 1)::timestamp at time zone 'UTC'
) s
where s.calls > 0;

create view voicenter.agent_daily as
select
    d.account,
    d.day,
    s.agent,
    s.representative_code,
    s.calls,
    s.incoming,
    s.outgoing,
    s.answered,
    s.incoming_answered,
    s.outgoing_answered,
    s.missed,
    round(s.incoming_answered::numeric / nullif(s.incoming, 0), 4) as answer_rate,
    s.talk_seconds,
    s.ring_seconds,
    s.price
from cdr_sync.call_day d
cross join lateral (
    select
        c.agent,
        c.representative_code,
        count(*) as calls,
        count(*) filter (where c.direction = 'incoming') as incoming,
        count(*) filter (where c.direction = 'outgoing') as outgoing,
        count(*) filter (where c.answered) as answered,
        count(*) filter (where c.direction = 'incoming' and c.answered) as incoming_answered,
        count(*) filter (where c.direction = 'outgoing' and c.answered) as outgoing_answered,
        count(*) filter (where c.missed) as missed,
        sum(c.talk_seconds) as talk_seconds,
        coalesce(sum(c.ring_seconds), 0) as ring_seconds,
        sum(c.price) as price
    from voicenter.calls c
    where c.account = d.account
      and c.started_at >= d.day::timestamp at time zone 'UTC'
      and c.started_at < (d.day + 1)::timestamp at time zone 'UTC'
    group by c.agent, c.representative_code
) s;

create view voicenter.queue_daily as
select
    d.account,
    d.day,
    s.queue_name,
    s.offered,
    s.answered,
    s.abandoned,
    s.offered - s.answered - s.abandoned as other,
    round(s.answered::numeric / s.offered, 4) as answer_rate,
    s.talk_seconds,
    s.average_wait_seconds,
    s.longest_wait_seconds
from cdr_sync.call_day d
cross join lateral (
    select
        q.queue_name,
        count(*) as offered,
        count(*) filter (where q.answered) as answered,
        count(*) filter (where q.abandoned and not q.answered) as abandoned,
        coalesce(sum(q.talk_seconds), 0) as talk_seconds,
        round(avg(q.wait_seconds), 1) as average_wait_seconds,
        max(q.wait_seconds) as longest_wait_seconds
    from voicenter.calls c
    cross join lateral (
        select
            l.queue_name,
            bool_or(l.answered) as answered,
            bool_or(coalesce(upper(btrim(l.dial_status)) in ('ABANDONE', 'ABANDON', 'ABANDONED'), false)) as abandoned,
            max(l.duration_seconds) filter (where l.answered) as talk_seconds,
            max(case
                -- Nobody talked: whatever the call lasted was waiting.
                when upper(btrim(l.dial_status)) in ('ABANDONE', 'ABANDON', 'ABANDONED', 'TIMEOUT', 'NOANSWER', 'CANCEL')
                    then greatest(l.ring_seconds, l.duration_seconds)
                else l.ring_seconds
            end) as wait_seconds
        from cdr_sync.leg l
        where l.account = c.account and l.call_id = c.call_id and l.queued
        group by l.queue_name
    ) q
    where c.account = d.account
      and c.started_at >= d.day::timestamp at time zone 'UTC'
      and c.started_at < (d.day + 1)::timestamp at time zone 'UTC'
    group by q.queue_name
) s;

create view voicenter.sync_state as
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
    case when a.last_success_at > a.last_error_at then null else a.last_error_at end as last_error_at
from cdr_sync.account a
left join cdr_sync.cursor c on c.account = a.name;

comment on view voicenter.calls is 'One row for each call (account, call_id) with at least one leg that is not removed. One leg speaks for the call: an answered one before others, the longest talk first; then voicemail and the leg to one''s own agent last, the earliest first. A transferred call is a call of its own: original_call_id links it. Ask for account and started_at: both use the index.';
comment on column voicenter.calls.account is 'The account''s name in the configuration of cdr-sync. Calls of different accounts are never one, also with the same call_id.';
comment on column voicenter.calls.call_id is 'CallID: with account it identifies the call.';
comment on column voicenter.calls.started_at is 'When its earliest leg started.';
comment on column voicenter.calls.direction is 'Of the earliest leg, by CdrType or Type. incoming: Incoming Call, Queue, VoiceMail, Auto forward. outgoing: Extension Outgoing and whatever the account dials by Click2Call, ProductiveCall, Click 2 IVR, Click 2 Queue. internal: Extension Outgoing from one extension to another. transfer: XferCDR, Attended CDR. Null for any other type.';
comment on column voicenter.calls.answered is 'Whether a person on the other side was reached: some leg''s dial_status is ANSWER, ANSWERED or TE_ANSWER, in any case. A voicemail that picks up is no answer; nor is one''s own agent, in leg1 of Click2Call and ProductiveCall.';
comment on column voicenter.calls.missed is 'Incoming and not answered, voicemail included. Outgoing, internal and transferred calls are never missed.';
comment on column voicenter.calls.talk_seconds is 'Duration of the longest answered leg; 0 when not answered. Legs run beside each other, so they are never added up. Voicenter''s notes say that the Duration of a queue''s call includes its waiting.';
comment on column voicenter.calls.ring_seconds is 'RingTime of the leg that speaks for the call, else of the first one that has it.';
comment on column voicenter.calls.caller_number is 'CallerNumber of the leg that speaks for the call, as are the other caller and target columns.';
comment on column voicenter.calls.caller_extension is 'CallerExtension: the SIP name.';
comment on column voicenter.calls.target_number is 'TargetNumber.';
comment on column voicenter.calls.target_extension is 'TargetExtension: the SIP name.';
comment on column voicenter.calls.target_prefix_name is 'TargetPrefixName: the destination''s country or operator.';
comment on column voicenter.calls.did is 'The number of the account that was dialled: of the leg that speaks for the call, else of the first one that has it.';
comment on column voicenter.calls.dial_status is 'DialStatus of the leg that speaks for the call, as sent.';
comment on column voicenter.calls.queue_name is 'The queue: of the leg that speaks for the call, else of the first one that has it. A call through several queues stands under each in queue_daily.';
comment on column voicenter.calls.department_id is 'DepartmentId of the first leg that names a department.';
comment on column voicenter.calls.department_name is 'DepartmentName of that leg.';
comment on column voicenter.calls.agent is 'Who took or made the call, to show: the representative''s name, else the user''s, else the extension, else a code. Null when nobody is named.';
comment on column voicenter.calls.agent_extension is 'The extension on the account''s side: the caller''s of outgoing legs, else the target''s; of the first leg that has it.';
comment on column voicenter.calls.representative_code is 'RepresentativeCode of the first leg that names a representative or user, as are the next three.';
comment on column voicenter.calls.representative_name is 'RepresentativeName.';
comment on column voicenter.calls.user_id is 'UserId.';
comment on column voicenter.calls.user_name is 'UserName.';
comment on column voicenter.calls.price is 'The legs'' prices added up, in agorot (1/100 ILS): each leg is charged by itself. Null when none has one yet.';
comment on column voicenter.calls.record_url is 'A recording: of the leg that speaks for the call, else of the first one that has it.';
comment on column voicenter.calls.record_urls is 'All recordings of its legs, each once; null when there is none.';
comment on column voicenter.calls.record_expected is 'Whether a recording will come for any leg.';
comment on column voicenter.calls.original_call_id is 'The call_id of the call that was transferred here (CustomData.OriginalIvrUniqueID).';
comment on column voicenter.calls.legs is 'How many rows of voicenter.cdr it has that are not removed.';
comment on column voicenter.calls.types is 'Their types, the earliest first.';

comment on view voicenter.calls_daily is 'Calls by account and day. Days are UTC, and a call belongs to the day on which it started. Days without calls have no row.';
comment on column voicenter.calls_daily.account is 'The account. Accounts are never added up.';
comment on column voicenter.calls_daily.day is 'The day, in UTC.';
comment on column voicenter.calls_daily.calls is 'All calls, of every direction.';
comment on column voicenter.calls_daily.incoming is 'Incoming ones.';
comment on column voicenter.calls_daily.outgoing is 'Outgoing ones. What is neither incoming nor outgoing is internal, a transfer, or of an unknown type.';
comment on column voicenter.calls_daily.answered is 'Answered ones, of every direction; voicenter.calls.answered says what that means.';
comment on column voicenter.calls_daily.incoming_answered is 'Incoming ones that were answered.';
comment on column voicenter.calls_daily.outgoing_answered is 'Outgoing ones that were answered.';
comment on column voicenter.calls_daily.missed is 'Incoming ones that nobody answered, voicemail included: incoming less incoming_answered.';
comment on column voicenter.calls_daily.answer_rate is 'incoming_answered / incoming, from 0 to 1; null without incoming calls. Over several rows use sum(incoming_answered) / sum(incoming), not its average.';
comment on column voicenter.calls_daily.talk_seconds is 'The calls'' talk_seconds added up.';
comment on column voicenter.calls_daily.ring_seconds is 'The calls'' ring_seconds added up, answered or not.';
comment on column voicenter.calls_daily.price is 'The calls'' prices added up, in agorot (1/100 ILS); null when none has one.';

comment on view voicenter.calls_hourly is 'Calls by account and hour. Hours are UTC, and a call belongs to the hour in which it started. Hours without calls have no row.';
comment on column voicenter.calls_hourly.hour is 'When the hour begins; hours are those of UTC.';
comment on view voicenter.agent_daily is 'Calls by account, day (UTC) and agent. Each call counts once, for the agent of voicenter.calls; those that name nobody stand under a null agent, so the rows of a day add up to calls_daily.';
comment on column voicenter.agent_daily.agent is 'The agent as voicenter.calls shows it: a name, else an extension, else a code; null for calls that name nobody.';
comment on column voicenter.agent_daily.representative_code is 'RepresentativeCode: tells agents of one name apart.';
-- The shared columns say the same as in calls_daily.
do $$
declare
    shared record;
begin
    for shared in
        select a.attrelid::regclass as view, a.attname as name, col_description(c.attrelid, c.attnum) as text
        from pg_attribute a
        join pg_attribute c on c.attrelid = 'voicenter.calls_daily'::regclass and c.attname = a.attname and c.attnum > 0
        where a.attrelid in ('voicenter.calls_hourly'::regclass, 'voicenter.agent_daily'::regclass) and a.attnum > 0
    loop
        execute format('comment on column %s.%I is %L', shared.view, shared.name, shared.text);
    end loop;
end
$$;

comment on column voicenter.agent_daily.missed is 'Incoming ones that nobody answered. Where the API names an agent only once somebody answered, missed calls stand under the null agent.';
comment on column voicenter.agent_daily.answer_rate is 'incoming_answered / incoming, from 0 to 1; null without incoming calls. Of little worth where the API names an agent only once somebody answered; calls_daily and queue_daily have the true rate.';

comment on view voicenter.queue_daily is 'Calls by account, day (UTC) and queue. A call counts once in each queue that a leg of it names, on the day on which the call started; so queues do not add up to calls.';
comment on column voicenter.queue_daily.account is 'The account. Accounts are never added up.';
comment on column voicenter.queue_daily.day is 'The day, in UTC.';
comment on column voicenter.queue_daily.queue_name is 'The queue; null for legs of a queue''s type that name none.';
comment on column voicenter.queue_daily.offered is 'Calls that reached the queue: answered + abandoned + other.';
comment on column voicenter.queue_daily.answered is 'Those answered from the queue: a leg in it has dial_status ANSWER, as for voicenter.calls.answered.';
comment on column voicenter.queue_daily.abandoned is 'Those whose caller hung up while waiting: dial_status ABANDONE.';
comment on column voicenter.queue_daily.other is 'The rest: timed out, left by a key, full, nobody logged in, voicemail and the like.';
comment on column voicenter.queue_daily.answer_rate is 'answered / offered, from 0 to 1.';
comment on column voicenter.queue_daily.talk_seconds is 'Duration of the answered legs in the queue. Voicenter''s notes say that it includes the waiting.';
comment on column voicenter.queue_daily.average_wait_seconds is 'Average wait of all calls offered whose wait is known. The wait is RingTime; where the caller gave up or nobody came, Duration if that is longer.';
comment on column voicenter.queue_daily.longest_wait_seconds is 'The longest wait, of answered calls too.';

comment on view voicenter.sync_state is 'How fresh and complete the data is: a row for each account. Calls from history_from to synced_until are all there, but for the open gaps.';
comment on column voicenter.sync_state.account is 'The account.';
comment on column voicenter.sync_state.synced_until is 'The first instant that was not read yet; null before the first read.';
comment on column voicenter.sync_state.history_from is 'How far back calls were read so far; null before the first read.';
comment on column voicenter.sync_state.history_start is 'How far back calls will be read. History is complete once history_from has reached it.';
comment on column voicenter.sync_state.lag_seconds is 'How many seconds synced_until lies behind now, by the database''s clock; null before the first read.';
comment on column voicenter.sync_state.open_gaps is 'Spans that could not be read yet; they are tried again by themselves.';
comment on column voicenter.sync_state.rejected_records is 'Records of the API that could not be stored.';
comment on column voicenter.sync_state.suspicious_rows is 'Rows that went missing at the API with very many others; they still count until more reads agree.';
comment on column voicenter.sync_state.last_success_at is 'Start of the last request that was read completely and stored.';
comment on column voicenter.sync_state.last_error is 'What is wrong at present; null when a read has succeeded since.';
comment on column voicenter.sync_state.last_error_at is 'When it went wrong; null when it is over.';

-- The role belongs to the whole cluster: it may be there already, and another database may be making it at this moment.
-- Nothing here changes a row that another database changes too.
do $$
declare
    ours regclass;
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'voicenter_reader') then
        begin
            create role voicenter_reader nologin;
            comment on role voicenter_reader is 'May read schema voicenter, written by cdr-sync, and nothing else.';
        exception
            when duplicate_object or unique_violation then
                null;
            when insufficient_privilege then
                raise notice 'role voicenter_reader was not created, for this user may not create roles. Whoever is to read needs usage on schema voicenter and select on its tables.';
                return;
        end;
    end if;
    grant usage on schema voicenter to voicenter_reader;
    -- Somebody else's table in this schema is theirs to grant.
    for ours in
        select oid from pg_catalog.pg_class
        where relnamespace = 'voicenter'::regnamespace and relkind in ('r', 'p', 'v', 'm') and pg_has_role(relowner, 'usage')
    loop
        execute format('grant select on %s to voicenter_reader', ours);
    end loop;
    alter default privileges in schema voicenter grant select on tables to voicenter_reader;
end
$$;

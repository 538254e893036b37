-- What only the push knows, beside the pull: a notification never writes voicenter.cdr, it is joined to it by its key.
set local lock_timeout = '5s';

create table voicenter.cdr_push (
    account               text        not null,
    call_id               text        not null,
    type                  text        not null default '',
    started_at            timestamptz,
    time_raw              bigint,
    time_base             text        not null check (time_base in ('local', 'utc', 'unknown')),
    direction             text,
    answered              boolean,
    talk_seconds          integer     check (talk_seconds >= 0),
    queue_wait_seconds    integer     check (queue_wait_seconds >= 0),
    ring_seconds          integer     check (ring_seconds >= 0),
    queue_id              bigint,
    ivr                   jsonb,
    caller_country        text,
    target_country        text,
    caller_extension_name text,
    target_extension_name text,
    extension_user        text,
    client_phone          text,
    top_department_id     text,
    top_department_name   text,
    leg1_dial_status      text,
    campaign_id           text,
    campaign_code         text,
    campaign_name         text,
    dialer                jsonb,
    do_not_call           jsonb,
    custom_data           jsonb,
    original_call_id      text,
    shared                jsonb       not null,
    extra                 jsonb       not null,
    first_received_at     timestamptz not null,
    last_received_at      timestamptz not null,
    versions              integer     not null,
    older                 jsonb       not null,
    state                 text        not null check (state in ('provisional', 'confirmed', 'unmatched')),
    confirmed_at          timestamptz,
    asked_at              timestamptz,
    asked                 integer     not null default 0,
    to_fold               boolean     not null default false,
    constraint cdr_push_pkey primary key (account, call_id, type),
    constraint cdr_push_key_size check (octet_length(account) <= 200 and octet_length(call_id) + octet_length(type) <= 2000),
    constraint cdr_push_confirmed check ((state = 'confirmed') = (confirmed_at is not null))
);
create index cdr_push_started_at_idx on voicenter.cdr_push (account, started_at);
create index cdr_push_received_at_idx on voicenter.cdr_push (account, first_received_at);
create index cdr_push_open_idx on voicenter.cdr_push (account, call_id) where state = 'provisional';
create index cdr_push_unmatched_idx on voicenter.cdr_push (account, call_id) where state = 'unmatched';
create index cdr_push_to_fold_idx on voicenter.cdr_push (account, call_id) where to_fold;
alter table voicenter.cdr_push set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
comment on table voicenter.cdr_push is 'What CDR notifications (pushes) said of each record: the newest of each fact. Where record and pull have a column in common, voicenter.cdr has the value that counts, and shared what the push said.';
comment on column voicenter.cdr_push.account is 'The account''s name in the configuration of cdr-sync.';
comment on column voicenter.cdr_push.call_id is 'ivruniqueid: the CallID.';
comment on column voicenter.cdr_push.type is 'With call_id the key of the record in voicenter.cdr, once there is one; until then the type that the push named, or empty.';
comment on column voicenter.cdr_push.started_at is 'When the record started: of the pull once confirmed; until then by time_raw and time_base, null where these name no single instant.';
comment on column voicenter.cdr_push.time_raw is 'time as sent.';
comment on column voicenter.cdr_push.time_base is 'What time_raw is counted from: local: a wall clock written as if it were UTC; utc: the epoch; unknown: nothing shows it.';
comment on column voicenter.cdr_push.direction is 'direction, as sent.';
comment on column voicenter.cdr_push.answered is 'isAnswer.';
comment on column voicenter.cdr_push.talk_seconds is 'actualCallDuration: how long was talked.';
comment on column voicenter.cdr_push.queue_wait_seconds is 'seconds_waiting_in_queue.';
comment on column voicenter.cdr_push.ring_seconds is 'actualCallDialtime: how long the one who answered was rung.';
comment on column voicenter.cdr_push.queue_id is 'queueid; null for none.';
comment on column voicenter.cdr_push.ivr is 'IVR: the menus that the caller went through, an array.';
comment on column voicenter.cdr_push.caller_country is 'caller_country.';
comment on column voicenter.cdr_push.target_country is 'target_country.';
comment on column voicenter.cdr_push.caller_extension_name is 'callerextension_name.';
comment on column voicenter.cdr_push.target_extension_name is 'targetextension_name.';
comment on column voicenter.cdr_push.extension_user is 'extenUser: the SIP code of the agent.';
comment on column voicenter.cdr_push.client_phone is 'callerPhone: the customer''s number.';
comment on column voicenter.cdr_push.top_department_id is 'TopDepartmentID.';
comment on column voicenter.cdr_push.top_department_name is 'TopDepartmentName.';
comment on column voicenter.cdr_push.leg1_dial_status is 'leg1DialStatusName.';
comment on column voicenter.cdr_push.campaign_id is 'campaignID.';
comment on column voicenter.cdr_push.campaign_code is 'campaignCode.';
comment on column voicenter.cdr_push.campaign_name is 'campaignName.';
comment on column voicenter.cdr_push.dialer is 'What else a dialer knows of the call, an object: campaign_type_id, campaign_type_name, status_name, phone, call_inserted, retry_number, retry_amount, and any other field of dialerData under its own name.';
comment on column voicenter.cdr_push.do_not_call is 'The customer''s wish not to be called, an object: is_wished, status, status_code, transaction_id.';
comment on column voicenter.cdr_push.custom_data is 'CUSTOM_DATA or CustomData.';
comment on column voicenter.cdr_push.original_call_id is 'OriginalIvrUniqueID: the call that this one continues.';
comment on column voicenter.cdr_push.shared is 'What the push said of columns that voicenter.cdr has as well, by their names there. Its duration_seconds includes the waiting in a queue.';
comment on column voicenter.cdr_push.extra is 'Every field without a column, and every value that its column cannot hold, under its own name.';
comment on column voicenter.cdr_push.first_received_at is 'When the first notification of the record was received.';
comment on column voicenter.cdr_push.last_received_at is 'When the newest one was received.';
comment on column voicenter.cdr_push.versions is 'How many different notifications of it were received.';
comment on column voicenter.cdr_push.older is 'Which of the values are not of the newest notification, and when theirs was received: an object. The newest value that is not null counts.';
comment on column voicenter.cdr_push.state is 'confirmed: voicenter.cdr had the record; provisional: it has not come by the pull yet; unmatched: it was asked for and did not come.';
comment on column voicenter.cdr_push.confirmed_at is 'When voicenter.cdr was first seen to have the record.';
comment on column voicenter.cdr_push.asked_at is 'When the API was last asked for the record because it had not come.';
comment on column voicenter.cdr_push.asked is 'How often it was asked for.';
comment on column voicenter.cdr_push.to_fold is 'Whether voicenter.calls is still to follow it.';

-- Both arms can use an index by account and time; a full join could not.
create view voicenter.records as
select
    c.account,
    c.call_id,
    c.type,
    case when p.account is null then 'pull' else 'both' end as source,
    'confirmed' as state,
    c.cdr_type,
    c.started_at,
    c.duration_seconds,
    c.ring_seconds,
    p.talk_seconds,
    p.queue_wait_seconds,
    p.ring_seconds as agent_ring_seconds,
    c.caller_number,
    c.caller_extension,
    p.caller_extension_name,
    c.target_number,
    c.target_extension,
    p.target_extension_name,
    c.target_prefix_name,
    c.did,
    c.dial_status,
    p.direction,
    p.answered,
    c.queue_name,
    p.queue_id,
    c.department_id,
    c.department_name,
    p.top_department_id,
    p.top_department_name,
    c.representative_code,
    c.representative_name,
    c.user_id,
    c.user_name,
    p.extension_user,
    p.client_phone,
    p.caller_country,
    p.target_country,
    p.campaign_id,
    p.campaign_code,
    p.campaign_name,
    c.price,
    c.record_url,
    c.record_expected,
    c.dtmf_data,
    p.ivr,
    coalesce(c.custom_data, p.custom_data) as custom_data,
    p.dialer,
    p.do_not_call,
    c.first_seen_at,
    p.first_received_at,
    p.last_received_at,
    greatest(c.updated_at, p.last_received_at, p.confirmed_at) as changed_at,
    c.removed_at
from voicenter.cdr c
left join voicenter.cdr_push p on p.account = c.account and p.call_id = c.call_id and p.type = c.type
union all
select
    p.account,
    p.call_id,
    p.type,
    'push',
    p.state,
    null,
    p.started_at,
    (p.shared ->> 'duration_seconds')::integer,
    (p.shared ->> 'ring_seconds')::integer,
    p.talk_seconds,
    p.queue_wait_seconds,
    p.ring_seconds,
    p.shared ->> 'caller_number',
    p.shared ->> 'caller_extension',
    p.caller_extension_name,
    p.shared ->> 'target_number',
    p.shared ->> 'target_extension',
    p.target_extension_name,
    null,
    p.shared ->> 'did',
    p.shared ->> 'dial_status',
    p.direction,
    p.answered,
    p.shared ->> 'queue_name',
    p.queue_id,
    p.shared ->> 'department_id',
    p.shared ->> 'department_name',
    p.top_department_id,
    p.top_department_name,
    p.shared ->> 'representative_code',
    p.shared ->> 'representative_name',
    null,
    null,
    p.extension_user,
    p.client_phone,
    p.caller_country,
    p.target_country,
    p.campaign_id,
    p.campaign_code,
    p.campaign_name,
    (p.shared ->> 'price')::numeric,
    p.shared ->> 'record_url',
    null,
    null,
    p.ivr,
    p.custom_data,
    p.dialer,
    p.do_not_call,
    null,
    p.first_received_at,
    p.last_received_at,
    greatest(p.last_received_at, p.confirmed_at),
    null
from voicenter.cdr_push p
where not exists (
    select from voicenter.cdr c where c.account = p.account and c.call_id = p.call_id and c.type = p.type
);
comment on view voicenter.records is 'Every record that is known, once (account, call_id, type): those of voicenter.cdr with what the push adds to them, and those that only a push has brought. Where both have a value, it is the pull''s. Filter by account and started_at.';
comment on column voicenter.records.account is 'The account''s name in the configuration of cdr-sync.';
comment on column voicenter.records.call_id is 'CallID. The legs of one call share it.';
comment on column voicenter.records.type is 'Type; empty when absent. With call_id it identifies the record.';
comment on column voicenter.records.source is 'pull: no notification of it was received; push: it is not in voicenter.cdr; both.';
comment on column voicenter.records.state is 'confirmed: the pull has it; provisional: a notification of it came and the pull has yet to bring it; unmatched: the pull was asked for it and did not bring it.';
comment on column voicenter.records.talk_seconds is 'How long was talked, by the push; null without one.';
comment on column voicenter.records.queue_wait_seconds is 'How long the caller waited in the queue, by the push; null without one.';
comment on column voicenter.records.agent_ring_seconds is 'How long the one who answered was rung, by the push.';
comment on column voicenter.records.started_at is 'When it started. Null for one that only a push has brought, where its time names no single instant.';
comment on column voicenter.records.custom_data is 'CustomData of the pull, else of the push.';
comment on column voicenter.records.first_received_at is 'When its first notification was received; null without one.';
comment on column voicenter.records.last_received_at is 'When its newest notification was received; null without one.';
comment on column voicenter.records.changed_at is 'When pull or push last changed it.';
comment on column voicenter.records.removed_at is 'When the API was first seen without the record; null while it returns it.';
do $$
declare
    shared record;
begin
    for shared in
        select r.attname as name, coalesce(col_description(c.attrelid, c.attnum), col_description(p.attrelid, p.attnum)) as text
        from pg_attribute r
        left join pg_attribute c on c.attrelid = 'voicenter.cdr'::regclass and c.attname = r.attname
        left join pg_attribute p on p.attrelid = 'voicenter.cdr_push'::regclass and p.attname = r.attname
        where r.attrelid = 'voicenter.records'::regclass and r.attnum > 0 and col_description(r.attrelid, r.attnum) is null
    loop
        execute format('comment on column voicenter.records.%I is %L', shared.name, shared.text);
    end loop;
end
$$;

-- Whether a notification could have been received at all: what is missing from it is counted for these spans only.
create table cdr_sync.push_uptime (
    account  text        not null,
    from_at  timestamptz not null,
    until_at timestamptz not null,
    primary key (account, from_at),
    check (from_at <= until_at)
);
comment on table cdr_sync.push_uptime is 'When a receiver of CDR notifications was running.';
comment on column cdr_sync.push_uptime.account is 'The account.';
comment on column cdr_sync.push_uptime.from_at is 'Since when.';
comment on column cdr_sync.push_uptime.until_at is 'Up to when; written about once a minute while it runs.';

create view voicenter.push_daily as
select u.account, d.day, s.type, s.records, s.pushed
from (
    select p.account, coalesce(r.timezone, 'Asia/Jerusalem') as zone, min(p.from_at) as from_at, max(p.until_at) as until_at
    from cdr_sync.push_uptime p
    left join cdr_sync.reporting r on r.account = p.account
    group by p.account, r.timezone
) u
join voicenter.dates d on d.day between (u.from_at at time zone u.zone)::date and (u.until_at at time zone u.zone)::date
cross join lateral (
    select c.type, count(*)::integer as records, count(p.account)::integer as pushed
    from voicenter.cdr c
    left join voicenter.cdr_push p on p.account = c.account and p.call_id = c.call_id and p.type = c.type
    where c.account = u.account and c.started_at >= d.day::timestamp at time zone u.zone
        and c.started_at < (d.day + 1)::timestamp at time zone u.zone
        and c.started_at < now() - interval '24 hours' and c.removed_at is null
        and exists (
            select from cdr_sync.push_uptime t
            where t.account = u.account and t.from_at <= c.started_at and c.started_at < t.until_at
        )
    group by c.type
    offset 0
) s;
comment on view voicenter.push_daily is 'How many records had a notification, by account, day and type: of those that started at least 24 hours ago, while the receiver was running. Of what kinds none ever comes is no fault of anybody''s: compare types with themselves.';
comment on column voicenter.push_daily.account is 'The account.';
comment on column voicenter.push_daily.day is 'The day on which the records started, in the account''s zone (reporting.timezone).';
comment on column voicenter.push_daily.type is 'Type of the records.';
comment on column voicenter.push_daily.records is 'Records of voicenter.cdr that are not removed.';
comment on column voicenter.push_daily.pushed is 'Those of them of which a notification was received. The rate of missed ones is (sum(records) - sum(pushed)) / sum(records).';

-- As in 0008, with what the push says of the leg.
create or replace view cdr_sync.leg as
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
    c.first_seen_at,
    case when coalesce(k.kind in (8, 19), false) or c.queue_name is not null then p.queue_wait_seconds end as vendor_wait_seconds,
    -- The whole holds the talk; what contradicts it shows nothing.
    case when p.talk_seconds - 1 <= greatest(c.duration_seconds, 0) or c.duration_seconds is null then p.talk_seconds end as vendor_talk_seconds
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
left join lateral (
    select n.queue_wait_seconds, n.talk_seconds
    from voicenter.cdr_push n
    where n.account = c.account and n.call_id = c.call_id and n.type = c.type
    offset 0
) p on true
where c.removed_at is null;
comment on column cdr_sync.leg.vendor_wait_seconds is 'How long the caller waited in the queue, by a notification (push); null without one, and for legs outside queues.';
comment on column cdr_sync.leg.vendor_talk_seconds is 'How long was talked, by a notification (push); null without one, and where it is longer than the whole leg.';

-- The rules of a call and of a queue's visits, which otherwise stand in 0011, 0015, 0017 and 0009: waits and talk that the vendor
-- told count before those that are derived.
do $$
declare
    correction record;
    before     text;
    after      text;
begin
    for correction in
        select *
        from (values
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'coalesce(l.duration_seconds, 0) as duration,',
             'coalesce(l.duration_seconds, 0) as duration, coalesce(l.vendor_talk_seconds, l.duration_seconds, 0) as talked,'),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', E'\ngathered as (',
             E'\n-- Two legs of a call in one queue tell of one wait.\nqueued as (
    select root, case when bool_and(wait is not null) then least(sum(wait), 2147483647)::integer end as wait
    from (
        select root, call_id, queue_name, max(vendor_wait_seconds)::bigint as wait
        from leg where is_queued group by root, call_id, queue_name
    ) q
    group by root
),\ngathered as ('),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'max(duration) filter (where is_answered) as talk,',
             'max(talked) filter (where is_answered) as talk,'),
            -- The talk is the end of the leg.
            ('cdr_sync.calls_of(text, text[], text, timestamptz)',
             'array_agg(started_at + coalesce(ring_seconds, 0) * interval ''1 second'') filter (where is_answered) as talks_from,',
             'array_agg(started_at + (case when is_queued and vendor_talk_seconds is not null then 0 else coalesce(ring_seconds, 0) end::bigint
            + greatest(duration - talked, 0)) * interval ''1 second'') filter (where is_answered) as talks_from,'),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'array_agg(duration) filter (where is_answered) as talks_for,',
             'array_agg(talked) filter (where is_answered) as talks_for,'),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'max(duration) filter (where has_own_agent) as own_talk,',
             'max(talked) filter (where has_own_agent) as own_talk,'),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'bool_or(is_answered and is_queued) as is_answered_in_queue,',
             'bool_or(is_answered and is_queued and vendor_talk_seconds is null) as is_talk_unknown,'),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'is_answered_in_queue', 'is_talk_unknown'),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'q.short_abandon_seconds,',
             'q.short_abandon_seconds, v.wait as vendor_wait,'),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'join speaker s on s.root = g.root',
             E'join speaker s on s.root = g.root\n    left join queued v on v.root = g.root'),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'j.queue_seconds < coalesce(j.short_abandon_seconds, 10)',
             'coalesce(j.vendor_wait, j.queue_seconds) < coalesce(j.short_abandon_seconds, 10)'),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)',
             'when c.outcome = ''answered'' and not c.is_queued and c.answered_ring is not null then ''vendor''',
             'when c.vendor_wait is not null or c.outcome = ''answered'' and not c.is_queued and c.answered_ring is not null then ''vendor'''),
            ('cdr_sync.calls_of(text, text[], text, timestamptz)', 'when ''vendor'' then w.answered_ring',
             'when ''vendor'' then coalesce(w.vendor_wait, w.answered_ring)'),
            ('cdr_sync.queue_visits_of(text, text[], text)', 'max(greatest(ring_seconds, duration_seconds, 0)) as longest,',
             E'max(greatest(ring_seconds, duration_seconds, 0)) as longest,\n        max(vendor_wait_seconds) as vendor_wait,'),
            ('cdr_sync.queue_visits_of(text, text[], text)', 'sum(longest) over', 'sum(coalesce(vendor_wait, longest)) over'),
            ('cdr_sync.queue_visits_of(text, text[], text)', 'case when n.is_waiting then n.longest end,',
             'coalesce(n.vendor_wait, case when n.is_waiting then n.longest end),'),
            ('cdr_sync.queue_visits_of(text, text[], text)', 'case when n.is_waiting then ''derived''',
             'case when n.vendor_wait is not null then ''vendor'' when n.is_waiting then ''derived''')
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
comment on column voicenter.calls.wait_source is 'vendor: told by notifications (push) of all its queues, or the RingTime of an answered call outside queues. derived: nobody answered, so all of it was waiting; over several queues their sum. unknown: a call that went through a queue and was answered or ended elsewhere, for the pull tells its waiting and the rest only together. Null where nobody waits for a person.';
comment on column voicenter.calls.talk_source is 'vendor: as sent, for a call that was answered in a queue by the notification (push). derived: nobody answered. unknown: answered in a queue, without a notification.';
comment on column voicenter.calls.talk_seconds is 'How long was talked: actualCallDuration of the answered leg where a notification (push) told it, else its Duration. Where the call was transferred, the time that its answered legs cover together, for one may include the next or end where that begins. For a dialer''s call at most that of the agent''s leg; 0 when not answered; null for calls answered in a queue without a notification, whose Duration includes the waiting.';
comment on column voicenter.queue_visits.wait_source is 'vendor: told by a notification (push). derived: nobody answered, so all of it was waiting. unknown: answered, or ended in voicemail, a menu or by a key, for the pull tells waiting and the rest only together.';

-- Calls of which a notification came or said something new. What fold_changes has yet to come to, it folds with the notification.
-- Numbers of the others are spelt, so that any program may do it.
create function cdr_sync.fold_pushed(of_account text, at_most integer, out taken integer, out failed integer)
language plpgsql as $$
declare
    state   cdr_sync.reporting;
    pushed  text[];
    changed text[];
    next    timestamptz;
begin
    failed := 0;
    insert into cdr_sync.reporting (account) values (of_account) on conflict do nothing;
    select * into state from cdr_sync.reporting where account = of_account for update;
    pushed := array(
        select p.call_id from voicenter.cdr_push p
        where p.account = (select of_account) and p.to_fold
        order by p.call_id
        limit at_most
    );
    taken := cardinality(pushed);
    if taken = 0 then
        return;
    end if;
    changed := array(
        select distinct t.call_id
        from unnest(pushed) t (call_id)
        where coalesce((
            select bool_and((c.updated_at, c.call_id) <= (state.folded_until, state.folded_call))
            from voicenter.cdr c
            where c.account = (select of_account) and c.call_id = t.call_id
        ), false)
    );
    if cardinality(changed) > 0 then
        next := greatest(clock_timestamp(), state.stamp + interval '1 microsecond');
        if taken <= 300 and cdr_sync.plans_may_last() then
            failed := cdr_sync.fold_with_plans_that_last(of_account, changed, state.timezone, next);
        else
            failed := cdr_sync.fold_carefully(of_account, changed, state.timezone, next);
        end if;
        update cdr_sync.reporting set stamp = next where account = of_account;
    end if;
    update voicenter.cdr_push p
    set to_fold = false
    where p.account = of_account and p.to_fold and p.call_id = any (pushed);
end
$$;
comment on function cdr_sync.fold_pushed is 'Lets voicenter.calls follow notifications; returns how many, and how many calls no rule foresaw.';

create or replace function cdr_sync.plans_may_last() returns boolean language sql stable as $$
select bool_and(
    c.relkind = 'r' and pg_relation_size(c.oid) <= (2 * c.relpages + 8) * current_setting('block_size')::bigint
    and (c.reltuples >= t.known or t.known <= 1000 and pg_relation_size(c.oid) = 0)
)
from (values ('voicenter.calls'::regclass, 10000), ('voicenter.cdr', 10000), ('voicenter.queue_visits', 1000),
             ('cdr_sync.transfer', 1000), ('voicenter.calls_15min', 1000), ('voicenter.queue_15min', 1000),
             ('voicenter.agent_15min', 1000), ('voicenter.cdr_push', -1), ('voicenter.removed_calls', -1), ('voicenter.queue_1day', -1),
             ('voicenter.agent_1day', -1), ('voicenter.queues', -1), ('cdr_sync.number', -1)) t (name, known)
join pg_catalog.pg_class c on c.oid = t.name
$$;

-- As for the tables of 0018 and the calls: whoever writes these, such as a daemon that is not the owner, writes those.
do $$
declare
    granted record;
begin
    for granted in
        select p.new, a.privilege_type, case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as name
        from (values ('voicenter.cdr_push'::regclass, 'voicenter.cdr'::regclass), ('voicenter.records', 'voicenter.cdr'),
                     ('voicenter.push_daily', 'voicenter.cdr'), ('cdr_sync.push_uptime', 'cdr_sync.push')) p (new, old)
        join pg_catalog.pg_class c on c.oid = p.old
        join pg_catalog.pg_class n on n.oid = p.new
        cross join lateral aclexplode(c.relacl) a
        where a.grantee <> c.relowner and (n.relkind = 'r' or a.privilege_type = 'SELECT')
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

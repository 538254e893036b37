-- Analyses of calls whose notification was missed are asked for one by one (GetCallHistory). Requests are rationed by the week.

create table cdr_sync.call_history (
    account  text        not null references cdr_sync.account (name) on update cascade on delete cascade,
    call_id  text        not null,
    asked_at timestamptz not null,
    times    integer     not null,
    outcome  text        not null check (outcome in ('asked', 'analysis', 'none', 'failed')),
    primary key (account, call_id)
);
create index call_history_asked_at_idx on cdr_sync.call_history (account, asked_at);
comment on table cdr_sync.call_history is 'Calls whose analysis was asked for (GetCallHistory): each at most once a day, and three times in all.';
comment on column cdr_sync.call_history.account is 'The account.';
comment on column cdr_sync.call_history.call_id is 'The CallID.';
comment on column cdr_sync.call_history.asked_at is 'When it was last asked for.';
comment on column cdr_sync.call_history.times is 'How often.';
comment on column cdr_sync.call_history.outcome is 'asked: the answer is not noted; analysis: it is in voicenter_ai; none: there was none; failed: no usable answer.';

create table cdr_sync.call_history_week (
    credential  text        not null primary key,
    begins_at   timestamptz not null,
    requests    integer     not null,
    rests_until timestamptz
);
comment on table cdr_sync.call_history_week is 'How many analyses were asked for in the newest week, by token: accounts may share one, and its ration.';
comment on column cdr_sync.call_history_week.credential is 'Salted hash of the token.';
comment on column cdr_sync.call_history_week.begins_at is 'When that week began: on a Monday at midnight, UTC.';
comment on column cdr_sync.call_history_week.requests is 'Requests since then; those that were left over for more than a day count as made.';
comment on column cdr_sync.call_history_week.rests_until is 'Until then nothing is asked for: the vendor said that the ration is used up.';

-- Of an account that reads only some of the calls, most of what is pushed is unmatched: the newest are counted by time.
create index cdr_push_unmatched_received_at_idx on voicenter.cdr_push (account, first_received_at) where state = 'unmatched';

comment on column voicenter_ai.call_ai.body_sha256 is 'SHA-256 of what its newest part came in: of a notification cdr_sync.push.body_sha256, otherwise of an answer that is not kept.';
comment on column voicenter_ai.call_ai_part.body_sha256 is 'SHA-256 of what it came in, as in call_ai.';

-- As in 0022, but AiExists is looked for where it comes: in CustomData. Every call was said to have no analysis announced. And a leg
-- waits for none if another one of its call has it.
create or replace view voicenter_ai.call_ai_state as
select p.account, p.call_id, p.type, p.started_at,
    case
        when p.has_transcript and p.has_summary then 'whole'
        when p.received_at is not null then 'summary'
        when not p.expected then 'none'
        when p.started_at < now() - interval '7 days' then 'gave_up'
        else 'expected'
    end as state,
    p.has_summary, p.has_transcript, p.first_received_at, p.received_at
from (
    select c.account, c.call_id, c.type, c.started_at, coalesce(lower(coalesce(c.custom_data ->> 'AiExists', c.extra ->> 'AiExists')) in ('true', '1'), false)
            and not exists (
                select from voicenter_ai.call_ai o where o.account = c.account and o.call_id = c.call_id and o.type <> c.type
            ) as expected,
        s.part is not null as has_summary, t.part is not null as has_transcript, a.first_received_at, a.received_at
    from voicenter.cdr c
    left join voicenter_ai.call_ai a on a.account = c.account and a.call_id = c.call_id and a.type = c.type
    left join voicenter_ai.call_ai_part s
        on s.account = c.account and s.call_id = c.call_id and s.type = c.type and s.part = 'summary'
    left join voicenter_ai.call_ai_part t
        on t.account = c.account and t.call_id = c.call_id and t.type = c.type and t.part = 'transcript'
    where c.removed_at is null
    union all
    select a.account, a.call_id, a.type, null, true,
        s.part is not null, t.part is not null, a.first_received_at, a.received_at
    from voicenter_ai.call_ai a
    left join voicenter.cdr c
        on c.account = a.account and c.call_id = a.call_id and c.type = a.type and c.removed_at is null
    left join voicenter_ai.call_ai_part s
        on s.account = a.account and s.call_id = a.call_id and s.type = a.type and s.part = 'summary'
    left join voicenter_ai.call_ai_part t
        on t.account = a.account and t.call_id = a.call_id and t.type = a.type and t.part = 'transcript'
    where c.account is null
) p;

-- As for the tables of 0020: a daemon that is not the owner writes them.
do $$
declare
    granted record;
begin
    for granted in
        select a.privilege_type, case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as name
        from pg_catalog.pg_class c
        cross join lateral aclexplode(c.relacl) a
        where c.oid = 'cdr_sync.push'::regclass and a.grantee <> c.relowner
    loop
        execute format('grant %s on cdr_sync.call_history, cdr_sync.call_history_week to %s', granted.privilege_type, granted.name);
    end loop;
end
$$;

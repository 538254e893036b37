-- What AI makes of calls, in a schema of its own: whoever reads calls need not read what was said in them. And what was
-- forgotten on somebody's demand: it stays forgotten.

do $$
begin
    if not exists (select from pg_catalog.pg_namespace where nspname = 'voicenter_ai') then
        create schema voicenter_ai;
    end if;
exception
    when insufficient_privilege then
        raise insufficient_privilege using message = format(
            'this role may not create the schema voicenter_ai: grant create on database %I to %I, or have a superuser run: create schema voicenter_ai authorization %I',
            current_database(), current_user, current_user);
end
$$;
comment on schema voicenter_ai is 'What AI makes of Voicenter''s calls, transcripts included: for the role voicenter_ai_reader. Written by cdr-sync alone.';

create table voicenter_ai.call_ai (
    account           text        not null,
    call_id           text        not null,
    type              text        not null default '',
    summary           text,
    caller_name       text,
    callee_name       text,
    personality       jsonb,
    extra             jsonb,
    source            text        not null check (source in ('push', 'history')),
    received_at       timestamptz not null,
    body_sha256       bytea,
    first_received_at timestamptz not null,
    primary key (account, call_id, type)
);
-- What retention deletes.
create index call_ai_received_at_idx on voicenter_ai.call_ai (account, received_at);
comment on table voicenter_ai.call_ai is 'The analysis of each call that has one: its summary and who took part.';
comment on column voicenter_ai.call_ai.account is 'The account.';
comment on column voicenter_ai.call_ai.call_id is 'The CallID.';
comment on column voicenter_ai.call_ai.type is 'The type, as in voicenter.cdr; empty where it is not known.';
comment on column voicenter_ai.call_ai.summary is 'What the call was about.';
comment on column voicenter_ai.call_ai.caller_name is 'The caller''s name, as understood from what was said.';
comment on column voicenter_ai.call_ai.callee_name is 'The name of who was called, as understood from what was said.';
comment on column voicenter_ai.call_ai.personality is 'The personality traits of caller and callee: an object with a list for each, and other for whatever else is said of them.';
comment on column voicenter_ai.call_ai.extra is 'Whatever else the analysis has, where it stands in it.';
comment on column voicenter_ai.call_ai.source is 'Where its newest part is from: push, or history (GetCallHistory).';
comment on column voicenter_ai.call_ai.received_at is 'When its newest part was received.';
comment on column voicenter_ai.call_ai.body_sha256 is 'The notification with that part: cdr_sync.push.body_sha256.';
comment on column voicenter_ai.call_ai.first_received_at is 'When the first part of it was received.';

create table voicenter_ai.call_ai_part (
    account     text        not null,
    call_id     text        not null,
    type        text        not null default '',
    part        text        not null check (part in ('summary', 'participants', 'insights', 'emotions', 'sentences', 'transcript', 'extra')),
    source      text        not null check (source in ('push', 'history')),
    received_at timestamptz not null,
    body_sha256 bytea       not null,
    primary key (account, call_id, type, part)
);
comment on table voicenter_ai.call_ai_part is 'Where each part of an analysis is from. A part is replaced as a whole, by a newer one.';
comment on column voicenter_ai.call_ai_part.account is 'The account.';
comment on column voicenter_ai.call_ai_part.call_id is 'The CallID.';
comment on column voicenter_ai.call_ai_part.type is 'The type, as in call_ai.';
comment on column voicenter_ai.call_ai_part.part is 'summary, participants, insights (questions and answers), emotions (likewise), sentences, transcript, or extra.';
comment on column voicenter_ai.call_ai_part.source is 'push, or history (GetCallHistory).';
comment on column voicenter_ai.call_ai_part.received_at is 'When it was received.';
comment on column voicenter_ai.call_ai_part.body_sha256 is 'The notification with it: cdr_sync.push.body_sha256.';

create table voicenter_ai.call_ai_answer (
    account       text    not null,
    call_id       text    not null,
    type          text    not null default '',
    part          text    not null check (part in ('insights', 'emotions')),
    position      integer not null,
    key           text,
    question      text,
    data_type     text,
    answer        jsonb,
    answer_bool   boolean,
    answer_number numeric,
    answer_text   text,
    extra         jsonb,
    primary key (account, call_id, type, part, position)
);
comment on table voicenter_ai.call_ai_answer is 'The questions that were put to the analysis of a call, each with its answer.';
comment on column voicenter_ai.call_ai_answer.account is 'The account.';
comment on column voicenter_ai.call_ai_answer.call_id is 'The CallID.';
comment on column voicenter_ai.call_ai_answer.type is 'The type, as in call_ai.';
comment on column voicenter_ai.call_ai_answer.part is 'insights, or emotions: which list of questions it is from.';
comment on column voicenter_ai.call_ai_answer.position is 'Its place in the list, from 1.';
comment on column voicenter_ai.call_ai_answer.key is 'The name of the question.';
comment on column voicenter_ai.call_ai_answer.question is 'The question.';
comment on column voicenter_ai.call_ai_answer.data_type is 'boolean, string, number, array, object_list or object; another word as it was sent.';
comment on column voicenter_ai.call_ai_answer.answer is 'The answer as it was sent.';
comment on column voicenter_ai.call_ai_answer.answer_bool is 'The answer, where it is a yes or no.';
comment on column voicenter_ai.call_ai_answer.answer_number is 'The answer, where it is a number.';
comment on column voicenter_ai.call_ai_answer.answer_text is 'The answer, where it is a text.';
comment on column voicenter_ai.call_ai_answer.extra is 'Whatever else stands with it.';

create table voicenter_ai.call_ai_sentence (
    account          text     not null,
    call_id          text     not null,
    type             text     not null default '',
    position         integer  not null,
    sentence_id      text,
    emotion          text,
    direction        smallint,
    confidence       numeric,
    intensity        numeric,
    trait            text,
    trait_confidence numeric,
    extra            jsonb,
    primary key (account, call_id, type, position)
);
comment on table voicenter_ai.call_ai_sentence is 'The emotion of each sentence of a call.';
comment on column voicenter_ai.call_ai_sentence.account is 'The account.';
comment on column voicenter_ai.call_ai_sentence.call_id is 'The CallID.';
comment on column voicenter_ai.call_ai_sentence.type is 'The type, as in call_ai.';
comment on column voicenter_ai.call_ai_sentence.position is 'Its place in the list, from 1.';
comment on column voicenter_ai.call_ai_sentence.sentence_id is 'The sentence: call_transcript.sentence_id.';
comment on column voicenter_ai.call_ai_sentence.emotion is 'The emotion.';
comment on column voicenter_ai.call_ai_sentence.direction is '-1 negative, 0 neutral, 1 positive.';
comment on column voicenter_ai.call_ai_sentence.confidence is 'How certain the emotion is, as it was sent.';
comment on column voicenter_ai.call_ai_sentence.intensity is 'How strong the emotion is, as it was sent.';
comment on column voicenter_ai.call_ai_sentence.trait is 'The personality trait that it shows.';
comment on column voicenter_ai.call_ai_sentence.trait_confidence is 'How certain the trait is, as it was sent.';
comment on column voicenter_ai.call_ai_sentence.extra is 'Whatever else stands with it.';

create table voicenter_ai.call_transcript (
    account       text    not null,
    call_id       text    not null,
    type          text    not null default '',
    position      integer not null,
    sentence_id   text,
    speaker       text,
    role          text    check (role in ('agent', 'customer')),
    start_seconds numeric,
    end_seconds   numeric,
    text          text,
    extra         jsonb,
    primary key (account, call_id, type, position)
);
comment on table voicenter_ai.call_transcript is 'What was said in a call, sentence by sentence. It comes by push or never.';
comment on column voicenter_ai.call_transcript.account is 'The account.';
comment on column voicenter_ai.call_transcript.call_id is 'The CallID.';
comment on column voicenter_ai.call_transcript.type is 'The type, as in call_ai.';
comment on column voicenter_ai.call_transcript.position is 'Its place in the transcript, from 1.';
comment on column voicenter_ai.call_transcript.sentence_id is 'The sentence, as call_ai_sentence names it.';
comment on column voicenter_ai.call_transcript.speaker is 'Who speaks, as it was sent: Speaker0, Speaker1.';
comment on column voicenter_ai.call_transcript.role is 'agent or customer, for incoming calls; null for others, where the documents contradict each other about the speakers.';
comment on column voicenter_ai.call_transcript.start_seconds is 'When it begins, in seconds from the beginning of the recording.';
comment on column voicenter_ai.call_transcript.end_seconds is 'When it ends, likewise; null where that was not sent.';
comment on column voicenter_ai.call_transcript.text is 'What is said.';
comment on column voicenter_ai.call_transcript.extra is 'Whatever else stands with it.';

-- An account is asked for by each side alone, and all joins are by key: a full join, or lookups, could read every account.
create view voicenter_ai.call_ai_state as
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
    select c.account, c.call_id, c.type, c.started_at, coalesce(c.extra ->> 'AiExists', '') in ('true', '1') as expected,
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
comment on view voicenter_ai.call_ai_state is 'How far the analysis of each call is.';
comment on column voicenter_ai.call_ai_state.account is 'The account.';
comment on column voicenter_ai.call_ai_state.call_id is 'The CallID.';
comment on column voicenter_ai.call_ai_state.type is 'The type, as in voicenter.cdr.';
comment on column voicenter_ai.call_ai_state.started_at is 'When the call began; null where only a notification knows it so far.';
comment on column voicenter_ai.call_ai_state.state is 'none: none is announced (AiExists); expected: announced, nothing is here yet; summary: some of it is here; whole: summary and transcript are; gave_up: announced, and nothing came within seven days.';
comment on column voicenter_ai.call_ai_state.has_summary is 'Whether there is a summary.';
comment on column voicenter_ai.call_ai_state.has_transcript is 'Whether there is a transcript.';
comment on column voicenter_ai.call_ai_state.first_received_at is 'When the first part was received.';
comment on column voicenter_ai.call_ai_state.received_at is 'When the newest part was received.';

-- What is forgotten. Numbers could be found out by trying all of them, so their hashes have a key.
alter table cdr_sync.installation add column forget_key bytea;
update cdr_sync.installation set forget_key = decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');
alter table cdr_sync.installation alter column forget_key set not null;
comment on column cdr_sync.installation.forget_key is 'The key of the hashes in cdr_sync.forgotten. Without it nothing would stay forgotten.';

create table cdr_sync.forgotten (
    account      text        not null,
    hash         bytea       not null check (octet_length(hash) = 32),
    forgotten_at timestamptz not null default clock_timestamp(),
    primary key (account, hash)
);
comment on table cdr_sync.forgotten is 'Calls and phone numbers that were forgotten on demand (cdr-sync forget), without saying which: of what is pushed about them, nothing is kept.';
comment on column cdr_sync.forgotten.account is 'The account.';
comment on column cdr_sync.forgotten.hash is 'cdr_sync.forgotten_hash of the CallID or of the number in one spelling.';
comment on column cdr_sync.forgotten.forgotten_at is 'When it was forgotten first.';

-- In the form of HMAC, of which PostgreSQL has none without an extension. The key has a fixed length.
create function cdr_sync.forgotten_hash(kind text, what text) returns bytea
language sql stable as $$
    select sha256(i.forget_key || sha256(i.forget_key || convert_to(kind || ':' || what, 'UTF8'))) from cdr_sync.installation i
$$;
comment on function cdr_sync.forgotten_hash(text, text) is 'What stands in cdr_sync.forgotten for a call (''call'', its CallID) or a number (''number'', +972541234567).';

-- Whoever stores a notification holds this until the end of its transaction; whoever forgets waits for them. Each statement of a
-- volatile function sees what was committed before it, unlike one statement that waits for a lock.
create function cdr_sync.begin_keeping(of_account text, out country text, out has_forgotten boolean)
language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(1667527265, hashtext(of_account));
    country := coalesce((select r.country from cdr_sync.reporting r where r.account = of_account), 'IL');
    has_forgotten := exists (select from cdr_sync.forgotten f where f.account = of_account);
end
$$;

-- Bodies one after the other, and those of a call that were emptied.
create index push_bodies on cdr_sync.push (account, received_at, body_sha256) where raw is not null;
create index push_emptied on cdr_sync.push (account, call_id) where raw is null and call_id is not null;
alter table cdr_sync.push
    drop constraint push_state_check,
    drop constraint push_raw,
    add constraint push_state_check check (state in ('new', 'applied', 'rejected', 'unsupported', 'forgotten')),
    add constraint push_raw check (raw is not null or state in ('applied', 'forgotten'));
comment on column cdr_sync.push.state is 'new: to be applied; applied; rejected: not understood, to be read again after an upgrade (cdr-sync push replay); unsupported: XML-RPC; forgotten: about nothing but what was forgotten (cdr-sync forget).';
comment on column cdr_sync.push.raw is 'The body; null once it was applied and is older than push.keep, or forgotten. One of several records of which some are forgotten has the others.';

alter table cdr_sync.action
    drop constraint action_what_check,
    add constraint action_what_check check (what in (
        'pause', 'resume', 'rename', 'forget', 'acknowledge', 'read again', 'forget call', 'forget number'));
comment on column cdr_sync.action.what is 'pause, resume, rename, forget, acknowledge, read again, forget call, or forget number.';

-- As for the tables of 0020: a daemon that is not the owner writes them.
do $$
declare
    granted record;
begin
    for granted in
        select a.privilege_type, case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as name
        from pg_catalog.pg_class c
        cross join lateral aclexplode(c.relacl) a
        where c.oid = 'cdr_sync.account'::regclass and a.grantee <> c.relowner and a.grantee <> 0
            and exists (select from aclexplode(c.relacl) u where u.grantee = a.grantee and u.privilege_type = 'UPDATE')
    loop
        execute format('grant %s on cdr_sync.forgotten to %s', granted.privilege_type, granted.name);
        execute format('grant %s on all tables in schema voicenter_ai to %s', granted.privilege_type, granted.name);
        execute format('grant usage on schema voicenter_ai to %s', granted.name);
    end loop;
end
$$;

-- The role belongs to the whole cluster, as voicenter_reader does (0002).
do $$
declare
    ours regclass;
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'voicenter_ai_reader') then
        begin
            create role voicenter_ai_reader nologin;
            comment on role voicenter_ai_reader is 'May read schema voicenter_ai, written by cdr-sync, and nothing else.';
        exception
            when duplicate_object or unique_violation then
                null;
            when insufficient_privilege then
                raise notice 'role voicenter_ai_reader was not created, for this user may not create roles. Whoever is to read transcripts needs usage on schema voicenter_ai and select on its tables.';
                return;
        end;
    end if;
    grant usage on schema voicenter_ai to voicenter_ai_reader;
    for ours in
        select oid from pg_catalog.pg_class
        where relnamespace = 'voicenter_ai'::regnamespace and relkind in ('r', 'p', 'v', 'm') and pg_has_role(relowner, 'usage')
    loop
        execute format('grant select on %s to voicenter_ai_reader', ours);
    end loop;
    alter default privileges in schema voicenter_ai grant select on tables to voicenter_ai_reader;
end
$$;

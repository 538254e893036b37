-- CDR notifications that Voicenter pushes: stored before they are answered, since what was not stored never comes again.

create table cdr_sync.push (
    account          text        not null,
    body_sha256      bytea       not null check (octet_length(body_sha256) = 32),
    received_at      timestamptz not null,
    last_received_at timestamptz not null,
    times            int         not null default 1,
    content_type     text,
    remote           inet,
    raw              bytea,
    call_id          text,
    type             text,
    state            text        not null check (state in ('new', 'applied', 'rejected', 'unsupported')),
    problem          text,
    primary key (account, body_sha256),
    constraint push_raw check (raw is not null or state = 'applied')
);
-- What is to be done with bodies that are still there: new ones, unread ones, old ones to empty.
create index push_with_body on cdr_sync.push (account, state, received_at) where raw is not null;
comment on table cdr_sync.push is 'CDR notifications (configuration: push), each different body once, as it came. They hold phone numbers, names and transcripts: for the daemon alone.';
comment on column cdr_sync.push.account is 'The account, from the address that was pushed to.';
comment on column cdr_sync.push.body_sha256 is 'The SHA-256 of the body: the same body again is the same notification.';
comment on column cdr_sync.push.received_at is 'When it was first received.';
comment on column cdr_sync.push.last_received_at is 'When it was last received.';
comment on column cdr_sync.push.times is 'How often it was received.';
comment on column cdr_sync.push.content_type is 'Its Content-Type; that of a form where a GET request had it in its query.';
comment on column cdr_sync.push.remote is 'The address that sent it; null where a trusted proxy did not say.';
comment on column cdr_sync.push.raw is 'The body; null once it was applied and is older than push.keep.';
comment on column cdr_sync.push.call_id is 'ivruniqueid, the CallID, of its first record.';
comment on column cdr_sync.push.type is 'The type of its first record.';
comment on column cdr_sync.push.state is 'new: to be applied; applied; rejected: not understood, to be read again after an upgrade (cdr-sync push replay); unsupported: XML-RPC.';
comment on column cdr_sync.push.problem is 'Why it is rejected or unsupported, without anything of its contents.';

-- As for the tables of 0018: a daemon that is not the owner writes it; whoever may only ask for work does not.
do $$
declare
    granted record;
begin
    for granted in
        select a.privilege_type, case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as name
        from pg_catalog.pg_class c
        cross join lateral aclexplode(c.relacl) a
        where c.oid = 'cdr_sync.account'::regclass and a.grantee <> c.relowner
            and exists (select from aclexplode(c.relacl) u where u.grantee = a.grantee and u.privilege_type = 'UPDATE')
    loop
        execute format('grant %s on cdr_sync.push to %s', granted.privilege_type, granted.name);
    end loop;
end
$$;

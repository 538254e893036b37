-- An account can be paused by hand, a rejected record acknowledged, and whoever did such things is written down.

alter table cdr_sync.account
    add column pause_since  timestamptz,
    add column pause_by     text,
    add column pause_reason text,
    add constraint account_pause check ((pause_since is null) = (pause_by is null));
comment on column cdr_sync.account.pause_since is 'Since when an operator has paused the account (cdr-sync account pause): nothing is asked of the API for it; null while it is not paused.';
comment on column cdr_sync.account.pause_by is 'Who has paused it.';
comment on column cdr_sync.account.pause_reason is 'Why, in the operator''s words.';

alter table cdr_sync.rejected add column acknowledged_at timestamptz;
comment on column cdr_sync.rejected.acknowledged_at is 'When an operator said that it is known and needs nothing (cdr-sync rejected --acknowledge): status, page, metrics and exit status count it no longer. It is still stored as soon as it can be.';

create table cdr_sync.action (
    account  text        not null,
    id       bigint      generated always as identity,
    at       timestamptz not null default clock_timestamp(),
    what     text        not null check (what in ('pause', 'resume', 'rename', 'forget', 'acknowledge', 'read again')),
    detail   text,
    by_whom  text        not null,
    role     text        not null default session_user,
    primary key (account, id)
);
comment on table cdr_sync.action is 'What operators did to accounts: pauses, renames, and the like, each written down with whoever did it. Rows keep the name that an account had then, and stay when it is forgotten.';
comment on column cdr_sync.action.account is 'The account, by its name then.';
comment on column cdr_sync.action.id is 'Its number.';
comment on column cdr_sync.action.at is 'When.';
comment on column cdr_sync.action.what is 'pause, resume, rename, forget, acknowledge, or read again.';
comment on column cdr_sync.action.detail is 'More about it: the reason, the new name, the span.';
comment on column cdr_sync.action.by_whom is 'User and host that ran the command; for a request by SQL, the role that inserted it.';
comment on column cdr_sync.action.role is 'The database role of whoever wrote this row.';

-- Who may insert a request says who asks by doing so.
alter table cdr_sync.request add column asked_by text not null default 'not known';
alter table cdr_sync.request alter column asked_by set default session_user;
comment on column cdr_sync.request.asked_by is 'Who asks: user and host of a command, otherwise the database role unless another is given.';

-- What people are told of (configuration: notify): each trouble once, however many daemons see it and however often they restart.
create table cdr_sync.notice (
    account       text        not null,
    kind          text        not null,
    text          text        not null,
    advice        text        not null,
    since         timestamptz not null default clock_timestamp(),
    told_at       timestamptz,
    ended_at      timestamptz,
    claimed_until timestamptz,
    primary key (account, kind)
);
comment on table cdr_sync.notice is 'Trouble of accounts that people are told of or were told of (configuration: notify), until its end was told, too.';
comment on column cdr_sync.notice.account is 'The account.';
comment on column cdr_sync.notice.kind is 'The kind of trouble, as the page has it: behind, gaps, credential_refused and the like.';
comment on column cdr_sync.notice.text is 'What is wrong.';
comment on column cdr_sync.notice.advice is 'What to do about it.';
comment on column cdr_sync.notice.since is 'Since when it is seen.';
comment on column cdr_sync.notice.told_at is 'When people were told last; null until then.';
comment on column cdr_sync.notice.ended_at is 'Since when it is over; null while it lasts.';
comment on column cdr_sync.notice.claimed_until is 'A daemon tells people of it; if this passes, another try is due.';

-- A daemon that is not the owner writes them, too; whoever may only ask for work does not.
do $$
declare
    granted record;
begin
    for granted in
        select a.privilege_type, case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as name
        from pg_catalog.pg_class c
        cross join lateral aclexplode(c.relacl) a
        where c.oid = 'cdr_sync.account'::regclass and a.grantee <> c.relowner
            and (a.privilege_type = 'SELECT'
                 or exists (select from aclexplode(c.relacl) u where u.grantee = a.grantee and u.privilege_type = 'UPDATE'))
    loop
        execute format('grant %s on cdr_sync.action, cdr_sync.notice to %s', granted.privilege_type, granted.name);
    end loop;
end
$$;

-- Reference data: extensions (with departments and users) and queues, as Voicenter lists them, each with the time in which it
-- was valid.

create table voicenter.extension (
    account         text        not null,
    extension       text        not null,
    valid_from      timestamptz not null,
    valid_to        timestamptz,
    name            text,
    speed_dial      text,
    department_id   text,
    department_name text,
    user_name       text,
    user_email      text,
    extra           jsonb,
    primary key (account, extension, valid_from),
    constraint extension_valid check (valid_to > valid_from)
);
-- One interval at most is open.
create unique index extension_open on voicenter.extension (account, extension) where valid_to is null;
comment on table voicenter.extension is 'The account''s extensions as Voicenter lists them (configuration: reference), one row for each interval in which an extension was the same (account, extension, valid_from). An interval begins with the list that first showed it, not with the change itself; before an account''s first list nothing is known.';
comment on column voicenter.extension.account is 'The account, as in voicenter.cdr.';
comment on column voicenter.extension.extension is 'SIP: the SIP name, as in cdr.caller_extension and cdr.target_extension.';
comment on column voicenter.extension.valid_from is 'When the list was requested that first showed the extension like this.';
comment on column voicenter.extension.valid_to is 'When the list was requested that first lacked it or showed it otherwise; null while it is valid.';
comment on column voicenter.extension.name is 'Name: what the extension is called.';
comment on column voicenter.extension.speed_dial is 'SpeedDial: its short number within the organization.';
comment on column voicenter.extension.department_id is 'AccountID: the number of its department, which Voicenter calls an account.';
comment on column voicenter.extension.department_name is 'AccountName: its department.';
comment on column voicenter.extension.user_name is 'UserName: the user whose extension it is.';
comment on column voicenter.extension.user_email is 'UserEmail: the e-mail address of that user, as written there; by it calls are joined to staff in other systems. Compare it with lower().';
comment on column voicenter.extension.extra is 'Fields of the list that have no column, their names in lower case, as last seen: a change of these alone begins no interval. Null when there are none.';

create table voicenter.queue (
    account    text        not null,
    queue_id   text        not null,
    valid_from timestamptz not null,
    valid_to   timestamptz,
    name       text,
    weight     int,
    extra      jsonb,
    primary key (account, queue_id, valid_from),
    constraint queue_valid check (valid_to > valid_from)
);
create unique index queue_open on voicenter.queue (account, queue_id) where valid_to is null;
comment on table voicenter.queue is 'The account''s queues as Voicenter lists them (configuration: reference), one row for each interval in which a queue was the same (account, queue_id, valid_from). An interval begins with the list that first showed it, not with the change itself. Goals for queues are in voicenter.queues.';
comment on column voicenter.queue.account is 'The account, as in voicenter.cdr.';
comment on column voicenter.queue.queue_id is 'ID: the queue''s number, which stays when it is renamed.';
comment on column voicenter.queue.valid_from is 'When the list was requested that first showed the queue like this.';
comment on column voicenter.queue.valid_to is 'When the list was requested that first lacked it or showed it otherwise; null while it is valid.';
comment on column voicenter.queue.name is 'Name: what it is called, as in cdr.queue_name.';
comment on column voicenter.queue.weight is 'Weight: its priority among the queues.';
comment on column voicenter.queue.extra is 'Fields of the list that have no column, their names in lower case, as last seen: a change of these alone begins no interval. Callers is never kept. Null when there are none.';

create view voicenter.department as
select
    e.account,
    e.department_id,
    max(e.department_name) filter (where e.valid_to is null) as department_name,
    count(*) filter (where e.valid_to is null) as extensions,
    min(e.valid_from) as valid_from,
    case when count(*) filter (where e.valid_to is null) = 0 then max(e.valid_to) end as valid_to
from voicenter.extension e
where e.department_id is not null
group by e.account, e.department_id;
comment on view voicenter.department is 'One row for each department that has or had an extension (account, department_id), from voicenter.extension: Voicenter lists no departments.';
comment on column voicenter.department.account is 'The account, as in voicenter.cdr.';
comment on column voicenter.department.department_id is 'Its number.';
comment on column voicenter.department.department_name is 'Its name now; null if it has no extension any more.';
comment on column voicenter.department.extensions is 'How many extensions it has now.';
comment on column voicenter.department.valid_from is 'When a list first showed an extension of it.';
comment on column voicenter.department.valid_to is 'Since when it has no extension; null while it has one.';

create table cdr_sync.reference_list (
    account  text        not null,
    list     text        not null check (list in ('extensions', 'queues')),
    asked_at timestamptz,
    read_at  timestamptz,
    rows     int         not null default 0,
    problem  text,
    primary key (account, list)
);
comment on table cdr_sync.reference_list is 'What is known of the lists of reference data (configuration: reference), a row for each account and list. When it is requested again follows from it, whichever daemon leads.';
comment on column cdr_sync.reference_list.account is 'The account.';
comment on column cdr_sync.reference_list.list is 'extensions or queues.';
comment on column cdr_sync.reference_list.asked_at is 'When it was last requested.';
comment on column cdr_sync.reference_list.read_at is 'When the last list was requested that was believed.';
comment on column cdr_sync.reference_list.rows is 'Number of rows whose interval was open then.';
comment on column cdr_sync.reference_list.problem is 'Why the last list was not believed or did not come, without anything of its contents; null if it was.';

-- A daemon that is not the owner writes what it writes elsewhere; whoever may read calls reads these.
do $$
declare
    granted record;
begin
    for granted in
        select p.new, a.privilege_type, case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end as name
        from (values ('voicenter.extension'::regclass, 'voicenter.cdr'::regclass),
                     ('voicenter.queue', 'voicenter.cdr'),
                     ('voicenter.department', 'voicenter.sync_state'),
                     ('cdr_sync.reference_list', 'cdr_sync.account')) p (new, old)
        join pg_catalog.pg_class c on c.oid = p.old
        cross join lateral aclexplode(c.relacl) a
        where a.grantee <> c.relowner
            and (p.new <> 'cdr_sync.reference_list'::regclass
                 or exists (select from aclexplode(c.relacl) u where u.grantee = a.grantee and u.privilege_type = 'UPDATE'))
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
            where oid in ('voicenter.extension'::regclass, 'voicenter.queue'::regclass, 'voicenter.department'::regclass)
              and pg_has_role(relowner, 'usage')
        loop
            execute format('grant select on %s to voicenter_reader', ours);
        end loop;
    end if;
end
$$;

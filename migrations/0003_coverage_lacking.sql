-- Not every server gives out every field, and one that refuses a field may take it later.
-- A constant default: no row is written again, and the program before this one goes on as it was.
alter table cdr_sync.coverage add column lacking text[] not null default '{}';
comment on column cdr_sync.coverage.lacking is 'The fields that the newest read of the stretch was not asked for, because the API refused them: of DateEpoch, CdrType, UserName, UserId. It is read again once the API takes them.';

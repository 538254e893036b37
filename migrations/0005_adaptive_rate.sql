-- After error 1 a credential's rate is halved and then rises by one request a minute for every minute without another.
alter table cdr_sync.budget
    add column lowered_to integer,
    add column lowered_at timestamptz;
comment on column cdr_sync.budget.lowered_to is 'The requests a minute that the API''s last error 1 left; null when it never came.';
comment on column cdr_sync.budget.lowered_at is 'Since when the rate rises again, by one request a minute each minute, up to what is configured: when the pause after that error ends.';

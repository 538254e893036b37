-- Lets voicenter_reader log in: for BI tools on port 5433, and for Grafana. docker-compose.yml runs this at every `up`, as
-- the superuser. The server reads the password itself, so that no client and no variable holds it.
do $$
declare
    zone text;
begin
    -- The daemon's first migration may be creating the role at this moment.
    if not exists (select from pg_catalog.pg_roles where rolname = 'voicenter_reader') then
        begin
            create role voicenter_reader;
        exception when duplicate_object or unique_violation then
            null;
        end;
    end if;
    execute format('alter role voicenter_reader login password %L',
                   btrim(pg_read_file('/run/secrets/reader-password'), E' \r\n'));
    -- A session's day is the account's day: where accounts differ, queries take the zone from sync_state.
    if to_regclass('cdr_sync.reporting') is not null then
        execute 'select min(timezone) from cdr_sync.reporting' into zone;
    end if;
    execute format('alter role voicenter_reader set timezone = %L', coalesce(zone, 'Asia/Jerusalem'));
    -- Compiling a query costs more than these take.
    alter role voicenter_reader set jit = off;
    alter role voicenter_reader set statement_timeout = '60s';
    alter role voicenter_reader set default_transaction_read_only = on;
end
$$;

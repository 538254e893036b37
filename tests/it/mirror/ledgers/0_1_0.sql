-- The database that version 0.1.0 left behind (pg_dump) after a sync with a server that refused the key version: it took the
-- refusal for one of all newer fields, and no row has a cdr_type, user_id or user_name. Simulator: seed 11, 40 calls a day, steady.
CREATE SCHEMA cdr_sync;
CREATE SCHEMA voicenter;
CREATE TABLE cdr_sync.account (
    name text NOT NULL,
    scope jsonb NOT NULL,
    scope_since timestamp with time zone NOT NULL,
    history_start timestamp with time zone NOT NULL,
    knowledge jsonb,
    horizon timestamp with time zone,
    last_success_at timestamp with time zone,
    last_error text,
    last_error_at timestamp with time zone,
    paused_until timestamp with time zone,
    CONSTRAINT account_name_check CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 200)))
);
CREATE TABLE cdr_sync.budget (
    credential text NOT NULL,
    spacing interval NOT NULL,
    allowance interval NOT NULL,
    arrival_at timestamp with time zone NOT NULL,
    last_send_at timestamp with time zone NOT NULL,
    paused_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
);
CREATE TABLE voicenter.cdr (
    account text NOT NULL,
    call_id text NOT NULL,
    type text DEFAULT ''::text NOT NULL,
    cdr_type integer,
    started_at timestamp with time zone NOT NULL,
    duration_seconds integer,
    ring_seconds integer,
    caller_number text,
    caller_extension text,
    target_number text,
    target_extension text,
    target_prefix_name text,
    did text,
    dial_status text,
    dial_status2 text,
    queue_name text,
    department_id text,
    department_name text,
    representative_code text,
    representative_name text,
    user_id text,
    user_name text,
    price numeric,
    record_url text,
    record_expected boolean,
    dtmf_data jsonb,
    custom_data jsonb,
    extra jsonb,
    first_seen_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone,
    CONSTRAINT cdr_key_size CHECK (((octet_length(account) <= 200) AND ((octet_length(call_id) + octet_length(type)) <= 2000)))
)
WITH (autovacuum_vacuum_insert_scale_factor='0.02', autovacuum_analyze_scale_factor='0.02');
CREATE VIEW cdr_sync.call_day AS
 WITH RECURSIVE walk(account, day) AS (
        ( SELECT c.account,
            ((c.started_at AT TIME ZONE 'UTC'::text))::date AS timezone
           FROM voicenter.cdr c
          ORDER BY c.account, c.started_at
         LIMIT 1)
        UNION ALL
         SELECT n.account,
            n.day
           FROM (walk w
             CROSS JOIN LATERAL ( SELECT c.account,
                    ((c.started_at AT TIME ZONE 'UTC'::text))::date AS day
                   FROM voicenter.cdr c
                  WHERE (ROW(c.account, c.started_at) >= ROW(w.account, (((w.day + 1))::timestamp without time zone AT TIME ZONE 'UTC'::text)))
                  ORDER BY c.account, c.started_at
                 LIMIT 1) n)
        )
 SELECT walk.account,
    walk.day
   FROM walk;
CREATE TABLE cdr_sync.coverage (
    account text NOT NULL,
    span tstzrange NOT NULL,
    tier interval NOT NULL,
    CONSTRAINT coverage_span_check CHECK (((NOT isempty(span)) AND lower_inc(span) AND (NOT upper_inc(span)))),
    CONSTRAINT coverage_tier_check CHECK ((tier >= '00:00:00'::interval))
);
CREATE TABLE cdr_sync.cursor (
    account text NOT NULL,
    fence bigint DEFAULT 0 NOT NULL,
    history_from timestamp with time zone,
    synced_until timestamp with time zone,
    updated_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT cursor_check CHECK ((history_from < synced_until))
);
CREATE TABLE cdr_sync.earlier_scope (
    account text NOT NULL,
    call_id text NOT NULL,
    type text NOT NULL
);
CREATE TABLE cdr_sync.gap (
    id bigint NOT NULL,
    account text NOT NULL,
    span tstzrange NOT NULL,
    reason text NOT NULL,
    tries integer DEFAULT 1 NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    last_tried_at timestamp with time zone NOT NULL,
    next_try_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    last_error text,
    CONSTRAINT gap_span_check CHECK (((NOT isempty(span)) AND lower_inc(span) AND (NOT upper_inc(span))))
);
ALTER TABLE cdr_sync.gap ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME cdr_sync.gap_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE cdr_sync.installation (
    only_one boolean DEFAULT true NOT NULL,
    salt bytea NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT installation_only_one_check CHECK (only_one)
);
CREATE TABLE cdr_sync.lease (
    account text NOT NULL,
    holder text NOT NULL,
    holder_name text NOT NULL,
    taken_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
CREATE VIEW cdr_sync.leg AS
 SELECT c.account,
    c.call_id,
    c.type,
    c.started_at,
        CASE
            WHEN ((k.kind = 4) AND (c.caller_extension IS NOT NULL) AND (c.target_extension IS NOT NULL)) THEN 'internal'::text
            WHEN (k.kind = ANY (ARRAY[4, 9, 10, 14, 15, 17, 18, 19])) THEN 'outgoing'::text
            WHEN (k.kind = ANY (ARRAY[1, 8, 11, 23])) THEN 'incoming'::text
            WHEN (k.kind = ANY (ARRAY[13, 21, 22])) THEN 'transfer'::text
            ELSE NULL::text
        END AS direction,
    (COALESCE((upper(btrim(c.dial_status)) = ANY (ARRAY['ANSWER'::text, 'ANSWERED'::text, 'TE_ANSWER'::text])), false) AND (COALESCE(k.kind, 0) <> ALL (ARRAY[9, 11, 14]))) AS answered,
        CASE
            WHEN (k.kind = ANY (ARRAY[9, 14])) THEN 3
            WHEN (k.kind = 11) THEN 2
            ELSE 1
        END AS rank,
    ((k.kind = ANY (ARRAY[8, 19])) OR (c.queue_name IS NOT NULL)) AS queued,
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
    (COALESCE(c.representative_name, c.representative_code, c.user_name, c.user_id) IS NOT NULL) AS names_agent,
    c.representative_code,
    c.representative_name,
    c.user_id,
    c.user_name,
        CASE
            WHEN (k.kind = ANY (ARRAY[4, 10, 15, 22])) THEN c.caller_extension
            ELSE c.target_extension
        END AS agent_extension,
    c.price,
    c.record_url,
    c.record_expected,
    (c.custom_data ->> 'OriginalIvrUniqueID'::text) AS original_call_id
   FROM (voicenter.cdr c
     CROSS JOIN LATERAL ( SELECT COALESCE(NULLIF(c.cdr_type, 0),
                CASE lower(btrim(c.type))
                    WHEN 'incoming call'::text THEN 1
                    WHEN 'extension outgoing'::text THEN 4
                    WHEN 'queue'::text THEN 8
                    WHEN 'click2call leg1'::text THEN 9
                    WHEN 'click2call leg2'::text THEN 10
                    WHEN 'voicemail'::text THEN 11
                    WHEN 'xfercdr'::text THEN 13
                    WHEN 'productivecall leg1'::text THEN 14
                    WHEN 'productivecall leg2'::text THEN 15
                    WHEN 'click 2 ivr'::text THEN 17
                    WHEN 'click 2 ivr incoming'::text THEN 18
                    WHEN 'click 2 queue incoming'::text THEN 19
                    WHEN 'attended cdr leg1'::text THEN 21
                    WHEN 'attended cdr leg2'::text THEN 22
                    WHEN 'auto forward'::text THEN 23
                    ELSE NULL::integer
                END) AS kind) k)
  WHERE (c.removed_at IS NULL);
CREATE TABLE cdr_sync.migration (
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
CREATE TABLE cdr_sync.missing (
    account text NOT NULL,
    call_id text NOT NULL,
    type text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    first_missed_at timestamp with time zone NOT NULL,
    last_missed_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    reads integer DEFAULT 1 NOT NULL,
    suspicious boolean NOT NULL
);
CREATE TABLE cdr_sync.rejected (
    id bigint NOT NULL,
    account text NOT NULL,
    content_hash text NOT NULL,
    raw text NOT NULL,
    reason text NOT NULL,
    error text,
    call_id text,
    type text,
    started_at timestamp with time zone,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    times_seen bigint DEFAULT 1 NOT NULL,
    closed_at timestamp with time zone
);
ALTER TABLE cdr_sync.rejected ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME cdr_sync.rejected_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE cdr_sync.request (
    id bigint NOT NULL,
    account text NOT NULL,
    span tstzrange NOT NULL,
    reason text DEFAULT 'asked by SQL'::text NOT NULL,
    state text DEFAULT 'waiting'::text NOT NULL,
    progress real DEFAULT 0 NOT NULL,
    requested_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    error text,
    CONSTRAINT request_progress_check CHECK (((progress >= (0)::double precision) AND (progress <= (1)::double precision))),
    CONSTRAINT request_span CHECK (COALESCE(((lower(span) < upper(span)) AND isfinite(lower(span)) AND isfinite(upper(span))), false)),
    CONSTRAINT request_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'running'::text, 'done'::text, 'failed'::text])))
);
ALTER TABLE cdr_sync.request ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME cdr_sync.request_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE cdr_sync.window_read (
    account text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    lane text NOT NULL,
    span tstzrange NOT NULL,
    reason text NOT NULL,
    outcome text NOT NULL,
    reads integer DEFAULT 1 NOT NULL,
    requests integer NOT NULL,
    seen bigint NOT NULL,
    inserted bigint NOT NULL,
    updated bigint NOT NULL,
    unchanged bigint NOT NULL,
    removed bigint NOT NULL,
    rejected bigint NOT NULL,
    elapsed interval NOT NULL
);
CREATE VIEW voicenter.calls AS
 SELECT f.account,
    f.call_id,
    f.started_at,
    COALESCE(f.direction, l.direction) AS direction,
    l.answered,
    COALESCE(((COALESCE(f.direction, l.direction) = 'incoming'::text) AND (NOT l.answered)), false) AS missed,
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
    COALESCE(l.representative_name, l.user_name, l.agent_extension, l.representative_code, l.user_id) AS agent,
    l.agent_extension,
    l.representative_code,
    l.representative_name,
    l.user_id,
    l.user_name,
    l.price,
    l.record_url,
    ( SELECT array_agg(DISTINCT u.url) AS array_agg
           FROM unnest(l.record_urls) u(url)) AS record_urls,
    l.record_expected,
    l.original_call_id,
    l.legs,
    ( SELECT array_agg(t.type ORDER BY t.nth) AS array_agg
           FROM UNNEST(l.types, l.nths) t(type, nth)) AS types
   FROM (cdr_sync.leg f
     CROSS JOIN LATERAL ( SELECT (count(*))::integer AS legs,
            array_agg(o.type) AS types,
            array_agg(o.nth) AS nths,
            max(o.type) FILTER (WHERE (o.nth = 1)) AS first_type,
            (array_agg(o.direction) FILTER (WHERE (o.direction IS NOT NULL)))[1] AS direction,
            bool_or(o.answered) AS answered,
            COALESCE(max(o.duration_seconds) FILTER (WHERE o.answered), 0) AS talk_seconds,
            (array_agg(o.ring_seconds) FILTER (WHERE (o.ring_seconds IS NOT NULL)))[1] AS ring_seconds,
            (array_agg(o.caller_number))[1] AS caller_number,
            (array_agg(o.caller_extension))[1] AS caller_extension,
            (array_agg(o.target_number))[1] AS target_number,
            (array_agg(o.target_extension))[1] AS target_extension,
            (array_agg(o.target_prefix_name))[1] AS target_prefix_name,
            (array_agg(o.did) FILTER (WHERE (o.did IS NOT NULL)))[1] AS did,
            (array_agg(o.dial_status))[1] AS dial_status,
            (array_agg(o.queue_name) FILTER (WHERE (o.queue_name IS NOT NULL)))[1] AS queue_name,
            (array_agg(o.department_id) FILTER (WHERE (COALESCE(o.department_id, o.department_name) IS NOT NULL)))[1] AS department_id,
            (array_agg(o.department_name) FILTER (WHERE (COALESCE(o.department_id, o.department_name) IS NOT NULL)))[1] AS department_name,
            (array_agg(o.representative_code) FILTER (WHERE o.names_agent))[1] AS representative_code,
            (array_agg(o.representative_name) FILTER (WHERE o.names_agent))[1] AS representative_name,
            (array_agg(o.user_id) FILTER (WHERE o.names_agent))[1] AS user_id,
            (array_agg(o.user_name) FILTER (WHERE o.names_agent))[1] AS user_name,
            (array_agg(o.agent_extension) FILTER (WHERE (o.agent_extension IS NOT NULL)))[1] AS agent_extension,
            sum(o.price) AS price,
            (array_agg(o.record_url) FILTER (WHERE (o.record_url IS NOT NULL)))[1] AS record_url,
            array_agg(o.record_url) FILTER (WHERE (o.record_url IS NOT NULL)) AS record_urls,
            bool_or(o.record_expected) AS record_expected,
            (array_agg(o.original_call_id) FILTER (WHERE (o.original_call_id IS NOT NULL)))[1] AS original_call_id
           FROM ( SELECT s.account,
                    s.call_id,
                    s.type,
                    s.started_at,
                    s.direction,
                    s.answered,
                    s.rank,
                    s.queued,
                    s.duration_seconds,
                    s.ring_seconds,
                    s.caller_number,
                    s.caller_extension,
                    s.target_number,
                    s.target_extension,
                    s.target_prefix_name,
                    s.did,
                    s.dial_status,
                    s.queue_name,
                    s.department_id,
                    s.department_name,
                    s.names_agent,
                    s.representative_code,
                    s.representative_name,
                    s.user_id,
                    s.user_name,
                    s.agent_extension,
                    s.price,
                    s.record_url,
                    s.record_expected,
                    s.original_call_id,
                    row_number() OVER (ORDER BY s.started_at, s.type) AS nth
                   FROM cdr_sync.leg s
                  WHERE ((s.account = f.account) AND (s.call_id = f.call_id))
                  ORDER BY s.answered DESC,
                        CASE
                            WHEN s.answered THEN s.duration_seconds
                            ELSE NULL::integer
                        END DESC NULLS LAST, s.rank, s.started_at, s.type) o) l)
  WHERE (l.first_type = f.type);
CREATE VIEW voicenter.agent_daily AS
 SELECT d.account,
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
    round(((s.incoming_answered)::numeric / (NULLIF(s.incoming, 0))::numeric), 4) AS answer_rate,
    s.talk_seconds,
    s.ring_seconds,
    s.price
   FROM (cdr_sync.call_day d
     CROSS JOIN LATERAL ( SELECT c.agent,
            c.representative_code,
            count(*) AS calls,
            count(*) FILTER (WHERE (c.direction = 'incoming'::text)) AS incoming,
            count(*) FILTER (WHERE (c.direction = 'outgoing'::text)) AS outgoing,
            count(*) FILTER (WHERE c.answered) AS answered,
            count(*) FILTER (WHERE ((c.direction = 'incoming'::text) AND c.answered)) AS incoming_answered,
            count(*) FILTER (WHERE ((c.direction = 'outgoing'::text) AND c.answered)) AS outgoing_answered,
            count(*) FILTER (WHERE c.missed) AS missed,
            sum(c.talk_seconds) AS talk_seconds,
            COALESCE(sum(c.ring_seconds), (0)::bigint) AS ring_seconds,
            sum(c.price) AS price
           FROM voicenter.calls c
          WHERE ((c.account = d.account) AND (c.started_at >= ((d.day)::timestamp without time zone AT TIME ZONE 'UTC'::text)) AND (c.started_at < (((d.day + 1))::timestamp without time zone AT TIME ZONE 'UTC'::text)))
          GROUP BY c.agent, c.representative_code) s);
CREATE VIEW voicenter.calls_daily AS
 SELECT d.account,
    d.day,
    s.calls,
    s.incoming,
    s.outgoing,
    s.answered,
    s.incoming_answered,
    s.outgoing_answered,
    s.missed,
    round(((s.incoming_answered)::numeric / (NULLIF(s.incoming, 0))::numeric), 4) AS answer_rate,
    s.talk_seconds,
    s.ring_seconds,
    s.price
   FROM (cdr_sync.call_day d
     CROSS JOIN LATERAL ( SELECT count(*) AS calls,
            count(*) FILTER (WHERE (c.direction = 'incoming'::text)) AS incoming,
            count(*) FILTER (WHERE (c.direction = 'outgoing'::text)) AS outgoing,
            count(*) FILTER (WHERE c.answered) AS answered,
            count(*) FILTER (WHERE ((c.direction = 'incoming'::text) AND c.answered)) AS incoming_answered,
            count(*) FILTER (WHERE ((c.direction = 'outgoing'::text) AND c.answered)) AS outgoing_answered,
            count(*) FILTER (WHERE c.missed) AS missed,
            sum(c.talk_seconds) AS talk_seconds,
            COALESCE(sum(c.ring_seconds), (0)::bigint) AS ring_seconds,
            sum(c.price) AS price
           FROM voicenter.calls c
          WHERE ((c.account = d.account) AND (c.started_at >= ((d.day)::timestamp without time zone AT TIME ZONE 'UTC'::text)) AND (c.started_at < (((d.day + 1))::timestamp without time zone AT TIME ZONE 'UTC'::text)))) s)
  WHERE (s.calls > 0);
CREATE VIEW voicenter.calls_hourly AS
 SELECT d.account,
    (((d.day)::timestamp without time zone + ((n.hour)::double precision * '01:00:00'::interval)) AT TIME ZONE 'UTC'::text) AS hour,
    s.calls,
    s.incoming,
    s.outgoing,
    s.answered,
    s.incoming_answered,
    s.outgoing_answered,
    s.missed,
    round(((s.incoming_answered)::numeric / (NULLIF(s.incoming, 0))::numeric), 4) AS answer_rate,
    s.talk_seconds,
    s.ring_seconds,
    s.price
   FROM ((cdr_sync.call_day d
     CROSS JOIN generate_series(0, 23) n(hour))
     CROSS JOIN LATERAL ( SELECT count(*) AS calls,
            count(*) FILTER (WHERE (c.direction = 'incoming'::text)) AS incoming,
            count(*) FILTER (WHERE (c.direction = 'outgoing'::text)) AS outgoing,
            count(*) FILTER (WHERE c.answered) AS answered,
            count(*) FILTER (WHERE ((c.direction = 'incoming'::text) AND c.answered)) AS incoming_answered,
            count(*) FILTER (WHERE ((c.direction = 'outgoing'::text) AND c.answered)) AS outgoing_answered,
            count(*) FILTER (WHERE c.missed) AS missed,
            sum(c.talk_seconds) AS talk_seconds,
            COALESCE(sum(c.ring_seconds), (0)::bigint) AS ring_seconds,
            sum(c.price) AS price
           FROM voicenter.calls c
          WHERE ((c.account = d.account) AND (c.started_at >= (((d.day)::timestamp without time zone + ((n.hour)::double precision * '01:00:00'::interval)) AT TIME ZONE 'UTC'::text)) AND (c.started_at < (((d.day)::timestamp without time zone + (((n.hour + 1))::double precision * '01:00:00'::interval)) AT TIME ZONE 'UTC'::text)))) s)
  WHERE (s.calls > 0);
CREATE TABLE voicenter.cdr_history (
    account text NOT NULL,
    call_id text NOT NULL,
    type text NOT NULL,
    cdr_type integer,
    started_at timestamp with time zone NOT NULL,
    duration_seconds integer,
    ring_seconds integer,
    caller_number text,
    caller_extension text,
    target_number text,
    target_extension text,
    target_prefix_name text,
    did text,
    dial_status text,
    dial_status2 text,
    queue_name text,
    department_id text,
    department_name text,
    representative_code text,
    representative_name text,
    user_id text,
    user_name text,
    price numeric,
    record_url text,
    record_expected boolean,
    dtmf_data jsonb,
    custom_data jsonb,
    extra jsonb,
    first_seen_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    removed_at timestamp with time zone,
    valid_from timestamp with time zone NOT NULL,
    valid_to timestamp with time zone NOT NULL
);
CREATE VIEW voicenter.queue_daily AS
 SELECT d.account,
    d.day,
    s.queue_name,
    s.offered,
    s.answered,
    s.abandoned,
    ((s.offered - s.answered) - s.abandoned) AS other,
    round(((s.answered)::numeric / (s.offered)::numeric), 4) AS answer_rate,
    s.talk_seconds,
    s.average_wait_seconds,
    s.longest_wait_seconds
   FROM (cdr_sync.call_day d
     CROSS JOIN LATERAL ( SELECT q.queue_name,
            count(*) AS offered,
            count(*) FILTER (WHERE q.answered) AS answered,
            count(*) FILTER (WHERE (q.abandoned AND (NOT q.answered))) AS abandoned,
            COALESCE(sum(q.talk_seconds), (0)::bigint) AS talk_seconds,
            round(avg(q.wait_seconds), 1) AS average_wait_seconds,
            max(q.wait_seconds) AS longest_wait_seconds
           FROM (voicenter.calls c
             CROSS JOIN LATERAL ( SELECT l.queue_name,
                    bool_or(l.answered) AS answered,
                    bool_or(COALESCE((upper(btrim(l.dial_status)) = ANY (ARRAY['ABANDONE'::text, 'ABANDON'::text, 'ABANDONED'::text])), false)) AS abandoned,
                    max(l.duration_seconds) FILTER (WHERE l.answered) AS talk_seconds,
                    max(
                        CASE
                            WHEN (upper(btrim(l.dial_status)) = ANY (ARRAY['ABANDONE'::text, 'ABANDON'::text, 'ABANDONED'::text, 'TIMEOUT'::text, 'NOANSWER'::text, 'CANCEL'::text])) THEN GREATEST(l.ring_seconds, l.duration_seconds)
                            ELSE l.ring_seconds
                        END) AS wait_seconds
                   FROM cdr_sync.leg l
                  WHERE ((l.account = c.account) AND (l.call_id = c.call_id) AND l.queued)
                  GROUP BY l.queue_name) q)
          WHERE ((c.account = d.account) AND (c.started_at >= ((d.day)::timestamp without time zone AT TIME ZONE 'UTC'::text)) AND (c.started_at < (((d.day + 1))::timestamp without time zone AT TIME ZONE 'UTC'::text)))
          GROUP BY q.queue_name) s);
CREATE VIEW voicenter.sync_state AS
 SELECT a.name AS account,
    c.synced_until,
    c.history_from,
    a.history_start,
        CASE
            WHEN (c.synced_until IS NOT NULL) THEN (GREATEST(floor(EXTRACT(epoch FROM (clock_timestamp() - c.synced_until))), (0)::numeric))::bigint
            ELSE NULL::bigint
        END AS lag_seconds,
    ( SELECT count(*) AS count
           FROM cdr_sync.gap g
          WHERE ((g.account = a.name) AND (g.closed_at IS NULL))) AS open_gaps,
    ( SELECT count(*) AS count
           FROM cdr_sync.rejected r
          WHERE ((r.account = a.name) AND (r.closed_at IS NULL))) AS rejected_records,
    ( SELECT count(*) AS count
           FROM cdr_sync.missing m
          WHERE ((m.account = a.name) AND m.suspicious)) AS suspicious_rows,
    a.last_success_at,
        CASE
            WHEN (a.last_success_at > a.last_error_at) THEN NULL::text
            ELSE a.last_error
        END AS last_error,
        CASE
            WHEN (a.last_success_at > a.last_error_at) THEN NULL::timestamp with time zone
            ELSE a.last_error_at
        END AS last_error_at
   FROM (cdr_sync.account a
     LEFT JOIN cdr_sync.cursor c ON ((c.account = a.name)));
INSERT INTO cdr_sync.account VALUES
	('default', '{"url": "http://api.example/hub/cdr/", "phones": [], "timezone": "UTC", "cdr_types": [], "extensions": [], "identity_criteria": null}', '2026-11-28 16:19:58.630933+00', '2026-11-24 16:00:00+00', '{"api": {"sorts": false, "totals": true, "longest": null, "refused": null, "minute_dates": false, "record_limit": null, "sort_strikes": 0, "to_inclusive": false, "from_inclusive": false}, "generation": "current"}', NULL, '2026-11-28 16:19:58.650833+00', NULL, NULL, NULL);
INSERT INTO cdr_sync.budget VALUES
	('b939332ba14886945fdc8b18b4f70c2467a9ebf2990643bd378d6196289014fb', '00:00:02.12069', '00:00:02.12069', '2026-11-28 16:20:02.885432+00', '2026-11-28 16:19:58.650275+00', '-infinity');
INSERT INTO cdr_sync.coverage VALUES
	('default', '["2026-11-24 16:00:00+00","2026-11-27 16:19:58+00")', '24:00:00'),
	('default', '["2026-11-27 16:19:58+00","2026-11-28 13:19:58+00")', '03:00:00'),
	('default', '["2026-11-28 13:19:58+00","2026-11-28 16:19:58+00")', '00:00:00');
INSERT INTO cdr_sync.cursor VALUES
	('default', 1, '2026-11-24 16:00:00+00', '2026-11-28 16:19:58+00', '2026-11-28 16:19:58.693632+00');
INSERT INTO cdr_sync.installation VALUES
	(true, '\x0e10490befbe4976b49b0e90c6d4d6a9fe5c4752ad134bda939b4978524461c1', '2026-11-28 16:19:58.466919+00');
INSERT INTO cdr_sync.migration VALUES
	('0001_schema', '743a90c562988889718900914fd293346210f9d92805976be3557d60f7a7e362', '2026-11-28 16:19:58.492548+00'),
	('0002_readers', 'f5d1ff5945b451777ba29b33a6fc6ab544b82b9f5af792247ff492dc65caa662', '2026-11-28 16:19:58.524917+00');
INSERT INTO cdr_sync.window_read VALUES
	('default', '2026-11-28 16:19:58.650833+00', 'backfill', '["2026-11-24 16:00:00+00","2026-11-28 16:19:58+00")', 'backfill', 'whole', 1, 2, 101, 101, 0, 0, 0, 0, '00:00:00.033063');
INSERT INTO voicenter.cdr VALUES
	('default', '202611241846550833675039ba17785c', 'Queue', NULL, '2026-11-24 16:46:56+00', 0, 33, '0553888471', NULL, '048551234', NULL, NULL, '048551234', 'ABANDONE', NULL, 'Overflow', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, '[{"DTMF": 9, "LayerName": "Main menu", "LayerNumber": 1}, {"DTMF": 4, "LayerName": "שעות פעילות", "LayerNumber": 2}, {"DTMF": 0, "LayerName": "שעות פעילות", "LayerNumber": 3}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112420285692ef02a24aac65c35c', 'Extension Outgoing', NULL, '2026-11-24 18:29:00+00', 44, 16, '048551234', 'SIPSIP20', '046520960', NULL, 'Israel', NULL, 'ANSWER', NULL, NULL, '1205', 'Back Office', '40224030', 'Jean-Luc Amsalem', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112430297039.mp3', true, NULL, '{"AiExists": false}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261124220239bd0fa18a5709378f5c', 'Incoming Call', NULL, '2026-11-24 20:02:47+00', 427, 27, '972506968034', NULL, '0722776773', 'SIPSIP24', NULL, '0722776773', 'ANSWER', NULL, NULL, '1204', 'הנהלת חשבונות', '44410138', 'רחל (רוחי) וייס', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112440399734.mp3', true, '[{"DTMF": 9, "LayerName": "Main menu", "LayerNumber": 1}, {"DTMF": 4, "LayerName": "שעות פעילות", "LayerNumber": 2}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112507084399e1837d73eabfbd5c', 'Extension Outgoing', NULL, '2026-11-25 05:08:49+00', 207, 34, '048551234', 'SIPSIP10', '972542328430', NULL, 'Israel Mobile', NULL, 'ANSWER', 'ANSWER', NULL, '1205', 'Back Office', '29758760', 'עומר חדד', NULL, NULL, 56, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112507102046ce177418a025315c', 'Extension Outgoing', NULL, '2026-11-25 05:10:22+00', 316, 0, '0722776773', 'SIPSIP2', '046499419', NULL, 'Israel', NULL, 'ANSWER', NULL, NULL, '1202', 'שירות לקוחות', '21386544', 'יוסי לוי', NULL, NULL, 18.5, 'https://cpanel.example/CallsHistory/PlayRecord/2026112545269719.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112508503170d13f83b9adeedc5c', 'Queue', NULL, '2026-11-25 06:50:36+00', 0, 21, '0539806056', NULL, '0722776773', NULL, NULL, '0722776773', 'FULL', NULL, 'תור שירות', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611250852354fe77d4467902fd75c', 'Extension Outgoing', NULL, '2026-11-25 06:52:43+00', 491, 27, '0722776774', 'SIPSIP3', '972503405342', NULL, 'Israel Mobile', NULL, 'ANSWER', 'ANSWER', NULL, '1203', 'תמיכה טכנית', '22433071', 'מרים בן-דוד', NULL, NULL, 63, 'https://cpanel.example/CallsHistory/PlayRecord/2026112554592911.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611250902166c7ae5d748c23d295c', 'Queue', NULL, '2026-11-25 07:02:18+00', 0, 14, '0506677526', NULL, '0722776772', NULL, NULL, '0722776772', 'ABANDONE', NULL, 'Sales', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, '[{"DTMF": 5, "LayerName": "Main menu", "LayerNumber": 1}, {"DTMF": 5, "LayerName": "Main menu", "LayerNumber": 2}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611250922578eb485b75f8656d45c', 'Incoming Call', NULL, '2026-11-25 07:23:02+00', 611, 14, '0527803112', NULL, '0722776773', 'SIPSIP11', NULL, '0722776773', 'ANSWER', NULL, NULL, '1201', 'Sales', '30805287', 'רוני שפירא', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112537867200.mp3', true, '[{"DTMF": 8, "LayerName": "Main menu", "LayerNumber": 1}, {"DTMF": 7, "LayerName": "תפריט ראשי", "LayerNumber": 2}, {"DTMF": 2, "LayerName": "תפריט ראשי", "LayerNumber": 3}]', '{"AiExists": false}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112510044791a9fcc9f85d149d5c', 'Attended CDR leg1', NULL, '2026-11-25 08:04:53+00', 24, 3, '0588694572', NULL, 'SIPSIP8', 'SIPSIP8', NULL, '0722776773', 'ANSWER', NULL, NULL, '1203', 'תמיכה טכנית', '27665706', 'משה פרידמן', NULL, NULL, 14, NULL, false, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112510044791a9fcc9f85d149d5c', 'Attended CDR leg2', NULL, '2026-11-25 08:05:14+00', 5, 34, '0722776774', 'SIPSIP8', '0588694572', NULL, 'Israel Mobile', NULL, 'ANSWER', 'ANSWER', NULL, '1203', 'תמיכה טכנית', '27665706', 'משה פרידמן', NULL, NULL, 9, 'https://cpanel.example/CallsHistory/PlayRecord/2026112577202763.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251007264963b5f45075767b5c', 'Queue', NULL, '2026-11-25 08:07:30+00', 5, 4, '0584249848', NULL, '0722776773', 'SIPSIP22', NULL, '0722776773', 'ANSWER', NULL, 'תור שירות', '1202', 'שירות לקוחות', '42317084', 'Yael Bar', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112564522004.mp3', true, '[{"DTMF": 0, "LayerName": "תפריט ראשי", "LayerNumber": 1}, {"DTMF": 6, "LayerName": "תפריט ראשי", "LayerNumber": 2}, {"DTMF": 9, "LayerName": "שעות פעילות", "LayerNumber": 3}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251019116671efbc6c62c1165c', 'Incoming Call', NULL, '2026-11-25 08:19:18+00', 142, 0, '442076070677', NULL, '0722776772', 'SIPSIP22', NULL, '0722776772', 'ANSWER', NULL, NULL, '1202', 'שירות לקוחות', '42317084', 'Yael Bar', NULL, NULL, 39, NULL, false, '[{"DTMF": 3, "LayerName": "שעות פעילות", "LayerNumber": 1}, {"DTMF": 4, "LayerName": "תפריט ראשי", "LayerNumber": 2}, {"DTMF": 5, "LayerName": "שעות פעילות", "LayerNumber": 3}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251021134f48b6de6e42d87f5c', 'Attended CDR leg1', NULL, '2026-11-25 08:21:21+00', 461, 18, '0557765188', NULL, 'SIPSIP12', 'SIPSIP12', NULL, '0722776772', 'ANSWER', 'ANSWER', NULL, '1202', 'שירות לקוחות', '31851814', 'ליאת אזולאי', NULL, NULL, 88, 'https://cpanel.example/CallsHistory/PlayRecord/202611257778735.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251021134f48b6de6e42d87f5c', 'Attended CDR leg2', NULL, '2026-11-25 08:21:40+00', 59, 29, '0722776773', 'SIPSIP12', '0557765188', NULL, 'Israel Mobile', NULL, 'ANSWER', 'ANSWER', NULL, '1202', 'שירות לקוחות', '31851814', 'ליאת אזולאי', NULL, NULL, 6, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251108131060207f96276a5c5c', 'Extension Outgoing', NULL, '2026-11-25 09:08:18+00', 149, 23, '039612345', 'SIPSIP19', '095935128', NULL, 'Israel', NULL, 'ANSWER', NULL, NULL, '1204', 'הנהלת חשבונות', '39177503', 'Sarah "Sari" Klein', NULL, NULL, 21.5, 'https://cpanel.example/CallsHistory/PlayRecord/2026112558834611.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125114041ac5457c48a4857a85c', 'Incoming Call', NULL, '2026-11-25 09:40:42+00', 5, 0, '972522417915', NULL, '0722776772', 'SIPSIP11', NULL, '0722776772', 'ANSWER', NULL, NULL, '1201', 'Sales', '30805287', 'רוני שפירא', NULL, NULL, 10, 'https://cpanel.example/CallsHistory/PlayRecord/2026112576857477.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112512060054ada47ff118a13a5c', 'Incoming Call', NULL, '2026-11-25 10:06:03+00', 558, 12, '0533906781', NULL, '0722776774', 'SIPSIP4', NULL, '0722776774', 'ANSWER', NULL, NULL, '1204', 'הנהלת חשבונות', '23479598', 'אבי מזרחי', NULL, NULL, 120, 'https://cpanel.example/CallsHistory/PlayRecord/2026112577243660.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125121154c2bc32139e93a4985c', 'Incoming Call', NULL, '2026-11-25 10:11:55+00', 0, 24, '0553209168', NULL, '0722776772', NULL, NULL, '0722776772', 'NOANSWER', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125123248adb83200f0b19a345c', 'Queue', NULL, '2026-11-25 10:32:53+00', 341, 33, '972547405730', NULL, '0722776772', 'SIPSIP16', NULL, '0722776772', 'ANSWER', NULL, 'Sales', '1201', 'Sales', '36037922', 'Michael O''Brien', NULL, NULL, NULL, NULL, false, NULL, '{"AiExists": false}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125125719a625c2109966d8045c', 'Extension Outgoing', NULL, '2026-11-25 10:57:24+00', 19, 18, '0722776773', 'SIPSIP22', '0526642740', NULL, 'Israel Mobile', NULL, 'ANSWER', NULL, NULL, '1202', 'שירות לקוחות', '42317084', 'Yael Bar', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/202611255306631.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125130625b37a9695ab9ccef75c', 'Extension Outgoing', NULL, '2026-11-25 11:06:33+00', 425, 18, '048551234', 'SIPSIP20', '0538227644', NULL, 'Israel Mobile', NULL, 'ANSWER', 'ANSWER', NULL, '1205', 'Back Office', '40224030', 'Jean-Luc Amsalem', NULL, NULL, 96, 'https://cpanel.example/CallsHistory/PlayRecord/2026112532506592.mp3', true, NULL, '{"AiExists": false}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112513093726fb697dc98a2f325c', 'Queue', NULL, '2026-11-25 11:09:40+00', 5, 20, '0504504237', NULL, '0722776773', 'SIPSIP2', NULL, '0722776773', 'ANSWER', NULL, 'תור שירות', '1202', 'שירות לקוחות', '21386544', 'יוסי לוי', NULL, NULL, 5, 'https://cpanel.example/CallsHistory/PlayRecord/2026112525199187.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112513230114a403270a9ac5375c', 'Extension Outgoing', NULL, '2026-11-25 11:23:09+00', 290, 22, '039612345', 'SIPSIP19', '024814222', NULL, 'Israel', NULL, 'ANSWER', 'ANSWER', NULL, '1204', 'הנהלת חשבונות', '39177503', 'Sarah "Sari" Klein', NULL, NULL, 35, 'https://cpanel.example/CallsHistory/PlayRecord/2026112524512328.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125132347023048f2e73a267b5c', 'Queue', NULL, '2026-11-25 11:23:51+00', 1343, 4, '0777808233', NULL, '048551234', 'SIPSIP20', NULL, '048551234', 'ANSWER', 'ANSWER', 'Overflow', '1205', 'Back Office', '40224030', 'Jean-Luc Amsalem', NULL, NULL, 115, 'https://cpanel.example/CallsHistory/PlayRecord/2026112560676617.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251324066f1972d2ecd3c7385c', 'Extension Outgoing', NULL, '2026-11-25 11:24:07+00', 0, 17, '0722776772', 'SIPSIP21', '0502019920', NULL, 'Israel Mobile', NULL, 'NOANSWER', NULL, NULL, '1201', 'Sales', '41270557', 'מיכל צ''רניחובסקי', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112513283041e1842fb3c29faf5c', 'Extension Outgoing', NULL, '2026-11-25 11:28:38+00', 475, 24, '0722776773', 'SIPSIP22', '0531651038', NULL, 'Israel Mobile', NULL, 'ANSWER', NULL, NULL, '1202', 'שירות לקוחות', '42317084', 'Yael Bar', NULL, NULL, 72, 'https://cpanel.example/CallsHistory/PlayRecord/2026112526401742.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125132936406bbd6c679d45e05c', 'Incoming Call', NULL, '2026-11-25 11:29:37+00', 30, 13, '0536655702', NULL, '0722776773', 'SIPSIP18', NULL, '0722776773', 'ANSWER', NULL, NULL, '1203', 'תמיכה טכנית', '38130976', 'Ahmad Khalil', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112540750222.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125134842fd22529c6c3a524a5c', 'Queue', NULL, '2026-11-25 11:48:45+00', 5, 15, '972523668446', NULL, '0722776774', 'SIPSIP22', NULL, '0722776774', 'ANSWER', NULL, 'תמיכה', '1202', 'שירות לקוחות', '42317084', 'Yael Bar', NULL, NULL, 8.5, NULL, false, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251349341cd3a2bf5c10afbd5c', 'Queue', NULL, '2026-11-25 11:49:40+00', 869, 13, '042513480', NULL, '048551234', 'SIPSIP14', NULL, '048551234', 'ANSWER', NULL, 'Overflow', '1204', 'הנהלת חשבונות', '33944868', 'הדס מלכה', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112592525470.mp3', true, '[{"DTMF": 3, "LayerName": "שעות פעילות", "LayerNumber": 1}, {"DTMF": 8, "LayerName": "Main menu", "LayerNumber": 2}]', '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125134941b519b2f4d7e344155c', 'Queue', NULL, '2026-11-25 11:49:47+00', 0, 6, '442074000919', NULL, '0722776772', NULL, NULL, '0722776772', 'ABANDONE', NULL, 'Sales', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, '[{"DTMF": 2, "LayerName": "תפריט ראשי", "LayerNumber": 1}, {"DTMF": 5, "LayerName": "Main menu", "LayerNumber": 2}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125143439a720a718c10644af5c', 'Incoming Call', NULL, '2026-11-25 12:34:47+00', 599, 23, '0504481639', NULL, '0722776773', 'SIPSIP7', NULL, '0722776773', 'ANSWER', 'ANSWER', NULL, '1202', 'שירות לקוחות', '26619179', 'שירה אברהם', NULL, NULL, 80, 'https://cpanel.example/CallsHistory/PlayRecord/2026112557761293.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125150819cefa6cc2a4620a225c', 'Queue', NULL, '2026-11-25 13:08:22+00', 0, 4, '0544473258', NULL, '0722776773', NULL, NULL, '0722776773', 'TIMEOUT', NULL, 'תור שירות', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, '[{"DTMF": 8, "LayerName": "Main menu", "LayerNumber": 1}, {"DTMF": 2, "LayerName": "תפריט ראשי", "LayerNumber": 2}, {"DTMF": 2, "LayerName": "תפריט ראשי", "LayerNumber": 3}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125152128a97b448b9b006d595c', 'Incoming Call', NULL, '2026-11-25 13:21:30+00', 589, 1, '0583050253', NULL, '0722776773', 'SIPSIP20', NULL, '0722776773', 'ANSWER', NULL, NULL, '1205', 'Back Office', '40224030', 'Jean-Luc Amsalem', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/202611257475964.mp3', true, '[{"DTMF": 3, "LayerName": "Main menu", "LayerNumber": 1}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125153251d7ff7c99688e395d5c', 'Incoming Call', NULL, '2026-11-25 13:32:57+00', 23, 22, '085989679', NULL, '0722776773', 'SIPSIP13', NULL, '0722776773', 'ANSWER', NULL, NULL, '1203', 'תמיכה טכנית', '32898341', 'איתי רוזנברג', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112589102870.mp3', true, '[{"DTMF": 9, "LayerName": "תפריט ראשי", "LayerNumber": 1}, {"DTMF": 9, "LayerName": "תפריט ראשי", "LayerNumber": 2}, {"DTMF": 0, "LayerName": "שעות פעילות", "LayerNumber": 3}]', '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251549110bb846fc010b1fcb5c', 'Queue', NULL, '2026-11-25 13:49:15+00', 10, 0, '033635384', NULL, '0722776772', 'SIPSIP16', NULL, '0722776772', 'ANSWER', NULL, 'Sales', '1201', 'Sales', '36037922', 'Michael O''Brien', NULL, NULL, 14, 'https://cpanel.example/CallsHistory/PlayRecord/2026112583895.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251555416cec625deec8f7c95c', 'VoiceMail', NULL, '2026-11-25 13:55:43+00', 49, 2, 'anonymous', NULL, '048551234', NULL, NULL, '048551234', 'VOICEMAIL', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125160815529f001705d987fc5c', 'Incoming Call', NULL, '2026-11-25 14:08:20+00', 0, 22, '0586440407', NULL, '039612345', NULL, NULL, '039612345', 'NOANSWER', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125162045ee09d1274d88df7c5c', 'Incoming Call', NULL, '2026-11-25 14:20:50+00', 191, 8, '0559552840', NULL, '0722776773', 'SIPSIP21', NULL, '0722776773', 'ANSWER', NULL, NULL, '1201', 'Sales', '41270557', 'מיכל צ''רניחובסקי', NULL, NULL, 56, 'https://cpanel.example/CallsHistory/PlayRecord/2026112599589279.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125162917659432d8e977aec55c', 'Extension Outgoing', NULL, '2026-11-25 14:29:23+00', 0, 0, '0722776774', 'SIPSIP13', '0555608142', NULL, 'Israel Mobile', NULL, 'CANCEL', NULL, NULL, '1203', 'תמיכה טכנית', '32898341', 'איתי רוזנברג', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251654585a3e7cc2db2b98bc5c', 'Auto forward', NULL, '2026-11-25 14:55:03+00', 7, 31, '442077774447', NULL, '0722776774', 'SIPSIP6', NULL, '0722776774', 'ANSWER', 'ANSWER', NULL, '1201', 'Sales', '25572652', 'דוד ביטון', NULL, NULL, 3, 'https://cpanel.example/CallsHistory/PlayRecord/202611253422659.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125165707cc9c91c270855e7c5c', 'Extension Outgoing', NULL, '2026-11-25 14:57:12+00', 0, 24, '0722776774', 'SIPSIP3', '0584868826', NULL, 'Israel Mobile', NULL, 'CANCEL', NULL, NULL, '1203', 'תמיכה טכנית', '22433071', 'מרים בן-דוד', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251753064eea18750362a6965c', 'Incoming Call', NULL, '2026-11-25 15:53:13+00', 0, 4, '0581300660', NULL, '0722776772', NULL, NULL, '0722776772', 'NOANSWER', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125185849fe9f2143bcf99f375c', 'Incoming Call', NULL, '2026-11-25 16:58:57+00', 202, 3, '089092229', NULL, '0722776774', 'SIPSIP3', NULL, '0722776774', 'ANSWER', NULL, NULL, '1203', 'תמיכה טכנית', '22433071', 'מרים בן-דוד', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112597907268.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251948461a3026911ce70b315c', 'Click2Call leg1', NULL, '2026-11-25 17:48:48+00', 0, 18, '0739464625', NULL, 'SIPSIP18', 'SIPSIP18', NULL, '0722776773', 'CONGESTION', NULL, NULL, '1203', 'תמיכה טכנית', '38130976', 'Ahmad Khalil', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611251948461a3026911ce70b315c', 'Click2Call leg2', NULL, '2026-11-25 17:48:56+00', 1293, 10, '0722776774', 'SIPSIP18', '0739464625', NULL, 'Israel VoIP', NULL, 'ANSWER', NULL, NULL, '1203', 'תמיכה טכנית', '38130976', 'Ahmad Khalil', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112534652995.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261125230638a4b20e0f121eb9cd5c', 'Incoming Call', NULL, '2026-11-25 21:06:44+00', 879, 14, '972504453964', NULL, '0722776773', 'SIPSIP3', NULL, '0722776773', 'ANSWER', NULL, NULL, '1203', 'תמיכה טכנית', '22433071', 'מרים בן-דוד', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112531922725.mp3', true, '[{"DTMF": 4, "LayerName": "תפריט ראשי", "LayerNumber": 1}, {"DTMF": 9, "LayerName": "תפריט ראשי", "LayerNumber": 2}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112607103567b2396df49716a25c', 'Incoming Call', NULL, '2026-11-26 05:10:38+00', 0, 18, '0522703744', NULL, '0722776773', NULL, NULL, '0722776773', 'NOANSWER', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112608074137594763c20908eb5c', 'Extension Outgoing', NULL, '2026-11-26 06:07:45+00', 0, 0, '039612345', 'SIPSIP24', '972526648408', NULL, 'Israel Mobile', NULL, 'BUSY', NULL, NULL, '1204', 'הנהלת חשבונות', '44410138', 'רחל (רוחי) וייס', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126082747d7c000a0af302f195c', 'Incoming Call', NULL, '2026-11-26 06:27:49+00', 114, 20, '0536047363', NULL, '0722776772', 'SIPSIP17', NULL, '0722776772', 'ANSWER', NULL, NULL, '1202', 'שירות לקוחות', '37084449', 'Olga Petrova', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/202611261325130.mp3', true, '[{"DTMF": 7, "LayerName": "שעות פעילות", "LayerNumber": 1}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112608315365447e09d91b5ea35c', 'Queue', NULL, '2026-11-26 06:31:57+00', 0, 9, '0508736896', NULL, '0722776773', NULL, NULL, '0722776773', 'TIMEOUT', NULL, 'תור שירות', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, '[{"DTMF": 0, "LayerName": "Main menu", "LayerNumber": 1}, {"DTMF": 3, "LayerName": "Main menu", "LayerNumber": 2}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611260851036cc0f8faf5937c765c', 'Incoming Call', NULL, '2026-11-26 06:51:10+00', 9, 24, '0527897363', NULL, '048551234', 'SIPSIP21', NULL, '048551234', 'ANSWER', NULL, NULL, '1201', 'Sales', '41270557', 'מיכל צ''רניחובסקי', NULL, NULL, 10, 'https://cpanel.example/CallsHistory/PlayRecord/2026112628117753.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126090113d80771e0b146f9e55c', 'Click2Call leg1', NULL, '2026-11-26 07:01:19+00', 393, 4, '442078796182', NULL, 'SIPSIP5', 'SIPSIP5', NULL, '0722776772', 'ANSWER', 'ANSWER', NULL, '1205', 'Back Office', '24526125', 'תמר פרץ', NULL, NULL, 77, 'https://cpanel.example/CallsHistory/PlayRecord/2026112626328064.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126090113d80771e0b146f9e55c', 'Click2Call leg2', NULL, '2026-11-26 07:01:43+00', 0, 23, '048551234', 'SIPSIP5', '442078796182', NULL, 'United Kingdom', NULL, 'NOANSWER', NULL, NULL, '1205', 'Back Office', '24526125', 'תמר פרץ', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611260939174eb8aa690a5cb23c5c', 'Incoming Call', NULL, '2026-11-26 07:39:22+00', 262, 12, '0587471398', NULL, '0722776773', 'SIPSIP15', NULL, '0722776773', 'ANSWER', NULL, NULL, '1205', 'Back Office', '34991395', 'Dana Levi', NULL, NULL, 60, 'https://cpanel.example/CallsHistory/PlayRecord/2026112689959049.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611260945097d59c54bbdc12e7c5c', 'Extension Outgoing', NULL, '2026-11-26 07:45:14+00', 47, 15, '039612345', 'SIPSIP14', '095708850', NULL, 'Israel', NULL, 'ANSWER', NULL, NULL, '1204', 'הנהלת חשבונות', '33944868', 'הדס מלכה', NULL, NULL, 4.5, 'https://cpanel.example/CallsHistory/PlayRecord/2026112679305547.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126102609f40e3e989eebb01a5c', 'Incoming Call', NULL, '2026-11-26 08:26:12+00', 6, 20, '034339137', NULL, '0722776773', 'SIPSIP1', NULL, '0722776773', 'ANSWER', 'ANSWER', NULL, '1201', 'Sales', '20340017', 'נועה כהן', NULL, NULL, 11, 'https://cpanel.example/CallsHistory/PlayRecord/2026112621999614.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611261043223d093aa97c9cbd7b5c', 'Queue', NULL, '2026-11-26 08:43:26+00', 6, 33, '0581059694', NULL, '0722776772', 'SIPSIP2', NULL, '0722776772', 'ANSWER', NULL, 'Sales', '1202', 'שירות לקוחות', '21386544', 'יוסי לוי', NULL, NULL, 11, 'https://cpanel.example/CallsHistory/PlayRecord/2026112648130535.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126110808fd77ea2055ed7b075c', 'Incoming Call', NULL, '2026-11-26 09:08:16+00', 0, 11, '0779225959', NULL, '0722776773', NULL, NULL, '0722776773', 'NOANSWER', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112611084741c8c0930b7c34a05c', 'Incoming Call', NULL, '2026-11-26 09:08:48+00', 7, 10, '095666964', NULL, '039612345', 'SIPSIP1', NULL, '039612345', 'ANSWER', NULL, NULL, '1201', 'Sales', '20340017', 'נועה כהן', NULL, NULL, 14, 'https://cpanel.example/CallsHistory/PlayRecord/2026112631436741.mp3', true, '[{"DTMF": 0, "LayerName": "שעות פעילות", "LayerNumber": 1}]', '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611261112582f7b83f3978ed38a5c', 'Extension Outgoing', NULL, '2026-11-26 09:13:01+00', 202, 33, '0722776774', 'SIPSIP8', '0521578062', NULL, 'Israel Mobile', NULL, 'ANSWER', 'ANSWER', NULL, '1203', 'תמיכה טכנית', '27665706', 'משה פרידמן', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112696055460.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126122507b54a2674a035042f5c', 'Attended CDR leg1', NULL, '2026-11-26 10:25:15+00', 1017, 4, '0557642027', NULL, 'SIPSIP8', 'SIPSIP8', NULL, '0722776773', 'ANSWER', NULL, NULL, '1203', 'תמיכה טכנית', '27665706', 'משה פרידמן', NULL, NULL, 153, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126122507b54a2674a035042f5c', 'Attended CDR leg2', NULL, '2026-11-26 10:25:33+00', 42, 10, '0722776774', 'SIPSIP8', '0557642027', NULL, 'Israel Mobile', NULL, 'ANSWER', NULL, NULL, '1203', 'תמיכה טכנית', '27665706', 'משה פרידמן', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126131220c64b1ac7c42611165c', 'Incoming Call', NULL, '2026-11-26 11:12:27+00', 5, 9, '972508682779', NULL, '039612345', 'SIPSIP5', NULL, '039612345', 'ANSWER', 'ANSWER', NULL, '1205', 'Back Office', '24526125', 'תמר פרץ', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112649059840.mp3', true, '[{"DTMF": 0, "LayerName": "תפריט ראשי", "LayerNumber": 1}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611261346512be6c75c345efbfa5c', 'Extension Outgoing', NULL, '2026-11-26 11:46:54+00', 12, 29, '0722776774', 'SIPSIP18', '0529075646', NULL, 'Israel Mobile', NULL, 'ANSWER', 'ANSWER', NULL, '1203', 'תמיכה טכנית', '38130976', 'Ahmad Khalil', NULL, NULL, NULL, NULL, false, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126135807a80e96ab262cdbe65c', 'Incoming Call', NULL, '2026-11-26 11:58:14+00', 0, 9, '972521335594', NULL, '0722776772', NULL, NULL, '0722776772', 'BUSY', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, '[{"DTMF": 0, "LayerName": "תפריט ראשי", "LayerNumber": 1}, {"DTMF": 0, "LayerName": "Main menu", "LayerNumber": 2}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611261414410d4271a5341e4ff75c', 'Incoming Call', NULL, '2026-11-26 12:14:49+00', 1239, 7, 'anonymous', NULL, '0722776773', 'SIPSIP24', NULL, '0722776773', 'ANSWER', 'ANSWER', NULL, '1204', 'הנהלת חשבונות', '44410138', 'רחל (רוחי) וייס', NULL, NULL, 147, 'https://cpanel.example/CallsHistory/PlayRecord/2026112689190198.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611261443188b07376f6c2092d65c', 'Extension Outgoing', NULL, '2026-11-26 12:43:25+00', 0, 26, '039612345', 'SIPSIP14', '972524376587', NULL, 'Israel Mobile', NULL, 'NOANSWER', NULL, NULL, '1204', 'הנהלת חשבונות', '33944868', 'הדס מלכה', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126144918319e6f105ff364a55c', 'Extension Outgoing', NULL, '2026-11-26 12:49:24+00', 9, 13, '0722776773', 'SIPSIP2', '0526307842', NULL, 'Israel Mobile', NULL, 'ANSWER', NULL, NULL, '1202', 'שירות לקוחות', '21386544', 'יוסי לוי', NULL, NULL, 14, 'https://cpanel.example/CallsHistory/PlayRecord/2026112637551838.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126144928982d15ef426171a25c', 'Extension Outgoing', NULL, '2026-11-26 12:49:31+00', 13, 5, '0722776774', 'SIPSIP23', '0551462902', NULL, 'Israel Mobile', NULL, 'ANSWER', 'ANSWER', NULL, '1203', 'תמיכה טכנית', '43363611', 'Tom Harari', NULL, NULL, 6, 'https://cpanel.example/CallsHistory/PlayRecord/2026112655925291.mp3', true, NULL, '{"AiExists": false}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611261514119449835e7872f6f35c', 'Extension Outgoing', NULL, '2026-11-26 13:14:15+00', 607, 24, '039612345', 'SIPSIP24', '0543430845', NULL, 'Israel Mobile', NULL, 'ANSWER', 'ANSWER', NULL, '1204', 'הנהלת חשבונות', '44410138', 'רחל (רוחי) וייס', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112620964303.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126155402dca942d7b84a5c265c', 'Queue', NULL, '2026-11-26 13:54:09+00', 38, 35, '0553727286', NULL, '0722776772', 'SIPSIP3', NULL, '0722776772', 'ANSWER', NULL, 'Sales', '1203', 'תמיכה טכנית', '22433071', 'מרים בן-דוד', NULL, NULL, 12, 'https://cpanel.example/CallsHistory/PlayRecord/202611261876354.mp3', true, '[{"DTMF": 4, "LayerName": "Main menu", "LayerNumber": 1}]', '{"AiExists": false}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611261606061a275c145426cadc5c', 'Extension Outgoing', NULL, '2026-11-26 14:06:11+00', 0, 11, '0722776773', 'SIPSIP7', '442079995053', NULL, 'United Kingdom', NULL, 'NOANSWER', NULL, NULL, '1202', 'שירות לקוחות', '26619179', 'שירה אברהם', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611261610176d260672697e95735c', 'Queue', NULL, '2026-11-26 14:10:21+00', 0, 6, '0731547166', NULL, '0722776772', NULL, NULL, '0722776772', 'EXIT', NULL, 'Sales', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126161221da67f86b753b84765c', 'Queue', NULL, '2026-11-26 14:12:28+00', 0, 9, '0503006137', NULL, '0722776774', NULL, NULL, '0722776774', 'TIMEOUT', NULL, 'תמיכה', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, '[{"DTMF": 3, "LayerName": "תפריט ראשי", "LayerNumber": 1}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126163011306b9b79f1442b995c', 'Extension Outgoing', NULL, '2026-11-26 14:30:13+00', 127, 19, '0722776773', 'SIPSIP2', '0507431847', NULL, 'Israel Mobile', NULL, 'ANSWER', NULL, NULL, '1202', 'שירות לקוחות', '21386544', 'יוסי לוי', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112678316519.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112712090249598ca620b573cc5c', 'Extension Outgoing', NULL, '2026-11-27 10:09:07+00', 18, 5, '0722776772', 'SIPSIP16', '0558535144', NULL, 'Israel Mobile', NULL, 'ANSWER', NULL, NULL, '1201', 'Sales', '36037922', 'Michael O''Brien', NULL, NULL, 6, 'https://cpanel.example/CallsHistory/PlayRecord/2026112728819048.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126163756473015a89f41009e5c', 'Incoming Call', NULL, '2026-11-26 14:38:03+00', 5, 15, '972541471593', NULL, '0722776773', 'SIPSIP14', NULL, '0722776773', 'ANSWER', NULL, NULL, '1204', 'הנהלת חשבונות', '33944868', 'הדס מלכה', NULL, NULL, 3.5, 'https://cpanel.example/CallsHistory/PlayRecord/2026112618272336.mp3', true, '[{"DTMF": 8, "LayerName": "שעות פעילות", "LayerNumber": 1}, {"DTMF": 3, "LayerName": "שעות פעילות", "LayerNumber": 2}, {"DTMF": 3, "LayerName": "שעות פעילות", "LayerNumber": 3}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112616535704c1c843ddf47c715c', 'Extension Outgoing', NULL, '2026-11-26 14:53:59+00', 0, 15, '0722776773', 'SIPSIP7', '0773205899', NULL, 'Israel VoIP', NULL, 'BUSY', NULL, NULL, '1202', 'שירות לקוחות', '26619179', 'שירה אברהם', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112617412666bb8012cf91655a5c', 'Extension Outgoing', NULL, '2026-11-26 15:41:29+00', 241, 6, '0722776773', 'SIPSIP2', '972508307653', NULL, 'Israel Mobile', NULL, 'ANSWER', 'ANSWER', NULL, '1202', 'שירות לקוחות', '21386544', 'יוסי לוי', NULL, NULL, 65, 'https://cpanel.example/CallsHistory/PlayRecord/2026112692396586.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611261743101179b02515afdbaa5c', 'Incoming Call', NULL, '2026-11-26 15:43:13+00', 0, 25, '0509770549', NULL, '0722776774', NULL, NULL, '0722776774', 'NOANSWER', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, '[{"DTMF": 1, "LayerName": "תפריט ראשי", "LayerNumber": 1}, {"DTMF": 2, "LayerName": "שעות פעילות", "LayerNumber": 2}, {"DTMF": 4, "LayerName": "תפריט ראשי", "LayerNumber": 3}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126184004b4d0e6fed6a59c1d5c', 'Incoming Call', NULL, '2026-11-26 16:40:10+00', 45, 33, '0509745438', NULL, '0722776773', 'SIPSIP11', NULL, '0722776773', 'ANSWER', NULL, NULL, '1201', 'Sales', '30805287', 'רוני שפירא', NULL, NULL, 4, 'https://cpanel.example/CallsHistory/PlayRecord/2026112650307508.mp3', true, '[{"DTMF": 6, "LayerName": "תפריט ראשי", "LayerNumber": 1}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611261855002bf492ccb44cb82a5c', 'Extension Outgoing', NULL, '2026-11-26 16:55:03+00', 305, 2, '039612345', 'SIPSIP9', '0731062035', NULL, 'Israel VoIP', NULL, 'ANSWER', 'ANSWER', NULL, '1204', 'הנהלת חשבונות', '28712233', 'יעל גולן', NULL, NULL, 84, 'https://cpanel.example/CallsHistory/PlayRecord/202611263847411.mp3', true, NULL, '{"AiExists": false}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126185947075c903b3a351fe85c', 'Incoming Call', NULL, '2026-11-26 16:59:48+00', 791, 4, '0541388773', NULL, '0722776773', 'SIPSIP19', NULL, '0722776773', 'ANSWER', NULL, NULL, '1204', 'הנהלת חשבונות', '39177503', 'Sarah "Sari" Klein', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112639981773.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261126190415921a1d97e2f230365c', 'Extension Outgoing', NULL, '2026-11-26 17:04:22+00', 0, 35, '0722776774', 'SIPSIP13', '0537808953', NULL, 'Israel Mobile', NULL, 'NOTDIALED', NULL, NULL, '1203', 'תמיכה טכנית', '32898341', 'איתי רוזנברג', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611262058216b372e545c6671035c', 'ProductiveCall Leg1', NULL, '2026-11-26 18:58:25+00', 72, 8, '972505416866', NULL, 'SIPSIP10', 'SIPSIP10', NULL, '0722776773', 'ANSWER', NULL, NULL, '1205', 'Back Office', '29758760', 'עומר חדד', NULL, NULL, 16, 'https://cpanel.example/CallsHistory/PlayRecord/202611262301305.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611262058216b372e545c6671035c', 'ProductiveCall Leg2', NULL, '2026-11-26 18:58:36+00', 0, 33, '048551234', 'SIPSIP10', '972505416866', NULL, 'Israel Mobile', NULL, 'CONGESTION', NULL, NULL, '1205', 'Back Office', '29758760', 'עומר חדד', NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112622195975bb0af5e7e0800f5c', 'Queue', NULL, '2026-11-26 20:20:07+00', 796, 18, '086085704', NULL, '039612345', 'SIPSIP6', NULL, '039612345', 'ANSWER', NULL, 'חשבונות', '1201', 'Sales', '25572652', 'דוד ביטון', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112667602319.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611270819386ce84276635e8cd55c', 'Incoming Call', NULL, '2026-11-27 06:19:44+00', 1317, 23, 'anonymous', NULL, '0722776772', 'SIPSIP8', NULL, '0722776772', 'ANSWER', 'ANSWER', NULL, '1203', 'תמיכה טכנית', '27665706', 'משה פרידמן', NULL, NULL, 88, 'https://cpanel.example/CallsHistory/PlayRecord/2026112776426996.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261127082429b73e0a6be481d36b5c', 'Incoming Call', NULL, '2026-11-27 06:24:33+00', 586, 18, '972502276236', NULL, '0722776772', 'SIPSIP11', NULL, '0722776772', 'ANSWER', 'ANSWER', NULL, '1201', 'Sales', '30805287', 'רוני שפירא', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112711063264.mp3', true, '[{"DTMF": 2, "LayerName": "שעות פעילות", "LayerNumber": 1}, {"DTMF": 4, "LayerName": "שעות פעילות", "LayerNumber": 2}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261127094020ed2d665ca86506d35c', 'Attended CDR leg1', NULL, '2026-11-27 07:40:24+00', 61, 16, '0533492492', NULL, 'SIPSIP17', 'SIPSIP17', NULL, '0722776773', 'ANSWER', 'ANSWER', NULL, '1202', 'שירות לקוחות', '37084449', 'Olga Petrova', NULL, NULL, 10, 'https://cpanel.example/CallsHistory/PlayRecord/2026112797393392.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261127094020ed2d665ca86506d35c', 'Attended CDR leg2', NULL, '2026-11-27 07:40:25+00', 275, 22, '0722776773', 'SIPSIP17', '0533492492', NULL, 'Israel Mobile', NULL, 'ANSWER', NULL, NULL, '1202', 'שירות לקוחות', '37084449', 'Olga Petrova', NULL, NULL, 35, 'https://cpanel.example/CallsHistory/PlayRecord/2026112729768623.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611271000432b1d42fed775e9da5c', 'XferCDR', NULL, '2026-11-27 08:04:48+00', 62, 22, '0541621609', NULL, 'SIPSIP3', 'SIPSIP3', NULL, '039612345', 'ANSWER', NULL, NULL, '1203', 'תמיכה טכנית', '22433071', 'מרים בן-דוד', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112786314608.mp3', true, NULL, '{"OriginalIvrUniqueID": "20261127100043d775e9da2b1d42fe5c"}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261127100043d775e9da2b1d42fe5c', 'Incoming Call', NULL, '2026-11-27 08:00:50+00', 227, 11, '0541621609', NULL, '039612345', 'SIPSIP3', NULL, '039612345', 'ANSWER', NULL, NULL, '1203', 'תמיכה טכנית', '22433071', 'מרים בן-דוד', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112784388381.mp3', true, NULL, '{"AiExists": true}', NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261127100353add97b38d2d87d275c', 'Queue', NULL, '2026-11-27 08:04:01+00', 0, 4, '442075536216', NULL, '0722776772', NULL, NULL, '0722776772', 'TIMEOUT', NULL, 'Sales', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, '[{"DTMF": 5, "LayerName": "שעות פעילות", "LayerNumber": 1}, {"DTMF": 1, "LayerName": "Main menu", "LayerNumber": 2}, {"DTMF": 7, "LayerName": "תפריט ראשי", "LayerNumber": 3}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611271011350d4365dbb73f1c225c', 'Extension Outgoing', NULL, '2026-11-27 08:11:38+00', 573, 2, '0722776773', 'SIPSIP2', '0585685179', NULL, 'Israel Mobile', NULL, 'ANSWER', NULL, NULL, '1202', 'שירות לקוחות', '21386544', 'יוסי לוי', NULL, NULL, 50, 'https://cpanel.example/CallsHistory/PlayRecord/2026112744012596.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261127102854ce1e36ea7ad3b9145c', 'Incoming Call', NULL, '2026-11-27 08:28:59+00', 0, 24, '095589123', NULL, '0722776773', NULL, NULL, '0722776773', 'NOANSWER', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112711383994582f2151748ac35c', 'Extension Outgoing', NULL, '2026-11-27 09:38:43+00', 255, 23, '048551234', 'SIPSIP20', '0541336835', NULL, 'Israel Mobile', NULL, 'ANSWER', 'ANSWER', NULL, '1205', 'Back Office', '40224030', 'Jean-Luc Amsalem', NULL, NULL, 45, 'https://cpanel.example/CallsHistory/PlayRecord/2026112786855670.mp3', true, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '2026112711485312d3e802058924655c', 'Incoming Call', NULL, '2026-11-27 09:48:59+00', 1074, 14, '0555051660', NULL, '0722776773', 'SIPSIP8', NULL, '0722776773', 'ANSWER', 'ANSWER', NULL, '1203', 'תמיכה טכנית', '27665706', 'משה פרידמן', NULL, NULL, 144, NULL, false, NULL, NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '202611271154286e9401cf1f350a445c', 'Incoming Call', NULL, '2026-11-27 09:54:33+00', 61, 2, '972502270538', NULL, '0722776772', 'SIPSIP13', NULL, '0722776772', 'ANSWER', NULL, NULL, '1203', 'תמיכה טכנית', '32898341', 'איתי רוזנברג', NULL, NULL, 10, NULL, false, '[{"DTMF": 2, "LayerName": "תפריט ראשי", "LayerNumber": 1}, {"DTMF": 2, "LayerName": "תפריט ראשי", "LayerNumber": 2}, {"DTMF": 9, "LayerName": "Main menu", "LayerNumber": 3}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL),
	('default', '20261127130251b885f0eccb5575995c', 'Incoming Call', NULL, '2026-11-27 11:02:53+00', 858, 7, '0538809412', NULL, '0722776774', 'SIPSIP12', NULL, '0722776774', 'ANSWER', NULL, NULL, '1202', 'שירות לקוחות', '31851814', 'ליאת אזולאי', NULL, NULL, NULL, 'https://cpanel.example/CallsHistory/PlayRecord/2026112741493524.mp3', true, '[{"DTMF": 5, "LayerName": "שעות פעילות", "LayerNumber": 1}]', NULL, NULL, '2026-11-28 16:19:58.693632+00', '2026-11-28 16:19:58.693632+00', NULL);
SELECT pg_catalog.setval('cdr_sync.gap_id_seq', 1, false);
SELECT pg_catalog.setval('cdr_sync.rejected_id_seq', 1, false);
SELECT pg_catalog.setval('cdr_sync.request_id_seq', 1, false);
ALTER TABLE ONLY cdr_sync.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (name);
ALTER TABLE ONLY cdr_sync.budget
    ADD CONSTRAINT budget_pkey PRIMARY KEY (credential);
ALTER TABLE ONLY cdr_sync.coverage
    ADD CONSTRAINT coverage_pkey PRIMARY KEY (account, span);
ALTER TABLE ONLY cdr_sync.cursor
    ADD CONSTRAINT cursor_pkey PRIMARY KEY (account);
ALTER TABLE ONLY cdr_sync.earlier_scope
    ADD CONSTRAINT earlier_scope_pkey PRIMARY KEY (account, call_id, type);
ALTER TABLE ONLY cdr_sync.gap
    ADD CONSTRAINT gap_pkey PRIMARY KEY (id);
ALTER TABLE ONLY cdr_sync.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (only_one);
ALTER TABLE ONLY cdr_sync.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (account);
ALTER TABLE ONLY cdr_sync.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (name);
ALTER TABLE ONLY cdr_sync.missing
    ADD CONSTRAINT missing_pkey PRIMARY KEY (account, call_id, type);
ALTER TABLE ONLY cdr_sync.rejected
    ADD CONSTRAINT rejected_account_content_hash_key UNIQUE (account, content_hash);
ALTER TABLE ONLY cdr_sync.rejected
    ADD CONSTRAINT rejected_pkey PRIMARY KEY (id);
ALTER TABLE ONLY cdr_sync.request
    ADD CONSTRAINT request_pkey PRIMARY KEY (id);
ALTER TABLE ONLY cdr_sync.window_read
    ADD CONSTRAINT window_read_pkey PRIMARY KEY (account, started_at, lane, span);
ALTER TABLE ONLY voicenter.cdr_history
    ADD CONSTRAINT cdr_history_pkey PRIMARY KEY (account, call_id, type, valid_from);
ALTER TABLE ONLY voicenter.cdr
    ADD CONSTRAINT cdr_pkey PRIMARY KEY (account, call_id, type);
CREATE UNIQUE INDEX gap_open_idx ON cdr_sync.gap USING btree (account, span) WHERE (closed_at IS NULL);
CREATE INDEX request_open_idx ON cdr_sync.request USING btree (account, id) WHERE (state = ANY (ARRAY['waiting'::text, 'running'::text]));
CREATE INDEX cdr_started_at_idx ON voicenter.cdr USING btree (account, started_at);
CREATE INDEX cdr_updated_at_idx ON voicenter.cdr USING btree (account, updated_at);

-- The calendar of Israel, opening hours, and what each agent had of a call: docs/decisions/0035.
set local lock_timeout = '5s';
-- Compiling the one large statement takes longer than running it.
set local jit = off;

create table voicenter.dates (
    day           date     primary key,
    year          smallint not null,
    quarter       smallint not null,
    month         smallint not null,
    month_name    text     not null,
    month_name_he text     not null,
    week_start    date     not null,
    week_of_year  smallint not null,
    day_of_week   smallint not null,
    day_name      text     not null,
    day_name_he   text     not null,
    is_weekend    boolean  not null,
    holiday       text,
    holiday_he    text,
    is_holiday    boolean  not null,
    is_eve        boolean  not null,
    is_workday    boolean  not null
);

-- As PyPI's holidays 0.109 has them, and hdate 1.2.2 for Holocaust Memorial Day; hdate and pyluach 2.3.0 have the same.
with feast (passover, holocaust_memorial_day, independence_day, shavuot, ninth_of_av, rosh_hashana, hanukkah) as (values
    ('2000-04-20', '2000-05-02', '2000-05-10', '2000-06-09', '2000-08-10', '2000-09-30', '2000-12-22'),
    ('2001-04-08', '2001-04-19', '2001-04-26', '2001-05-28', '2001-07-29', '2001-09-18', '2001-12-10'),
    ('2002-03-28', '2002-04-09', '2002-04-17', '2002-05-17', '2002-07-18', '2002-09-07', '2002-11-30'),
    ('2003-04-17', '2003-04-29', '2003-05-07', '2003-06-06', '2003-08-07', '2003-09-27', '2003-12-20'),
    ('2004-04-06', '2004-04-19', '2004-04-27', '2004-05-26', '2004-07-27', '2004-09-16', '2004-12-08'),
    ('2005-04-24', '2005-05-05', '2005-05-12', '2005-06-13', '2005-08-14', '2005-10-04', '2005-12-26'),
    ('2006-04-13', '2006-04-25', '2006-05-03', '2006-06-02', '2006-08-03', '2006-09-23', '2006-12-16'),
    ('2007-04-03', '2007-04-16', '2007-04-24', '2007-05-23', '2007-07-24', '2007-09-13', '2007-12-05'),
    ('2008-04-20', '2008-05-01', '2008-05-08', '2008-06-09', '2008-08-10', '2008-09-30', '2008-12-22'),
    ('2009-04-09', '2009-04-21', '2009-04-29', '2009-05-29', '2009-07-30', '2009-09-19', '2009-12-12'),
    ('2010-03-30', '2010-04-12', '2010-04-20', '2010-05-19', '2010-07-20', '2010-09-09', '2010-12-02'),
    ('2011-04-19', '2011-05-02', '2011-05-10', '2011-06-08', '2011-08-09', '2011-09-29', '2011-12-21'),
    ('2012-04-07', '2012-04-19', '2012-04-26', '2012-05-27', '2012-07-29', '2012-09-17', '2012-12-09'),
    ('2013-03-26', '2013-04-08', '2013-04-16', '2013-05-15', '2013-07-16', '2013-09-05', '2013-11-28'),
    ('2014-04-15', '2014-04-28', '2014-05-06', '2014-06-04', '2014-08-05', '2014-09-25', '2014-12-17'),
    ('2015-04-04', '2015-04-16', '2015-04-23', '2015-05-24', '2015-07-26', '2015-09-14', '2015-12-07'),
    ('2016-04-23', '2016-05-05', '2016-05-12', '2016-06-12', '2016-08-14', '2016-10-03', '2016-12-25'),
    ('2017-04-11', '2017-04-24', '2017-05-02', '2017-05-31', '2017-08-01', '2017-09-21', '2017-12-13'),
    ('2018-03-31', '2018-04-12', '2018-04-19', '2018-05-20', '2018-07-22', '2018-09-10', '2018-12-03'),
    ('2019-04-20', '2019-05-02', '2019-05-09', '2019-06-09', '2019-08-11', '2019-09-30', '2019-12-23'),
    ('2020-04-09', '2020-04-21', '2020-04-29', '2020-05-29', '2020-07-30', '2020-09-19', '2020-12-11'),
    ('2021-03-28', '2021-04-08', '2021-04-15', '2021-05-17', '2021-07-18', '2021-09-07', '2021-11-29'),
    ('2022-04-16', '2022-04-28', '2022-05-05', '2022-06-05', '2022-08-07', '2022-09-26', '2022-12-19'),
    ('2023-04-06', '2023-04-18', '2023-04-26', '2023-05-26', '2023-07-27', '2023-09-16', '2023-12-08'),
    ('2024-04-23', '2024-05-06', '2024-05-14', '2024-06-12', '2024-08-13', '2024-10-03', '2024-12-26'),
    ('2025-04-13', '2025-04-24', '2025-05-01', '2025-06-02', '2025-08-03', '2025-09-23', '2025-12-15'),
    ('2026-04-02', '2026-04-14', '2026-04-22', '2026-05-22', '2026-07-23', '2026-09-12', '2026-12-05'),
    ('2027-04-22', '2027-05-04', '2027-05-12', '2027-06-11', '2027-08-12', '2027-10-02', '2027-12-25'),
    ('2028-04-11', '2028-04-24', '2028-05-02', '2028-05-31', '2028-08-01', '2028-09-21', '2028-12-13'),
    ('2029-03-31', '2029-04-12', '2029-04-19', '2029-05-20', '2029-07-22', '2029-09-10', '2029-12-02'),
    ('2030-04-18', '2030-04-30', '2030-05-08', '2030-06-07', '2030-08-08', '2030-09-28', '2030-12-21'),
    ('2031-04-08', '2031-04-21', '2031-04-29', '2031-05-28', '2031-07-29', '2031-09-18', '2031-12-10'),
    ('2032-03-27', '2032-04-08', '2032-04-15', '2032-05-16', '2032-07-18', '2032-09-06', '2032-11-28'),
    ('2033-04-14', '2033-04-26', '2033-05-04', '2033-06-03', '2033-08-04', '2033-09-24', '2033-12-17'),
    ('2034-04-04', '2034-04-17', '2034-04-25', '2034-05-24', '2034-07-25', '2034-09-14', '2034-12-07'),
    ('2035-04-24', '2035-05-07', '2035-05-15', '2035-06-13', '2035-08-14', '2035-10-04', '2035-12-26'),
    ('2036-04-12', '2036-04-24', '2036-05-01', '2036-06-01', '2036-08-03', '2036-09-22', '2036-12-14'),
    ('2037-03-31', '2037-04-13', '2037-04-21', '2037-05-20', '2037-07-21', '2037-09-10', '2037-12-03'),
    ('2038-04-20', '2038-05-03', '2038-05-11', '2038-06-09', '2038-08-10', '2038-09-30', '2038-12-22'),
    ('2039-04-09', '2039-04-21', '2039-04-28', '2039-05-29', '2039-07-31', '2039-09-19', '2039-12-12'),
    ('2040-03-29', '2040-04-10', '2040-04-18', '2040-05-18', '2040-07-19', '2040-09-08', '2040-11-30'),
    ('2041-04-16', '2041-04-29', '2041-05-07', '2041-06-05', '2041-08-06', '2041-09-26', '2041-12-18'),
    ('2042-04-05', '2042-04-17', '2042-04-24', '2042-05-25', '2042-07-27', '2042-09-15', '2042-12-08'),
    ('2043-04-25', '2043-05-07', '2043-05-14', '2043-06-14', '2043-08-16', '2043-10-05', '2043-12-27'),
    ('2044-04-12', '2044-04-25', '2044-05-03', '2044-06-01', '2044-08-02', '2044-09-22', '2044-12-15'),
    ('2045-04-02', '2045-04-13', '2045-04-20', '2045-05-22', '2045-07-23', '2045-09-12', '2045-12-04'),
    ('2046-04-21', '2046-05-03', '2046-05-10', '2046-06-10', '2046-08-12', '2046-10-01', '2046-12-24'),
    ('2047-04-11', '2047-04-23', '2047-05-01', '2047-05-31', '2047-08-01', '2047-09-21', '2047-12-13'),
    ('2048-03-29', '2048-04-09', '2048-04-16', '2048-05-18', '2048-07-19', '2048-09-08', '2048-11-30'),
    ('2049-04-17', '2049-04-29', '2049-05-06', '2049-06-06', '2049-08-08', '2049-09-27', '2049-12-20')
),
first_day (name, name_he, day, is_rest) as (
    select n.name, n.name_he, n.day::date, n.is_rest
    from feast f
    cross join lateral (values
        ('Purim', 'פורים', f.passover::date - 30, false),
        ('Passover Eve', 'ערב פסח', f.passover::date - 1, false),
        ('Passover', 'פסח', f.passover::date, true),
        ('Seventh of Passover', 'שביעי של פסח', f.passover::date + 6, true),
        ('Holocaust Memorial Day', 'יום השואה', f.holocaust_memorial_day::date, false),
        ('Memorial Day', 'יום הזיכרון', f.independence_day::date - 1, false),
        ('Independence Day', 'יום העצמאות', f.independence_day::date, true),
        ('Lag BaOmer', 'ל"ג בעומר', f.passover::date + 33, false),
        ('Jerusalem Day', 'יום ירושלים', f.passover::date + 43, false),
        ('Shavuot Eve', 'ערב שבועות', f.shavuot::date - 1, false),
        ('Shavuot', 'שבועות', f.shavuot::date, true),
        ('Tisha B''Av', 'תשעה באב', f.ninth_of_av::date, false),
        ('Rosh Hashana Eve', 'ערב ראש השנה', f.rosh_hashana::date - 1, false),
        ('Rosh Hashana', 'ראש השנה', f.rosh_hashana::date, true),
        ('Rosh Hashana', 'ראש השנה', f.rosh_hashana::date + 1, true),
        ('Yom Kippur Eve', 'ערב יום כיפור', f.rosh_hashana::date + 8, false),
        ('Yom Kippur', 'יום כיפור', f.rosh_hashana::date + 9, true),
        ('Sukkot Eve', 'ערב סוכות', f.rosh_hashana::date + 13, false),
        ('Sukkot', 'סוכות', f.rosh_hashana::date + 14, true),
        ('Simchat Torah', 'שמחת תורה', f.rosh_hashana::date + 21, true)
    ) n (name, name_he, day, is_rest)
),
holiday (name, name_he, day, is_rest) as (
    select name, name_he, day, is_rest from first_day
    union all
    select m.name, m.name_he, m.first_day + n, false
    from feast f
    cross join lateral (values
        ('Passover Week', 'חול המועד פסח', f.passover::date + 1, 5),
        ('Sukkot Week', 'חול המועד סוכות', f.rosh_hashana::date + 15, 6),
        ('Hanukkah', 'חנוכה', f.hanukkah::date, 8)
    ) m (name, name_he, first_day, days)
    cross join lateral generate_series(0, m.days - 1) n
),
calendar as (
    select d::date as day, extract(dow from d)::integer + 1 as day_of_week, extract(month from d)::integer as month,
        date_trunc('year', d)::date as new_year
    from generate_series(timestamp '2000-01-01', timestamp '2049-12-31', interval '1 day') d
)
insert into voicenter.dates
select
    c.day,
    extract(year from c.day)::smallint,
    extract(quarter from c.day)::smallint,
    c.month::smallint,
    (array['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November',
           'December'])[c.month],
    (array['ינואר', 'פברואר', 'מרץ', 'אפריל', 'מאי', 'יוני', 'יולי', 'אוגוסט', 'ספטמבר', 'אוקטובר', 'נובמבר',
           'דצמבר'])[c.month],
    c.day - (c.day_of_week - 1),
    ((c.day - c.new_year + extract(dow from c.new_year)::integer) / 7 + 1)::smallint,
    c.day_of_week::smallint,
    (array['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'])[c.day_of_week],
    (array['יום ראשון', 'יום שני', 'יום שלישי', 'יום רביעי', 'יום חמישי', 'יום שישי', 'שבת'])[c.day_of_week],
    c.day_of_week >= 6,
    h.name,
    h.name_he,
    coalesce(h.is_rest, false),
    coalesce(tomorrow.is_rest, false) and not coalesce(h.is_rest, false),
    c.day_of_week < 6 and not coalesce(h.is_rest, false)
from calendar c
left join holiday h on h.day = c.day
left join first_day tomorrow on tomorrow.day = c.day + 1
order by c.day;
analyze voicenter.dates;

comment on table voicenter.dates is 'One row for each day of 2000 to 2049, with the Israeli week and the holidays of Israel: join it by day. The holidays are those of the Python package holidays (0.109; Holocaust Memorial Day of hdate 1.2.2), compared with the packages hdate and pyluach. Election days, which are days of rest too, and days that a law adds later are not in it: an operator may correct rows.';
comment on column voicenter.dates.day is 'The day, as calls.day and every other day has it.';
comment on column voicenter.dates.year is 'Its year.';
comment on column voicenter.dates.quarter is '1 to 4.';
comment on column voicenter.dates.month is '1 to 12.';
comment on column voicenter.dates.month_name is 'The month in English.';
comment on column voicenter.dates.month_name_he is 'The month in Hebrew.';
comment on column voicenter.dates.week_start is 'The Sunday on which its week begins: group by it for whole weeks.';
comment on column voicenter.dates.week_of_year is 'Its week within the year, as WEEKNUM in Excel: week 1 begins on 1 January, each later one on a Sunday. The week in which a year ends has two numbers, so group by week_start for whole weeks.';
comment on column voicenter.dates.day_of_week is '1 is Sunday, 7 is Saturday, as in calls.day_of_week.';
comment on column voicenter.dates.day_name is 'The day of the week in English.';
comment on column voicenter.dates.day_name_he is 'The day of the week in Hebrew.';
comment on column voicenter.dates.is_weekend is 'Friday or Saturday.';
comment on column voicenter.dates.holiday is 'The holiday, memorial day, fast or eve that it is, in English; null on other days. The days between the first and the last one of a feast are Passover Week and Sukkot Week.';
comment on column voicenter.dates.holiday_he is 'The same in Hebrew.';
comment on column voicenter.dates.is_holiday is 'Whether it is a day of rest by law: both days of Rosh Hashana, Yom Kippur, the first day of Sukkot, Simchat Torah, the first and the seventh day of Passover, Independence Day, Shavuot. Saturdays are not meant.';
comment on column voicenter.dates.is_eve is 'Whether the next day is such a holiday and it is none itself: many work as on a Friday. Memorial Day is the eve of Independence Day.';
comment on column voicenter.dates.is_workday is 'Sunday to Thursday and no holiday. Eves and the days between the first and the last one of a feast are workdays, on which many work less.';

create table voicenter.opening_hours (
    account     text     not null,
    queue_name  text     not null default '',
    day_of_week smallint not null,
    opens       time     not null,
    closes      time     not null,
    primary key (account, queue_name, day_of_week, opens),
    constraint day_of_week_is_1_to_7 check (day_of_week between 1 and 7),
    constraint opens_before_it_closes check (opens < closes),
    constraint names_are_short check (octet_length(account) + octet_length(queue_name) <= 2000)
);
comment on table voicenter.opening_hours is 'When an account or a queue is open: filled by an operator, and empty until then. One row for each stretch of a day of the week; a day with a break has two. Nothing that cdr-sync stores depends on it: it is for questions about opening hours.';
comment on column voicenter.opening_hours.account is 'The account.';
comment on column voicenter.opening_hours.queue_name is 'The queue, as in calls.queue_name; empty for all queues that have no rows of their own, and for calls without a queue.';
comment on column voicenter.opening_hours.day_of_week is '1 is Sunday, 7 is Saturday. Days without rows are closed.';
comment on column voicenter.opening_hours.opens is 'From this time on it is open, by the clock of the account.';
comment on column voicenter.opening_hours.closes is 'From this time on it is closed; 24:00 for midnight. Hours over midnight are two rows, one on each day.';

create function cdr_sync.follow_account_in_opening_hours() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
    update voicenter.opening_hours set account = new.name where account = old.name;
    return null;
end
$$;
comment on function cdr_sync.follow_account_in_opening_hours is 'Renames an account in voicenter.opening_hours.';
create trigger follow_account_in_opening_hours after update on cdr_sync.account
    for each row when (old.name <> new.name) execute function cdr_sync.follow_account_in_opening_hours();

-- Each call's legs are looked up by their key: joined as tables, the planner would read all of them.
create view voicenter.agent_calls as
select
    c.account,
    c.call_id,
    a.agent_key,
    a.nth,
    a.is_last,
    a.agent,
    a.agent_extension,
    a.started_at,
    c.day,
    c.direction,
    a.queue_name,
    a.role,
    a.offered,
    a.answered,
    a.ring_seconds,
    case
        when not a.answered then 0
        when a.is_answered_in_queue then null
        -- The customer whom a dialer has reached waits for the agent first.
        when c.initiated_by = 'dialer' then least(a.talk, a.own_talk)
        else a.talk
    end as talk_seconds
from voicenter.calls c
cross join lateral (
    select
        g.*,
        row_number() over (order by g.started_at, g.agent_key)::integer as nth,
        lead(g.agent_key) over (order by g.started_at, g.agent_key) is null as is_last,
        case when g.has_agent_leg then g.has_own_agent and c.answered or g.is_answered_there else g.is_answered end as answered
    from (
        select
            l.agent_key,
            min(l.started_at) as started_at,
            coalesce((array_agg(l.agent) filter (where l.names_agent))[1], (array_agg(l.agent))[1]) as agent,
            (array_agg(l.agent_extension) filter (where l.agent_extension is not null))[1] as agent_extension,
            (array_agg(l.queue_name) filter (where l.queue_name is not null))[1] as queue_name,
            case
                when bool_or(l.kind in (4, 9, 10) and not l.is_passed_on) then 'caller'
                when bool_and(l.is_passed_on) then 'transferred_to'
                else 'called'
            end as role,
            bool_or(l.kind not in (4, 9, 10, 15)) as offered,
            bool_or(l.is_own_agent) as has_agent_leg,
            bool_or(l.has_own_agent) as has_own_agent,
            bool_or(l.is_answered) as is_answered,
            bool_or(l.is_answered and l.kind not in (10, 15)) as is_answered_there,
            bool_or(l.is_answered and l.is_queued) as is_answered_in_queue,
            least(sum(l.ring_seconds::bigint) filter (where l.kind <> 15), 2147483647)::integer as ring_seconds,
            least(sum(l.duration_seconds::bigint) filter (where l.is_answered), 2147483647)::integer as talk,
            least(sum(l.duration_seconds::bigint) filter (where l.has_own_agent), 2147483647)::integer as own_talk
        -- In the order of time; an aggregate with an order of its own would sort once more.
        from (
            select l.type, l.started_at, l.agent_key, l.agent, l.agent_extension, l.names_agent, l.queue_name, l.is_queued,
                l.is_own_agent, l.has_own_agent, l.ring_seconds, l.duration_seconds, coalesce(l.kind, 0) as kind,
                -- A menu that a click called is no person.
                l.is_answered and coalesce(l.kind, 0) not in (17, 18) as is_answered,
                l.is_transfer or m.is_continuation as is_passed_on
            from (
                select c.call_id, false as is_continuation
                union all
                select x.call_id, true from cdr_sync.transfer x where x.account = c.account and x.root_call_id = c.call_id
            ) m
            cross join lateral (
                select * from cdr_sync.leg l where l.account = c.account and l.call_id = m.call_id and l.agent_key is not null
                offset 0
            ) l
            order by l.agent_key, l.started_at, l.type
        ) l
        group by l.agent_key
    ) g
    offset 0
) a;
comment on view voicenter.agent_calls is 'One row for each agent of a call (account, call_id, agent_key): made from the legs that name the agent, those of transfers included. The API names nobody in a leg of a queue that was not answered, nor the one who is called in an internal call. Filter by account and day, or by account and call_id: its cost is that of the calls asked for.';
comment on column voicenter.agent_calls.account is 'The account.';
comment on column voicenter.agent_calls.call_id is 'The call in voicenter.calls.';
comment on column voicenter.agent_calls.agent_key is 'The agent, as in calls.agent_key.';
comment on column voicenter.agent_calls.nth is '1 for the first agent of the call.';
comment on column voicenter.agent_calls.is_last is 'Whether no other agent came after. The only agent has nth 1 and is_last.';
comment on column voicenter.agent_calls.agent is 'The same agent, to show.';
comment on column voicenter.agent_calls.agent_extension is 'The extension of the first of these legs that has one.';
comment on column voicenter.agent_calls.started_at is 'When the first of these legs started: in a queue, when the caller entered it.';
comment on column voicenter.agent_calls.day is 'The day of the call, as in calls.day.';
comment on column voicenter.agent_calls.direction is 'Of the call, as in calls.direction.';
comment on column voicenter.agent_calls.queue_name is 'The first queue that these legs name; null if the call did not come to the agent through a queue.';
comment on column voicenter.agent_calls.role is 'caller: the agent placed the call, Click2Call included. transferred_to: it was only passed on to the agent, or the agent was asked before that. called: it came to the agent otherwise, from a dialer too.';
comment on column voicenter.agent_calls.offered is 'Whether the call came to the agent, answered or not.';
comment on column voicenter.agent_calls.answered is 'Whether the agent spoke with the other side, or with the colleague who passed the call on. Of calls that the agent placed: whether the other side answered.';
comment on column voicenter.agent_calls.ring_seconds is 'RingTime of these legs added up, except that of a dialer''s leg to the customer; null when none has it.';
comment on column voicenter.agent_calls.talk_seconds is 'Duration of these legs added up where answered, for a dialer''s call at most that of the agent''s leg; 0 when not answered; null when answered in a queue, whose Duration includes the waiting.';

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

-- A column that the program before this one does not know of tells its neighbours in coverage apart: that program joins
-- them in memory and then neither finds the rows to replace nor the room for the joined one. So it is a table of its own.
create table cdr_sync.lacking (
    -- Cascading, for a program that renames or forgets an account without knowing of this table.
    account text      not null references cdr_sync.account (name) on update cascade on delete cascade,
    span    tstzrange not null check (not isempty(span) and lower_inc(span) and not upper_inc(span)),
    fields  text[]    not null check (cardinality(fields) > 0),
    primary key (account, span)
);
comment on table cdr_sync.lacking is 'Which stretches of coverage were read without fields that the API refused. They are read again once the API takes those. Stretches never overlap; what lies outside of coverage has no meaning.';
comment on column cdr_sync.lacking.account is 'The account.';
comment on column cdr_sync.lacking.span is 'The stretch, from inclusive, to exclusive.';
comment on column cdr_sync.lacking.fields is 'The fields that the newest read of the stretch was not asked for: of DateEpoch, CdrType, UserName, UserId.';

insert into cdr_sync.lacking (account, span, fields)
select c.account, c.span, c.lacking
from cdr_sync.coverage c
join cdr_sync.account a on a.name = c.account
where cardinality(c.lacking) > 0;

-- Neighbours of one tier are one row again. Where rows overlap, the highest tier holds.
create temporary table joined on commit drop as
with edges as (
    select distinct c.account, edge.at
    from cdr_sync.coverage c
    cross join lateral (values (lower(c.span)), (upper(c.span))) as edge(at)
), pieces as (
    select account, at as from_at, lead(at) over (partition by account order by at) as to_at from edges
), covered as (
    select p.account, p.from_at, p.to_at, max(c.tier) as tier
    from pieces p
    join cdr_sync.coverage c on c.account = p.account and c.span @> tstzrange(p.from_at, p.to_at)
    where p.to_at is not null
    group by p.account, p.from_at, p.to_at
), marked as (
    select *, (lag(to_at) over by_time, lag(tier) over by_time) is distinct from (from_at, tier) as begins
    from covered
    window by_time as (partition by account order by from_at)
), numbered as (
    select *, count(*) filter (where begins) over (partition by account order by from_at) as stretch from marked
)
select account, tstzrange(min(from_at), max(to_at)) as span, max(tier) as tier
from numbered
group by account, stretch;

delete from cdr_sync.coverage;
alter table cdr_sync.coverage drop column lacking;
insert into cdr_sync.coverage (account, span, tier) select account, span, tier from joined;
drop table joined;

-- The program before this one does not know of this table either.
delete from cdr_sync.twin t where not exists (select from cdr_sync.account a where a.name = t.account);
alter table cdr_sync.twin
    add foreign key (account) references cdr_sync.account (name) on update cascade on delete cascade;

-- Every table's key leads with the account, so that all of them can be distributed by it: gaps, rejected records and requests
-- were kept by their number alone.

alter table cdr_sync.gap drop constraint gap_pkey, add primary key (account, id);
alter table cdr_sync.rejected drop constraint rejected_pkey, add primary key (account, id);
alter table cdr_sync.request drop constraint request_pkey, add primary key (account, id);

-- A request for an account that does not exist is refused: it would wait for ever.
delete from cdr_sync.request r where not exists (select from cdr_sync.account a where a.name = r.account);
alter table cdr_sync.request
    add constraint request_account_fkey foreign key (account) references cdr_sync.account (name) on update cascade on delete cascade;

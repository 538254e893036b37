-- Every table's key leads with the account, so that all of them can be distributed by it: gaps, rejected records and requests
-- were kept by their number alone.

alter table cdr_sync.gap drop constraint gap_pkey, add primary key (account, id);
alter table cdr_sync.rejected drop constraint rejected_pkey, add primary key (account, id);
alter table cdr_sync.request drop constraint request_pkey, add primary key (account, id);

-- The changes of all orders in a row, for live streams to be continued from where they were cut.

-- Taken when the row is written, so a later one may be committed, and seen, earlier: who reads
-- minds the gaps (pizza/services/follower.py). Rows from before have none, and the index leaves
-- them out: neither the table is written anew nor do they cost a place.
create sequence order_change_position;
alter table order_status_log add column position bigint;
alter sequence order_change_position owned by order_status_log.position;
alter table order_status_log alter column position set default nextval('order_change_position');
-- New rows go to its right end, which costs little.
create unique index order_status_log_position on order_status_log (position)
    where position is not null;

-- Tables and columns get terms of the field. Processes of release 0.2 read and write a renamed table through
-- a view under its old name; release 0.4 drops the views. Columns of `message` (holder, renewed_at, lease_until,
-- needs) and the table `relay` keep their names, because statements of 0.2 name them and a view cannot be
-- vacuumed.

alter table adopted_message rename to inbox_message;
alter table inbox_message rename column adopted_at to accepted_at;
alter table inbox_message rename column seen_at to checked_at;
alter index adopted_message_pkey rename to inbox_message_pkey;
alter index adopted_message_by_hash rename to inbox_message_by_hash;
alter index adopted_message_by_last_look rename to inbox_message_by_check;
create view adopted_message as select id, body_hash, accepted_at as adopted_at from inbox_message;

alter table kept_queue rename to durable_subscription;
alter index kept_queue_pkey rename to durable_subscription_pkey;
create view kept_queue as
    select name, subscriber, exchange, routing_key, seen_at from durable_subscription;

alter table message_tally rename to message_counter;
alter index message_tally_pkey rename to message_counter_pkey;
create view message_tally as select what, queue, number from message_counter;

alter table worker_session rename column renewed_at to lease_renewed_at;

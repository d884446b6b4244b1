-- See 0024.
alter table order_key rename to idempotency_key;
alter index order_key_kept_at rename to idempotency_key_kept_at;
alter index order_key_order_number rename to idempotency_key_order_number;
create view order_key as select * from idempotency_key;

-- place_order --
-- The document is described at the function.
select verdict, number, priority, rule, created_at, estimated_completion, order_id, total_amount
from order_place(%(order)s::jsonb)

-- prune_idempotency_keys --
-- Oldest first, a batch at a time.
delete from idempotency_key
where key = any(array(select key from idempotency_key where kept_at < now() - interval '1 day'
                      order by kept_at limit %(limit)s
                      for update skip locked))

-- get_status --
select number, status, updated_at, estimated_completion, processed_by, type as order_type,
       priority, completed_at, version, stage, rush, total_amount, created_at
from orders
where number = %(number)s

-- get_order --
select number, status, stage, customer_name, customer_type, type as order_type, table_number,
       delivery_address, total_amount, priority, rush, created_at, updated_at, started_at, promised_at,
       estimated_completion, completed_at, processed_by, version
from orders
where number = %(number)s

-- list_items --
select i.name, i.quantity, i.price
from order_items i join orders o on o.id = i.order_id
where o.number = %(number)s
order by i.position

-- get_position --
select created_at, id from orders where number = %(number)s

-- list_newest --
-- Newest first; before_time and before_id are those of the last order of the page before.
select number, status, stage, customer_name, type as order_type, priority, rush, total_amount,
       created_at, updated_at, estimated_completion, completed_at, processed_by
from orders
where (%(status)s::text is null or status = %(status)s)
  and (%(type)s::text is null or type = %(type)s)
  and created_at <= coalesce(%(before_time)s::timestamptz, 'infinity')
  and (%(before_id)s::uuid is null
       or (created_at, id) < (%(before_time)s::timestamptz, %(before_id)s::uuid))
order by created_at desc, id desc
limit %(limit)s

-- list_newest_in_kitchen --
-- The same for a status of orders in the kitchen, which have their own index.
select number, status, stage, customer_name, type as order_type, priority, rush, total_amount,
       created_at, updated_at, estimated_completion, completed_at, processed_by
from orders
where in_kitchen and status = %(status)s
  and (%(type)s::text is null or type = %(type)s)
  and created_at <= coalesce(%(before_time)s::timestamptz, 'infinity')
  and (%(before_id)s::uuid is null
       or (created_at, id) < (%(before_time)s::timestamptz, %(before_id)s::uuid))
order by created_at desc, id desc
limit %(limit)s

-- list_status_changes --
-- One row with nulls for an order without a log; none for an unknown order.
select l.status, l.changed_at as timestamp, l.changed_by, l.notes
from orders o
left join order_status_log l on l.order_id = o.id
where o.number = %(number)s
order by l.sequence

-- set_capacity --
select capacity_set_limit(%(limit)s, %(by)s)

-- initialize_capacity --
select max_concurrent, before, set_by, alone from capacity_initialize(%(limit)s)

-- unregister_order_service --
select pg_advisory_unlock_shared(lock_key('order service'))

-- register_order_service --
select pg_advisory_lock_shared(lock_key('order service'))

-- transition_order --
select verdict, status, version, updated_at
from order_transition(%(number)s, %(version)s, %(to)s, %(by)s, %(notes)s, %(queue)s, %(exchange)s)

-- set_priority --
select verdict, status, version, updated_at
from order_set_priority(%(number)s, %(version)s, %(priority)s, %(by)s, %(notes)s)

-- promote_aged --
select orders_promote_aged(%(max_wait)s, %(priority)s, %(by)s, %(rule)s)

-- Personal data of customers: found by name for an export, and erased. Which columns hold it, and which
-- statement erases each of them, is in tests/support/personal_columns.py.

-- list_unusual_keys --
-- The keys that may be other spellings of a name: release 0.2 did not fold everything.
select distinct customer_key from orders
where customer_key <> '' and customer_key !~ '^[!-~]+( [!-~]+)*$'
union
select key from customers where key !~ '^[!-~]+( [!-~]+)*$'

-- list_orders --
-- The orders of these keys. An order is open if it has not ended and is in the kitchen, has a message, or
-- changed less than a day ago.
select o.number,
       o.status not in ('delivered', 'cancelled')
       and (o.in_kitchen or o.updated_at > now() - interval '1 day'
            or exists (select from message m where m.id = coalesce(o.task_id, o.id))) as is_open
from orders o
where o.customer_key = any(%(keys)s)
order by o.created_at

-- lock_orders --
-- In the order of their ids; waits for locked rows.
select number from orders where customer_key = any(%(keys)s) order by id for no key update

-- lock_expired_orders --
-- The oldest orders that still name their customer and ended longer ago than `keep`. Skips locked rows.
select number from orders
where customer_key <> '' and created_at < now() - %(keep)s::interval
  and updated_at < now() - %(keep)s::interval and not in_kitchen
  and (select m.state from message m where m.id = coalesce(task_id, orders.id)) is null
order by created_at
limit %(limit)s
for no key update skip locked

-- lock_erasure --
-- Held to the end of the transaction: no webhook delivery is created meanwhile (lock_delivery).
select pg_advisory_xact_lock(lock_key('personal data'))

-- lock_delivery --
select pg_advisory_xact_lock_shared(lock_key('personal data'))

-- is_erased --
select exists (select from orders where number = %(number)s and customer_key = '')

-- list_signatures --
-- Who changed these orders: a customer's own name is erased there, too.
select o.number, o.customer_name, l.changed_by
from orders o join order_status_log l on l.order_id = o.id
where o.number = any(%(numbers)s)
union
select o.number, o.customer_name, t.changed_by
from orders o join tracking_event t on t.order_number = o.number
where o.number = any(%(numbers)s)

-- erase_log --
-- The first note is the program's reason for the priority; people write the others.
update order_status_log l
set notes = case when l.sequence = 1 then l.notes end,
    changed_by = case when l.changed_by = any(array(
        select s.name from unnest(%(signed)s::text[], %(names)s::text[]) as s(number, name)
        where s.number = o.number)) then %(erased)s else l.changed_by end
from orders o
where o.number = any(%(numbers)s) and l.order_id = o.id

-- erase_events --
update tracking_event t
set changed_by = %(erased)s
from unnest(%(signed)s::text[], %(names)s::text[]) as s(number, name)
where t.order_number = s.number and t.changed_by = s.name

-- erase_keys --
delete from idempotency_key where order_number = any(%(numbers)s)

-- erase_clients --
delete from client_order where order_number = any(%(numbers)s)

-- erase_requests --
delete from tracking_request where order_number = any(%(numbers)s)

-- erase_notifications --
update notification_delivery set reason = null
where order_number = any(%(numbers)s) and reason is not null

-- list_deliveries --
select id, payload from webhook_delivery where order_number = any(%(numbers)s)

-- erase_deliveries --
-- A response may contain what was sent.
update webhook_delivery d
set payload = e.payload, problem = case when d.problem is not null then %(erased)s end
from unnest(%(ids)s::uuid[], %(payloads)s::text[]) as e(id, payload)
where d.id = e.id

-- erase_orders --
update orders
set customer_name = %(erased)s, customer_key = '', delivery_address = null, table_number = null,
    trace = null
where number = any(%(numbers)s)

-- erase_customers --
delete from customers where key = any(%(keys)s)

-- erase_merged_names --
delete from merged_name where id = any(%(ids)s)

-- erase_dead_messages --
delete from dead_message where id = any(%(ids)s)

-- erase_dead_copies --
-- Copies for the dead-letter queue that are not published yet. Those in the queue are removed once they have
-- no row.
delete from message
where task is null and headers ->> 'dead_message' = any(%(ids)s::text[])

-- erase_message --
-- An event that is not published yet. One that is published meanwhile needs no other body.
update message set body = %(body)s where id = %(id)s and task is null

-- prune_dead_messages --
delete from dead_message
where ctid = any(array(
    select ctid from dead_message
    where died_at < now() - %(keep)s::interval
    order by died_at, id
    limit %(limit)s
    for update skip locked
))

-- prune_merged_names --
delete from merged_name
where ctid = any(array(
    select ctid from merged_name
    where kind = 'customer' and merged_at < now() - %(keep)s::interval
    order by id
    limit %(limit)s
    for update skip locked
))

-- list_dead_messages --
-- A page, oldest first.
select id, task, queue, headers, body, reason, traceback, died_at from dead_message
where (died_at, id) > (%(died_at)s, %(id)s)
order by died_at, id
limit %(limit)s

-- list_waiting_messages --
-- A page of all messages that are to be published or worked on.
select id, task, queue, headers, body from message
where id > %(id)s
order by id
limit %(limit)s

-- list_merged_names --
select id, kept, merged from merged_name where kind = 'customer'

-- count_unread --
-- The number of messages in the queues of subscribers, as the leader last stored it.
select name, messages from broker_queue
where messages > 0 and (name = 'notifications_queue' or starts_with(name, 'notifications.'))
order by name

-- export_customers --
select * from customers where key = any(%(keys)s)

-- export_orders --
select o.*,
       array(select to_jsonb(i) - 'id' - 'order_id' from order_items i
             where i.order_id = o.id order by i.position) as items,
       array(select to_jsonb(l) - 'id' - 'order_id' from order_status_log l
             where l.order_id = o.id order by l.sequence) as history,
       array(select to_jsonb(s) - 'id' - 'order_id' from order_stage s
             where s.order_id = o.id order by s.id) as stations
from orders o
where o.number = any(%(numbers)s)
order by o.created_at

-- export_keys --
select key, order_number, ordered_at, kept_at from idempotency_key where order_number = any(%(numbers)s)

-- export_clients --
select order_number, encode(client_hash, 'hex') as client from client_order where order_number = any(%(numbers)s)

-- export_deliveries --
select webhook_id, type, order_number, payload, created_at, state, problem
from webhook_delivery where order_number = any(%(numbers)s)
order by position

-- export_notifications --
select subscriber, order_number, status, delivered_at, outcome, reason
from notification_delivery where order_number = any(%(numbers)s)
order by delivered_at

-- export_events --
select order_number, sequence, old_status, new_status, changed_by, occurred_at, received_at
from tracking_event where order_number = any(%(numbers)s)
order by occurred_at

-- export_requests --
select order_number, new_status, changed_by, answer, answered_at
from tracking_request where order_number = any(%(numbers)s)
order by answered_at

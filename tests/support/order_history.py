"""A restaurant with a history: so many orders, done with long ago, and a few that are under way."""

from __future__ import annotations

from pizza.database.connection import BoundedConnection

# One order a minute, the newest just now; the last forty of them are still in the kitchen.
# Foreign keys and the like are not looked at: it is the quickest way to fill tables.
_FILL = """
set session_replication_role = replica;
create temporary table filled as
select n, md5(n::text)::uuid as id, 'ORD_20200101_' || lpad(n::text, 6, '0') as number,
       clock_timestamp() - (%(orders)s - n) * interval '1 minute' as at,
       case when n > %(orders)s - 20 then 'received' when n > %(orders)s - 40 then 'cooking'
            when n %% 100 = 0 then 'cancelled' else 'delivered' end as status
from generate_series(1, %(orders)s) n;
insert into orders (id, created_at, updated_at, number, customer_name, customer_key, type,
                    delivery_address, total_amount, priority, status, processed_by, started_at,
                    completed_at, estimated_completion, promised_at, stage, in_kitchen, version)
select id, at, at, number, 'Guest ' || n, 'guest ' || n, 'delivery',
       '12 Main Street', 31.99, 1 + n %% 10, status, 'chef_' || n %% 5,
       case when status <> 'received' then at + interval '2 s' end,
       case when status = 'delivered' then at + interval '12 s' end,
       at + interval '12 s', at + interval '12 s',
       case when status in ('received', 'cooking') then 'kitchen' end,
       status in ('received', 'cooking'), 5
from filled;
insert into order_items (order_id, name, quantity, price, position)
select id, 'Pizza', 1, 15.99, 1 from filled;
insert into order_status_log (order_id, status, changed_by, changed_at, sequence)
select id, 'received', 'chef_1', at, s from filled, generate_series(1, 2) s;
insert into order_stage (order_id, stage, worker, started_at, finished_at, outcome)
select id, 'quality', 'quality_1', at, at + interval '2 s', 'done' from filled;
insert into idempotency_key (key, digest, order_number, priority, rule, ordered_at, kept_at)
select 'key ' || n, '', number, 1, 'standard order', at, at from filled;
insert into tracking_event (event_id, order_number, sequence, new_status, changed_by, occurred_at,
                            received_at)
select md5(n || ' ' || s)::uuid, number, s, 'received', 'chef_1', at, at
from filled, generate_series(1, 2) s;
insert into tracking_order (order_number, sequence, status, since, promised, estimated)
select number, 5, status, at, at + interval '12 s', at + interval '12 s' from filled;
insert into notification_delivery (subscriber, event_id, order_number, status, delivered_at,
                                   attempts, outcome)
select 'board', id, number, 'delivered', at, 1, 'delivered' from filled;
insert into inbox_message (id, body_hash, accepted_at) select id, '', at from filled;
insert into message (id, state, task, queue, exchange, routing_key, priority, body, sent_at, token,
                     holder, lease_until, renewed_at, attempt)
select id, case when status = 'received' then 'sent'::message_state else 'claimed' end,
       'cook_order', 'kitchen_delivery_queue', 'orders_topic', 'kitchen.delivery.1', 1 + n %% 10,
       '', at, 1, case when status = 'cooking' then 7 end,
       case when status = 'cooking' then clock_timestamp() + interval '1 hour' end,
       case when status = 'cooking' then clock_timestamp() end, 1
from filled where status in ('received', 'cooking');
insert into message (exchange, routing_key, body)
select 'gone', 'gone', convert_to(repeat('x', 300), 'UTF8') from filled;
delete from message where exchange = 'gone';
drop table filled;
set session_replication_role = default
"""


def fill(conn: BoundedConnection, orders: int) -> None:
    """Store `orders` orders with what belongs to them; then vacuum and count."""
    with conn.timeout_scope(None):
        for statement in _FILL.split(";"):
            conn.execute(statement.encode(), {"orders": orders} if "%" in statement else None)
        conn.execute("vacuum analyze")

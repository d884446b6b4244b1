-- active_orders --
-- Most urgent first: waiting, cooking, ready, out for delivery, and recently cancelled orders. Those past the
-- kitchen are searched among the newest orders only, by their index: an order that was placed thousands of
-- orders ago and never handed over is ignored.
select o.number as order_number, o.status, o.stage, o.customer_name, o.customer_type,
       o.type as order_type, o.table_number,
       o.priority, o.rush, o.created_at, o.updated_at, o.started_at, o.promised_at,
       o.estimated_completion, o.completed_at, o.processed_by, o.version,
       (select coalesce(json_agg(json_build_object('name', i.name, 'quantity', i.quantity)
                                 order by i.position), '[]')
        from order_items i where i.order_id = o.id) as items
from (
    select * from (
        select * from orders where in_kitchen and status in ('received', 'cooking')
        order by created_at, id limit %(limit)s
    ) inside
    union all
    select * from (select * from orders order by created_at desc limit %(newest)s) newest
    where status in ('ready', 'out-for-delivery')
       or (status = 'cancelled' and updated_at > now() - interval '2 min')
) o
order by o.priority desc, o.created_at, o.id
limit %(limit)s

-- place --
select verdict, number, priority, rule, created_at, estimated_completion
from order_place(%(expires)s, %(customer_name)s, %(customer_key)s, %(customer_type)s,
                 %(type)s, %(table)s, %(address)s, %(rush)s, %(total)s,
                 %(items)s::json,
                 %(priority)s, %(rule)s, %(repeat_priority)s, %(repeat_rule)s,
                 %(cooking)s, %(queue)s, %(exchange)s, %(by)s)

-- status --
select number, status, updated_at, estimated_completion, processed_by, type, priority,
       completed_at, version
from orders
where number = %(number)s

-- history --
-- One row with nulls for an order without a log; none for an unknown order.
select l.status, l.changed_at, l.changed_by, l.notes
from orders o
left join order_status_log l on l.order_id = o.id
where o.number = %(number)s
order by l.sequence

-- set_capacity --
select capacity_set(%(limit)s)

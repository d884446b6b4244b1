-- after --
-- The changes after a position, with their orders as they are now. event_id is that of the
-- notification (order_changed).
select l.position, l.sequence, o.number, p.status as old_status, l.status, l.changed_by,
       l.changed_at, o.estimated_completion, part_id(o.id, 'event ' || l.sequence) as event_id,
       o.type, o.priority, o.stage, o.customer_name, l.notes
from order_status_log l
join orders o on o.id = l.order_id
left join order_status_log p on p.order_id = l.order_id and p.sequence = l.sequence - 1
where l.position > %(after)s and l.position <= %(upto)s
order by l.position
limit %(limit)s

-- of_order --
-- The same of one order, after one of its own numbers.
select coalesce(l.position, 0), l.sequence, o.number, p.status as old_status, l.status,
       l.changed_by, l.changed_at, o.estimated_completion,
       part_id(o.id, 'event ' || l.sequence) as event_id,
       o.type, o.priority, o.stage, o.customer_name, l.notes
from orders o
join order_status_log l on l.order_id = o.id
left join order_status_log p on p.order_id = l.order_id and p.sequence = l.sequence - 1
where o.number = %(number)s and l.sequence > %(after)s
order by l.sequence

-- estimates --
-- Those of these orders that wait, as a change would show them; the estimates of others stand still.
select 0, null::integer, o.number, o.status, o.status, %(by)s, clock_timestamp(),
       o.estimated_completion, gen_random_uuid(), o.type, o.priority, o.stage, o.customer_name,
       %(notes)s
from orders o
where o.number = any(%(numbers)s::text[]) and o.status = 'received'

-- newest --
select coalesce(max(position), 0) from order_status_log

-- tip --
-- The latest positions that can be seen. Plans know no parameter: only a limit that they can read
-- keeps them from the whole table.
select position from order_status_log
where position is not null
order by position desc limit 5000

-- positions --
select position from order_status_log where position > %(after)s order by position limit 5000

-- given --
-- The last position that was given to anybody.
select case when is_called then last_value else 0 end from order_change_position

-- writers --
-- Whoever has written a change that others cannot see yet holds this lock until he has ended.
select virtualtransaction from pg_locks
where locktype = 'relation' and relation = 'order_status_log'::regclass and granted
  and database = (select oid from pg_database where datname = current_database())
  and mode = 'RowExclusiveLock'

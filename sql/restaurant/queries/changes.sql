-- changes_after --
-- The changes after a position, with their orders as they are now. event_id is that of the
-- notification (order_log_change).
select l.position, l.sequence, o.number, p.status as old_status, l.status, l.changed_by,
       l.changed_at, o.estimated_completion, derived_uuid(o.id, 'event ' || l.sequence) as event_id,
       o.type as order_type, o.priority, o.stage, o.customer_name, l.notes,
       coalesce(p.position, 0) as previous_position
from order_status_log l
join orders o on o.id = l.order_id
left join order_status_log p on p.order_id = l.order_id and p.sequence = l.sequence - 1
where l.position > %(after)s
order by l.position
limit %(limit)s

-- changes_within --
-- The same of ranges of positions. Each range is looked up in the index: by a join with the ranges
-- the whole table could be read.
select l.position, l.sequence, o.number, p.status as old_status, l.status, l.changed_by,
       l.changed_at, o.estimated_completion, derived_uuid(o.id, 'event ' || l.sequence) as event_id,
       o.type as order_type, o.priority, o.stage, o.customer_name, l.notes,
       coalesce(p.position, 0) as previous_position
from order_status_log l
join orders o on o.id = l.order_id
left join order_status_log p on p.order_id = l.order_id and p.sequence = l.sequence - 1
where l.position = any(array(
    select each.position
    from unnest(%(lows)s::bigint[], %(highs)s::bigint[]) as range(low, high)
    cross join lateral (
        select position from order_status_log
        where position between range.low and range.high
        order by position limit %(limit)s
    ) each
    order by each.position limit %(limit)s
))
order by l.position

-- changes_of_order --
-- The same of one order, after a sequence number of it.
select coalesce(l.position, 0) as position, l.sequence, o.number, p.status as old_status, l.status,
       l.changed_by, l.changed_at, o.estimated_completion,
       derived_uuid(o.id, 'event ' || l.sequence) as event_id,
       o.type as order_type, o.priority, o.stage, o.customer_name, l.notes
from orders o
join order_status_log l on l.order_id = o.id
left join order_status_log p on p.order_id = l.order_id and p.sequence = l.sequence - 1
where o.number = %(number)s and l.sequence > %(after)s
order by l.sequence

-- estimate_changes --
-- Those of these orders that wait, in the form of changes.
select 0 as position, null::integer as sequence, o.number, o.status as old_status, o.status,
       %(by)s as changed_by, clock_timestamp() as changed_at, o.estimated_completion,
       gen_random_uuid() as event_id, o.type as order_type, o.priority, o.stage, o.customer_name,
       %(notes)s as notes
from orders o
where o.number = any(%(numbers)s::text[]) and o.status = 'received'

-- head_position --
select coalesce(max(position), 0) from order_status_log

-- gaps --
-- The ranges of positions without a visible change, among the last 100,000 ones. The planner does
-- not know parameters: only a constant limit keeps it from scanning the whole table.
with seen as (
    select position from order_status_log
    where position <= %(upto)s
    order by position desc limit 100000
), edges as (
    select position from seen
    union all
    -- Nothing was left out: the first position of all is 1.
    select 0 where (select count(*) from seen) < 100000
)
select low, high
from (
    select lag(position) over (order by position) + 1 as low, position - 1 as high from edges
) as between_two
where low <= high
order by low

-- positions_after --
select position from order_status_log where position > %(after)s order by position limit 5000

-- last_assigned_position --
-- Whether its transaction has committed or not.
select case when is_called then last_value else 0 end from order_change_position

-- open_transactions --
-- A transaction that has written a change holds this lock until it ends.
select virtualtransaction from pg_locks
where locktype = 'relation' and relation = 'order_status_log'::regclass and granted
  and database = (select oid from pg_database where datname = current_database())
  and mode = 'RowExclusiveLock'

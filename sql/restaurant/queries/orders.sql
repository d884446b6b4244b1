-- place_order --
-- The document is described at the function.
select verdict, number, priority, rule, created_at, estimated_completion, order_id, total_amount
from order_place(%(order)s::jsonb)

-- forget_keys --
-- Oldest first and not all at once: after a long pause there may be many.
delete from order_key
where key = any(array(select key from order_key where kept_at < now() - interval '1 day'
                      order by kept_at limit %(limit)s
                      for update skip locked))

-- status --
select number, status, updated_at, estimated_completion, processed_by, type as order_type,
       priority, completed_at, version, stage, rush, total_amount, created_at
from orders
where number = %(number)s

-- whole --
select number, status, stage, customer_name, customer_type, type as order_type, table_number,
       delivery_address, total_amount, priority, rush, created_at, updated_at, started_at, promised_at,
       estimated_completion, completed_at, processed_by, version
from orders
where number = %(number)s

-- items --
select i.name, i.quantity, i.price
from order_items i join orders o on o.id = i.order_id
where o.number = %(number)s
order by i.position

-- place_in_time --
select created_at, id from orders where number = %(number)s

-- newest --
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

-- newest_in_kitchen --
-- The same for a status of those in the kitchen, which have an index of their own.
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

-- history --
-- One row with nulls for an order without a log; none for an unknown order.
select l.status, l.changed_at as timestamp, l.changed_by, l.notes
from orders o
left join order_status_log l on l.order_id = o.id
where o.number = %(number)s
order by l.sequence

-- set_capacity --
select capacity_set_limit(%(limit)s, %(by)s)

-- open_capacity --
select max_concurrent, before, set_by, alone from capacity_initialize(%(limit)s)

-- leave_order_services --
select pg_advisory_unlock_shared(lock_key('order service'))

-- join_order_services --
select pg_advisory_lock_shared(lock_key('order service'))

-- move --
select verdict, status, version, updated_at
from order_transition(%(number)s, %(version)s, %(to)s, %(by)s, %(notes)s, %(queue)s, %(exchange)s)

-- prioritise --
select verdict, status, version, updated_at
from order_set_priority(%(number)s, %(version)s, %(priority)s, %(by)s, %(notes)s)

-- age --
select orders_promote_aged(%(max_wait)s, %(priority)s, %(by)s, %(rule)s)

-- waiting --
-- The waiting orders, best first, as the workers take them: of each queue the best ones, and of what is
-- about to be published the next ones. It reads at most 1,000 rows for each, whatever else waits there.
select o.number, o.type, m.needs, o.created_at, o.estimated_completion
from (select w.id, w.headers, w.needs, w.priority, w.position
      from (select best.*
            from unnest(%(queues)s::text[]) as q(name)
            cross join lateral (
                select id, headers, needs, priority, position, task
                from message where queue = q.name and state = 'sent'
                order by priority desc, position
                limit 1000
            ) best
            union all
            select next.*
            from (select id, headers, needs, priority, position, task
                  from message where state = 'pending' order by position limit 1000) next) w
      where w.task = 'cook_order'
      order by w.priority desc, w.position
      limit %(limit)s) m
cross join lateral (select * from orders e where e.id = message_order_id(m.id, m.headers) limit 1) o
where o.status = 'received'
order by m.priority desc, m.position

-- cooking --
select o.processed_by, extract(epoch from o.estimated_completion - clock_timestamp())::float8
from message m join orders o on o.id = message_order_id(m.id, m.headers)
where m.queue = any(%(queues)s::text[]) and m.state = 'claimed' and m.task = 'cook_order'
  and o.status = 'cooking'

-- count_waiting --
-- How many orders wait, for orders that are being placed (estimate_wait); an exact count of thousands
-- is of no use, so it ends at 5,000 of a queue. Skips a row that is locked.
update kitchen_state s set waiting = line.length
from (select count(*) filter (where w.task = 'cook_order')::integer as length
      from unnest(%(queues)s::text[]) as q(name)
      cross join lateral (select task from message
                          where queue = q.name and state = 'sent' limit 5000) w) line
where s.waiting <> line.length
  and s.only_one = (select only_one from kitchen_state for no key update skip locked)

-- estimate --
-- Orders that are locked keep their estimate until the next time.
with free as (
    select o.id, e.moment
    from unnest(%(numbers)s::text[], %(moments)s::timestamptz[]) as e(number, moment)
    cross join lateral (
        select u.id from orders u
        where u.number = e.number and u.status = 'received'
        for no key update skip locked
    ) o
)
update orders o set estimated_completion = free.moment from free where o.id = free.id

-- measure_pace --
-- The mean of the latest fifty of each type among the newest orders. Skips rows that are locked.
with measured as (
    select t.type, avg(t.cooked) as seconds
    from (select o.type, extract(epoch from o.completed_at - o.started_at) as cooked,
                 row_number() over (partition by o.type order by o.created_at desc) as place
          from (select * from orders order by created_at desc limit %(newest)s) o
          where o.completed_at is not null and o.started_at is not null) t
    where t.place <= 50
    group by t.type
), free as (
    select order_type from kitchen_pace for no key update skip locked
), changed as (
    update kitchen_pace p set seconds = m.seconds, changed_at = now()
    from measured m join free f on f.order_type = m.type
    where p.order_type = m.type
)
insert into kitchen_pace (order_type, seconds)
select m.type, m.seconds from measured m
where not exists (select from kitchen_pace p where p.order_type = m.type)
on conflict do nothing

-- pace --
select order_type, seconds from kitchen_pace

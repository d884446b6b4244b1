-- count_waiting --
-- Store how many orders wait, for orders that are being placed (estimate_wait), at most 5,000 of each
-- queue. Skips a row that is locked.
update kitchen_state s set waiting = counted.number
from (select count(*) filter (where w.task = 'cook_order')::integer as number
      from unnest(%(queues)s::text[]) as q(name)
      cross join lateral (select task from message
                          where queue = q.name and state = 'sent' limit 5000) w) counted
where s.waiting <> counted.number
  and s.singleton = (select singleton from kitchen_state for no key update skip locked)

-- list_waiting --
-- The waiting orders in the order in which workers claim them. Reads at most 1,000 rows of each queue, and
-- of the messages that are about to be published.
select o.number, o.type as order_type, m.needs as required_tags, o.estimated_completion
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

-- list_cooking --
-- The cooks that cook now, and for how many seconds.
select o.processed_by, extract(epoch from o.estimated_completion - clock_timestamp())::float8
from message m join orders o on o.id = message_order_id(m.id, m.headers)
where m.queue = any(%(queues)s::text[]) and m.state = 'claimed' and m.task = 'cook_order'
  and o.status = 'cooking'

-- list_online_cooks --
-- The online cooks, and what they may cook.
select name, order_types, tags from workers where status = 'online' and type = 'cook'

-- set_estimates --
-- Skips orders that are locked.
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

-- measure_cooking_times --
-- The mean of the last fifty of each type among the newest orders. Skips rows that are locked.
with measured as (
    select t.type, avg(t.cooked) as seconds
    from (select o.type, extract(epoch from o.completed_at - o.started_at) as cooked,
                 row_number() over (partition by o.type order by o.created_at desc) as place
          from (select * from orders order by created_at desc limit %(newest)s) o
          where o.completed_at is not null and o.started_at is not null) t
    where t.place <= 50
    group by t.type
), free as (
    select order_type from cooking_time_avg for no key update skip locked
), changed as (
    update cooking_time_avg p set seconds = m.seconds, changed_at = now()
    from measured m join free f on f.order_type = m.type
    where p.order_type = m.type
)
insert into cooking_time_avg (order_type, seconds)
select m.type, m.seconds from measured m
where not exists (select from cooking_time_avg p where p.order_type = m.type)
on conflict do nothing

-- list_cooking_times --
select order_type, seconds from cooking_time_avg

-- day_figures --
-- The orders of a day (UTC): all, by type and by priority. Late: ready more than a second after the first
-- estimate; without the second, a few milliseconds would make every order late.
select o.type as order_type, o.priority::integer as priority,
       count(*) as orders,
       count(*) filter (where o.status = 'cancelled') as cancelled,
       count(o.completed_at) as prepared,
       avg(o.seconds) as avg_preparation_seconds,
       percentile_cont(0.9) within group (order by o.seconds) as p90_preparation_seconds,
       count(*) filter (where o.completed_at > o.promised_at + interval '1 s') as late
from (
    select type, priority, status, completed_at, promised_at,
           extract(epoch from completed_at - created_at)::float8 as seconds
    from orders
    where created_at >= (%(day)s::date)::timestamp at time zone 'UTC'
      and created_at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
) o
group by grouping sets ((), (o.type), (o.priority))

-- priority_waits --
select priority, orders, begun, avg_wait_seconds, p90_wait_seconds
from priority_metrics
order by priority desc

-- orders_per_minute --
-- How many orders were placed and how many ready in each of the last `minutes` minutes, oldest first;
-- among the newest 5,000 orders.
with newest as materialized (
    select created_at, completed_at from orders order by created_at desc limit 5000
), happened as (
    select date_trunc('minute', created_at) as at, 1 as placed, 0 as ready from newest
    union all
    select date_trunc('minute', completed_at), 0, 1 from newest where completed_at is not null
)
select m.at, coalesce(sum(h.placed), 0)::integer as placed, coalesce(sum(h.ready), 0)::integer as ready
from generate_series(date_trunc('minute', now()) - make_interval(mins => %(minutes)s::integer - 1),
                     date_trunc('minute', now()), interval '1 min') m(at)
left join happened h on h.at = m.at
group by m.at
order by m.at

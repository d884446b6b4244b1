-- day --
-- All orders that came on a day (UTC): together, by type and by priority, in one look. Prepared is
-- what was ready, late what was ready more than a second after its first estimate: that is of whole
-- steps, and a few milliseconds over it would make everything late.
select o.type, o.priority::integer,
       count(*),
       count(*) filter (where o.status = 'cancelled'),
       count(o.completed_at),
       avg(o.seconds),
       percentile_cont(0.9) within group (order by o.seconds),
       count(*) filter (where o.completed_at > o.promised_at + interval '1 s')
from (
    select type, priority, status, completed_at, promised_at,
           extract(epoch from completed_at - created_at)::float8 as seconds
    from orders
    where created_at >= (%(day)s::date)::timestamp at time zone 'UTC'
      and created_at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
) o
group by grouping sets ((), (o.type), (o.priority))

-- priorities --
select priority, orders, begun, avg_wait_seconds, p90_wait_seconds
from priority_metrics
order by priority desc

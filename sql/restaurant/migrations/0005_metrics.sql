-- Figures: how the workers do, how long each priority waits, whether promises are kept.

-- The estimate that the guest was first told; what is ready after it is late.
alter table orders add column promised_at timestamptz;

-- Each worker over the newest 5,000 orders. For a cook `cooking` is the time in the oven and
-- `waiting` what the order had waited until then; for a station its own work, and the time since
-- the order had left the place before.
create view worker_performance as
with newest as materialized (
    select id, created_at, started_at, completed_at, processed_by
    from orders order by created_at desc limit 5000
), staged as (
    select t.worker, t.started_at, t.finished_at,
           greatest(lag(t.finished_at) over (partition by t.order_id order by t.id), n.completed_at) as came_at
    from newest n join order_stage t on t.order_id = n.id
), done as (
    select processed_by as worker, completed_at as done_at,
           extract(epoch from completed_at - started_at)::float8 as cooking,
           extract(epoch from started_at - created_at)::float8 as waiting
    from newest
    where processed_by is not null and started_at is not null and completed_at is not null
    union all
    select worker, finished_at, extract(epoch from finished_at - started_at)::float8,
           case when came_at <= started_at then extract(epoch from started_at - came_at)::float8 end
    from staged
    where finished_at is not null
)
select worker                                                     as worker_name,
       count(*)::integer                                          as orders,
       avg(cooking)                                               as avg_cooking_seconds,
       percentile_cont(0.9) within group (order by cooking)       as p90_cooking_seconds,
       avg(waiting)                                               as avg_waiting_seconds,
       percentile_cont(0.9) within group (order by waiting)       as p90_waiting_seconds,
       max(done_at)                                               as last_order_at
from done
group by worker;

-- How long orders of each priority waited until a cook began, over the newest 5,000 orders.
create view priority_metrics as
select priority::integer                                          as priority,
       count(*)::integer                                          as orders,
       count(started_at)::integer                                 as begun,
       avg(wait)                                                  as avg_wait_seconds,
       percentile_cont(0.9) within group (order by wait)          as p90_wait_seconds
from (
    select priority, started_at, extract(epoch from started_at - created_at)::float8 as wait
    from orders order by created_at desc limit 5000
) newest
group by priority;

-- What keeps the restaurant as fast after years as on its first day.

-- A queue table is nearly empty again and again. Plans are made at such a moment, and kept: over a
-- table of one page the best one reads it whole, and goes on doing so when it has thousands. So
-- vacuum leaves the emptied pages where they are, for the next messages, and every plan takes an
-- index.
alter table message set (vacuum_truncate = off);

-- Received or cooking. Lists, the cap and the tracking service look for these few among all that
-- ever were. A column of its own, since an index on the status would have each change of it
-- written to all indexes of the table; this one changes once.
alter table orders add column in_kitchen boolean not null default false;
update orders set in_kitchen = true where status in ('received', 'cooking');
alter table orders alter column in_kitchen set default true;
create index orders_in_kitchen on orders (created_at, id) where in_kitchen;

-- What retention looks for. New rows go to the right end of these, which costs next to nothing.
create index tracking_event_by_time        on tracking_event (received_at);
create index tracking_request_by_time      on tracking_request (answered_at);
create index notification_delivery_by_time on notification_delivery (delivered_at);

-- Every event of an order writes its row here.
alter table tracking_order set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,
                                autovacuum_vacuum_threshold = 2000);

-- As before, but the visits to stations are looked up order by order: joined with all there are,
-- they were read from the first day on.
create or replace view worker_performance as
with newest as materialized (
    select id, created_at, started_at, completed_at, processed_by
    from orders order by created_at desc limit 5000
), staged as (
    select t.worker, t.started_at, t.finished_at,
           greatest(lag(t.finished_at) over (partition by n.id order by t.id), n.completed_at) as came_at
    from newest n
    cross join lateral (select * from order_stage v where v.order_id = n.id offset 0) t
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

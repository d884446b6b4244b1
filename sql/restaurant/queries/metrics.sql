-- list_samples --
-- All samples: name, labels, value. The messages are read by state, since each state has its index and the
-- table may be much larger.
with under_way as materialized (
    select coalesce(m.queue, m.exchange) as place, m.state, count(*) as number,
           count(*) filter (where m.attempt > 1 and m.task is not null) as again
    from (
        select queue, exchange, state, attempt, task from message where state = 'pending'
        union all
        select queue, exchange, state, attempt, task from message where state = 'scheduled'
        union all
        select queue, exchange, state, attempt, task from message where state = 'sent'
        union all
        select queue, exchange, state, attempt, task from message where state = 'claimed'
    ) m
    group by 1, 2
)
select 'orders_today' as name,
       jsonb_build_object('type', type, 'priority', priority::text, 'status', status) as labels,
       count(*)::float8 as value
from orders
where created_at >= date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'
group by type, priority, status
union all
select 'messages', jsonb_build_object('queue', place, 'state', state), number::float8
from under_way
union all
select 'messages_tried_again', jsonb_build_object('queue', place), sum(again)::float8
from under_way
where again > 0
group by place
union all
-- The oldest pending message, by the time at which it was written or became due.
select 'outbox_lag_seconds', '{}',
       coalesce(extract(epoch from clock_timestamp() - max(coalesce(first.available_at, first.created_at))), 0)::float8
from (select available_at, created_at from message where state = 'pending' order by position limit 1) first
union all
select 'worker_online', jsonb_build_object('worker', name, 'type', type, 'station', coalesce(station, '')),
       worker_online(name, last_seen)::integer::float8
from workers
union all
select 'worker_orders', jsonb_build_object('worker', name, 'type', type), orders_processed::float8
from workers
union all
select m.name, jsonb_build_object('priority', p.priority::text), m.value
from priority_metrics p
cross join lateral (values
    ('waiting_seconds_average', p.avg_wait_seconds),
    ('waiting_seconds_p90', p.p90_wait_seconds)
) m(name, value)
where m.value is not null
union all
select 'cooking_seconds_average', jsonb_build_object('type', order_type), seconds::float8
from cooking_time_avg
union all
select 'orders_stuck', jsonb_build_object('status', s.name), count(t.order_number)::float8
from (values ('received'), ('cooking')) s(name)
left join tracking_stuck t on t.resolved_at is null and t.status = s.name
group by s.name
union all
select 'kitchen_paused', '{}', paused::integer::float8 from kitchen_state
union all
select 'kitchen_capacity_free', '{}', sum(free)::float8
from kitchen_capacity where (select capped from kitchen_state)
having count(*) > 0
union all
select 'orders', jsonb_build_object('type', type, 'priority', priority::text, 'status', status), orders::float8
from order_histogram
union all
select case what when 'retried' then 'retries' when 'dead' then 'dead_letters'
                 when 'unroutable' then 'events_unroutable' else 'postponements' end,
       jsonb_build_object(case what when 'unroutable' then 'exchange' else 'queue' end, queue), number::float8
from message_counter
union all
select 'dead_messages', '{}', count(*)::float8 from dead_message
union all
-- Without a recent row nothing is known: the broker, or every relay, is unavailable.
select m.name, jsonb_build_object('queue', q.name), m.value::float8
from broker_queue q
cross join lateral (values ('queue_depth', q.messages), ('queue_consumers', q.consumers)) m(name, value)
where q.seen_at > clock_timestamp() - interval '30 seconds'
union all
select f.name, '{}', f.holds::integer::float8
from leader l
cross join lateral (values ('broker_up', l.broker_state <> 'away'), ('broker_blocked', l.broker_state = 'blocked'))
     as f(name, holds)
where l.role = 'publisher' and l.broker_state is not null
  and l.heartbeat_at > clock_timestamp() - interval '10 seconds'
union all
select 'relay_beat_age_seconds', '{}', greatest(0, extract(epoch from clock_timestamp() - beat_at))::float8
from relay

-- list_histograms --
-- Histograms: name, labels, sum of seconds, and the number in each bucket by its upper bound (null: no bound).
select 'waiting_seconds', jsonb_build_object('type', t.type, 'priority', t.priority::text), t.seconds,
       array_agg(b.bound order by b.index), array_agg(t.buckets[b.index]::float8 order by b.index)
from order_histogram t
cross join lateral unnest(histogram_buckets() || null::float8) with ordinality as b(bound, index)
where t.status = 'cooking' and t.timed > 0
group by t.type, t.priority, t.seconds
union all
select 'cooking_seconds', jsonb_build_object('type', t.type), t.seconds,
       array_agg(b.bound order by b.index), array_agg(b.number::float8 order by b.index)
from (select type, sum(seconds) as seconds from order_histogram where status = 'ready' and timed > 0 group by type) t
cross join lateral (
    select u.index, u.bound, sum(e.buckets[u.index]) as number
    from order_histogram e
    cross join unnest(histogram_buckets() || null::float8) with ordinality as u(bound, index)
    where e.status = 'ready' and e.type = t.type
    group by u.index, u.bound
) b
group by t.type, t.seconds

-- register_worker --
select worker_register(%(name)s, %(type)s, %(limit)s, %(station)s, %(order_types)s, %(tags)s, %(cooking_time)s)

-- record_heartbeat --
update workers set last_seen = now(), status = 'online' where name = %(name)s

-- expire_workers --
-- Skips locked rows.
update workers set status = 'offline'
where name = any(array(
    select name from workers
    where status = 'online' and not worker_online(name, last_seen)
    for no key update skip locked
))
returning name

-- unregister_worker --
update workers set last_seen = now(), status = 'offline' where name = %(name)s

-- list_workers --
select w.name, w.type, case when worker_online(w.name, w.last_seen) then 'online' else 'offline' end as status,
       w.orders_processed, w.last_seen, w.station, w.order_types, w.tags,
       coalesce(p.orders, 0) as measured_orders, p.avg_cooking_seconds, p.p90_cooking_seconds, p.avg_waiting_seconds,
       p.p90_waiting_seconds, p.last_order_at
from workers w left join worker_performance p on p.worker_name = w.name
order by w.name

-- enter --
select worker_enter(%(name)s, %(type)s, %(limit)s, %(station)s, %(order_types)s, %(tags)s, %(cooking_time)s)

-- beat --
update workers set last_seen = now(), status = 'online' where name = %(name)s

-- mark_the_dead --
update workers set status = 'offline'
where status = 'online' and not worker_alive(name)
returning name

-- leave --
update workers set last_seen = now(), status = 'offline' where name = %(name)s

-- status --
select name, type, case when worker_alive(name) then 'online' else 'offline' end,
       orders_processed, last_seen
from workers
order by name

-- shift --
-- The cooks at work, and what they may cook.
select name, order_types, tags from workers where status = 'online' and type = 'cook'

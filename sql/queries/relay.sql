-- lead --
select pg_try_advisory_lock(7020001)

-- announce --
update relay set pid = pg_backend_pid(), beat_at = clock_timestamp()

-- leader_age --
select extract(epoch from clock_timestamp() - beat_at)::float8 from relay

-- depose --
-- End the session that holds the relay's lock: its process is alive but does nothing.
select pg_terminate_backend(l.pid)
from pg_locks l
where l.locktype = 'advisory' and l.database = (select oid from pg_database where datname = current_database())
  and l.classid = 0 and l.objid = 7020001 and l.objsubid = 1 and l.granted

-- doze --
select pg_try_advisory_lock(7020002)

-- rouse --
select pg_advisory_unlock(7020002)

-- pending --
-- The next messages; one row of nulls when there are none. A relay that is asleep wakes with this look,
-- in one round trip: who commits behind the snapshot has found it asleep and notified, or shares the
-- lock, which keeps it from sleeping until then.
with awake as materialized (
    select case when %(asleep)s then pg_advisory_unlock(7020002) end
)
select m.*
from awake left join (
    select position, id, task, exchange, routing_key, priority, headers, body, attempt, created_at
    from message
    where state = 'pending'
    order by position
    limit %(limit)s
) m on true

-- outlook --
-- Whether there is work now, and in how many seconds the next scheduled row is due.
select exists (select from message where state = 'pending'),
       (select extract(epoch from min(available_at) - clock_timestamp())::float8
        from message where state = 'scheduled')

-- confirmed --
-- Events are over, tasks wait for a worker now. The position guards against a row
-- that was claimed, failed and due again while its confirm was on the way.
with events as (
    delete from message
    where state = 'pending' and task is null and position = any(%(positions)s)
)
update message
set state = 'sent', sent_at = clock_timestamp()
where state = 'pending' and task is not null and position = any(%(positions)s)

-- postpone --
-- What nobody would route is tried again later, so that it holds up nobody else.
update message
set state = 'scheduled', available_at = clock_timestamp() + %(delay)s
where state = 'pending' and position = any(%(positions)s)

-- drop_replies --
-- What goes straight to one queue is an answer; nobody waits for it when the queue is gone.
delete from message
where state = 'pending' and task is null and exchange = '' and position = any(%(positions)s)
returning id

-- promote --
update message
set state = 'pending', position = default
where state = 'scheduled' and available_at <= now()

-- orphans --
-- Claims whose worker is gone or silent are shown as waiting again. This takes nothing
-- from anybody: the token stands until somebody with a ticket claims anew.
-- Those that were claimed without a ticket need a new one.
update message
set state = case when sent_at is null then 'pending'::message_state else 'sent' end
where state = 'claimed' and (lease_until < clock_timestamp() or not holder_alive(holder, renewed_at))
returning id, task, queue, holder

-- waiting --
-- How many tickets should lie in each queue: sent a while ago, and held by nobody.
select queue, count(*)
from message
where state = 'sent' and sent_at < clock_timestamp() - %(patience)s
  and (lease_until is null or lease_until < clock_timestamp() or not holder_alive(holder, renewed_at))
group by queue

-- send_again --
update message
set state = 'pending'
where state = 'sent' and queue = %(queue)s and sent_at < clock_timestamp() - %(patience)s
  and (lease_until is null or lease_until < clock_timestamp() or not holder_alive(holder, renewed_at))

-- dead --
-- How many dead rows the table of messages has, as far as the server has counted.
select n_dead_tup from pg_stat_all_tables where relid = 'message'::regclass

-- vacuum --
-- Not waiting for another vacuum, which a waiting one would cut short; and the indexes in any case,
-- since it is they that are passed over.
vacuum (skip_locked, index_cleanup on, parallel 0) message

-- depths --
-- What lies at the broker; a queue that is not named is gone.
with gone as (
    delete from broker_queue where name <> all(%(names)s::text[])
)
insert into broker_queue as q (name, messages, consumers, seen_at)
select d.name, d.messages, d.consumers, clock_timestamp()
from unnest(%(names)s::text[], %(messages)s::integer[], %(consumers)s::integer[])
     as d(name, messages, consumers)
on conflict (name) do update
set messages = excluded.messages, consumers = excluded.consumers, seen_at = excluded.seen_at

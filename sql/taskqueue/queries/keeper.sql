-- The maintenance of the leader's keeper, in slices that never wait for a row lock.

-- stage_due --
-- Make due messages pending, as many as are still missing to `pending_limit` of them: the publisher
-- takes them in the order of positions, and new work should not wait behind many due messages. Returns
-- how many became pending, and how many could have.
with room as materialized (
    select greatest(0, %(pending_limit)s - (
        select count(*) from (select from message where state = 'pending' limit %(pending_limit)s) p
    ))::integer as size
), due as materialized (
    select ctid from message
    where state = 'scheduled' and available_at <= now()
    order by available_at
    limit (select size from room)
    for no key update skip locked
), staged as (
    update message m set state = 'pending', position = default
    -- One by one, in this order. A join with `due` itself would read the whole table.
    from unnest(array(select ctid from due)) as d (ctid) where m.ctid = d.ctid
    returning 1
)
select (select count(*) from staged)::integer as staged,
       coalesce((select count(*) from staged) = 0 or outbox_notify(), true) as woken,
       (select size from room) as room

-- seconds_until_due --
select extract(epoch from min(available_at) - clock_timestamp())::float8 as seconds
from message where state = 'scheduled'

-- expired_workers --
-- Workers with an expired lease and an open session: they are frozen or cut off.
with held as materialized (
    select (classid::bigint << 32) | objid::bigint as key from pg_locks
    where locktype = 'advisory' and granted and mode = 'ExclusiveLock' and objsubid = 1
      and database = (select oid from pg_database where datname = current_database())
)
select id, name from worker_session
where lease_expires_at < clock_timestamp()
  and (id in (select key from held) or -id in (select key from held))
order by lease_expires_at
limit %(limit)s

-- terminate_worker --
-- Both sessions of a worker: that of the lease, and that of the job, which may hold row locks.
select session_terminate(%(worker)s) + session_terminate(-%(worker)s) as ended

-- delete_dead_workers --
delete from worker_session s
where s.lease_expires_at < clock_timestamp() - interval '1 minute'
  and not worker_session_alive(s.id, null)
  and not exists (select from message m where m.state = 'claimed' and m.holder = s.id)

-- rescue_orphaned --
-- Claims of dead workers: the messages are published again with a new token, so that the worker can have
-- no further effect; with a new position where a confirm may be outstanding (see job_release).
with gone as materialized (
    select holder from (select distinct holder, lease_until from message where state = 'claimed') c
    where not worker_session_alive(holder, lease_until)
), orphaned as materialized (
    select ctid from message
    where state = 'claimed' and holder in (select holder from gone)
    limit %(limit)s
    for no key update skip locked
), rescued as (
    update message m
    set state = 'pending', token = m.token + 1, holder = null, lease_until = null,
        position = case when m.sent_at is null then nextval('message_position_seq') else m.position end
    where m.ctid = any(array(select ctid from orphaned))
    returning m.id, m.task, m.queue
)
select id, task, queue, outbox_notify() as woken from rescued

-- redeliver_noted --
-- Publish again the waiting messages whose delivery was dropped because their row was locked. A pending one
-- was published and is not marked as sent yet: it takes a new position, so the mark does not find it.
with noted as materialized (
    select message_id from redelivery
    where noted_at < clock_timestamp() - interval '1 second' limit %(limit)s
), free as materialized (
    select ctid, id, state from message where id = any(array(select message_id from noted))
    for no key update skip locked
), sent as (
    update message m
    set state = 'pending',
        position = case when m.state = 'sent' then m.position else nextval('message_position_seq') end
    from unnest(array(select ctid from free where state in ('sent', 'pending'))) as f (ctid)
    where m.ctid = f.ctid
    returning m.id
), over as (
    delete from redelivery
    where message_id in (select id from free)
       or message_id in (select n.message_id from noted n
                         where not exists (select from message m where m.id = n.message_id))
)
select count(*)::integer as sent, coalesce(count(*) = 0 or outbox_notify(), true) as woken from sent

-- queues_with_waiting --
-- The queues with waiting messages, found one after the other in the index.
with recursive q as (
    (select queue from message where state = 'sent' order by queue limit 1)
    union all
    select (select m.queue from message m where m.state = 'sent' and m.queue > q.queue
            order by m.queue limit 1)
    from q where q.queue is not null
)
select queue from q where queue is not null

-- current_time --
select clock_timestamp()

-- count_waiting --
-- The number of waiting messages of a queue that were sent before a time, up to the limit. Messages
-- whose delivery was dropped because of a locked row are not lost: see `redeliver_noted`.
select count(*)::integer from (
    select from message
    where state = 'sent' and queue = %(queue)s and sent_at < %(before)s
      and (select r.noted_at from redelivery r where r.message_id = message.id) is null
    limit %(limit)s
) counted

-- count_workers --
select count(*)::integer from worker_session where lease_expires_at > clock_timestamp()

-- next_priority --
select max(priority) from message
where state = 'sent' and queue = %(queue)s and priority < %(below)s

-- waiting_page --
-- The next messages of one queue and priority, to be published again.
select position, id, task, exchange, routing_key, priority, headers, body, attempt, created_at, refusals
from message
where state = 'sent' and queue = %(queue)s and priority = %(priority)s and position > %(after)s
  and sent_at < %(before)s
order by position
limit %(limit)s

-- newest_claimed --
-- For each queue and priority, when the newest claimed message was sent.
select queue, priority, max(sent_at) as sent_at
from message
where state = 'claimed' and sent_at is not null
group by queue, priority

-- find_overtaken --
-- Messages of a queue and priority that wait although a worker got one that was sent later.
select position, id, task, exchange, routing_key, priority, headers, body, attempt, created_at, refusals
from message
where state = 'sent' and queue = %(queue)s and priority = %(priority)s
  and sent_at < %(before)s and needs is null
  and (select r.noted_at from redelivery r where r.message_id = message.id) is null
order by position
limit %(limit)s

-- mark_republished --
update message set sent_at = clock_timestamp()
where ctid = any(array(select ctid from message
                       where state = 'sent' and id = any(%(ids)s) for no key update skip locked))

-- find_deliverable --
-- Which of these deliveries are valid: their message waits with that priority.
select d.id
from unnest(%(ids)s::uuid[], %(priorities)s::integer[]) as d(id, priority)
join message m on m.id = d.id
where m.state in ('sent', 'pending') and m.priority = d.priority

-- record_queue_stats --
-- Record queue statistics of the broker; rows of other queues are deleted.
with gone as (
    delete from broker_queue where name <> all(%(names)s::text[])
)
insert into broker_queue as q (name, messages, consumers, seen_at)
select d.name, d.messages, d.consumers, clock_timestamp()
from unnest(%(names)s::text[], %(messages)s::integer[], %(consumers)s::integer[])
     as d(name, messages, consumers)
on conflict (name) do update
set messages = excluded.messages, consumers = excluded.consumers, seen_at = excluded.seen_at

-- count_dead_rows --
-- The number of dead rows of the message table in the server's statistics, and whether our role may
-- vacuum it.
select s.n_dead_tup as number, pg_has_role(c.relowner, 'usage') as may_vacuum
from pg_class c join pg_stat_all_tables s on s.relid = c.oid
where c.oid = 'message'::regclass

-- vacuum_messages --
-- It does not wait for another vacuum, which it would cancel. It always cleans the indexes, since queries
-- scan them.
vacuum (skip_locked, index_cleanup on, parallel 0) message

-- prune_identities --
-- Check ids that were not checked for half a day. Those of existing messages and dead messages stay; those
-- of ended messages stay for another half day and are deleted then.
with old as materialized (
    select id, is_over,
           exists (select from message m where m.id = a.id)
           or exists (select from dead_message d where d.id = a.id) as lives
    from inbox_message a
    where checked_at < now() - interval '12 hours'
    order by checked_at
    limit %(limit)s
    for no key update skip locked
), checked as (
    update inbox_message
    set checked_at = now(), is_over = id <> all(array(select id from old where lives))
    where id = any(array(select id from old where lives or not is_over))
), gone as (
    delete from inbox_message
    where id = any(array(select id from old where is_over and not lives))
    returning 1
)
select count(*)::integer as deleted from gone

-- claim_periodic_run --
-- Record the run, in the transaction of the run. No row: it is not due, or another process runs it.
insert into periodic_task as p (name, last_run_at) values (%(name)s, clock_timestamp())
on conflict (name) do update set last_run_at = excluded.last_run_at
where p.last_run_at <= clock_timestamp() - %(interval)s
returning 1

-- periodic_last_runs --
select name, extract(epoch from clock_timestamp() - last_run_at)::float8 as age from periodic_task

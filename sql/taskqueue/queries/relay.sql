-- leader_acquire --
select pg_try_advisory_lock(lock_key('leader publisher'))

-- legacy_leader_exists --
-- Whether a relay of release 0.2 leads this schema; meanwhile no other process should publish.
select exists (
    select from relay r join pg_locks l on l.pid = r.pid
    where l.locktype = 'advisory' and l.granted and l.classid = 0 and l.objid = 7020001 and l.objsubid = 1
      and l.database = (select oid from pg_database where datname = current_database())
      and l.pid <> pg_backend_pid() and r.beat_at > clock_timestamp() - interval '30 seconds'
)

-- legacy_leader_acquire --
-- The lock of release 0.2: its relays stand by while the leader holds it. A leader of another schema of
-- the database may hold it; then this returns false, which does no harm.
select pg_try_advisory_lock(7020001)

-- leader_release --
select pg_advisory_unlock(lock_key('leader publisher')), pg_advisory_unlock(7020001)

-- leader_heartbeat --
-- Returns whether a candidate that reaches the broker waits for a leader that does not.
with old as (
    update relay set pid = pg_backend_pid(), beat_at = clock_timestamp()
)
update leader
set pid = pg_backend_pid(), heartbeat_at = clock_timestamp(),
    broker_state = %(broker)s::text,
    broker_lost_at = case when %(broker)s::text = 'away' then coalesce(broker_lost_at, clock_timestamp()) end
where role = 'publisher'
returning candidate_at > clock_timestamp() - interval '3 seconds' as wanted

-- leader_status --
-- The age of the leader's heartbeat in seconds, and whether it has had no broker for a while.
select extract(epoch from clock_timestamp() - heartbeat_at)::float8 as age,
       coalesce(broker_lost_at < clock_timestamp() - interval '2 seconds', false) as without_broker
from leader where role = 'publisher'

-- candidate_announce --
update leader set candidate_at = clock_timestamp() where role = 'publisher'

-- leader_terminate --
-- Terminate the session of a frozen leader.
select session_terminate(lock_key('leader publisher'))

-- channel_name --
select channel_name(%(name)s)

-- publisher_sleep --
select pg_try_advisory_lock(lock_key('publisher asleep'))

-- publisher_wake --
select pg_advisory_unlock(lock_key('publisher asleep'))

-- fetch_pending --
-- The next messages, as many as fit into so many bytes, but at least one; one row of nulls if there are
-- none. asleep: the publisher wakes with this statement, in one round trip. A transaction that commits after
-- the snapshot has found the publisher asleep and notified it, or it shares the lock, so that the publisher
-- cannot sleep before its end. unmarked: positions that the broker has confirmed and whose rows are locked.
with awake as materialized (
    select case when %(asleep)s then pg_advisory_unlock(lock_key('publisher asleep')) end
)
select m.*
from awake left join (
    select position, id, task, queue, exchange, routing_key, priority, headers, body, attempt, created_at,
           refusals
    from (
        select n.*, sum(octet_length(body)) over (order by position) - octet_length(body) as bytes_before
        from (
            select position, id, task, queue, exchange, routing_key, priority, headers, body, attempt,
                   created_at, refusals
            from message
            where state = 'pending' and position <> all(%(unmarked)s)
            order by position
            limit %(limit)s
        ) n
    ) sized
    where bytes_before < %(bytes)s
    order by position
) m on true

-- has_pending --
select exists (select from message where state = 'pending' and position <> all(%(unmarked)s))

-- mark_sent --
-- Delete confirmed events; confirmed tasks wait for a worker. By position: a row that was claimed, failed
-- and is due again, while its confirm was on the way, has another one.
with events as (
    delete from message
    where state = 'pending' and task is null and position = any(%(positions)s)
)
update message
set state = 'sent', sent_at = clock_timestamp(), refusals = 0
where state = 'pending' and task is not null and position = any(%(positions)s)

-- mark_sent_unlocked --
-- The same for unlocked rows; returns the positions of locked ones.
with free as (
    select position, task from message
    where state = 'pending' and position = any(%(positions)s)
    for update skip locked
), events as (
    delete from message
    where state = 'pending' and position in (select position from free where task is null)
), tasks as (
    update message
    set state = 'sent', sent_at = clock_timestamp(), refusals = 0
    where state = 'pending' and position in (select position from free where task is not null)
)
select position from message
where state = 'pending' and position = any(%(positions)s)
  and position not in (select position from free)

-- park_message --
-- Schedule a refused message for later, so that it does not delay others.
update message
set state = 'scheduled', available_at = clock_timestamp() + %(delay)s, refusals = refusals + 1
where ctid = any(array(select ctid from message
                       where state = 'pending' and position = any(%(positions)s)
                       for update skip locked))

-- drop_unroutable_events --
-- Delete events without a bound queue, and count them by exchange.
with gone as (
    delete from message
    where ctid = any(array(select ctid from message
                           where state = 'pending' and task is null and position = any(%(positions)s)
                           for update skip locked))
    returning exchange
)
select exchange, count(*)::integer as number, bool_and(message_counter_increment('unroutable', exchange)) as counted
from (select exchange from gone order by exchange) each
group by exchange

-- dead_letter_unpublishable --
-- Dead-letter a message that the broker will never accept.
select case when m.task is not null then message_dead_letter(m.id, null, %(exchange)s, %(headers)s)
            else event_dead_letter(m.id, %(exchange)s, %(headers)s) end
from message m
where m.state = 'pending' and m.position = %(position)s

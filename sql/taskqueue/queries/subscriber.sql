-- lock_name --
-- True for one session at a time; the server releases it when that session ends.
select pg_try_advisory_lock(lock_key('subscriber ' || %(name)s))

-- renew_lease --
-- For the session that holds the lock on the name. The keeper terminates it when the lease has expired.
insert into worker_session (id, name, lease_expires_at)
values (lock_key('subscriber ' || %(name)s), 'subscriber ' || %(name)s, clock_timestamp() + %(lease)s)
on conflict (id) do update
set lease_renewed_at = clock_timestamp(), lease_expires_at = excluded.lease_expires_at

-- register_queue --
insert into durable_subscription (name, subscriber, exchange, routing_key)
values (%(queue)s, %(name)s, %(exchange)s, %(routing_key)s)
on conflict (name) do update
set subscriber = excluded.subscriber, exchange = excluded.exchange,
    routing_key = excluded.routing_key, seen_at = clock_timestamp()

-- list_queues --
select name, exchange, routing_key from durable_subscription
where seen_at > clock_timestamp() - %(memory)s
order by name

-- mark_seen --
-- A subscription is in use while a session holds the lock on its name. (This statement holds the lock
-- for a moment; a subscriber that fails to get it then retries.)
update durable_subscription set seen_at = clock_timestamp()
where not pg_try_advisory_xact_lock_shared(lock_key('subscriber ' || subscriber))

-- delete_expired_queues --
delete from durable_subscription where seen_at < clock_timestamp() - %(memory)s

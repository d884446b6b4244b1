-- Workers by name. A name belongs to the session that holds its lock, so it is free as soon as the
-- process is gone.

create or replace function worker_key(p_name text) returns bigint
language sql immutable as $$ select lock_key('worker ' || p_name) $$;

-- The key under which workers of version 0.2.0 hold their names. They stay registered while this
-- version is being introduced.
create or replace function worker_former_key(p_name text) returns bigint
language sql immutable as $$ select hashtextextended('worker ' || p_name, 0) $$;

-- Whether a session holds the name. A session's own lock does not keep it from taking another one on the
-- same key, so that one is looked up in pg_locks.
create or replace function worker_alive(p_name text) returns boolean
language sql volatile as $$
    select not pg_try_advisory_xact_lock_shared(worker_key(p_name))
        or not pg_try_advisory_xact_lock_shared(worker_former_key(p_name)) or exists (
        select from pg_locks
        where locktype = 'advisory' and pid = pg_backend_pid() and mode = 'ExclusiveLock' and objsubid = 1
          and (classid::bigint << 32 | objid::bigint) = worker_key(p_name)
    )
$$;

-- Whether a worker is alive and had a heartbeat within the last two intervals: a frozen one keeps its session.
create or replace function worker_online(p_name text, p_last_seen timestamptz) returns boolean
language sql volatile as $$
    select worker_alive(p_name) and p_last_seen > clock_timestamp() - interval '65 seconds'
$$;

-- Register a worker. Verdicts: registered, taken (a live worker has the name), full.
create or replace function worker_register(
    p_name text, p_type text, p_limit integer, p_station text, p_order_types text[], p_tags text[],
    p_cooking_time double precision
) returns text
language plpgsql as $$
begin
    perform pg_advisory_xact_lock(lock_key('workers'));
    if not pg_try_advisory_xact_lock_shared(worker_former_key(p_name))
       or not pg_try_advisory_lock(worker_key(p_name)) then
        return 'taken';
    end if;
    update workers set status = 'offline'
    where name = any(array(
        select w.name from workers w
        where w.status = 'online' and w.name <> p_name and not worker_alive(w.name)
        for no key update skip locked
    ));
    if (select count(*) from workers
        where status = 'online' and name <> p_name and worker_alive(name)) >= p_limit then
        perform pg_advisory_unlock(worker_key(p_name));
        return 'full';
    end if;
    insert into workers (name, type, status, last_seen, station, order_types, tags, cooking_time)
    values (p_name, p_type, 'online', now(), p_station, p_order_types, p_tags, p_cooking_time)
    on conflict (name) do update
    set type = excluded.type, status = 'online', last_seen = excluded.last_seen,
        station = excluded.station, order_types = excluded.order_types, tags = excluded.tags,
        cooking_time = excluded.cooking_time;
    return 'registered';
end $$;

-- Reservations, sessions and claims: which worker may process which message.

-- The best waiting messages of the queues, best first: by priority, then by age.
create or replace function message_peek_best(
    p_queues text[], p_depth integer,
    out queue text, out priority smallint, out "position" bigint
)
returns setof record
language sql stable as $$
    select best.queue, best.priority, best.position
    from unnest(p_queues) as q(name)
    cross join lateral (
        select m.queue, m.priority, m.position
        from message m
        where m.queue = q.name and m.state = 'sent'
        order by m.priority desc, m.position
        limit p_depth
    ) best
    order by best.priority desc, best.position
$$;

-- The best waiting message of the queues whose required tags are all among p_worker_tags.
create or replace function message_find_match(p_queues text[], p_worker_tags text[])
returns table (id uuid, task text, queue text, priority smallint, "position" bigint, headers jsonb, body bytea)
language sql stable as $$
    select best.*
    from unnest(p_queues) as q(name)
    cross join lateral (
        select m.id, m.task, m.queue, m.priority, m.position, m.headers, m.body
        from message m
        where m.queue = q.name and m.state = 'sent' and m.needs <@ p_worker_tags
        order by m.priority desc, m.position
        limit 1
    ) best
    order by best.priority desc, best.position
    limit 1
$$;

-- Reserve for the calling worker the best message that no other worker has reserved, so that workers
-- that ask at the same time get different messages. A reservation is an advisory lock of the session;
-- it binds only callers of this function.
create or replace function message_reserve(
    p_queues text[], p_previous bigint, out queue text, out "position" bigint
)
language plpgsql as $$
declare
    best record;
    p_depth integer;
begin
    if p_previous is not null and reservation_release(p_previous) then
        null;
    end if;
    -- The best one is free most of the time; many are read only when many workers ask at the same time.
    select * into best from message_peek_best(p_queues, 1) limit 1;
    if best.position is null or reservation_acquire(best.position) then
        queue := best.queue;
        "position" := best.position;
        return;
    end if;
    foreach p_depth in array '{4,16}'::integer[] loop
        for best in select * from message_peek_best(p_queues, p_depth) loop
            if reservation_acquire(best.position) then
                queue := best.queue;
                "position" := best.position;
                return;
            end if;
        end loop;
    end loop;
end $$;

-- Reserve a message. False: another session has reserved it.
create or replace function reservation_acquire(p_position bigint) returns boolean
language sql as $$ select pg_try_advisory_lock(lock_key('reservation ' || p_position)) $$;

-- Release a reservation.
create or replace function reservation_release(p_position bigint) returns boolean
language sql as $$ select pg_advisory_unlock(lock_key('reservation ' || p_position)) $$;

-- Hold the reservation of the message just claimed until the transaction ends: other transactions still
-- see its row as waiting. (A reservation of another worker stays.)
create or replace function reservation_hold(p_position bigint) returns boolean
language sql as $$
    select pg_try_advisory_xact_lock(lock_key('reservation ' || p_position)) is not null
$$;

-- Whether another worker has reserved a message.
create or replace function reserved_by_other(p_position bigint) returns boolean
language plpgsql as $$
begin
    return not (reservation_acquire(p_position) and reservation_release(p_position));
end $$;

-- Whether a worker is alive: a session holds its lock, and its lease has not expired. Leases from before
-- the server's start get some time, since their workers could not renew them. p_lease_until: of a message
-- claimed by a worker of release 0.2, which has no row in worker_session.
create or replace function worker_session_alive(p_worker_id bigint, p_lease_until timestamptz) returns boolean
language plpgsql volatile as $$
declare
    s worker_session;
begin
    -- The lock is released at once: its owner may want it during this transaction.
    if pg_try_advisory_lock_shared(p_worker_id) then
        perform pg_advisory_unlock_shared(p_worker_id);
        return session_grace(p_worker_id);
    end if;
    select * into s from worker_session where id = p_worker_id;
    return coalesce(s.lease_expires_at, p_lease_until, '-infinity') > clock_timestamp()
        or session_grace(p_worker_id);
end $$;

-- Whether the server has just started and the worker has not renewed its lease since.
create or replace function session_grace(p_worker_id bigint) returns boolean
language plpgsql volatile as $$
begin
    return pg_postmaster_start_time() > clock_timestamp() - interval '10 seconds'
       and coalesce((select lease_renewed_at < pg_postmaster_start_time()
                     from worker_session where id = p_worker_id), true);
end $$;

-- Terminate the server sessions that hold a lock. A client that is frozen in a transaction keeps its row
-- locks until then. Returns the number of sessions.
create or replace function session_terminate(p_key bigint) returns integer
language sql volatile as $$
    select count(pg_terminate_backend(l.pid))::integer
    from pg_locks l
    where l.locktype = 'advisory' and l.granted and l.mode = 'ExclusiveLock' and l.objsubid = 1
      and l.database = (select oid from pg_database where datname = current_database())
      and l.classid::bigint = (p_key >> 32) & 4294967295 and l.objid::bigint = p_key & 4294967295
      and l.pid <> pg_backend_pid()
$$;

-- Claim a message whose delivery the caller has, or that the caller found in the table (p_priority null:
-- there is no delivery, so one has to be published if this worker dies). Verdicts:
--   claimed    claimed: token and attempt are set
--   gone       no such message: it has ended, or it never was one of ours
--   leased     another worker that is alive has claimed it
--   locked     another transaction keeps the row locked: note a redelivery
--   scheduled  it is due later (a retry); the delivery is an old one
--   preempted  another queue of the caller has a better message, better_queue: take that first
--   stale      it has another priority and another delivery now: drop this one
-- It waits for a row lock for a moment only, unless the caller has claimed the message.
-- p_reservation: the position that the caller has reserved. reservation: the position that it has reserved
-- now; null if that is the message which it has just claimed.
create or replace function job_claim(
    p_id uuid, p_worker_id bigint, p_queues text[], p_skip_priority_check boolean, p_reservation bigint,
    p_priority integer,
    out verdict text, out token bigint, out attempt integer, out better_queue text, out resumed boolean,
    out reservation bigint
)
language plpgsql as $$
declare
    m message;
    best record;
    claimed bigint;
    held boolean;
begin
    reservation := p_reservation;
    if p_skip_priority_check or reservation is not null then
        -- The usual case, in one statement: the message waits, and is the reserved one, or is reserved by
        -- another worker, which will get ours. It may also be a third one, if a worker without a
        -- reservation has taken the delivery of the reserved one: then check the other queues.
        update message u
        set state = 'claimed', token = u.token + 1, attempt = u.attempt + 1, runs = u.runs + 1,
            holder = p_worker_id, lease_until = null, renewed_at = null,
            sent_at = case when u.state = 'sent' then u.sent_at end
        where u.ctid = (select l.ctid from message l where l.id = p_id for no key update skip locked)
          and u.state in ('sent', 'pending') and u.holder is null
          and u.task is not null and u.priority = p_priority
          and (p_skip_priority_check or u.position = reservation or reserved_by_other(u.position))
        returning u.token, u.attempt, u.position into job_claim.token, job_claim.attempt, claimed;
        if found then
            verdict := 'claimed';
            resumed := false;
            held := reservation_hold(claimed);
            if claimed = reservation and reservation_release(reservation) then
                reservation := null;
            end if;
            return;
        end if;
    end if;
    for n in 0..6 loop
        select * into m from message where id = p_id for no key update skip locked;
        exit when found;
        select * into m from message where id = p_id;
        exit when not found;
        -- Another transaction has locked it. If it is claimed, that is its worker's. Otherwise wait a
        -- moment: most often a confirm is being recorded.
        if m.state = 'claimed' and m.holder <> p_worker_id then
            verdict := 'leased';
            return;
        end if;
        if m.state = 'claimed' then
            -- The caller's own claim, after it lost its connection. It has to wait for the row: no process
            -- ends the claim of a worker that is alive.
            verdict := null;
            select * into m from message where id = p_id for no key update;
            exit;
        end if;
        verdict := 'locked';
        perform pg_sleep(0.002 * 2 ^ n);
    end loop;
    if m.id is null or m.task is null then
        verdict := 'gone';
        return;
    end if;
    if verdict = 'locked' then
        -- It may be free after the last pause.
        select * into m from message where id = p_id for no key update skip locked;
        if not found then
            return;
        end if;
    end if;
    if m.state = 'scheduled' then
        verdict := 'scheduled';
        return;
    end if;
    if m.priority <> p_priority then
        verdict := 'stale';
        return;
    end if;
    resumed := coalesce(m.holder = p_worker_id, false);
    if not resumed and m.holder is not null and worker_session_alive(m.holder, m.lease_until) then
        if m.state <> 'claimed' then
            -- A relay of release 0.2 has set it to waiting while its worker was cut off. The caller drops
            -- its delivery, so it needs another one if that worker dies.
            update message u set state = 'claimed', sent_at = null where u.id = p_id;
        end if;
        verdict := 'leased';
        return;
    end if;
    if m.state <> 'claimed' and not p_skip_priority_check and cardinality(p_queues) > 1 then
        -- The caller gets a reservation for the better one, so that not all workers fetch the same.
        for best in select * from message_peek_best(array_remove(p_queues, m.queue), 4) loop
            exit when (best.priority, -best.position) < (m.priority, -m.position);
            if best.position = reservation or reservation_acquire(best.position) then
                if reservation <> best.position and reservation_release(reservation) then
                    null;
                end if;
                reservation := best.position;
                verdict := 'preempted';
                better_queue := best.queue;
                return;
            end if;
        end loop;
    end if;
    -- A worker that has claimed it already starts again after an outage of the database: the same attempt.
    update message u
    set state = 'claimed', token = u.token + 1, attempt = u.attempt + (not resumed)::integer,
        runs = u.runs + 1, holder = p_worker_id, lease_until = null, renewed_at = null,
        sent_at = case when p_priority is not null and u.state <> 'pending' then u.sent_at end
    where u.id = p_id
    returning u.token, u.attempt into job_claim.token, job_claim.attempt;
    held := reservation_hold(m.position);
    verdict := 'claimed';
end $$;

-- Note that the delivery of a message was dropped while its row was locked.
create or replace function message_redeliver(p_id uuid) returns boolean
language plpgsql as $$
begin
    insert into redelivery (message_id) values (p_id) on conflict do nothing;
    return true;
end $$;

-- Raise an error unless the token of a job is the newest. The row stays locked until the transaction
-- ends, so a takeover happens entirely before or after it.
create or replace function job_fence(p_id uuid, p_token bigint) returns boolean
language plpgsql as $$
begin
    perform 1 from message where id = p_id and token = p_token for no key update;
    return found or raise_stale_token(p_id, p_token);
end $$;

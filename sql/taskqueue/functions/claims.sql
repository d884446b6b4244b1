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
    -- The very best is free most of the time; only when many ask at once has the look to go deep.
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
create or replace function worker_session_alive(p_worker bigint, p_lease_until timestamptz) returns boolean
language plpgsql volatile as $$
declare
    s worker_session;
begin
    -- The lock is given back at once: its owner may want it while this transaction goes on.
    if pg_try_advisory_lock_shared(p_worker) then
        perform pg_advisory_unlock_shared(p_worker);
        return session_grace(p_worker);
    end if;
    select * into s from worker_session where id = p_worker;
    return coalesce(s.lease_expires_at, p_lease_until, '-infinity') > clock_timestamp()
        or session_grace(p_worker);
end $$;

-- Whether the server has just started and the worker has not renewed its lease since.
create or replace function session_grace(p_worker bigint) returns boolean
language plpgsql volatile as $$
begin
    return pg_postmaster_start_time() > clock_timestamp() - interval '10 seconds'
       and coalesce((select renewed_at < pg_postmaster_start_time() from worker_session where id = p_worker),
                    true);
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
--   claimed  claimed: token and attempt are set
--   done     no such message: it has ended, or it never was one of ours
--   held     another worker that is alive has claimed it
--   locked   another transaction keeps the row locked: note a redelivery
--   later    it is scheduled for later (a retry); the delivery is an old one
--   better   another queue of the caller has a better message: take that first
--   moved    it has another priority and another delivery now: drop this one
-- It waits for a row lock for a moment only, unless the caller has claimed the message.
-- p_forced: skip the check for better messages. p_promise: the position that the caller has reserved;
-- null is returned once it is claimed. p_lease: from workers of release 0.2 only.
create or replace function message_claim(
    p_id uuid, p_holder bigint, p_lease interval, p_queues text[], p_forced boolean, p_promise bigint,
    p_priority integer,
    out verdict text, out token bigint, out attempt integer, out better_queue text, out resumed boolean,
    out promise bigint
)
language plpgsql as $$
declare
    m message;
    best record;
    claimed bigint;
    kept boolean;
begin
    promise := p_promise;
    if p_forced or promise is not null then
        -- The usual case, in one look: it waits, and is the one that the database has named, or one
        -- that another worker was promised, who finds ours. The head of that queue may be a third
        -- one, where somebody who was promised nothing has the named one in hand: then look.
        update message u
        set state = 'claimed', token = u.token + 1, attempt = u.attempt + 1, runs = u.runs + 1,
            holder = p_holder, lease_until = clock_timestamp() + p_lease,
            renewed_at = case when p_lease is not null then clock_timestamp() end,
            sent_at = case when u.state = 'sent' then u.sent_at end
        where u.ctid = (select l.ctid from message l where l.id = p_id for no key update skip locked)
          and u.state in ('sent', 'pending') and u.holder is null
          and u.task is not null and u.priority = p_priority
          and (p_forced or u.position = promise or reserved_by_other(u.position))
        returning u.token, u.attempt, u.position into message_claim.token, message_claim.attempt, claimed;
        if found then
            verdict := 'claimed';
            resumed := false;
            kept := reservation_hold(claimed);
            if claimed = promise and reservation_release(promise) then
                promise := null;
            end if;
            return;
        end if;
    end if;
    for n in 0..6 loop
        select * into m from message where id = p_id for no key update skip locked;
        exit when found;
        select * into m from message where id = p_id;
        exit when not found;
        -- Somebody else has locked it. Where it is claimed, its worker works on it right now; everybody
        -- else waits a moment: most often a confirm is being recorded.
        if m.state = 'claimed' and m.holder <> p_holder then
            verdict := 'held';
            return;
        end if;
        if m.state = 'claimed' then
            -- The caller's own claim, after it lost its connection. It has to wait for the row: nobody
            -- frees a claim whose worker lives, so a claim that is dropped here stays for ever.
            verdict := null;
            select * into m from message where id = p_id for no key update;
            exit;
        end if;
        verdict := 'locked';
        perform pg_sleep(0.002 * 2 ^ n);
    end loop;
    if m.id is null or m.task is null then
        verdict := 'done';
        return;
    end if;
    if verdict = 'locked' then
        -- The last look may have found it free.
        select * into m from message where id = p_id for no key update skip locked;
        if not found then
            return;
        end if;
    end if;
    if m.state = 'scheduled' then
        verdict := 'later';
        return;
    end if;
    if m.priority <> p_priority then
        verdict := 'moved';
        return;
    end if;
    resumed := coalesce(m.holder = p_holder, false);
    if not resumed and m.holder is not null and worker_session_alive(m.holder, m.lease_until) then
        if m.state <> 'claimed' then
            -- A relay of release 0.2 has shown it as waiting while its worker was cut off. Its
            -- delivery goes with the caller, so it needs another one should that worker die.
            update message u set state = 'claimed', sent_at = null where u.id = p_id;
        end if;
        verdict := 'held';
        return;
    end if;
    if m.state <> 'claimed' and not p_forced and cardinality(p_queues) > 1 then
        -- The better one is promised to the caller then, so that not all go after the same.
        for best in select * from message_peek_best(array_remove(p_queues, m.queue), 4) loop
            exit when (best.priority, -best.position) < (m.priority, -m.position);
            if best.position = promise or reservation_acquire(best.position) then
                if promise <> best.position and reservation_release(promise) then
                    null;
                end if;
                promise := best.position;
                verdict := 'better';
                better_queue := best.queue;
                return;
            end if;
        end loop;
    end if;
    -- Who holds it already begins again because the database was away in the middle: the same attempt.
    update message u
    set state = 'claimed', token = u.token + 1, attempt = u.attempt + (not resumed)::integer,
        runs = u.runs + 1, holder = p_holder,
        lease_until = clock_timestamp() + p_lease,
        renewed_at = case when p_lease is not null then clock_timestamp() end,
        sent_at = case when p_priority is not null and u.state <> 'pending' then u.sent_at end
    where u.id = p_id
    returning u.token, u.attempt into message_claim.token, message_claim.attempt;
    kept := reservation_hold(m.position);
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
create or replace function message_fence(p_id uuid, p_token bigint) returns boolean
language plpgsql as $$
begin
    perform 1 from message where id = p_id and token = p_token for no key update;
    if not found then
        raise exception 'message % is no longer held under token %', p_id, p_token
            using errcode = 'PZ001';
    end if;
    return true;
end $$;

-- The framework's statements. Each is one step of a message's life and is safe to
-- call from a function of the application, so that an application's step and the
-- framework's guard of it are one statement and one transaction.
--
-- What is called for its effect alone returns true and is called by an assignment:
-- plpgsql evaluates that by itself, where each `perform` starts the executor.

-- Notify the publisher of a commit if it sleeps. Before it sleeps it takes the lock 'publisher asleep'
-- exclusively, which it gets only when no transaction that has sent something is still open; a
-- transaction that sends while the lock is held notifies. So no wake-up is lost, and nobody pays for
-- pg_notify (it serialises commits) while the publisher is awake.
create or replace function outbox_wake() returns boolean
language plpgsql as $$
begin
    if not pg_try_advisory_xact_lock_shared(lock_key('publisher asleep')) then
        perform pg_notify(channel_name('outbox'), '');
    end if;
    return true;
end $$;

-- The notification channel of this installation: other schemas of the database have others.
create or replace function channel_name(p_name text) returns text
language sql immutable as $$ select p_name || '_' || 'message'::regclass::oid::bigint $$;

-- Notify the keeper of a message that is due before its next look, in a second at most.
create or replace function keeper_wake(p_delay interval) returns boolean
language plpgsql as $$
begin
    if p_delay < interval '1 second' then
        perform pg_notify(channel_name('keeper'), '');
    end if;
    return true;
end $$;

create or replace function outbox_task(
    p_id uuid, p_task text, p_queue text, p_exchange text, p_routing_key text,
    p_priority integer, p_body bytea, p_headers jsonb default null, p_countdown interval default null,
    p_needs text[] default null
) returns boolean
language plpgsql as $$
begin
    insert into message (id, state, task, queue, exchange, routing_key, priority, body, headers,
                         available_at, needs)
    values (p_id, case when p_countdown is null then 'pending'::message_state else 'scheduled' end,
            p_task, p_queue, p_exchange, p_routing_key, p_priority, p_body, p_headers,
            clock_timestamp() + p_countdown, p_needs);
    return case when p_countdown is null then outbox_wake() else keeper_wake(p_countdown) end;
end $$;

-- The same under an id that the sender chose: the first message with an id counts, while it lives and
-- for half a day after, at least (see `prune_identities`). False: it was sent before.
create or replace function outbox_task_once(
    p_id uuid, p_task text, p_queue text, p_exchange text, p_routing_key text,
    p_priority integer, p_body bytea, p_headers jsonb default null, p_countdown interval default null,
    p_needs text[] default null
) returns boolean
language plpgsql as $$
begin
    insert into adopted_message (id) values (p_id) on conflict do nothing;
    if not found or exists (select from message where id = p_id) then
        return false;
    end if;
    return outbox_task(p_id, p_task, p_queue, p_exchange, p_routing_key, p_priority, p_body, p_headers,
                       p_countdown, p_needs);
end $$;

create or replace function outbox_event(
    p_id uuid, p_exchange text, p_routing_key text, p_body bytea,
    p_headers jsonb default null, p_priority integer default 0
) returns boolean
language plpgsql as $$
begin
    insert into message (id, exchange, routing_key, body, headers, priority)
    values (p_id, p_exchange, p_routing_key, p_body, p_headers, p_priority);
    return outbox_wake();
end $$;

-- The best messages that wait in any of the queues, best first: priority, then age.
create or replace function message_best(
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

-- Promise the calling worker the best message that is not promised to another, so that
-- workers who ask at the same time are sent to different messages, and each to its queue.
-- A promise is an advisory lock of the session; it binds only those who ask here.
create or replace function message_promise(
    p_queues text[], p_former bigint, out queue text, out "position" bigint
)
language plpgsql as $$
declare
    best record;
    p_depth integer;
begin
    if p_former is not null and promise_end(p_former) then
        null;
    end if;
    -- The very best is free most of the time; only when many ask at once has the look to go deep.
    select * into best from message_best(p_queues, 1) limit 1;
    if best.position is null or promise_take(best.position) then
        queue := best.queue;
        "position" := best.position;
        return;
    end if;
    foreach p_depth in array '{4,16}'::integer[] loop
        for best in select * from message_best(p_queues, p_depth) loop
            if promise_take(best.position) then
                queue := best.queue;
                "position" := best.position;
                return;
            end if;
        end loop;
    end loop;
end $$;

create or replace function promise_take(p_position bigint) returns boolean
language sql as $$ select pg_try_advisory_lock(lock_key('reservation ' || p_position)) $$;

create or replace function promise_end(p_position bigint) returns boolean
language sql as $$ select pg_advisory_unlock(lock_key('reservation ' || p_position)) $$;

-- Until its transaction ends, nobody else is promised what the caller has just claimed: to them it
-- still seems to wait. (Where it is promised to another already, there it stays so.)
create or replace function promise_keep(p_position bigint) returns boolean
language sql as $$
    select pg_try_advisory_xact_lock(lock_key('reservation ' || p_position)) is not null
$$;

-- Whether a message is promised to another worker than the caller.
create or replace function promised_elsewhere(p_position bigint) returns boolean
language plpgsql as $$
begin
    return not (promise_take(p_position) and promise_end(p_position));
end $$;

-- Whether a worker lives: a session holds its lock, and its lease has not ended. Leases from before the
-- server's start get some time, since their workers could not renew them. p_lease_until: of a message
-- that a worker of release 0.2 has claimed, which has no row of its own.
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

create or replace function session_grace(p_worker bigint) returns boolean
language plpgsql volatile as $$
begin
    return pg_postmaster_start_time() > clock_timestamp() - interval '10 seconds'
       and coalesce((select renewed_at < pg_postmaster_start_time() from worker_session where id = p_worker),
                    true);
end $$;

-- End the server's side of the sessions that hold a lock. A client that is frozen in a transaction
-- keeps its row locks until then. Returns how many there were.
create or replace function session_terminate(p_key bigint) returns integer
language sql volatile as $$
    select count(pg_terminate_backend(l.pid))::integer
    from pg_locks l
    where l.locktype = 'advisory' and l.granted and l.mode = 'ExclusiveLock' and l.objsubid = 1
      and l.database = (select oid from pg_database where datname = current_database())
      and l.classid::bigint = (p_key >> 32) & 4294967295 and l.objid::bigint = p_key & 4294967295
      and l.pid <> pg_backend_pid()
$$;

-- Claim a message whose delivery the caller holds, or that the database has named (p_priority null:
-- there is no delivery, so one has to be published should this worker die). Verdicts:
--   claimed  it is yours: token and attempt say so
--   done     no such message: its effect has been made (or it was never ours)
--   held     another worker that is alive holds it
--   locked   another transaction has locked the row, and does not let go: note a redelivery
--   later    it waits for its time (a retry); the delivery is an old one
--   better   a better message waits in another of your queues: go there first
--   moved    it has another priority by now, and another delivery for it: drop this one
-- It waits for a row lock no longer than a moment, unless the caller holds the message.
-- p_promise is what the caller was promised;
-- null comes back once that is redeemed. p_lease: from workers of release 0.2 only.
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
          and (p_forced or u.position = promise or promised_elsewhere(u.position))
        returning u.token, u.attempt, u.position into message_claim.token, message_claim.attempt, claimed;
        if found then
            verdict := 'claimed';
            resumed := false;
            kept := promise_keep(claimed);
            if claimed = promise and promise_end(promise) then
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
        for best in select * from message_best(array_remove(p_queues, m.queue), 4) loop
            exit when (best.priority, -best.position) < (m.priority, -m.position);
            if best.position = promise or promise_take(best.position) then
                if promise <> best.position and promise_end(promise) then
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
    kept := promise_keep(m.position);
    verdict := 'claimed';
end $$;

-- Note that the delivery of a message was dropped while its row was locked.
create or replace function message_redeliver(p_id uuid) returns boolean
language plpgsql as $$
begin
    insert into redelivery (message_id) values (p_id) on conflict do nothing;
    return true;
end $$;

-- Let a transaction of a job go on only while its token is the newest: the row stays
-- locked to the end of the transaction, so a take-over comes before or after it whole.
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

-- The job is done: its message goes, in the transaction of its last effect. The worker is
-- promised its next message, and told in which queue to look for its ticket.
create or replace function message_complete(
    p_id uuid, p_token bigint, p_queues text[], p_promise bigint,
    out next_queue text, out promise bigint
)
language plpgsql as $$
declare
    p record;
begin
    delete from message where id = p_id and token = p_token;
    if not found then
        raise exception 'message % is no longer held under token %', p_id, p_token
            using errcode = 'PZ001';
    end if;
    p := message_promise(p_queues, p_promise);
    next_queue := p.queue;
    promise := p.position;
end $$;

-- Count a failure, for monitors. The last thing that a transaction does before it commits: the row
-- is everybody's.
create or replace function message_count(p_what text, p_queue text) returns boolean
language plpgsql as $$
begin
    insert into message_tally as t (what, queue, number) values (p_what, p_queue, 1)
    on conflict (what, queue) do update set number = t.number + 1;
    return true;
end $$;

-- The job has failed and will be tried again: a row that becomes due. The token moves
-- on, so that nothing the failed attempt still does can count.
create or replace function message_retry(
    p_id uuid, p_token bigint, p_delay interval, p_what text default 'retried'
) returns boolean
language plpgsql as $$
declare
    failed_in text;
begin
    update message
    set state = 'scheduled', token = token + 1, holder = null, lease_until = null,
        available_at = clock_timestamp() + p_delay
    where id = p_id and token = p_token
    returning queue into failed_in;
    if not found then
        raise exception 'message % is no longer held under token %', p_id, p_token
            using errcode = 'PZ001';
    end if;
    return message_count(p_what, failed_in) and keeper_wake(p_delay);
end $$;

-- The job asks to be called again later: that is no failure, however often it asks.
create or replace function message_postpone(p_id uuid, p_token bigint, p_delay interval) returns boolean
language plpgsql as $$
begin
    update message set attempt = attempt - 1 where id = p_id and token = p_token;
    return message_retry(p_id, p_token, p_delay, 'postponed');
end $$;

-- The message is of a format that the worker does not know: it waits as a row for one that does,
-- half as long again as it has existed, within bounds. No attempt is counted. Null: there is nothing to
-- leave: it is done, waits already, is being worked on, or its row is locked and it gets a new delivery.
create or replace function message_leave(
    p_id uuid, p_shortest interval, p_longest interval
) returns interval
language plpgsql as $$
declare
    pause interval;
begin
    update message
    set state = 'scheduled', token = token + 1, holder = null, lease_until = null,
        available_at = clock_timestamp()
            + greatest(p_shortest, least(p_longest, (clock_timestamp() - created_at) / 2)) * (0.5 + random() / 2)
    where ctid = (select ctid from message where id = p_id for no key update skip locked)
      and task is not null and state <> 'scheduled'
      and (holder is null or not worker_session_alive(holder, lease_until))
    returning available_at - clock_timestamp() into pause;
    if found and keeper_wake(pause) then
        return pause;
    end if;
    -- One that still waits has a locked row; the caller drops its delivery.
    perform message_redeliver(id) from message
    where id = p_id and task is not null and state in ('sent', 'pending');
    return null;
end $$;

-- The worker gives the job back unfinished (it has been told to stop); that is no failed attempt. It is
-- published again in any case: nobody can be sure that its delivery is still at the broker. One that
-- was claimed before its confirm was recorded (it has no sent_at) takes a new position, by which that
-- confirm misses it: it would pass for sent.
create or replace function message_release(p_id uuid, p_token bigint) returns boolean
language plpgsql as $$
begin
    update message
    set state = 'pending', token = token + 1, attempt = attempt - 1, holder = null, lease_until = null,
        position = case when sent_at is null then nextval('message_position_seq') else position end
    where id = p_id and token = p_token;
    return found and outbox_wake();
end $$;

-- Raise the error of a token that is out of date.
create or replace function token_refused(p_id uuid, p_token bigint) returns boolean
language plpgsql as $$
begin
    raise exception 'message % is no longer held under token %', p_id, p_token using errcode = 'PZ001';
end $$;

-- A message has failed for the last time, or nobody can read it: its row goes to `dead_message`, and a
-- copy with the reason in its headers to the dead-letter exchange. p_token null: nobody has claimed it,
-- or the worker p_holder has; then false says that there was no such message. p_headers has `reason`.
create or replace function message_bury(
    p_id uuid, p_token bigint, p_exchange text, p_headers jsonb, p_traceback text default null,
    p_holder bigint default null
) returns boolean
language plpgsql as $$
declare
    m message;
    dead_id uuid;
begin
    delete from message
    where id = p_id and task is not null
      and case when p_token is not null then token = p_token
               else state in ('pending', 'sent') or holder = p_holder end
    returning * into m;
    if not found then
        return p_token is not null and token_refused(p_id, p_token);
    end if;
    dead_id := dead_message_id(m.id, m.body);
    insert into dead_message (id, task, queue, priority, headers, needs, body, reason, traceback,
                              attempts, runs, created_at)
    values (dead_id, m.task, m.queue, m.priority, m.headers, m.needs, m.body, p_headers ->> 'reason',
            p_traceback, m.attempt, m.runs, m.created_at)
    on conflict (id) do nothing;
    return dead_letter_copy(dead_id, p_exchange, m.queue, m.body,
                            coalesce(m.headers, '{}') || p_headers || message_needs(m.needs));
end $$;

-- The id of a dead message: its own, or a new one when a dead message with another body has that id.
create or replace function dead_message_id(p_id uuid, p_body bytea) returns uuid
language plpgsql as $$
begin
    if p_id is null or exists (select from dead_message where id = p_id and body <> p_body) then
        return gen_random_uuid();
    end if;
    return p_id;
end $$;

-- The same as message_bury for what has no row, such as an event or what another program wrote.
-- p_id null: it gets one. A dead message that has the id and the body already stays as it is.
create or replace function message_bury_raw(
    p_exchange text, p_queue text, p_body bytea, p_headers jsonb, p_id uuid default null,
    p_traceback text default null, p_priority integer default 0
) returns boolean
language plpgsql as $$
declare
    dead_id uuid := dead_message_id(p_id, p_body);
begin
    insert into dead_message (id, task, queue, priority, headers, needs, body, reason, traceback, attempts)
    values (dead_id, p_headers ->> 'task', p_queue, p_priority, p_headers - dead_letter_headers(),
            case when jsonb_typeof(p_headers -> 'needs') = 'array'
                 then array(select jsonb_array_elements_text(p_headers -> 'needs')) end,
            p_body, coalesce(p_headers ->> 'reason', 'unknown'), p_traceback,
            case when p_headers ->> 'attempt' ~ '^[0-9]{1,9}$' then (p_headers ->> 'attempt')::integer else 0 end)
    on conflict (id) do nothing;
    if not found then
        return true;
    end if;
    return dead_letter_copy(dead_id, p_exchange, p_queue, p_body, p_headers);
end $$;

-- What the headers of a dead letter say of its end; they are no part of the message.
create or replace function dead_letter_headers() returns text[]
language sql immutable as $$
    select '{reason,died_in,died_at,attempt,task,position,needs,dead_message}'::text[]
$$;

-- Publish the copy of a dead message. Its header `dead_message` tells it from what other programs
-- (or release 0.2) put into that queue. A routing key has at most 255 octets.
create or replace function dead_letter_copy(
    p_id uuid, p_exchange text, p_queue text, p_body bytea, p_headers jsonb
) returns boolean
language plpgsql as $$
declare
    place text := case when octet_length(p_queue) > 255 then left(p_queue, 60) else p_queue end;
begin
    return outbox_event(gen_random_uuid(), p_exchange, place, p_body,
                        p_headers || jsonb_build_object('dead_message', p_id))
       and message_count('dead', place);
end $$;

-- Take a dead message out of its table. Null: there is no such dead message. It never waits for
-- another transaction that takes the same: that is an error.
create or replace function dead_message_take(p_id uuid) returns dead_message
language plpgsql as $$
declare
    d dead_message;
begin
    delete from dead_message
    where ctid = (select ctid from dead_message where id = p_id for update skip locked)
    returning * into d;
    if not found and exists (select from dead_message where id = p_id) then
        raise exception 'another transaction is working on this dead message' using errcode = '55P03';
    end if;
    return d;
end $$;

create or replace function dead_message_drop(p_id uuid) returns boolean
language plpgsql as $$
declare
    d dead_message := dead_message_take(p_id);
begin
    return d.id is not null;
end $$;

-- Send a dead message again: as a new message of its task, or to the queue that it died in. False: there
-- is no such dead message. An error when nobody knows its queue, as with some of other programs.
create or replace function dead_message_retry(p_id uuid) returns boolean
language plpgsql as $$
declare
    d dead_message := dead_message_take(p_id);
begin
    if d.id is null then
        return false;
    end if;
    if d.exchange = '' and d.queue = 'dead_letter_queue' then
        raise exception 'the dead message does not say from which queue it came' using errcode = 'PZ002';
    end if;
    if d.task is null then
        -- An event for one queue alone has it in the row, so that it is not dropped while there is no
        -- such queue.
        insert into message (exchange, routing_key, queue, body, headers, priority)
        values (d.exchange, coalesce(d.routing_key, d.queue), case when d.exchange = '' then d.queue end,
                d.body, d.headers, d.priority);
        return outbox_wake();
    end if;
    if exists (select from message where id = d.id) then
        return true; -- it was sent again before
    end if;
    return outbox_task(d.id, d.task, d.queue, '', d.queue, d.priority, d.body, d.headers,
                       p_needs => d.needs);
end $$;

-- What a message needs of its worker, as a header of its dead letter.
create or replace function message_needs(p_needs text[]) returns jsonb
language sql immutable as $$
    select case when p_needs is null then '{}' else jsonb_build_object('needs', p_needs) end
$$;

-- The same as message_bury for an event that nobody can publish.
create or replace function event_bury(p_id uuid, p_exchange text, p_headers jsonb) returns boolean
language plpgsql as $$
declare
    m message;
    dead_id uuid;
begin
    delete from message where id = p_id and task is null returning * into m;
    if not found then
        return false;
    end if;
    if m.exchange = p_exchange then
        return message_count('unroutable', p_exchange); -- a copy of a dead message, whose row stays
    end if;
    dead_id := dead_message_id(m.id, m.body);
    insert into dead_message (id, queue, exchange, routing_key, priority, headers, body, reason, created_at)
    values (dead_id, coalesce(nullif(m.routing_key, ''), m.exchange), m.exchange, m.routing_key, m.priority,
            m.headers, m.body, p_headers ->> 'reason', m.created_at)
    on conflict (id) do nothing;
    return dead_letter_copy(dead_id, p_exchange, m.routing_key, m.body,
                            coalesce(m.headers, '{}') || p_headers);
end $$;

-- The framework's statements. Each is one step of a message's life and is safe to
-- call from a function of the application, so that an application's step and the
-- framework's guard of it are one statement and one transaction.
--
-- What is called for its effect alone returns true and is called by an assignment:
-- plpgsql evaluates that by itself, where each `perform` starts the executor.

-- Whether the relay has to be told of a commit. A relay that is about to sleep takes
-- the lock 7020002 exclusively, and gets it only when no transaction that has sent
-- something is still open; one that sends while it is held notifies. So nobody pays
-- for pg_notify (it serialises commits) while the relay is awake, and no wake-up is lost.
create or replace function outbox_wake() returns boolean
language plpgsql as $$
begin
    if not pg_try_advisory_xact_lock_shared(7020002) then
        notify outbox;
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
    return outbox_wake();
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
language sql as $$ select pg_try_advisory_lock(7020030, (p_position & 2147483647)::integer) $$;

create or replace function promise_end(p_position bigint) returns boolean
language sql as $$ select pg_advisory_unlock(7020030, (p_position & 2147483647)::integer) $$;

-- Until its transaction ends, nobody else is promised what the caller has just claimed: to them it
-- still seems to wait. (Where it is promised to another already, there it stays so.)
create or replace function promise_keep(p_position bigint) returns boolean
language sql as $$
    select pg_try_advisory_xact_lock(7020030, (p_position & 2147483647)::integer) is not null
$$;

-- Whether a message is promised to another worker than the caller.
create or replace function promised_elsewhere(p_position bigint) returns boolean
language plpgsql as $$
begin
    return not (promise_take(p_position) and promise_end(p_position));
end $$;

-- Whether the process behind a claim still has its session. Claims from before the server's
-- start get some time: their holders have yet to come back.
create or replace function holder_alive(p_holder bigint, p_renewed timestamptz) returns boolean
language sql volatile as $$
    select not pg_try_advisory_xact_lock_shared(p_holder)
        or (p_renewed < pg_postmaster_start_time()
            and pg_postmaster_start_time() > clock_timestamp() - interval '10 seconds')
$$;

-- Claim a message whose ticket the caller holds, or that the database has named (p_priority null:
-- there is no ticket, so one has to be sent again should this worker die). Verdicts:
--   claimed  it is yours: token and attempt say so
--   done     no such message: its effect has been made (or it was never ours)
--   held     another worker that is alive holds it
--   later    it waits for its time (a retry); the ticket is an old one
--   better   a better message waits in another of your queues: go there first
--   moved    it has another priority by now, and another ticket for it: drop this one
-- p_promise is what the caller was promised; null comes back once that is redeemed.
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
        set state = 'claimed', token = u.token + 1, attempt = u.attempt + 1, holder = p_holder,
            lease_until = clock_timestamp() + p_lease, renewed_at = clock_timestamp()
        where u.id = p_id and u.state in ('sent', 'pending') and u.holder is null
          and u.priority = p_priority
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
    select * into m from message where id = p_id for no key update;
    if not found then
        verdict := 'done';
        return;
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
    if not resumed and m.lease_until > clock_timestamp() and holder_alive(m.holder, m.renewed_at) then
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
        holder = p_holder,
        lease_until = clock_timestamp() + p_lease, renewed_at = clock_timestamp(),
        sent_at = case when p_priority is null then null else u.sent_at end
    where u.id = p_id
    returning u.token, u.attempt into message_claim.token, message_claim.attempt;
    kept := promise_keep(m.position);
    verdict := 'claimed';
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
    return message_count(p_what, failed_in) and outbox_wake();
end $$;

-- The job has seen that it is too early, and has tried nothing: due again later, under the number of
-- this attempt.
create or replace function message_postpone(p_id uuid, p_token bigint, p_delay interval) returns boolean
language plpgsql as $$
begin
    update message set attempt = attempt - 1 where id = p_id and token = p_token;
    return message_retry(p_id, p_token, p_delay, 'postponed');
end $$;

-- The message is of a format that the worker does not know: it waits as a row for one that does,
-- half as long again as it has existed, within bounds. No attempt is counted. Null: there is nothing to
-- leave, it is done, waits already, or is being worked on.
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
    where id = p_id and task is not null and state <> 'scheduled'
      and (holder is null or lease_until < clock_timestamp() or not holder_alive(holder, renewed_at))
    returning available_at - clock_timestamp() into pause;
    if found and outbox_wake() then
        return pause;
    end if;
    return null;
end $$;

-- The worker gives the job back unfinished (it has been told to stop); that is no
-- failed attempt. The ticket goes back to the broker beside this.
create or replace function message_release(p_id uuid, p_token bigint) returns boolean
language plpgsql as $$
begin
    update message
    set state = case when sent_at is null then 'pending'::message_state else 'sent' end,
        token = token + 1, attempt = attempt - 1, holder = null, lease_until = null
    where id = p_id and token = p_token;
    return found and outbox_wake();
end $$;

-- What a message needs of its worker, as a header of its dead letter: whoever sends it again has it.
create or replace function message_needs(p_needs text[]) returns jsonb
language sql immutable as $$
    select case when p_needs is null then '{}' else jsonb_build_object('needs', p_needs) end
$$;

-- The job has failed for the last time, or its message cannot be read: what is left of
-- it is an event to the dead-letter exchange, with the reason in its headers.
create or replace function message_bury(
    p_id uuid, p_token bigint, p_exchange text, p_headers jsonb
) returns boolean
language plpgsql as $$
declare
    died_in text;
begin
    update message
    set state = 'pending', task = null, exchange = p_exchange, routing_key = queue, queue = null,
        token = token + 1, holder = null, lease_until = null, position = default,
        headers = coalesce(headers, '{}') || p_headers || message_needs(needs)
    where id = p_id and token = p_token
    returning routing_key into died_in;
    if not found then
        raise exception 'message % is no longer held under token %', p_id, p_token
            using errcode = 'PZ001';
    end if;
    return message_count('dead', died_in) and outbox_wake();
end $$;

-- The same for a message that nobody can read, and so nobody can claim. True when it had a row.
create or replace function message_bury_unread(p_id uuid, p_exchange text, p_headers jsonb)
returns boolean
language plpgsql as $$
declare
    died_in text;
begin
    update message
    set state = 'pending', task = null, exchange = p_exchange, routing_key = queue, queue = null,
        token = token + 1, position = default,
        headers = coalesce(headers, '{}') || p_headers || message_needs(needs)
    where id = p_id and task is not null and state in ('pending', 'sent')
    returning routing_key into died_in;
    return found and message_count('dead', died_in);
end $$;

-- The same for what has no row, such as an event: its body goes to the dead letters as it is.
create or replace function message_bury_raw(
    p_exchange text, p_queue text, p_body bytea, p_headers jsonb
) returns boolean
language plpgsql as $$
begin
    return outbox_event(gen_random_uuid(), p_exchange, p_queue, p_body, p_headers)
       and message_count('dead', p_queue);
end $$;

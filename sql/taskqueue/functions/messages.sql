-- How a claimed message ends or waits again: each function is one statement of the caller's transaction.

-- Complete a job: delete its message in the transaction of its last effect. Reserves the worker's next
-- message and returns its queue.
create or replace function job_complete(
    p_id uuid, p_token bigint, p_queues text[], p_reservation bigint,
    out next_queue text, out reservation bigint
)
language plpgsql as $$
declare
    reserved record;
begin
    delete from message where id = p_id and token = p_token;
    if not found then
        perform raise_stale_token(p_id, p_token);
    end if;
    reserved := message_reserve(p_queues, p_reservation);
    next_queue := reserved.queue;
    reservation := reserved.position;
end $$;

-- Count a failure, for monitoring. Call it last before the commit: all transactions share the row.
create or replace function message_counter_increment(p_what text, p_queue text) returns boolean
language plpgsql as $$
begin
    insert into message_counter as t (what, queue, number) values (p_what, p_queue, 1)
    on conflict (what, queue) do update set number = t.number + 1;
    return true;
end $$;

-- Schedule a failed job again. The token changes, so the failed attempt can have no further effect.
create or replace function job_retry(
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
        perform raise_stale_token(p_id, p_token);
    end if;
    return message_counter_increment(p_what, failed_in) and keeper_notify(p_delay);
end $$;

-- Schedule a job again at its own request. It does not count as an attempt.
create or replace function job_snooze(p_id uuid, p_token bigint, p_delay interval) returns boolean
language plpgsql as $$
begin
    update message set attempt = attempt - 1 where id = p_id and token = p_token;
    return job_retry(p_id, p_token, p_delay, 'postponed');
end $$;

-- Defer a message of a schema version that the worker does not know, for a worker that does: by half of
-- its age, within bounds. No attempt is counted. Null: there is nothing to defer, because the message has
-- ended, is scheduled already, is being processed, or its row is locked (then it gets a new delivery).
create or replace function message_defer(
    p_id uuid, p_min_delay interval, p_max_delay interval
) returns interval
language plpgsql as $$
declare
    pause interval;
begin
    update message
    set state = 'scheduled', token = token + 1, holder = null, lease_until = null,
        available_at = clock_timestamp()
            + greatest(p_min_delay, least(p_max_delay, (clock_timestamp() - created_at) / 2))
            * (0.5 + random() / 2)
    where ctid = (select ctid from message where id = p_id for no key update skip locked)
      and task is not null and state <> 'scheduled'
      and (holder is null or not worker_session_alive(holder, lease_until))
    returning available_at - clock_timestamp() into pause;
    if found and keeper_notify(pause) then
        return pause;
    end if;
    -- One that still waits has a locked row; the caller drops its delivery.
    perform message_redeliver(id) from message
    where id = p_id and task is not null and state in ('sent', 'pending');
    return null;
end $$;

-- Release a claim unfinished, because the worker stops. No attempt is counted. The message is published
-- again, since its delivery may no longer be at the broker. One that was claimed before its confirm was
-- recorded (sent_at is null) takes a new position; otherwise that confirm would mark it as sent.
create or replace function job_release(p_id uuid, p_token bigint) returns boolean
language plpgsql as $$
begin
    update message
    set state = 'pending', token = token + 1, attempt = attempt - 1, holder = null, lease_until = null,
        position = case when sent_at is null then nextval('message_position_seq') else position end
    where id = p_id and token = p_token;
    return found and outbox_notify();
end $$;

-- Raise the error of an outdated token.
create or replace function raise_stale_token(p_id uuid, p_token bigint) returns boolean
language plpgsql as $$
begin
    raise exception 'message % is no longer held under token %', p_id, p_token using errcode = 'PZ001';
end $$;

-- Writing messages to the outbox, and notifying the processes that publish them. Each function is one
-- statement of the caller's transaction.
--
-- A function that is called for its effect returns true and is called in an assignment: plpgsql
-- evaluates that itself, whereas each `perform` starts the executor.

-- Notify the publisher of a commit if it sleeps. Before it sleeps it takes the lock 'publisher asleep'
-- exclusively, which succeeds only when no open transaction has sent something. A transaction that
-- sends while the lock is held notifies. So no wake-up is lost, and senders do not pay for pg_notify
-- (it serialises commits) while the publisher is awake.
create or replace function outbox_notify() returns boolean
language plpgsql as $$
begin
    if not pg_try_advisory_xact_lock_shared(lock_key('publisher asleep')) then
        perform pg_notify(channel_name('outbox'), '');
    end if;
    return true;
end $$;

-- The notification channel of this installation. Other schemas of the database have other channels.
create or replace function channel_name(p_name text) returns text
language sql stable as $$ select p_name || '_' || 'message'::regclass::oid::bigint $$;

-- Notify the keeper of a message that becomes due before its next poll (one second at most).
create or replace function keeper_notify(p_delay interval) returns boolean
language plpgsql as $$
begin
    if p_delay < interval '1 second' then
        perform pg_notify(channel_name('keeper'), '');
    end if;
    return true;
end $$;

-- Send a message of a task.
create or replace function outbox_enqueue_task(
    p_id uuid, p_task text, p_queue text, p_exchange text, p_routing_key text,
    p_priority integer, p_body bytea, p_headers jsonb default null, p_countdown interval default null,
    p_required_tags text[] default null
) returns boolean
language plpgsql as $$
begin
    insert into message (id, state, task, queue, exchange, routing_key, priority, body, headers,
                         available_at, needs)
    values (p_id, case when p_countdown is null then 'pending'::message_state else 'scheduled' end,
            p_task, p_queue, p_exchange, p_routing_key, p_priority, p_body, p_headers,
            clock_timestamp() + p_countdown, p_required_tags);
    return case when p_countdown is null then outbox_notify() else keeper_notify(p_countdown) end;
end $$;

-- The same under an id that the sender chose. Only the first message with an id counts, while it exists
-- and for at least half a day after (see `prune_identities`). False: it was sent before.
create or replace function outbox_enqueue_task_once(
    p_id uuid, p_task text, p_queue text, p_exchange text, p_routing_key text,
    p_priority integer, p_body bytea, p_headers jsonb default null, p_countdown interval default null,
    p_required_tags text[] default null
) returns boolean
language plpgsql as $$
begin
    insert into inbox_message (id) values (p_id) on conflict do nothing;
    if not found or exists (select from message where id = p_id) then
        return false;
    end if;
    return outbox_enqueue_task(p_id, p_task, p_queue, p_exchange, p_routing_key, p_priority, p_body, p_headers,
                               p_countdown, p_required_tags);
end $$;

-- Send an event.
create or replace function outbox_enqueue_event(
    p_id uuid, p_exchange text, p_routing_key text, p_body bytea,
    p_headers jsonb default null, p_priority integer default 0
) returns boolean
language plpgsql as $$
begin
    insert into message (id, exchange, routing_key, body, headers, priority)
    values (p_id, p_exchange, p_routing_key, p_body, p_headers, p_priority);
    return outbox_notify();
end $$;

-- Dead letters: a row in `dead_message` for staff, and a copy for the dead-letter exchange.

-- Dead-letter a message: move its row to `dead_message`, and send a copy with the reason in its headers
-- to the dead-letter exchange. p_token null: it is unclaimed, or claimed by p_worker_id; then false means
-- that there was no such message. p_headers has `reason`.
create or replace function message_dead_letter(
    p_id uuid, p_token bigint, p_exchange text, p_headers jsonb, p_traceback text default null,
    p_worker_id bigint default null
) returns boolean
language plpgsql as $$
declare
    m message;
    dead_id uuid;
begin
    delete from message
    where id = p_id and task is not null
      and case when p_token is not null then token = p_token
               else state in ('pending', 'sent') or holder = p_worker_id end
    returning * into m;
    if not found then
        return p_token is not null and raise_stale_token(p_id, p_token);
    end if;
    dead_id := dead_message_id(m.id, m.body);
    insert into dead_message (id, task, queue, priority, headers, needs, body, reason, traceback,
                              attempts, runs, created_at)
    values (dead_id, m.task, m.queue, m.priority, m.headers, m.needs, m.body, p_headers ->> 'reason',
            p_traceback, m.attempt, m.runs, m.created_at)
    on conflict (id) do nothing;
    return dead_letter_copy(dead_id, p_exchange, m.queue, m.body,
                            coalesce(m.headers, '{}') || p_headers ||
                            case when m.needs is null then '{}' else jsonb_build_object('needs', m.needs) end);
end $$;

-- Dead-letter an event that cannot be published.
create or replace function event_dead_letter(p_id uuid, p_exchange text, p_headers jsonb) returns boolean
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
        return message_counter_increment('unroutable', p_exchange); -- a copy of a dead message, whose row stays
    end if;
    dead_id := dead_message_id(m.id, m.body);
    insert into dead_message (id, queue, exchange, routing_key, priority, headers, body, reason, created_at)
    values (dead_id, coalesce(nullif(m.routing_key, ''), m.exchange), m.exchange, m.routing_key, m.priority,
            m.headers, m.body, p_headers ->> 'reason', m.created_at)
    on conflict (id) do nothing;
    return dead_letter_copy(dead_id, p_exchange, m.routing_key, m.body,
                            coalesce(m.headers, '{}') || p_headers);
end $$;

-- Dead-letter what has no row, such as an event or a message of another program. p_id null: it gets an
-- id. An existing dead message with the same id and body stays as it is.
create or replace function message_dead_letter_raw(
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

-- The id of a dead message: its own, or a new one when a dead message with another body has that id.
create or replace function dead_message_id(p_id uuid, p_body bytea) returns uuid
language plpgsql as $$
begin
    if p_id is null or exists (select from dead_message where id = p_id and body <> p_body) then
        return gen_random_uuid();
    end if;
    return p_id;
end $$;

-- The headers that describe the end of a dead letter; they are not part of the message.
create or replace function dead_letter_headers() returns text[]
language sql immutable as $$
    select '{reason,died_in,died_at,attempt,task,position,needs,dead_message}'::text[]
$$;

-- Publish the copy of a dead message. The header `dead_message` distinguishes it from what other programs
-- (or release 0.2) publish to that queue. A routing key has at most 255 octets.
create or replace function dead_letter_copy(
    p_id uuid, p_exchange text, p_queue text, p_body bytea, p_headers jsonb
) returns boolean
language plpgsql as $$
declare
    place text := case when octet_length(p_queue) > 255 then left(p_queue, 60) else p_queue end;
begin
    return outbox_enqueue_event(gen_random_uuid(), p_exchange, place, p_body,
                                p_headers || jsonb_build_object('dead_message', p_id))
       and message_counter_increment('dead', place);
end $$;

-- Delete and return a dead message. Null: there is no such dead message. It raises an error instead of
-- waiting for another transaction that has locked it.
create or replace function dead_message_pop(p_id uuid) returns dead_message
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

-- Delete a dead message. False: there is no such dead message.
create or replace function dead_message_drop(p_id uuid) returns boolean
language plpgsql as $$
declare
    d dead_message := dead_message_pop(p_id);
begin
    return d.id is not null;
end $$;

-- Send a dead message again: as a new message of its task, or to the queue in which it died. False: there
-- is no such dead message. Raises an error when its queue is unknown, as with some of other programs.
create or replace function dead_message_retry(p_id uuid) returns boolean
language plpgsql as $$
declare
    d dead_message := dead_message_pop(p_id);
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
        return outbox_notify();
    end if;
    if exists (select from message where id = d.id) then
        return true; -- it was sent again before
    end if;
    return outbox_enqueue_task(d.id, d.task, d.queue, '', d.queue, d.priority, d.body, d.headers,
                               p_required_tags => d.needs);
end $$;

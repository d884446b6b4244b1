-- Cancelling, reprioritising, accepting and matching messages. Each function is one statement of the
-- caller's transaction.

-- Cancel a message: no worker will start it. A worker that is processing it is notified at once and can
-- have no further effect (its token finds no row). False: there was no such message.
create or replace function message_withdraw(p_id uuid) returns boolean
language plpgsql as $$
declare
    gone message;
begin
    delete from message where id = p_id and task is not null returning * into gone;
    if not found then
        return false;
    end if;
    if gone.state = 'claimed' then
        perform pg_notify('claim_' || gone.holder, p_id::text);
    end if;
    return true;
end $$;

-- Give a waiting message another priority; its age stays. The publisher sends a new delivery, and workers
-- drop the old one, which has the old priority. False when the message no longer waits. One that the
-- publisher may be sending takes a new position; otherwise the confirm of the old delivery would mark it
-- as sent, and it would have no delivery that a worker accepts.
create or replace function message_reprioritise(p_id uuid, p_priority integer) returns boolean
language plpgsql as $$
begin
    update message
    set priority = p_priority,
        position = case when state = 'pending' then nextval('message_position_seq') else position end,
        state = case when state = 'sent' then 'pending' else state end
    where id = p_id and task is not null and state <> 'claimed' and priority <> p_priority;
    if not found then
        return false;
    end if;
    perform outbox_wake();
    return true;
end $$;

-- Insert a message of another program as one of ours. A duplicate is recognised by its id; without an id
-- a redelivery is recognised by its body. False: it was accepted before.
create or replace function message_adopt(
    p_id uuid, p_identified boolean, p_redelivered boolean, p_task text, p_queue text,
    p_priority integer, p_body bytea, p_headers jsonb
) returns boolean
language plpgsql as $$
declare
    hash bytea := sha256(p_body);
begin
    if not p_identified and p_redelivered
       and exists (select from adopted_message a
                   where a.body_hash = hash and a.adopted_at > clock_timestamp() - interval '1 hour') then
        return false;
    end if;
    insert into adopted_message (id, body_hash) values (p_id, hash) on conflict do nothing;
    if not found then
        return false;
    end if;
    perform outbox_task(p_id, p_task, p_queue, '', p_queue, p_priority, p_body, p_headers);
    return true;
end $$;

-- The best waiting message of the queues whose required tags are all among p_skills.
create or replace function message_match(p_queues text[], p_skills text[])
returns table (id uuid, task text, queue text, priority smallint, "position" bigint, headers jsonb, body bytea)
language sql stable as $$
    select best.*
    from unnest(p_queues) as q(name)
    cross join lateral (
        select m.id, m.task, m.queue, m.priority, m.position, m.headers, m.body
        from message m
        where m.queue = q.name and m.state = 'sent' and m.needs <@ p_skills
        order by m.priority desc, m.position
        limit 1
    ) best
    order by best.priority desc, best.position
    limit 1
$$;

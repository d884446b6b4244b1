-- Cancelling messages and changing their priority. Each function is one statement of the caller's transaction.

-- Cancel a message: no worker will start it. A worker that is processing it is notified at once and can
-- have no further effect (its token finds no row). False: there was no such message.
create or replace function message_cancel(p_id uuid) returns boolean
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
create or replace function message_set_priority(p_id uuid, p_priority integer) returns boolean
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
    perform outbox_notify();
    return true;
end $$;

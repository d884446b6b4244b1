-- Messages of other programs.

-- Insert a message of another program as one of ours. A duplicate is recognised by its id; without an id
-- a redelivery is recognised by its body. False: it was accepted before.
create or replace function inbox_accept(
    p_id uuid, p_identified boolean, p_redelivered boolean, p_task text, p_queue text,
    p_priority integer, p_body bytea, p_headers jsonb
) returns boolean
language plpgsql as $$
declare
    hash bytea := sha256(p_body);
begin
    if not p_identified and p_redelivered
       and exists (select from inbox_message a
                   where a.body_hash = hash and a.accepted_at > clock_timestamp() - interval '1 hour') then
        return false;
    end if;
    insert into inbox_message (id, body_hash) values (p_id, hash) on conflict do nothing;
    if not found then
        return false;
    end if;
    perform outbox_enqueue_task(p_id, p_task, p_queue, '', p_queue, p_priority, p_body, p_headers);
    return true;
end $$;

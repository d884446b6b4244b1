-- Deliveries to webhooks: the steps that lock more than one row. The order of locks is in line.sql.

-- Deliver again from the first attempt on, by the task of message p_message. The message that it had
-- is withdrawn. False: this webhook has no such delivery.
create or replace function webhook_retry(p_webhook integer, p_delivery uuid, p_message uuid)
returns boolean
language plpgsql as $$
declare
    former uuid;
begin
    loop
        select d.message_id into former
        from webhook_delivery d where d.webhook_id = p_webhook and d.id = p_delivery;
        if not found then
            return false;
        end if;
        begin
            perform message_withdraw(former);
            update webhook_delivery d
            set state = 'waiting', attempts = 0, next_at = null, message_id = p_message
            where d.id = p_delivery and d.message_id = former;
            if found then
                return true;
            end if;
            raise sqlstate 'PZ002';
        exception when sqlstate 'PZ002' then
            null;  -- Somebody else had it delivered again meanwhile.
        end;
    end loop;
end $$;

-- The webhook gave a good answer after p_duration seconds.
create or replace function webhook_delivered(
    p_webhook integer, p_delivery uuid, p_message uuid, p_answer smallint, p_duration real
) returns boolean
language plpgsql as $$
begin
    update webhook set failing_since = null, timeouts = 0, rests_until = null, pace = p_duration
    where id = p_webhook;
    update webhook_delivery
    set state = 'delivered', attempts = attempts + 1, tried_at = now(), answer = p_answer,
        problem = null, duration = p_duration, next_at = null
    where id = p_delivery and message_id = p_message;
    return found;
end $$;

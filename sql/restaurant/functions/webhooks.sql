-- Deliveries to webhooks: the steps that lock more than one row. The order of locks is in stations.sql.

-- Deliver again from the first attempt on, by the task of message p_message. Its last message is
-- cancelled. False: this webhook has no such delivery.
create or replace function webhook_retry(p_webhook integer, p_delivery uuid, p_message uuid)
returns boolean
language plpgsql as $$
declare
    last_message uuid;
begin
    loop
        select d.message_id into last_message
        from webhook_delivery d where d.webhook_id = p_webhook and d.id = p_delivery;
        if not found then
            return false;
        end if;
        begin
            perform message_cancel(last_message);
            update webhook_delivery d
            set state = 'waiting', attempts = 0, next_at = null, message_id = p_message
            where d.id = p_delivery and d.message_id = last_message;
            if found then
                return true;
            end if;
            raise sqlstate 'PZ002';
        exception when sqlstate 'PZ002' then
            null;  -- Another session has requeued it meanwhile.
        end;
    end loop;
end $$;

-- Record a successful response of the webhook after p_duration seconds.
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

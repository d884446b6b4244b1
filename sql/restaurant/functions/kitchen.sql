-- The cook's two steps. Each is one statement that guards itself with the message's token.

-- Claim the order's message and start cooking: received → cooking. An order that is cooking
-- already was started by a cook that is gone; the log names that one.
create or replace function cooking_start(
    p_message uuid, p_worker_id bigint, p_queues text[], p_skip_priority_check boolean,
    p_reservation bigint, p_priority integer, p_number text, p_worker text, p_cooking interval,
    out verdict text, out token bigint, out attempt integer, out better_queue text,
    out reservation bigint, out status text, out type text, out priority integer, out taken_from text
)
language plpgsql as $$
declare
    c record;
    o orders;
    old_status text;
    moment timestamptz;
    sent boolean;
begin
    c := job_claim(p_message, p_worker_id, p_queues, p_skip_priority_check, p_reservation, p_priority);
    verdict := c.verdict;
    token := c.token;
    attempt := c.attempt;
    better_queue := c.better_queue;
    reservation := c.reservation;
    if verdict <> 'claimed' then
        return;
    end if;
    moment := clock_timestamp();
    update orders u
    set status = 'cooking', processed_by = p_worker, started_at = moment,
        estimated_completion = moment + p_cooking, updated_at = moment, version = u.version + 1
    where u.number = p_number and u.status = 'received' and coalesce(u.task_id, u.id) = p_message
    returning * into o;
    old_status := 'received';
    if not found then
        select * into o from orders e where e.number = p_number for no key update;
        old_status := o.status;
        if coalesce(o.task_id, o.id) <> p_message then
            -- An earlier message for an order that was sent back since.
            status := 'passed on';
            return;
        end if;
        if old_status = 'cooking' and not (c.resumed and o.processed_by = p_worker) then
            taken_from := o.processed_by;
            update orders u
            set processed_by = p_worker, started_at = moment,
                estimated_completion = moment + p_cooking, updated_at = moment, version = u.version + 1
            where u.id = o.id
            returning * into o;
        end if;
    end if;
    status := o.status;
    type := o.type;
    priority := o.priority;
    if old_status = 'received' or taken_from is not null then
        sent := order_log_change(o, old_status, p_worker, 'taken over from ' || taken_from);
    end if;
end $$;

-- Finish: cooking → ready, and the message is completed. An order that was cancelled keeps its status.
-- p_more: see order_message.
create or replace function cooking_finish(
    p_message uuid, p_token bigint, p_queues text[], p_reservation bigint, p_number text, p_type text,
    p_worker text, p_more text[] default null,
    out next_queue text, out reservation bigint, out status text, out waited double precision, out cooked double precision
)
language plpgsql as $$
declare
    c record;
    o orders;
    s station;
    moment timestamptz;
    done boolean;
begin
    c := job_complete(p_message, p_token, p_queues, p_reservation);
    next_queue := c.next_queue;
    reservation := c.reservation;
    s := station_next(p_type, 'kitchen');
    moment := clock_timestamp();
    update orders u
    set status = 'ready', in_kitchen = false, completed_at = moment, updated_at = moment,
        version = u.version + 1,
        stage = coalesce(s.name, 'handover'),
        task_id = case when s.name is not null then derived_uuid(u.id, 'task kitchen' || u.version) end
    where u.number = p_number and u.status = 'cooking'
    returning * into o;
    if not found then
        return;
    end if;
    status := o.status;
    waited := extract(epoch from o.started_at - o.created_at);
    cooked := extract(epoch from o.completed_at - o.started_at);
    done := order_log_change(o, 'cooking', p_worker, null) and capacity_release();
    if s.name is not null then
        done := station_enqueue(o, s, p_more);
    end if;
    update workers w
    set orders_processed = w.orders_processed + 1, last_seen = moment
    where w.name = p_worker;
end $$;

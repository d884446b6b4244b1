-- Stations behind the kitchen, the hand-over, and what staff may do to an order.
--
-- The order of row locks. Every transaction that takes several of them takes them in this order, so
-- that no two wait for each other:
--   message            which the order or the delivery names
--   orders             then kitchen_capacity, then workers
--   webhook
--   webhook_delivery   a delete of its webhook takes it, too
-- A row that was locked in vain keeps its lock until the transaction or subtransaction ends, so a function
-- that tries again does it in a subtransaction (order_lock_with_message, webhook_retry). Periodic tasks
-- wait for no row: they skip locked ones until the next run.

-- The next open station after p_after for an order of this type. In PL/pgSQL, which keeps the plan of the
-- query; a function of SQL would be parsed and planned in each transaction.
create or replace function station_next(p_type text, p_after text) returns station
language plpgsql stable as $$
declare
    following station;
begin
    select * into following from station s
    where s.open and p_type = any(s.order_types)
      and s.position > coalesce((select a.position from station a where a.name = p_after), 0)
    order by s.position
    limit 1;
    return following;
end $$;

-- Send the task of an order that has just come to a station into that station's queue.
create or replace function station_enqueue(o orders, s station, p_more text[] default null) returns boolean
language plpgsql as $$
begin
    return outbox_enqueue_task(o.task_id, s.task, s.queue, '', s.queue, o.priority,
                               order_message(o, p_more), trace_headers(o.trace));
end $$;

-- A station starts to work on an order. p_status: the order's new status, or null.
-- stage: where the order is; the worker goes on only if that is its station.
create or replace function station_start_work(
    p_message uuid, p_worker_id bigint, p_queues text[], p_skip_priority_check boolean,
    p_reservation bigint, p_priority integer, p_number text, p_station text, p_worker text, p_status text,
    out verdict text, out token bigint, out attempt integer, out better_queue text,
    out reservation bigint, out status text, out stage text, out type text, out priority integer
)
language plpgsql as $$
declare
    c record;
    o orders;
    old_status text;
    done boolean;
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
    select * into o from orders e where e.number = p_number for no key update;
    if o.stage = p_station and o.task_id = p_message then
        old_status := o.status;
        if p_status is not null and p_status <> old_status then
            update orders u
            set status = p_status, updated_at = clock_timestamp(), version = u.version + 1
            where u.id = o.id
            returning * into o;
            done := order_log_change(o, old_status, p_worker, null);
        end if;
        insert into order_stage (order_id, stage, worker, started_at)
        values (o.id, p_station, p_worker, clock_timestamp());
        stage := o.stage;
    end if;
    status := o.status;
    type := o.type;
    priority := o.priority;
end $$;

-- A station has finished: the order goes to the next station, or waits for the hand-over. p_status: the
-- order's new status, or null.
create or replace function station_finish_work(
    p_message uuid, p_token bigint, p_queues text[], p_reservation bigint, p_number text,
    p_station text, p_worker text, p_type text, p_status text, p_more text[] default null,
    out next_queue text, out reservation bigint, out status text, out stage text
)
language plpgsql as $$
declare
    c record;
    o orders;
    s station;
    old_status text;
    done boolean;
begin
    c := job_complete(p_message, p_token, p_queues, p_reservation);
    next_queue := c.next_queue;
    reservation := c.reservation;
    s := station_next(p_type, p_station);
    select e.status into old_status from orders e where e.number = p_number for no key update;
    update orders u
    set stage = coalesce(s.name, case when p_status = 'delivered' then null else 'handover' end),
        task_id = derived_uuid(u.id, 'task ' || p_station || u.version),
        status = coalesce(p_status, u.status),
        updated_at = clock_timestamp(),
        version = u.version + (p_status is not null)::integer
    where u.number = p_number and u.stage = p_station
    returning * into o;
    if not found then
        return;
    end if;
    status := o.status;
    stage := o.stage;
    if p_status is not null then
        done := order_log_change(o, old_status, p_worker, null);
    end if;
    done := station_close_visit(o.id, p_station, p_worker, 'done');
    if s.name is not null then
        done := station_enqueue(o, s, p_more);
    end if;
end $$;

-- Record that a worker's work on an order has ended.
create or replace function station_close_visit(p_order uuid, p_station text, p_worker text, p_outcome text)
returns boolean
language plpgsql as $$
begin
    update order_stage t
    set finished_at = clock_timestamp(), outcome = p_outcome
    where t.id = (select max(e.id) from order_stage e
                  where e.order_id = p_order and e.stage = p_station and e.worker = p_worker
                    and e.finished_at is null);
    update workers w
    set orders_processed = w.orders_processed + 1, last_seen = clock_timestamp()
    where w.name = p_worker;
    return true;
end $$;

-- A station sends an order back to the kitchen: its own message is completed, the order waits again.
create or replace function station_send_back(
    p_message uuid, p_token bigint, p_queues text[], p_reservation bigint, p_number text,
    p_station text, p_worker text, p_queue text, p_exchange text, p_notes text,
    p_more text[] default null,
    out next_queue text, out reservation bigint, out status text
)
language plpgsql as $$
declare
    o orders;
begin
    select j.next_queue, j.reservation into next_queue, reservation
    from job_complete(p_message, p_token, p_queues, p_reservation) j;
    select * into o from orders e where e.number = p_number and e.stage = p_station for no key update;
    if not found then
        return;
    end if;
    perform station_close_visit(o.id, p_station, p_worker, 'sent back');
    status := order_send_back(o, p_worker, p_queue, p_exchange, p_notes, p_more);
end $$;

-- The id of the order of a cook's message: the message's own id, or the header `order` if it is cooked
-- again. (From orders to messages there is no index.)
create or replace function message_order_id(p_id uuid, p_headers jsonb) returns uuid
language sql immutable as $$ select coalesce((p_headers ->> 'order')::uuid, p_id) $$;

-- Cook an order again, before all others: it is `received` again, and takes a place in the kitchen even if
-- that is full.
create or replace function order_send_back(
    o orders, p_by text, p_queue text, p_exchange text, p_notes text, p_more text[] default null
) returns text
language plpgsql as $$
declare
    old_status text := o.status;
    queue_priority constant integer := 10;
begin
    update orders u
    set status = 'received', in_kitchen = true, stage = 'kitchen', started_at = null, completed_at = null,
        estimated_completion = clock_timestamp() + coalesce(u.completed_at - u.started_at, '10 seconds'),
        task_id = derived_uuid(u.id, 'task recook ' || u.version), updated_at = clock_timestamp(),
        version = u.version + 1
    where u.id = o.id
    returning * into o;
    if (select capped from kitchen_state) and not capacity_acquire() then
        update kitchen_capacity set free = free - 1 where stripe = 0;
    end if;
    perform outbox_enqueue_task(o.task_id, 'cook_order', p_queue, p_exchange,
                                'kitchen.' || o.type || '.' || queue_priority, queue_priority,
                                order_message(o, p_more),
                                jsonb_strip_nulls(jsonb_build_object('order', o.id, 'traceparent', o.trace)),
                                p_required_tags => o.needs);
    perform order_log_change(o, old_status, p_by, p_notes);
    return o.status;
end $$;

-- Lock an order's message, if it has one, and then the order. Null if it does not have this version.
create or replace function order_lock_with_message(p_number text, p_version integer) returns orders
language plpgsql as $$
declare
    o orders;
    wanted uuid;
begin
    loop
        select coalesce(e.task_id, e.id) into wanted
        from orders e where e.number = p_number and e.version = p_version;
        if not found then
            return null;
        end if;
        begin
            perform from message m where m.id = wanted for update;
            select * into o from orders e
            where e.number = p_number and e.version = p_version and coalesce(e.task_id, e.id) = wanted
            for no key update;
            if found then
                return o;
            end if;
            raise sqlstate 'PZ002';
        exception when sqlstate 'PZ002' then
            null;  -- It went to another station, which is no new version.
        end;
    end loop;
end $$;

-- Set an order's status. The caller has checked that version p_version may have it. Verdicts: updated;
-- stale (the order no longer has that version). The order's message is cancelled.
create or replace function order_transition(
    p_number text, p_version integer, p_to text, p_by text, p_notes text,
    p_queue text, p_exchange text,
    out verdict text, out status text, out version integer, out updated_at timestamptz
)
language plpgsql as $$
declare
    o orders;
    old_status text;
begin
    o := order_lock_with_message(p_number, p_version);
    if o.id is null then
        verdict := 'stale';
        return;
    end if;
    perform message_cancel(coalesce(o.task_id, o.id));
    old_status := o.status;
    if p_to = 'received' then
        status := order_send_back(o, p_by, p_queue, p_exchange, p_notes);
        select * into o from orders e where e.id = o.id;
    else
        update orders u
        set status = p_to, in_kitchen = false, updated_at = clock_timestamp(), version = u.version + 1,
            stage = case when p_to = 'out-for-delivery' then 'handover' end,
            completed_at = case when p_to = 'cancelled' then u.completed_at
                                else coalesce(u.completed_at, clock_timestamp()) end
        where u.id = o.id
        returning * into o;
        perform order_log_change(o, old_status, p_by, p_notes);
        if old_status in ('received', 'cooking') then
            perform capacity_release();
        end if;
    end if;
    verdict := 'updated';
    status := o.status;
    version := o.version;
    updated_at := o.updated_at;
end $$;

-- Set an order's priority; one that waits moves in its queue at once. Verdicts: see order_transition.
create or replace function order_set_priority(
    p_number text, p_version integer, p_priority integer, p_by text, p_notes text,
    out verdict text, out status text, out version integer, out updated_at timestamptz
)
language plpgsql as $$
declare
    o orders;
begin
    o := order_lock_with_message(p_number, p_version);
    if o.id is null then
        verdict := 'stale';
        return;
    end if;
    update orders u
    set priority = p_priority, updated_at = clock_timestamp(), version = u.version + 1
    where u.id = o.id
    returning * into o;
    perform order_log_change(o, o.status, p_by, p_notes);
    perform message_set_priority(coalesce(o.task_id, o.id), p_priority);
    verdict := 'updated';
    status := o.status;
    version := o.version;
    updated_at := o.updated_at;
end $$;

-- The messages of orders that have waited longer than p_max_wait with a lower priority than p_priority,
-- oldest first: of each queue and priority those among the p_head oldest rows.
create or replace function orders_overdue(p_max_wait interval, p_priority integer, p_head integer)
returns uuid[]
language plpgsql stable
-- A plan that was made when the table was empty would read it whole, or sort it.
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
as $$
declare
    found_ids uuid[];
begin
    with recursive queues as (
        (select m.queue as name from message m where m.state = 'sent' order by m.queue limit 1)
        union all
        select (select m.queue from message m where m.state = 'sent' and m.queue > q.name
                order by m.queue limit 1)
        from queues q where q.name is not null
    )
    select array_agg(w.id order by w.position) into found_ids
    from queues q
    cross join generate_series(1, p_priority - 1) as p(priority)
    cross join lateral (
        select m.id, m.task, m.created_at, m.position
        from message m
        where m.queue = q.name and m.state = 'sent' and m.priority = p.priority
        order by m.position
        limit p_head
    ) w
    where w.task = 'cook_order' and w.created_at < clock_timestamp() - p_max_wait;
    return coalesce(found_ids, '{}');
end $$;

-- Raise the priority of orders that have waited too long, oldest first, at most 100 of them. Returns how
-- many. It reads the head of each queue and priority only, and skips locked rows until a later run.
create or replace function orders_promote_aged(p_max_wait interval, p_priority integer, p_by text, p_rule text)
returns integer
language plpgsql
set enable_seqscan = off
as $$
declare
    candidate uuid;
    still_waits boolean;
    old_priority integer;
    o orders;
    raised integer := 0;
    sent boolean;
begin
    foreach candidate in array orders_overdue(p_max_wait, p_priority, 500) loop
        exit when raised = 100;
        -- By the primary keys alone: with a condition on state or status, a plan that was made when few
        -- waited could read the index of all that wait.
        select m.state = 'sent' and m.priority < p_priority and e.status = 'received', e.priority
        into still_waits, old_priority
        from message m join orders e on e.id = m.id
        where m.id = candidate
        for no key update of m, e skip locked;
        continue when still_waits is not true;
        raised := raised + 1;
        update orders u
        set priority = p_priority, updated_at = clock_timestamp(), version = u.version + 1
        where u.id = candidate
        returning * into o;
        sent := order_log_change(o, o.status, p_by,
                                 'priority ' || old_priority || ' → ' || p_priority || ': ' || p_rule);
        sent := message_set_priority(o.id, p_priority);
    end loop;
    return raised;
end $$;

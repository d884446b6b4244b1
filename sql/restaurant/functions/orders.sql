-- An order's changes. What changes a status also writes the log row and the notification, in the same
-- statement and so in the same transaction.

-- A time as ISO 8601 in UTC, with milliseconds.
create or replace function iso8601_utc(p_time timestamptz) returns text
language sql stable as $$
    select to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- The id of a part of something: the same id for the same part. (A random uuid costs PostgreSQL three
-- system calls; an order has half a dozen parts.) It begins with the time of p_whole if that is of version 7.
create or replace function derived_uuid(p_whole uuid, p_part text) returns uuid
language sql immutable as $$
    select (case when substr(p_whole::text, 15, 1) = '7'
                 then left(p_whole::text, 13) || substr(md5(p_whole::text || ' ' || p_part), 13)
                 else md5(p_whole::text || ' ' || p_part) end)::uuid
$$;

-- The headers of a message about an order: its trace, or null. (Stable, as jsonb_build_object is: PostgreSQL
-- does not inline a function that claims to be more constant than its body.)
create or replace function trace_headers(p_trace text) returns jsonb
language sql stable as $$
    select case when p_trace is not null then jsonb_build_object('traceparent', p_trace) end
$$;

-- Log a change of status and send its notification. o: the order after the change.
create or replace function order_log_change(
    o orders, p_old_status text, p_by text, p_notes text
) returns boolean
language plpgsql as $$
declare
    event uuid := derived_uuid(o.id, 'event ' || o.version);
begin
    insert into order_status_log (id, order_id, status, changed_by, changed_at, notes, sequence)
    values (derived_uuid(o.id, 'change ' || o.version), o.id, o.status, p_by, o.updated_at, p_notes,
            o.version);
    return outbox_enqueue_event(
        event, 'notifications_fanout', 'order.' || o.status,
        status_update(o, event, p_old_status, p_by, o.updated_at, o.version, p_notes),
        trace_headers(o.trace)
    );
end $$;

-- The status update of the specification, with the details of the order. One expression, so that
-- PostgreSQL inlines it. p_sequence: null for what is no change of the order.
create or replace function status_update(
    o orders, p_event uuid, p_old_status text, p_by text, p_at timestamptz, p_sequence integer,
    p_notes text
) returns bytea
language sql stable as $$
    select convert_to(json_build_object(
        'order_number', o.number,
        'old_status', p_old_status,
        'new_status', o.status,
        'changed_by', p_by,
        'timestamp', iso8601_utc(p_at),
        'estimated_completion', iso8601_utc(o.estimated_completion),
        'event_id', p_event,
        'sequence', p_sequence,
        'order_type', o.type,
        'priority', o.priority,
        'stage', o.stage,
        'customer_name', o.customer_name,
        'notes', p_notes
    )::text, 'UTF8')
$$;

-- Whether an estimate has shifted by more than p_least, and by more than p_share of the remaining wait.
create or replace function estimate_shifted(
    p_before timestamptz, p_now timestamptz, p_least interval, p_share float8
) returns boolean
language sql stable as $$
    select greatest(p_now - p_before, p_before - p_now)
           > greatest(p_least, (p_now - clock_timestamp()) * p_share)
$$;

-- Send a notification that the estimate of a waiting order has shifted. It is no change of the order:
-- it has no row in the log and no number.
create or replace function estimate_notify(o orders, p_by text) returns boolean
language plpgsql as $$
declare
    event uuid := gen_random_uuid();
begin
    return outbox_enqueue_event(
        event, 'notifications_fanout', 'order.' || o.status,
        status_update(o, event, o.status, p_by, clock_timestamp(), null,
                      'expected to be ready at another time'),
        trace_headers(o.trace)
    );
end $$;

-- ORD_YYYYMMDD_NNN: from 001 each day (UTC), unique under any concurrency, gaps allowed.
create or replace function order_number_next() returns text
language plpgsql as $$
declare
    today date := (clock_timestamp() at time zone 'UTC')::date;
    before bigint;
    n text;
begin
    select first into before from order_day where day = today;
    if not found then
        -- Orders placed at the same time wait here for the first one of the day to commit.
        perform pg_advisory_xact_lock(lock_key('order day'));
        select first into before from order_day where day = today;
        if not found then
            insert into order_day values (today, nextval('order_number')) returning first into before;
        end if;
    end if;
    n := (nextval('order_number') - before)::text;
    return 'ORD_' || to_char(today, 'YYYYMMDD') || '_' || lpad(n, greatest(3, length(n)), '0');
end $$;

-- Acquire a place in the kitchen; false if it is full. Skips stripes that other transactions have locked,
-- and waits for one only if no other has a free place.
create or replace function capacity_acquire() returns boolean
language plpgsql as $$
declare
    own integer := (pg_backend_pid() * 7) % 64;
begin
    update kitchen_capacity set free = free - 1
    where stripe = (select stripe from kitchen_capacity
                    where stripe = own and free > 0
                    for update skip locked);
    if found then
        return true;
    end if;
    update kitchen_capacity set free = free - 1
    where stripe = (select stripe from kitchen_capacity where free > 0
                    limit 1 for update skip locked);
    if found then
        return true;
    end if;
    update kitchen_capacity set free = free - 1
    where stripe = (select stripe from kitchen_capacity where free > 0 limit 1 for update);
    return found;
end $$;

-- Release a place; a debt (the limit was lowered) is paid first. All debt is in stripe 0, so two
-- transactions that pay its last one leave a free place there, and the sum is right.
-- Without a limit nothing is counted: a transaction that has read this keeps a limit from being set until
-- it ends (capacity_set_limit), and then is in the count.
create or replace function capacity_release() returns boolean
language plpgsql as $$
declare
    own integer := (pg_backend_pid() * 7) % 64;
begin
    if not (select capped from kitchen_state) then
        return true;
    end if;
    update kitchen_capacity set free = free + 1
    where stripe = coalesce(
        (select stripe from kitchen_capacity where stripe = 0 and free < 0),
        (select stripe from kitchen_capacity where stripe = own for update skip locked),
        (select stripe from kitchen_capacity limit 1 for update skip locked),
        0);
    return found;
end $$;

-- Set how many orders may be received or cooking at a time (0: no limit), and count the free places
-- again. p_by: who sets it by a command; null: an order service at its start.
create or replace function capacity_set_limit(p_limit integer, p_by text) returns void
language plpgsql as $$
declare
    places integer := case when p_limit = 0 then 1000000000 else p_limit end;
    total integer := places;
begin
    -- Against readers as well: a transaction that has read that there is no limit counts no place, and
    -- capacity_release looks for a debt before it writes.
    lock table kitchen_state, kitchen_capacity in access exclusive mode;
    update kitchen_state
    set capped = p_limit > 0, max_concurrent = p_limit, max_concurrent_by = p_by;
    if p_limit > 0 then
        total := places - (select count(*) from orders
                           where in_kitchen and status in ('received', 'cooking'));
    end if;
    update kitchen_capacity
    set share = places / 64 + (stripe < places % 64)::integer,
        free = case when total >= 0 then total / 64 + (stripe < total % 64)::integer
                    when stripe = 0 then total
                    else 0 end;
end $$;

-- Called by an order service that starts with the limit p_limit. It is set if no command has set another
-- limit and no other order service runs; else the limit stays. The calling session holds the lock
-- 'order service' for as long as the service runs.
create or replace function capacity_initialize(
    p_limit integer,
    out max_concurrent integer, out before integer, out set_by text, out alone boolean
)
language plpgsql as $$
begin
    perform pg_advisory_xact_lock(lock_key('order service start'));
    alone := pg_try_advisory_xact_lock(lock_key('order service'));
    select k.max_concurrent, k.max_concurrent_by into before, set_by from kitchen_state k;
    max_concurrent := case when alone and set_by is null then p_limit else before end;
    if alone then
        perform capacity_set_limit(max_concurrent, set_by);
    end if;
    perform pg_advisory_lock_shared(lock_key('order service'));
end $$;

-- The time until an order that is being placed is ready: the orders ahead of it by priority, shared by
-- the online cooks that may cook it, and its own cooking (p_pace). With hundreds in the kitchen all of them
-- count as ahead, so that this stays cheap; kitchen/estimates.py updates the estimates afterwards.
-- p_waiting: the last count of waiting orders (kitchen_state).
create or replace function estimate_wait(
    p_priority integer, p_cooks bigint, p_pace interval, p_waiting integer, p_capped boolean
) returns interval
language plpgsql stable as $$
declare
    cooks bigint := greatest(1, p_cooks);
    busy bigint;
    ahead bigint := p_waiting;
begin
    if p_capped then
        ahead := (select greatest(1, sum(share::bigint) - sum(free)) from kitchen_capacity) - 1;
    end if;
    busy := ahead;
    if ahead <= 200 and not (p_capped and ahead = 0) then
        -- One subquery for each state, since each has its index; limited, since there may be far more than
        -- at the last count.
        select count(*) filter (where ahead_of_it.claimed), count(*) into busy, ahead
        from (select true as claimed from message where state = 'claimed' and task = 'cook_order'
              union all
              (select false from message
               where state = 'sent' and task = 'cook_order' and message.priority >= p_priority
               limit 201)
              union all
              (select false from message
               where state = 'pending' and task = 'cook_order' and message.priority >= p_priority
               limit 201)) ahead_of_it;
    end if;
    if ahead < cooks then
        return p_pace;
    end if;
    return p_pace + p_pace * ((ahead - least(busy, cooks) + 1)::float8 / cooks);
end $$;

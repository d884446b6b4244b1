-- An order's changes. Whatever changes a status also writes the log row and the
-- notification, in the same statement and so in the same transaction.

create or replace function utc_text(p_time timestamptz) returns text
language sql stable as $$
    select to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- The id of a part of something: always the same one for the same part. (A random uuid costs
-- PostgreSQL three system calls; an order has half a dozen parts.)
create or replace function part_id(p_whole uuid, p_part text) returns uuid
language sql immutable as $$ select md5(p_whole::text || ' ' || p_part)::uuid $$;

-- Log a change of status and tell everybody: `o` is the order as it is after the change.
create or replace function order_changed(
    o orders, p_old_status text, p_by text, p_notes text
) returns boolean
language plpgsql as $$
declare
    event uuid := part_id(o.id, 'event ' || o.version);
begin
    insert into order_status_log (id, order_id, status, changed_by, changed_at, notes, sequence)
    values (part_id(o.id, 'change ' || o.version), o.id, o.status, p_by, o.updated_at, p_notes,
            o.version);
    return outbox_event(
        event, 'notifications_fanout', 'order.' || o.status,
        convert_to(json_build_object(
            'order_number', o.number,
            'old_status', p_old_status,
            'new_status', o.status,
            'changed_by', p_by,
            'timestamp', utc_text(o.updated_at),
            'estimated_completion', utc_text(o.estimated_completion),
            'event_id', event,
            'sequence', o.version,
            'order_type', o.type,
            'priority', o.priority,
            'customer_name', o.customer_name,
            'notes', p_notes
        )::text, 'UTF8')
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
        perform pg_advisory_xact_lock(7020010);
        select first into before from order_day where day = today;
        if not found then
            insert into order_day values (today, nextval('order_number')) returning first into before;
        end if;
    end if;
    n := (nextval('order_number') - before)::text;
    return 'ORD_' || to_char(today, 'YYYYMMDD') || '_' || lpad(n, greatest(3, length(n)), '0');
end $$;

-- Take a place in the kitchen; false when it is full. Places that others are just taking
-- are passed over, and waited for only when there is no other.
create or replace function capacity_take() returns boolean
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

-- Give a place back; a debt (the limit was lowered) is paid first. All debt is in stripe 0, so
-- two who pay its last one at the same time leave a free place there, and the sum is right.
create or replace function capacity_give() returns boolean
language plpgsql as $$
declare
    own integer := (pg_backend_pid() * 7) % 64;
begin
    update kitchen_capacity set free = free + 1
    where stripe = coalesce(
        (select stripe from kitchen_capacity where stripe = 0 and free < 0),
        (select stripe from kitchen_capacity where stripe = own for update skip locked),
        (select stripe from kitchen_capacity limit 1 for update skip locked),
        0);
    return found;
end $$;

-- Set how many orders may be received or cooking at a time, from a count of those that are.
create or replace function capacity_set(p_limit integer) returns void
language plpgsql as $$
declare
    total integer;
begin
    -- Exclusive even towards readers: a release looks for a debt before it writes.
    lock table kitchen_capacity in access exclusive mode;
    total := p_limit - (select count(*) from orders where status in ('received', 'cooking'));
    update kitchen_capacity
    set share = p_limit / 64 + (stripe < p_limit % 64)::integer,
        free = case when total >= 0 then total / 64 + (stripe < total % 64)::integer
                    when stripe = 0 then total
                    else 0 end;
end $$;

-- Place an order. One call, one round trip, one transaction: place in the kitchen, number,
-- priority, order, items, log, the kitchen's task and the notification.
-- p_items are the items as they stand in the order message: name, quantity, price.
-- Verdicts: placed, full, late (the caller has given up waiting: nothing is stored).
create or replace function order_place(
    p_expires timestamptz, p_customer_name text, p_customer_key text, p_customer_type text,
    p_type text, p_table integer, p_address text, p_rush boolean, p_total numeric,
    p_items json,
    p_priority integer, p_rule text, p_repeat_priority integer, p_repeat_rule text,
    p_cooking interval, p_queue text, p_exchange text, p_by text,
    out verdict text, out number text, out priority integer, out rule text,
    out created_at timestamptz, out estimated_completion timestamptz
)
language plpgsql as $$
declare
    o orders;
    start timestamptz := clock_timestamp();
    told boolean;
begin
    if p_expires < start then
        verdict := 'late';
        return;
    end if;
    if not capacity_take() then
        verdict := 'full';
        return;
    end if;
    priority := p_priority;
    rule := p_rule;
    if p_repeat_priority <> p_priority and exists (
        select from orders e where e.customer_key = p_customer_key and e.status <> 'cancelled'
    ) then
        priority := p_repeat_priority;
        rule := p_repeat_rule;
    end if;
    number := order_number_next();
    insert into orders (created_at, updated_at, number, customer_name, customer_key, customer_type,
                        type, table_number, delivery_address, total_amount, priority, rush,
                        estimated_completion)
    values (start, start, order_place.number, p_customer_name, p_customer_key, p_customer_type,
            p_type, p_table, p_address, p_total, order_place.priority, p_rush,
            start + p_cooking * kitchen_rounds())
    returning * into o;
    insert into order_items (id, order_id, name, quantity, price, position)
    select part_id(o.id, 'item ' || i.position), o.id, i.name, i.quantity, i.price, i.position
    from rows from (json_to_recordset(p_items) as (name text, quantity integer, price numeric))
         with ordinality as i(name, quantity, price, position);
    told := outbox_task(
        o.id, 'cook_order', p_queue, p_exchange,
        'kitchen.' || o.type || '.' || o.priority, o.priority,
        convert_to(json_build_object(
            'order_number', o.number,
            'customer_name', o.customer_name,
            'customer_type', o.customer_type,
            'order_type', o.type,
            'table_number', o.table_number,
            'delivery_address', o.delivery_address,
            'items', p_items,
            'total_amount', o.total_amount,
            'priority', o.priority,
            'rush', o.rush,
            'created_at', utc_text(o.created_at)
        )::text, 'UTF8')
    );
    told := order_changed(o, null, p_by, 'priority ' || o.priority || ': ' || rule);
    verdict := 'placed';
    created_at := o.created_at;
    estimated_completion := o.estimated_completion;
end $$;

-- In how many rounds of cooking an order just placed is ready: all that wait or cook, itself
-- included, by the cooks on shift.
create or replace function kitchen_rounds() returns double precision
language plpgsql stable as $$
begin
    return ceil(
        (select greatest(1, sum(share::bigint) - sum(free)) from kitchen_capacity)::float8
        / greatest(1, (select count(*) from workers where status = 'online' and type = 'cook')));
end $$;

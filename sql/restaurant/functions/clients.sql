-- Orders of clients that may hold only so many places of the kitchen at a time.

-- How many orders of a client, or of a network, are waiting or cooking; the other argument is null.
create or replace function client_orders(p_client bytea, p_network bytea) returns bigint
language sql volatile as $$
    select count(*) from order_client c join orders o on o.number = c.order_number
    where o.status in ('received', 'cooking')
      and (p_client is null or c.client = p_client)
      and (p_network is null or c.network = p_network)
$$;

-- Whether limited clients may take one more place and leave the reserve: a tenth of the places, rounded
-- up. Holds a lock until the transaction ends. Far from the reserve the lock is shared: at most one
-- transaction for each connection of the server is under way, and each takes one place, so so many
-- places beyond the reserve are enough for all of them. Near the reserve the lock is exclusive: those
-- under way have ended, and their places are counted.
create or replace function client_leaves_reserve(p_limit integer) returns boolean
language plpgsql as $$
declare
    reserve integer := least((p_limit + 9) / 10, p_limit - 1);
    others integer := current_setting('max_connections')::integer;
begin
    if (select sum(free) from kitchen_capacity) > reserve + 2 * others then
        perform pg_advisory_xact_lock_shared(lock_key('limited clients'));
        -- Others may have been quicker; the second `others` above makes that unlikely.
        return (select sum(free) from kitchen_capacity) > reserve + others;
    end if;
    perform pg_advisory_xact_lock(lock_key('limited clients'));
    return (select sum(free) from kitchen_capacity) > reserve;
end $$;

-- Place an order (under a key, if p_key is not null) unless limited clients hold too much of the kitchen:
-- the client has p_places orders waiting or cooking (null: a quarter of what the restaurant takes; 0: no
-- limit), its network half of what the restaurant takes, but no less than p_places, or all of them
-- together everything but the reserve for staff. Fractions are rounded up. Without a cap of the
-- restaurant only p_places counts. More verdicts than order_place and order_place_once have, with which
-- nothing is stored:
--   client full   (`rule`: how many it may have)
--   network full  (`rule`: how many it may have)
--   full          also when only the reserve is left (`rule`: how many the restaurant takes)
-- p_network is null when release 0.2 calls this.
-- Locks are taken in one order: the network's or client's, that of all limited clients, the kitchen's.
create or replace function order_place_for(
    p_client bytea, p_places integer, p_key text, p_digest bytea,
    p_expires timestamptz, p_customer_name text, p_customer_key text, p_customer_type text,
    p_type text, p_table integer, p_address text, p_rush boolean, p_total numeric,
    p_items json,
    p_priority integer, p_rule text, p_repeat_priority integer, p_repeat_rule text,
    p_vip_priority integer, p_vip_rule text, p_names text[], p_needs text[], p_source uuid,
    p_cooking interval, p_queue text, p_exchange text, p_by text,
    p_trace text default null, p_menu_prices boolean default false,
    p_network bytea default null,
    out verdict text, out number text, out priority integer, out rule text,
    out created_at timestamptz, out estimated_completion timestamptz,
    out order_id uuid, out total numeric
)
language plpgsql as $$
declare
    most integer := (select max_concurrent from kitchen_state);
    places integer := coalesce(p_places, (most + 3) / 4);
    network_places integer := greatest((most + 1) / 2, places);
begin
    if places > 0 then
        -- One after the other, so that the counts are right; other networks do not wait.
        perform pg_advisory_xact_lock(
            lock_key('client ' || encode(coalesce(p_network, p_client), 'hex')));
    end if;
    -- What was answered before is answered again, however many there are.
    if places > 0 and (p_key is null or not exists (select from order_key e where e.key = p_key)) then
        if places <= client_orders(p_client, null) then
            verdict := 'client full';
            rule := places;
        elsif most > 0 and p_network is not null
              and network_places <= client_orders(null, p_network) then
            verdict := 'network full';
            rule := network_places;
        elsif most > 0 and not client_leaves_reserve(most) then
            verdict := 'full';
            rule := most;
        end if;
        if verdict is not null then
            return;
        end if;
    end if;
    if p_key is null then
        select p.* into verdict, number, priority, rule, created_at, estimated_completion,
                        order_id, total
        from order_place(p_expires, p_customer_name, p_customer_key, p_customer_type,
                         p_type, p_table, p_address, p_rush, p_total, p_items,
                         p_priority, p_rule, p_repeat_priority, p_repeat_rule,
                         p_vip_priority, p_vip_rule, p_names, p_needs, p_source,
                         p_cooking, p_queue, p_exchange, p_by, p_trace, p_menu_prices) p;
    else
        select p.* into verdict, number, priority, rule, created_at, estimated_completion,
                        order_id, total
        from order_place_once(p_key, p_digest,
                              p_expires, p_customer_name, p_customer_key, p_customer_type,
                              p_type, p_table, p_address, p_rush, p_total, p_items,
                              p_priority, p_rule, p_repeat_priority, p_repeat_rule,
                              p_vip_priority, p_vip_rule, p_names, p_needs, p_source,
                              p_cooking, p_queue, p_exchange, p_by, p_trace, p_menu_prices) p;
    end if;
    if verdict = 'placed' and places > 0 then
        insert into order_client (order_number, client, network)
        values (order_place_for.number, p_client, p_network);
    end if;
end $$;

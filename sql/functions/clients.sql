-- Orders of clients that may hold only so many places of the kitchen at a time.

-- Place an order (under a key, if p_key is not null) unless the client has p_places orders waiting
-- or cooking (null: half as many as the restaurant takes, rounded up; 0: no limit). One more verdict than order_place and order_place_once have:
--   client full  it has (`rule`: how many); nothing is stored
create or replace function order_place_for(
    p_client bytea, p_places integer, p_key text, p_digest bytea,
    p_expires timestamptz, p_customer_name text, p_customer_key text, p_customer_type text,
    p_type text, p_table integer, p_address text, p_rush boolean, p_total numeric,
    p_items json,
    p_priority integer, p_rule text, p_repeat_priority integer, p_repeat_rule text,
    p_vip_priority integer, p_vip_rule text, p_names text[], p_needs text[], p_source uuid,
    p_cooking interval, p_queue text, p_exchange text, p_by text,
    p_trace text default null, p_menu_prices boolean default false,
    out verdict text, out number text, out priority integer, out rule text,
    out created_at timestamptz, out estimated_completion timestamptz,
    out order_id uuid, out total numeric
)
language plpgsql as $$
declare
    places integer := coalesce(p_places, (select (max_concurrent + 1) / 2 from kitchen_state));
begin
    if places > 0 then
        -- One after the other, so that the count is right; other clients do not wait.
        perform pg_advisory_xact_lock(lock_key('client ' || encode(p_client, 'hex')));
    end if;
    -- What was answered before is answered again, however many there are.
    if places > 0 and (p_key is null or not exists (select from order_key e where e.key = p_key))
       and places <= (select count(*) from order_client c join orders o on o.number = c.order_number
                        where c.client = p_client and o.status in ('received', 'cooking')) then
        verdict := 'client full';
        rule := places;
        return;
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
        insert into order_client (order_number, client) values (order_place_for.number, p_client);
    end if;
end $$;

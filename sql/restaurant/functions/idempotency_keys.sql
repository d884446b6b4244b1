-- Orders under a key: the same request, sent again, is answered again and places nothing.

-- Place an order unless there is one under this key. Verdicts, beside those of order_place:
--   replayed    this request has placed an order before; here is what was answered then
--   key reused  the key came with another request (p_digest) before
--   in flight   a request with this key is at work, and has been for longer than we wait
-- Only an order that is placed keeps the key: whoever was refused may try again with it.
create or replace function order_place_once(
    p_key text, p_digest bytea,
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
    k order_key;
    patience text := current_setting('lock_timeout');
begin
    -- Held to the end of the transaction. Two keys with one hash only wait for each other.
    if not pg_try_advisory_xact_lock(lock_key('order key ' || p_key)) then
        begin
            perform set_config('lock_timeout', '400ms', true);
            perform pg_advisory_xact_lock(lock_key('order key ' || p_key));
            perform set_config('lock_timeout', patience, true);
        exception when lock_not_available then
            verdict := 'in flight';
            return;
        end;
    end if;
    select * into k from order_key e where e.key = p_key;
    if found then
        if k.digest <> p_digest then
            verdict := 'key reused';
            return;
        end if;
        verdict := 'replayed';
        number := k.order_number;
        priority := k.priority;
        rule := k.rule;
        created_at := k.ordered_at;
        estimated_completion := k.estimated_completion;
        select o.id, sum(i.quantity * i.price) into order_id, total
        from orders o join order_items i on i.order_id = o.id
        where o.number = k.order_number
        group by o.id;
        return;
    end if;
    select p.* into verdict, number, priority, rule, created_at, estimated_completion,
                    order_id, total
    from order_place(p_expires, p_customer_name, p_customer_key, p_customer_type,
                     p_type, p_table, p_address, p_rush, p_total, p_items,
                     p_priority, p_rule, p_repeat_priority, p_repeat_rule,
                     p_vip_priority, p_vip_rule, p_names, p_needs, p_source,
                     p_cooking, p_queue, p_exchange, p_by, p_trace, p_menu_prices) p;
    if verdict = 'placed' then
        insert into order_key (key, digest, order_number, priority, rule, ordered_at,
                               estimated_completion)
        values (p_key, p_digest, order_place_once.number, order_place_once.priority,
                order_place_once.rule, order_place_once.created_at,
                order_place_once.estimated_completion);
    end if;
end $$;

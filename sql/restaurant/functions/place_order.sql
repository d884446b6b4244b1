-- Placing an order: one call, one round trip, one transaction.

-- Compare items with the menu: null if each item is on the menu at the menu's price. Otherwise a JSON
-- list of the items that are not: `index` from 0, `dish` whether the menu has it, `price` of the menu
-- (null: staff says the price).
create or replace function menu_price_errors(p_items jsonb) returns text
language sql stable as $$
    select json_agg(json_build_object('index', i.position - 1, 'dish', m.name is not null,
                                      'price', m.price::text) order by i.position)::text
    from jsonb_array_elements(p_items) with ordinality as i(item, position)
    left join menu m on coalesce(m.key, lower(m.name)) = i.item ->> 'key'
    where m.price is distinct from (i.item ->> 'price')::numeric or m.price is null
$$;

-- Whether an order has a dish of the menu.
create or replace function order_has_dish(p jsonb, m menu) returns boolean
language sql stable as $$
    select p -> 'items' @> jsonb_build_array(jsonb_build_object('key', coalesce(m.key, lower(m.name))))
$$;

-- The priority of an order that is being placed, and its customer's type: a customer who is known as a
-- VIP is one, and one who orders as a VIP becomes known.
create or replace function order_priority(
    p jsonb, out customer_type text, out priority integer, out rule text
)
language plpgsql as $$
declare
    -- Keys of release 0.2 are not normalized.
    customer text := normalize(p ->> 'customer_key', nfc);
    chosen jsonb := p #> '{priorities,new}';
begin
    customer_type := p ->> 'customer_type';
    if exists (select from customers c where c.key = customer and c.vip) then
        customer_type := 'vip';
        chosen := p #> '{priorities,vip}';
    elsif customer_type = 'vip' then
        insert into customers as c (key, name, vip, set_by)
        values (customer, p ->> 'customer_name', true, p ->> 'changed_by')
        on conflict (key) do update set vip = true, set_by = excluded.set_by, changed_at = now();
    elsif p #> '{priorities,repeat}' <> chosen and exists (
        select from orders e where e.customer_key = customer and e.status <> 'cancelled'
    ) then
        chosen := p #> '{priorities,repeat}';
    end if;
    priority := chosen ->> 'priority';
    rule := chosen ->> 'rule';
end $$;

-- Place an order, which is one document:
--   customer_name, customer_type, order_type, table_number, delivery_address, rush, total_amount
--   items            a list of name, quantity, price, and key: the key of the name
--   customer_key     the key of the customer's name (pizza.domain.names.fold_name)
--   required_tags    the tags that a cook must have; null: every cook may take it
--   priorities       `new`, `repeat` and `vip`: the priority and its rule for such a customer
--   cooking_seconds  the cooking time as long as none is measured
--   queue, exchange  of the cook's task
--   changed_by, traceparent
--   source_id        the message of another program from which it comes, or null
--   expires_at       when the caller stops waiting, or null
--   menu_prices      whether each item has to be on the menu, at the menu's price
--   idempotency      key and digest (hexadecimal) of the request, or null: place it once under this key
--   client           address and network (hexadecimal hashes) and limit, or null: see client_check
-- Verdicts; only `placed` stores anything:
--   placed, and those of idempotency_key_check and of client_check
--   late             expires_at has passed
--   paused           `rule` is the reason
--   sold out         `rule` is the names of the dishes
--   twice            source_id has become the order `number` before
--   other prices     `rule` is what menu_price_errors returns
--   full             `rule` is the limit of the kitchen
-- Locks are taken in one order: the network's or client's, that of all limited clients, the key's, the
-- kitchen's.
create or replace function order_place(
    p jsonb,
    out verdict text, out number text, out priority integer, out rule text,
    out created_at timestamptz, out estimated_completion timestamptz,
    out order_id uuid, out total_amount numeric
)
language plpgsql as $$
declare
    idempotency_key text := p #>> '{idempotency,key}';
    needed_tags text[];
    counted boolean := false;
    kitchen record;
    customer record;
    o orders;
    done boolean;
begin
    if p ->> 'client' is not null then
        select c.verdict, c.rule, c.counted into verdict, rule, counted
        from client_check(p -> 'client', idempotency_key) c;
        if verdict is not null then
            return;
        end if;
    end if;
    if idempotency_key is not null then
        select k.* into verdict, number, priority, rule, created_at, estimated_completion, order_id,
                        total_amount
        from idempotency_key_check(idempotency_key, decode(p #>> '{idempotency,digest}', 'hex')) k;
        if verdict is not null then
            return;
        end if;
    end if;
    -- After the locks above, which may have taken their time.
    created_at := clock_timestamp();
    if (p ->> 'expires_at')::timestamptz < created_at then
        verdict := 'late';
        return;
    end if;
    if p ->> 'required_tags' is not null then
        needed_tags := array(select jsonb_array_elements_text(p -> 'required_tags'));
    end if;
    select case when k.paused then 'paused'
                when exists (select from menu m where m.sold_out and order_has_dish(p, m))
                then 'sold out' end as verdict,
           k.reason, k.capped, k.waiting, k.max_concurrent,
           (select count(*) from workers w
            where w.status = 'online' and w.type = 'cook'
              and (w.order_types is null or p ->> 'order_type' = any(w.order_types))
              and (w.tags is null or needed_tags <@ w.tags)) as cooks,
           interval '1 second' * coalesce(
               (select t.seconds from cooking_time_avg t where t.order_type = p ->> 'order_type'),
               (p ->> 'cooking_seconds')::float8) as pace
    into kitchen from kitchen_state k;
    verdict := kitchen.verdict;
    if verdict = 'paused' then
        rule := kitchen.reason;
    elsif verdict = 'sold out' then
        select string_agg(m.name, ', ' order by m.name) into rule
        from menu m where m.sold_out and order_has_dish(p, m);
    end if;
    if verdict is null and p ->> 'source_id' is not null then
        select e.number into number from orders e where e.source_id = (p ->> 'source_id')::uuid;
        verdict := case when found then 'twice' end;
    end if;
    if verdict is null and (p ->> 'menu_prices')::boolean then
        rule := menu_price_errors(p -> 'items');
        verdict := case when rule is not null then 'other prices' end;
    end if;
    if verdict is null and kitchen.capped and not capacity_acquire() then
        verdict := 'full';
        rule := kitchen.max_concurrent;
    end if;
    if verdict is not null then
        return;
    end if;
    customer := order_priority(p);
    priority := customer.priority;
    rule := customer.rule;
    number := order_number_next();
    estimated_completion := created_at + estimate_wait(
        priority, kitchen.cooks, kitchen.pace, kitchen.waiting, kitchen.capped);
    insert into orders (created_at, updated_at, number, customer_name, customer_key, customer_type,
                        type, table_number, delivery_address, total_amount, priority, rush,
                        estimated_completion, promised_at, source_id, needs, trace)
    values (created_at, created_at, number, p ->> 'customer_name',
            normalize(p ->> 'customer_key', nfc), customer.customer_type,
            p ->> 'order_type', (p ->> 'table_number')::integer, p ->> 'delivery_address',
            (p ->> 'total_amount')::numeric, priority, (p ->> 'rush')::boolean,
            estimated_completion, estimated_completion, (p ->> 'source_id')::uuid, needed_tags,
            p ->> 'traceparent')
    returning * into o;
    insert into order_items (id, order_id, position, name, quantity, price)
    select derived_uuid(o.id, 'item ' || i.position), o.id, i.position,
           i.item ->> 'name', (i.item ->> 'quantity')::integer, (i.item ->> 'price')::numeric
    from jsonb_array_elements(p -> 'items') with ordinality as i(item, position);
    -- Assignments, which are evaluated as expressions; `perform` would run a query each time.
    done := outbox_enqueue_task(
        o.id, 'cook_order', p ->> 'queue', p ->> 'exchange', 'kitchen.' || o.type || '.' || o.priority,
        o.priority, order_message(o), trace_headers(o.trace), p_required_tags => needed_tags);
    done := order_log_change(o, null, p ->> 'changed_by', 'priority ' || o.priority || ': ' || rule);
    order_id := o.id;
    total_amount := o.total_amount;
    if idempotency_key is not null then
        insert into idempotency_key (key, digest, order_number, priority, rule, ordered_at,
                               estimated_completion)
        values (idempotency_key, decode(p #>> '{idempotency,digest}', 'hex'), number, priority, rule,
                created_at, estimated_completion);
    end if;
    if counted then
        insert into client_order (order_number, client_hash, network_hash)
        values (number, decode(p #>> '{client,address}', 'hex'),
                decode(p #>> '{client,network}', 'hex'));
    end if;
    verdict := 'placed';
end $$;

-- The order message of the specification, from the tables; all but the first also have the order's stage.
-- p_more: fields that its former message had besides (a newer release may have put them there), by turns
-- a name and the JSON of its value, which is passed on as it is: PostgreSQL reads less than any JSON.
create or replace function order_message(o orders, p_more text[] default null) returns bytea
language plpgsql stable as $$
declare
    known json;
    added text;
begin
    known := json_build_object(
        'order_number', o.number,
        'customer_name', o.customer_name,
        'customer_type', o.customer_type,
        'order_type', o.type,
        'table_number', o.table_number,
        'delivery_address', o.delivery_address,
        'items', (select json_agg(json_build_object('name', i.name, 'quantity', i.quantity,
                                                    'price', i.price)
                                  order by i.position)
                  from order_items i where i.order_id = o.id),
        'total_amount', o.total_amount,
        'priority', o.priority,
        'rush', o.rush,
        'created_at', iso8601_utc(o.created_at)
    );
    if o.version > 1 then
        added := ', "stage" : ' || coalesce(to_json(o.stage), 'null');
    end if;
    if p_more is not null then
        select concat(added, string_agg(', ' || to_json(p_more[i]) || ' : ' || p_more[i + 1], ''
                                        order by i)) into added
        from generate_series(1, cardinality(p_more), 2) as i
        where p_more[i] not in (select json_object_keys(known));
    end if;
    return convert_to(case when added is null then known::text
                           else left(known::text, -1) || added || '}' end, 'UTF8');
end $$;

-- Release 0.2 calls the following three; release 0.4 drops them. They are in this file because one has the
-- name of a function above (see _replace in pizza/database/migrate.py).
create or replace function order_place_for(
    p_client bytea, p_places integer, p_key text, p_digest bytea,
    p_expires timestamptz, p_customer_name text, p_customer_key text, p_customer_type text,
    p_type text, p_table integer, p_address text, p_rush boolean, p_total numeric,
    p_items json,
    p_priority integer, p_rule text, p_repeat_priority integer, p_repeat_rule text,
    p_vip_priority integer, p_vip_rule text, p_names text[], p_needs text[], p_source uuid,
    p_cooking interval, p_queue text, p_exchange text, p_by text,
    p_trace text default null,
    out verdict text, out number text, out priority integer, out rule text,
    out created_at timestamptz, out estimated_completion timestamptz
)
language sql as $$
    select e.verdict, e.number, e.priority, e.rule, e.created_at, e.estimated_completion
    from order_place(jsonb_build_object(
        'customer_name', p_customer_name, 'customer_key', p_customer_key,
        'customer_type', p_customer_type, 'order_type', p_type, 'table_number', p_table,
        'delivery_address', p_address, 'rush', p_rush, 'total_amount', p_total,
        'items', (select jsonb_agg(i.item || jsonb_build_object('key', p_names[i.position])
                                   order by i.position)
                  from jsonb_array_elements(p_items::jsonb) with ordinality as i(item, position)),
        'priorities', jsonb_build_object(
            'new', jsonb_build_object('priority', p_priority, 'rule', p_rule),
            'repeat', jsonb_build_object('priority', p_repeat_priority, 'rule', p_repeat_rule),
            'vip', jsonb_build_object('priority', p_vip_priority, 'rule', p_vip_rule)),
        'required_tags', to_jsonb(p_needs), 'source_id', p_source,
        'cooking_seconds', extract(epoch from p_cooking), 'queue', p_queue, 'exchange', p_exchange,
        'changed_by', p_by, 'traceparent', p_trace, 'expires_at', p_expires,
        'idempotency', case when p_key is not null then
            jsonb_build_object('key', p_key, 'digest', encode(p_digest, 'hex')) end,
        'client', case when p_client is not null then
            jsonb_build_object('address', encode(p_client, 'hex'), 'limit', p_places) end
    )) e
$$;

create or replace function order_place_once(
    p_key text, p_digest bytea,
    p_expires timestamptz, p_customer_name text, p_customer_key text, p_customer_type text,
    p_type text, p_table integer, p_address text, p_rush boolean, p_total numeric,
    p_items json,
    p_priority integer, p_rule text, p_repeat_priority integer, p_repeat_rule text,
    p_vip_priority integer, p_vip_rule text, p_names text[], p_needs text[], p_source uuid,
    p_cooking interval, p_queue text, p_exchange text, p_by text,
    p_trace text default null,
    out verdict text, out number text, out priority integer, out rule text,
    out created_at timestamptz, out estimated_completion timestamptz
)
language sql as $$
    select e.* from order_place_for(
        null, null, p_key, p_digest, p_expires, p_customer_name, p_customer_key, p_customer_type,
        p_type, p_table, p_address, p_rush, p_total, p_items, p_priority, p_rule, p_repeat_priority,
        p_repeat_rule, p_vip_priority, p_vip_rule, p_names, p_needs, p_source, p_cooking, p_queue,
        p_exchange, p_by, p_trace) e
$$;

create or replace function order_place(
    p_expires timestamptz, p_customer_name text, p_customer_key text, p_customer_type text,
    p_type text, p_table integer, p_address text, p_rush boolean, p_total numeric,
    p_items json,
    p_priority integer, p_rule text, p_repeat_priority integer, p_repeat_rule text,
    p_vip_priority integer, p_vip_rule text, p_names text[], p_needs text[], p_source uuid,
    p_cooking interval, p_queue text, p_exchange text, p_by text,
    p_trace text default null,
    out verdict text, out number text, out priority integer, out rule text,
    out created_at timestamptz, out estimated_completion timestamptz
)
language sql as $$
    select e.* from order_place_for(
        null, null, null, null, p_expires, p_customer_name, p_customer_key, p_customer_type,
        p_type, p_table, p_address, p_rush, p_total, p_items, p_priority, p_rule, p_repeat_priority,
        p_repeat_rule, p_vip_priority, p_vip_rule, p_names, p_needs, p_source, p_cooking, p_queue,
        p_exchange, p_by, p_trace) e
$$;

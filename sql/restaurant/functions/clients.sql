-- Orders of clients that may hold only so many places of the kitchen at a time.

-- How many orders of a client, or of a network, are waiting or cooking; the other argument is null.
create or replace function client_orders(p_client bytea, p_network bytea) returns bigint
language sql volatile as $$
    select count(*) from client_order c join orders o on o.number = c.order_number
    where o.status in ('received', 'cooking')
      and (p_client is null or c.client_hash = p_client)
      and (p_network is null or c.network_hash = p_network)
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

-- Whether a client may place one more order; the verdict is null if it may. p_client: its `address` and
-- `network`, keyed hashes in hexadecimal, and its `limit` (null: a quarter of what the restaurant takes; 0:
-- none). p_key: the idempotency key of the request, or null; what was answered before is answered again,
-- however many orders the client has. Otherwise:
--   client full   the client has its limit of orders waiting or cooking (`rule`: how many)
--   network full  its network has half of what the restaurant takes (`rule`: how many)
--   full          only the reserve for staff is left (`rule`: how many the restaurant takes)
-- Fractions are rounded up. Without a cap of the restaurant only the client's limit counts. Release 0.2
-- sends no network. counted: whether the order has to be counted for this client.
create or replace function client_check(
    p_client jsonb, p_key text, out verdict text, out rule text, out counted boolean
)
language plpgsql as $$
declare
    client bytea := decode(p_client ->> 'address', 'hex');
    network bytea := decode(p_client ->> 'network', 'hex');
    most integer := (select max_concurrent from kitchen_state);
    places integer := coalesce((p_client ->> 'limit')::integer, (most + 3) / 4);
    network_places integer := greatest((most + 1) / 2, places);
begin
    counted := places > 0;
    if not counted then
        return;
    end if;
    -- One after the other, so that the counts are right; other networks do not wait.
    perform pg_advisory_xact_lock(lock_key('client ' || encode(coalesce(network, client), 'hex')));
    if p_key is not null and exists (select from idempotency_key e where e.key = p_key) then
        return;
    end if;
    if places <= client_orders(client, null) then
        verdict := 'client full';
        rule := places;
    elsif most > 0 and network is not null and network_places <= client_orders(null, network) then
        verdict := 'network full';
        rule := network_places;
    elsif most > 0 and not client_leaves_reserve(most) then
        verdict := 'full';
        rule := most;
    end if;
end $$;

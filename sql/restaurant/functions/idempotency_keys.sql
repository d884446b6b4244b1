-- What was answered under an idempotency key. The verdict is null for a new key, which is locked until
-- the transaction ends. Otherwise:
--   replayed    this request has placed an order before; the rest is what was answered then
--   key reused  the key came with another request (p_digest) before
--   in flight   a request with this key is at work, and has been for longer than we wait
create or replace function idempotency_key_check(
    p_key text, p_digest bytea,
    out verdict text, out number text, out priority integer, out rule text,
    out created_at timestamptz, out estimated_completion timestamptz,
    out order_id uuid, out total_amount numeric
)
language plpgsql as $$
declare
    k idempotency_key;
    lock_timeout text := current_setting('lock_timeout');
begin
    -- Two keys with one hash only wait for each other.
    if not pg_try_advisory_xact_lock(lock_key('idempotency key ' || p_key)) then
        begin
            perform set_config('lock_timeout', '400ms', true);
            perform pg_advisory_xact_lock(lock_key('idempotency key ' || p_key));
            perform set_config('lock_timeout', lock_timeout, true);
        exception when lock_not_available then
            verdict := 'in flight';
            return;
        end;
    end if;
    select * into k from idempotency_key e where e.key = p_key;
    if not found then
        return;
    end if;
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
    select o.id, sum(i.quantity * i.price) into order_id, total_amount
    from orders o join order_items i on i.order_id = o.id
    where o.number = k.order_number
    group by o.id;
end $$;

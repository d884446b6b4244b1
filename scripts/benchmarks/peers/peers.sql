-- A cook's two steps as a task queue without an inbox does them: the same rows as cooking_start
-- and cooking_finish, without claim, token and completion.

create function bench_start(p_number text, p_worker text) returns void
language plpgsql as $$
declare
    o orders;
    done boolean;
begin
    update orders u
    set status = 'cooking', processed_by = p_worker, started_at = clock_timestamp(),
        updated_at = clock_timestamp(), version = u.version + 1
    where u.number = p_number and u.status = 'received'
    returning * into o;
    if found then
        done := order_log_change(o, 'received', p_worker, null);
    end if;
end $$;

create function bench_finish(p_number text, p_worker text) returns void
language plpgsql as $$
declare
    o orders;
    done boolean;
begin
    update orders u
    set status = 'ready', completed_at = clock_timestamp(), updated_at = clock_timestamp(),
        version = u.version + 1
    where u.number = p_number and u.status = 'cooking'
    returning * into o;
    if not found then
        return;
    end if;
    done := order_log_change(o, 'cooking', p_worker, null) and capacity_release();
    update workers w
    set orders_processed = w.orders_processed + 1, last_seen = clock_timestamp()
    where w.name = p_worker;
end $$;

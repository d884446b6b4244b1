-- What monitors are told of orders: how many became what, and after how long.

-- The upper bounds, in seconds, of the buckets of every time that is counted; beyond the last one
-- is one more.
create or replace function tally_bounds() returns float8[]
language sql immutable as $$
    select '{1,2,5,10,20,30,60,120,300,600,1200,1800,3600}'::float8[]
$$;

-- Count an order that has become p_status, after p_seconds in the status before (null: not known).
create or replace function order_count(
    p_status text, p_type text, p_priority integer, p_seconds float8
) returns boolean
language plpgsql as $$
declare
    place integer := (select count(*) + 1 from unnest(tally_bounds()) b where b < p_seconds);
begin
    insert into order_tally as t (status, type, priority, orders, timed, seconds, buckets)
    select p_status, p_type, p_priority, 1, (p_seconds is not null)::integer, coalesce(p_seconds, 0),
           array_agg((i = place and p_seconds is not null)::integer order by i)
    from generate_series(1, cardinality(tally_bounds()) + 1) i
    on conflict (status, type, priority) do update
    set orders = t.orders + 1,
        timed = t.timed + excluded.timed,
        seconds = t.seconds + excluded.seconds,
        buckets[place] = t.buckets[place] + excluded.buckets[place];
    return true;
end $$;

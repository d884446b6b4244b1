-- Metrics of orders: how many got each status, and after how long.

-- The upper bounds of the buckets, in seconds; one more bucket has what is above the last bound.
create or replace function histogram_buckets() returns float8[]
language sql immutable as $$
    select '{1,2,5,10,20,30,60,120,300,600,1200,1800,3600}'::float8[]
$$;

-- Count an order that has got p_status, after p_seconds in the previous status (null: not known).
create or replace function order_histogram_observe(
    p_status text, p_type text, p_priority integer, p_seconds float8
) returns boolean
language plpgsql as $$
declare
    bucket integer := (select count(*) + 1 from unnest(histogram_buckets()) b where b < p_seconds);
begin
    insert into order_histogram as t (status, type, priority, orders, timed, seconds, buckets)
    select p_status, p_type, p_priority, 1, (p_seconds is not null)::integer, coalesce(p_seconds, 0),
           array_agg((i = bucket and p_seconds is not null)::integer order by i)
    from generate_series(1, cardinality(histogram_buckets()) + 1) i
    on conflict (status, type, priority) do update
    set orders = t.orders + 1,
        timed = t.timed + excluded.timed,
        seconds = t.seconds + excluded.seconds,
        buckets[bucket] = t.buckets[bucket] + excluded.buckets[bucket];
    return true;
end $$;

-- Functions of this schema under the names by which processes of release 0.2 call them, with the arguments
-- and results of that release. Release 0.4 drops them, and what else 0.2 has left in a migrated database:
-- capacity_give, capacity_take, kitchen_outlook, line_next, line_send, order_changed, order_recook,
-- station_done, utc_text. (A call that runs while the database is migrated still needs those.)

create or replace function part_id(p_whole uuid, p_part text) returns uuid
language sql immutable as $$ select derived_uuid(p_whole, p_part) $$;

create or replace function has_moved(
    p_before timestamptz, p_now timestamptz, p_least interval, p_share float8
) returns boolean
language sql stable as $$ select estimate_shifted(p_before, p_now, p_least, p_share) $$;

create or replace function estimate_tell(o orders, p_by text) returns boolean
language sql as $$ select estimate_notify(o, p_by) $$;

-- To an order service of 0.2 a thousand million is no limit.
create or replace function capacity_set(p_limit integer) returns void
language plpgsql as $$
begin
    -- Before the row is read: two services that start would each wait for the other one's lock.
    lock table kitchen_state, kitchen_capacity in access exclusive mode;
    if (select max_concurrent_by is null from kitchen_state) then
        perform capacity_set_limit(case when p_limit < 1000000000 then p_limit else 0 end, null);
    end if;
end $$;

create or replace function station_return(
    p_message uuid, p_token bigint, p_queues text[], p_promise bigint, p_number text,
    p_station text, p_worker text, p_queue text, p_exchange text, p_notes text,
    p_more text[] default null,
    out next_queue text, out promise bigint, out status text
)
language sql as $$
    select * from station_send_back(p_message, p_token, p_queues, p_promise, p_number, p_station, p_worker,
                                    p_queue, p_exchange, p_notes, p_more)
$$;

create or replace function message_order(p_id uuid, p_headers jsonb) returns uuid
language sql immutable as $$ select message_order_id(p_id, p_headers) $$;

create or replace function order_move(
    p_number text, p_version integer, p_to text, p_by text, p_notes text,
    p_queue text, p_exchange text,
    out verdict text, out status text, out version integer, out updated_at timestamptz
)
language sql as $$
    select case t.verdict when 'stale' then 'changed' else 'moved' end, t.status, t.version, t.updated_at
    from order_transition(p_number, p_version, p_to, p_by, p_notes, p_queue, p_exchange) t
$$;

create or replace function order_prioritise(
    p_number text, p_version integer, p_priority integer, p_by text, p_notes text,
    out verdict text, out status text, out version integer, out updated_at timestamptz
)
language sql as $$
    select case t.verdict when 'stale' then 'changed' else 'moved' end, t.status, t.version, t.updated_at
    from order_set_priority(p_number, p_version, p_priority, p_by, p_notes) t
$$;

create or replace function orders_age(p_patience interval, p_priority integer, p_by text, p_rule text)
returns integer
language sql as $$ select orders_promote_aged(p_patience, p_priority, p_by, p_rule) $$;

create or replace function tally_bounds() returns float8[]
language sql immutable as $$ select histogram_buckets() $$;

create or replace function order_count(
    p_status text, p_type text, p_priority integer, p_seconds float8
) returns boolean
language sql as $$ select order_histogram_observe(p_status, p_type, p_priority, p_seconds) $$;

create or replace function worker_at_work(p_name text, p_last_seen timestamptz) returns boolean
language sql volatile as $$ select worker_online(p_name, p_last_seen) $$;

create or replace function worker_enter(
    p_name text, p_type text, p_limit integer, p_station text, p_order_types text[], p_tags text[],
    p_cooking_time double precision
) returns text
language sql as $$
    select case v when 'registered' then 'welcome' else v end
    from worker_register(p_name, p_type, p_limit, p_station, p_order_types, p_tags, p_cooking_time) v
$$;

create or replace function kitchen_start(
    p_message uuid, p_holder bigint, p_lease interval, p_queues text[], p_forced boolean,
    p_promise bigint, p_priority integer, p_number text, p_worker text, p_cooking interval,
    out verdict text, out token bigint, out attempt integer, out better_queue text,
    out promise bigint, out status text, out type text, out priority integer, out taken_from text
)
language sql as $$
    select release_0_2_claim(p_message, c.verdict, p_lease), c.token, c.attempt, c.better_queue,
           c.reservation, c.status, c.type, c.priority, c.taken_from
    from cooking_start(p_message, p_holder, p_queues, p_forced, p_promise, p_priority, p_number,
                       p_worker, p_cooking) c
$$;

create or replace function kitchen_finish(
    p_message uuid, p_token bigint, p_queues text[], p_promise bigint, p_number text, p_type text,
    p_worker text, p_more text[] default null,
    out next_queue text, out promise bigint, out status text, out waited double precision, out cooked double precision
)
language sql as $$
    select * from cooking_finish(p_message, p_token, p_queues, p_promise, p_number, p_type, p_worker, p_more)
$$;

create or replace function station_start(
    p_message uuid, p_holder bigint, p_lease interval, p_queues text[], p_forced boolean,
    p_promise bigint, p_priority integer, p_number text, p_station text, p_worker text, p_status text,
    out verdict text, out token bigint, out attempt integer, out better_queue text,
    out promise bigint, out status text, out stage text, out type text, out priority integer
)
language sql as $$
    select release_0_2_claim(p_message, c.verdict, p_lease), c.token, c.attempt, c.better_queue,
           c.reservation, c.status, c.stage, c.type, c.priority
    from station_start_work(p_message, p_holder, p_queues, p_forced, p_promise, p_priority, p_number,
                            p_station, p_worker, p_status) c
$$;

create or replace function station_finish(
    p_message uuid, p_token bigint, p_queues text[], p_promise bigint, p_number text,
    p_station text, p_worker text, p_type text, p_status text, p_more text[] default null,
    out next_queue text, out promise bigint, out status text, out stage text
)
language sql as $$
    select * from station_finish_work(p_message, p_token, p_queues, p_promise, p_number, p_station,
                                      p_worker, p_type, p_status, p_more)
$$;

-- Functions that processes of release 0.2 call, with its parameters and results. Release 0.4 drops them, and
-- what else 0.2 has left in a migrated database: message_best, message_promise, promise_take, promise_keep,
-- promised_elsewhere, message_needs, message_count, outbox_wake. (A call that runs while the database is
-- migrated still needs those.)

create or replace function outbox_task(
    p_id uuid, p_task text, p_queue text, p_exchange text, p_routing_key text,
    p_priority integer, p_body bytea, p_headers jsonb default null, p_countdown interval default null,
    p_needs text[] default null
) returns boolean
language sql as $$
    select outbox_enqueue_task(p_id, p_task, p_queue, p_exchange, p_routing_key, p_priority, p_body,
                               p_headers, p_countdown, p_needs)
$$;

create or replace function outbox_event(
    p_id uuid, p_exchange text, p_routing_key text, p_body bytea,
    p_headers jsonb default null, p_priority integer default 0
) returns boolean
language sql as $$
    select outbox_enqueue_event(p_id, p_exchange, p_routing_key, p_body, p_headers, p_priority)
$$;

create or replace function promise_end(p_position bigint) returns boolean
language sql as $$ select reservation_release(p_position) $$;

-- Whether a session holds the lock of a worker. Leases from before the server's start get some time.
create or replace function holder_alive(p_holder bigint, p_renewed timestamptz) returns boolean
language sql volatile as $$
    select not pg_try_advisory_xact_lock_shared(p_holder)
        or (p_renewed < pg_postmaster_start_time()
            and pg_postmaster_start_time() > clock_timestamp() - interval '10 seconds')
$$;

create or replace function message_postpone(p_id uuid, p_token bigint, p_delay interval) returns boolean
language sql as $$ select message_snooze(p_id, p_token, p_delay) $$;

create or replace function message_leave(
    p_id uuid, p_shortest interval, p_longest interval
) returns interval
language sql as $$ select message_defer(p_id, p_shortest, p_longest) $$;

create or replace function message_bury(
    p_id uuid, p_token bigint, p_exchange text, p_headers jsonb
) returns boolean
language sql as $$ select message_dead_letter(p_id, p_token, p_exchange, p_headers) $$;

create or replace function message_bury_unread(p_id uuid, p_exchange text, p_headers jsonb)
returns boolean
language sql as $$ select message_dead_letter(p_id, null, p_exchange, p_headers) $$;

create or replace function message_bury_raw(
    p_exchange text, p_queue text, p_body bytea, p_headers jsonb
) returns boolean
language sql as $$ select message_dead_letter_raw(p_exchange, p_queue, p_body, p_headers) $$;

create or replace function message_withdraw(p_id uuid) returns boolean
language sql as $$ select message_cancel(p_id) $$;

create or replace function message_reprioritise(p_id uuid, p_priority integer) returns boolean
language sql as $$ select message_set_priority(p_id, p_priority) $$;

create or replace function message_adopt(
    p_id uuid, p_identified boolean, p_redelivered boolean, p_task text, p_queue text,
    p_priority integer, p_body bytea, p_headers jsonb
) returns boolean
language sql as $$
    select inbox_accept(p_id, p_identified, p_redelivered, p_task, p_queue, p_priority, p_body, p_headers)
$$;

create or replace function message_match(p_queues text[], p_skills text[])
returns table (id uuid, task text, queue text, priority smallint, "position" bigint, headers jsonb, body bytea)
language sql stable as $$ select * from message_find_match(p_queues, p_skills) $$;

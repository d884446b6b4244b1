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

-- The verdict of a claim in the words of 0.2. Its workers have no row in worker_session: the lease is in
-- the message.
create or replace function release_0_2_claim(p_id uuid, p_verdict text, p_lease interval) returns text
language plpgsql as $$
begin
    if p_verdict = 'claimed' then
        update message
        set lease_until = clock_timestamp() + p_lease, renewed_at = clock_timestamp()
        where id = p_id;
    end if;
    return case p_verdict when 'gone' then 'done' when 'leased' then 'held' when 'scheduled' then 'later'
                          when 'preempted' then 'better' when 'stale' then 'moved' else p_verdict end;
end $$;

create or replace function message_claim(
    p_id uuid, p_holder bigint, p_lease interval, p_queues text[], p_forced boolean, p_promise bigint,
    p_priority integer,
    out verdict text, out token bigint, out attempt integer, out better_queue text, out resumed boolean,
    out promise bigint
)
language sql as $$
    select release_0_2_claim(p_id, c.verdict, p_lease), c.token, c.attempt, c.better_queue, c.resumed,
           c.reservation
    from job_claim(p_id, p_holder, p_queues, p_forced, p_promise, p_priority) c
$$;

create or replace function message_fence(p_id uuid, p_token bigint) returns boolean
language sql as $$ select job_fence(p_id, p_token) $$;

create or replace function message_complete(
    p_id uuid, p_token bigint, p_queues text[], p_promise bigint,
    out next_queue text, out promise bigint
)
language sql as $$ select * from job_complete(p_id, p_token, p_queues, p_promise) $$;

create or replace function message_retry(
    p_id uuid, p_token bigint, p_delay interval, p_what text default 'retried'
) returns boolean
language sql as $$ select job_retry(p_id, p_token, p_delay, p_what) $$;

create or replace function message_postpone(p_id uuid, p_token bigint, p_delay interval) returns boolean
language sql as $$ select job_snooze(p_id, p_token, p_delay) $$;

create or replace function message_release(p_id uuid, p_token bigint) returns boolean
language sql as $$ select job_release(p_id, p_token) $$;

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

-- send --
select outbox_enqueue_task(%(id)s, %(task)s, %(queue)s, %(exchange)s, %(routing_key)s,
                           %(priority)s, %(body)s, %(headers)s, %(countdown)s, %(needs)s)

-- send_once --
select outbox_enqueue_task_once(%(id)s, %(task)s, %(queue)s, %(exchange)s, %(routing_key)s,
                                %(priority)s, %(body)s, %(headers)s, %(countdown)s, %(needs)s)

-- publish --
select outbox_enqueue_event(%(id)s, %(exchange)s, %(routing_key)s, %(body)s, %(headers)s, %(priority)s)

-- publish_raw --
select outbox_enqueue_event(gen_random_uuid(), %(exchange)s, %(routing_key)s, %(body)s, %(headers)s)

-- claim --
select verdict, token, attempt, better_queue, reservation
from job_claim(%(job_id)s, %(job_worker_id)s, %(job_queues)s, %(job_skip_priority_check)s,
               %(job_reservation)s, %(job_priority)s)

-- fence --
select job_fence(%(job_id)s, %(job_token)s)

-- complete --
select next_queue, reservation
from job_complete(%(job_id)s, %(job_token)s, %(job_queues)s, %(job_reservation)s)

-- retry --
select job_retry(%(job_id)s, %(job_token)s, %(delay)s)

-- snooze --
select job_snooze(%(job_id)s, %(job_token)s, %(delay)s)

-- release --
select job_release(%(job_id)s, %(job_token)s)

-- defer --
select message_defer(%(id)s, %(min_delay)s, %(max_delay)s)

-- dead_letter --
select message_dead_letter(%(job_id)s, %(job_token)s, %(exchange)s, %(headers)s, %(traceback)s)

-- dead_letter_unclaimed --
-- Dead-letter a message that no worker can claim. No row: there is no such message.
select 1 from message_dead_letter(%(id)s, null, %(exchange)s, %(headers)s, null, %(worker_id)s) as found
where found

-- dead_letter_raw --
select message_dead_letter_raw(%(exchange)s, %(routing_key)s, %(body)s, %(headers)s, %(id)s, %(traceback)s)

-- redeliver --
select message_redeliver(%(id)s)

-- message_exists --
select 1 from message where id = %(id)s

-- register --
insert into worker_session (id, name, lease_expires_at)
values (%(worker_id)s, %(name)s, clock_timestamp() + %(lease)s)
on conflict (id) do update
set lease_renewed_at = clock_timestamp(), lease_expires_at = excluded.lease_expires_at

-- renew --
-- Renew the lease of a worker, and check whether it still has its claim.
with renewed as (
    update worker_session
    set lease_renewed_at = clock_timestamp(), lease_expires_at = clock_timestamp() + %(lease)s
    where id = %(worker_id)s
    returning 1
)
select exists (select from renewed) as registered,
       %(id)s::uuid is null
       or exists (select from message where id = %(id)s and token = %(token)s) as held

-- unregister --
delete from worker_session where id = %(worker_id)s

-- end_predecessor --
-- End the session of this worker's former job connection: it may have rows locked.
select session_terminate(%(key)s)

-- try_lock --
select pg_try_advisory_lock(%(key)s)

-- release_reservation --
select reservation_release(%(reservation)s)

-- cancel --
select message_cancel(%(id)s)

-- set_priority --
select message_set_priority(%(id)s, %(priority)s)

-- accept --
select inbox_accept(%(id)s, %(identified)s, %(redelivered)s, %(task)s, %(queue)s, %(priority)s,
                    %(body)s, %(headers)s)

-- find_match --
select id, task, queue, priority, position, headers, body
from message_find_match(%(queues)s, %(skills)s)

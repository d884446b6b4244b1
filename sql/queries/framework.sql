-- send --
select outbox_task(%(id)s, %(task)s, %(queue)s, %(exchange)s, %(routing_key)s,
                   %(priority)s, %(body)s, %(headers)s, %(countdown)s, %(needs)s)

-- publish --
select outbox_event(%(id)s, %(exchange)s, %(routing_key)s, %(body)s, %(headers)s, %(priority)s)

-- publish_raw --
select outbox_event(gen_random_uuid(), %(exchange)s, %(routing_key)s, %(body)s, %(headers)s)

-- claim --
select verdict, token, attempt, better_queue, promise
from message_claim(%(job_id)s, %(job_holder)s, %(job_lease)s, %(job_queues)s, %(job_forced)s,
                   %(job_promise)s, %(job_priority)s)

-- fence --
select message_fence(%(job_id)s, %(job_token)s)

-- complete --
select next_queue, promise
from message_complete(%(job_id)s, %(job_token)s, %(job_queues)s, %(job_promise)s)

-- retry --
select message_retry(%(job_id)s, %(job_token)s, %(delay)s)

-- postpone --
select message_postpone(%(job_id)s, %(job_token)s, %(delay)s)

-- release --
select message_release(%(job_id)s, %(job_token)s)

-- leave --
select message_leave(%(id)s, %(shortest)s, %(longest)s)

-- bury --
select message_bury(%(job_id)s, %(job_token)s, %(exchange)s, %(headers)s)

-- bury_unclaimed --
-- A row if it had one: nobody will ever be able to claim it.
select 1 from message_bury_unread(%(id)s, %(exchange)s, %(headers)s) as buried where buried

-- bury_raw --
select message_bury_raw(%(exchange)s, %(routing_key)s, %(body)s, %(headers)s)

-- known --
select 1 from message where id = %(id)s

-- renew --
-- A claim that was shown as orphaned while its worker was cut off is shown as held again.
update message 
set lease_until = clock_timestamp() + %(lease)s, renewed_at = clock_timestamp(), state = 'claimed'
where id = %(id)s and token = %(token)s and holder = %(holder)s
returning 1

-- hold --
select pg_try_advisory_lock(%(holder)s)

-- end_promise --
select promise_end(%(promise)s)

-- withdraw --
select message_withdraw(%(id)s)

-- reprioritise --
select message_reprioritise(%(id)s, %(priority)s)

-- adopt --
select message_adopt(%(id)s, %(identified)s, %(redelivered)s, %(task)s, %(queue)s, %(priority)s,
                     %(body)s, %(headers)s)

-- match --
select id, task, queue, priority, position, headers, body
from message_match(%(queues)s, %(skills)s)

-- forget_adopted --
delete from adopted_message
where id = any(array(select id from adopted_message where adopted_at < now() - interval '1 day'
                     order by adopted_at limit %(limit)s))

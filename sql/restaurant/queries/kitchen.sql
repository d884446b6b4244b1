-- start_cooking --
select verdict, token, attempt, better_queue, reservation, status, type, priority, taken_from
from cooking_start(%(job_id)s, %(job_worker_id)s, %(job_queues)s, %(job_skip_priority_check)s,
                   %(job_reservation)s, %(job_priority)s, %(number)s, %(worker)s, %(cooking)s)

-- finish_cooking --
select next_queue, reservation, status, waited, cooked
from cooking_finish(%(job_id)s, %(job_token)s, %(job_queues)s, %(job_reservation)s,
                    %(number)s, %(type)s, %(worker)s, %(more)s::text[])

-- set_paused --
update kitchen_state
set paused = %(paused)s, reason = %(reason)s, changed_by = %(by)s, changed_at = clock_timestamp()
returning paused, reason, changed_by, changed_at, max_concurrent, max_concurrent_by

-- kitchen_state --
select paused, reason, changed_by, changed_at, max_concurrent, max_concurrent_by from kitchen_state

-- start --
select *
from kitchen_start(%(job_id)s, %(job_holder)s, %(job_lease)s, %(job_queues)s, %(job_forced)s,
                   %(job_promise)s, %(number)s, %(worker)s, %(cooking)s)

-- finish --
select *
from kitchen_finish(%(job_id)s, %(job_token)s, %(job_queues)s, %(job_promise)s,
                    %(number)s, %(worker)s)

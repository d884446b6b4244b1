-- start_station --
select verdict, token, attempt, better_queue, reservation, status, stage, type, priority
from station_start_work(%(job_id)s, %(job_worker_id)s, %(job_queues)s, %(job_skip_priority_check)s,
                        %(job_reservation)s, %(job_priority)s, %(number)s, %(station)s, %(worker)s,
                        %(status)s)

-- finish_station --
select next_queue, reservation, status, stage
from station_finish_work(%(job_id)s, %(job_token)s, %(job_queues)s, %(job_reservation)s, %(number)s,
                         %(station)s, %(worker)s, %(type)s, %(status)s, %(more)s::text[])

-- send_back --
select next_queue, reservation, status
from station_send_back(%(job_id)s, %(job_token)s, %(job_queues)s, %(job_reservation)s, %(number)s,
                    %(station)s, %(worker)s, %(queue)s, %(exchange)s, %(notes)s, %(more)s::text[])

-- upsert_station --
insert into station (name, position, queue, task, order_types, open)
values (%(name)s, %(position)s, %(queue)s, %(task)s, %(order_types)s, %(open)s)
on conflict (name) do update
set position = excluded.position, queue = excluded.queue, task = excluded.task,
    order_types = excluded.order_types, open = excluded.open

-- close_other_stations --
update station set open = false where not name = any(%(names)s)

-- list_open_stations --
select name from station where open order by position

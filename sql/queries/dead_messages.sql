-- listed --
-- The oldest first.
select id, task, queue, priority, headers, body, reason, traceback, attempts, runs, created_at, died_at
from dead_message
order by died_at, id
limit %(limit)s

-- shown --
select id, task, queue, priority, headers, body, reason, traceback, attempts, runs, created_at, died_at
from dead_message where id = %(id)s

-- ids --
-- Those that were dead at one moment, a page after the other.
select id, died_at from dead_message
where (died_at, id) > (%(died_at)s, %(id)s) and died_at <= %(until)s
order by died_at, id
limit %(limit)s

-- retry --
select dead_message_retry(%(id)s)

-- drop --
delete from dead_message where id = %(id)s returning id

-- number --
select count(*)::integer from dead_message

-- existing --
select id from dead_message where id = any(%(ids)s)

-- listed --
-- A page of them, the oldest first; of what is long the beginning. (Other programs wrote some.)
select id, left(task, 200) as task, left(queue, 255) as queue, priority, needs, headers,
       substring(body for %(preview)s) as body, octet_length(body) as size, left(reason, 1000) as reason,
       right(traceback, 20000) as traceback, attempts, runs, created_at, died_at
from dead_message
where (died_at, id) > (%(died_at)s, %(id)s)
order by died_at, id
limit %(limit)s

-- shown --
select id, task, queue, priority, needs, headers, body, octet_length(body) as size, reason, traceback,
       attempts, runs, created_at, died_at
from dead_message where id = %(id)s

-- ids --
-- Those that were dead at one moment, a page after the other.
select id, died_at from dead_message
where (died_at, id) > (%(died_at)s, %(id)s) and died_at <= %(until)s
order by died_at, id
limit %(limit)s

-- retry --
-- Answers how many of them there were.
select count(*) filter (where dead_message_retry(id))::integer from unnest(%(ids)s::uuid[]) as d(id)

-- drop --
-- Answers how many of them there were.
select count(*) filter (where dead_message_drop(id))::integer from unnest(%(ids)s::uuid[]) as d(id)

-- number --
select count(*)::integer from dead_message

-- existing --
select id from dead_message where id = any(%(ids)s)

-- import_letter --
-- A row for a letter that came by the broker alone.
select message_bury_raw(%(exchange)s, %(queue)s, %(body)s, %(headers)s, %(id)s, null, %(priority)s)

-- state --
-- Changes whenever a row comes or goes.
select count(*), max(died_at) from dead_message

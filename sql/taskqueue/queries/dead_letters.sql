-- list_page --
-- A page, oldest first, with long values cut off. (Other programs wrote some of the rows.)
select id, left(task, 200) as task, left(queue, 255) as queue, priority, needs, headers,
       substring(body for %(preview)s) as body, octet_length(body) as size, left(reason, 1000) as reason,
       right(traceback, 20000) as traceback, attempts as attempt, runs, died_at
from dead_message
where (died_at, id) > (%(died_at)s, %(id)s)
order by died_at, id
limit %(limit)s

-- find_by_id --
-- One with its whole body.
select id, task, queue, priority, needs, headers, body, octet_length(body) as size, reason, traceback,
       attempts as attempt, runs, died_at
from dead_message where id = %(id)s

-- list_ids --
-- A page of the ids that were dead at a given time.
select id, died_at from dead_message
where (died_at, id) > (%(died_at)s, %(id)s) and died_at <= %(until)s
order by died_at, id
limit %(limit)s

-- retry --
-- Send them again. Returns how many existed.
select count(*) filter (where dead_message_retry(id))::integer from unnest(%(ids)s::uuid[]) as d(id)

-- drop --
-- Delete them. Returns how many existed.
select count(*) filter (where dead_message_drop(id))::integer from unnest(%(ids)s::uuid[]) as d(id)

-- count_all --
select count(*)::integer from dead_message

-- find_existing --
-- Which of these rows exist.
select id from dead_message where id = any(%(ids)s)

-- import_dead_letter --
-- Insert a row for a dead letter that is in the queue only.
select message_dead_letter_raw(%(exchange)s, %(queue)s, %(body)s, %(headers)s, %(id)s, null, %(priority)s)

-- table_state --
-- Changes with each inserted or deleted row.
select count(*), max(died_at) from dead_message

-- How the broker looks to the process that leads, so that every process can tell: `ok`, `away`, or `blocked`
-- while it takes no messages. Null until the leader has tried to reach it.
alter table leader add column broker_state text check (broker_state in ('ok', 'away', 'blocked'));

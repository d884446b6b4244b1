-- What operators look at: the trace of each order, and what has happened so far, counted.

-- The `traceparent` of the request that placed the order, for every message about it.
alter table orders add column trace text;

-- How often messages failed, by queue: `retried` (due again later), `postponed` (the same, and no
-- attempt counted), `dead` (for good).
create table message_tally (
    what   text   not null,
    queue  text   not null,
    number bigint not null,
    primary key (what, queue)
) with (fillfactor = 50);

-- What lies in the queues of the broker, as the leading relay saw it last.
create table broker_queue (
    name      text        primary key,
    messages  integer     not null,
    consumers integer     not null,
    seen_at   timestamptz not null
) with (fillfactor = 20);

-- How many orders became what, and how long they had been what they were before: a histogram.
-- Kept by the tracking service alone, from the events it hears, so nobody waits for a row here.
create table order_tally (
    status   varchar(20) not null,
    type     varchar(20) not null,
    priority smallint    not null,
    orders   bigint      not null,
    timed    bigint      not null,
    seconds  float8      not null,
    buckets  bigint[]    not null,
    primary key (status, type, priority)
) with (fillfactor = 50);

-- Queues of named subscribers, which are kept while their subscriber is away. A broker that lost
-- its disk has lost them; the relay declares them again before it publishes anything.
create table kept_queue (
    name         text         primary key,
    subscriber   text         not null,
    exchange     text         not null,
    routing_key  text         not null,
    seen_at      timestamptz  not null default clock_timestamp()
);

-- Webhooks: who is told of orders over HTTP, and what each was told.

create table webhook (
    id              integer      primary key generated always as identity,
    url             text         not null,
    description     text,
    -- null: all of them
    types           text[],
    -- As they are: whoever signs needs them. The former one counts beside it for a while.
    secret          bytea        not null,
    former_secret   bytea,
    former_until    timestamptz,
    created_at      timestamptz  not null default now(),
    disabled_at     timestamptz,
    disabled_reason text,
    -- since its last good answer
    failing_since   timestamptz,
    timeouts        integer      not null default 0,
    -- Until then nothing is sent to it: it has just let somebody wait, or has asked for a pause.
    rests_until     timestamptz,
    -- seconds that its last answer took
    pace            real         not null default 0
) with (fillfactor = 50);

-- One for each event and webhook. message_id is that of the task which works on it, so that a task
-- that was replaced by another has no effect.
create table webhook_delivery (
    id              uuid         primary key,
    position        bigint       not null generated always as identity,
    webhook_id      integer      not null references webhook on delete cascade,
    event_id        uuid         not null,
    type            text         not null,
    order_number    varchar(20),
    payload         text         not null,
    created_at      timestamptz  not null default clock_timestamp(),
    -- waiting, delivered, failed
    state           text         not null default 'waiting',
    message_id      uuid         not null,
    attempts        integer      not null default 0,
    tried_at        timestamptz,
    answer          smallint,
    problem         text,
    duration        real,
    next_at         timestamptz
) with (fillfactor = 80);

create index webhook_delivery_listed  on webhook_delivery (webhook_id, position);
create index webhook_delivery_waiting on webhook_delivery (webhook_id) where state = 'waiting';
create index webhook_delivery_age     on webhook_delivery (created_at) where state <> 'waiting';

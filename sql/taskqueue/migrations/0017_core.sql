-- The core at any size: proof of life of a worker in a row of its own, dead messages as rows,
-- the last run of a periodic task, what became of a delivery whose message was locked.

-- One row for each life of a worker process. It is alive while a session holds the advisory lock `id`
-- and the lease has not ended. The row is written only by the worker's own session.
create table worker_session (
    id               bigint      primary key,
    name             text        not null,
    renewed_at       timestamptz not null default clock_timestamp(),
    lease_expires_at timestamptz not null
) with (fillfactor = 50);

-- Who publishes the outbox, and when it last said so. Candidates read the row to find a leader that is
-- frozen, and one that cannot reach the broker although they can.
create table leader (
    role           text        primary key,
    pid            integer,
    heartbeat_at   timestamptz not null default clock_timestamp(),
    broker_lost_at timestamptz,
    candidate_at   timestamptz
) with (fillfactor = 50);
insert into leader (role) values ('publisher');

create table periodic_task (
    name        text        primary key,
    last_run_at timestamptz not null
) with (fillfactor = 50);

-- Messages whose delivery was dropped while another transaction had locked the row. The keeper
-- publishes them again once the row is free and still waits.
create table redelivery (
    message_id uuid        primary key,
    noted_at   timestamptz not null default clock_timestamp()
);

-- Messages that nobody can process, until a person retries or drops them.
create table dead_message (
    id         uuid        primary key,
    task       text,
    queue      text        not null,
    -- Of an event that could not be published: where it was to go. Others go to their queue again.
    exchange    text       not null default '',
    routing_key text,
    priority   smallint    not null default 0,
    headers    jsonb,
    needs      text[],
    body       bytea       not null,
    reason     text        not null,
    traceback  text,
    attempts   integer     not null default 0,
    runs       integer     not null default 0,
    created_at timestamptz,
    died_at    timestamptz not null default clock_timestamp()
);
create index dead_message_by_time on dead_message (died_at, id);

alter table message
    -- How often a worker began; `attempt` counts failures and crashes, and the run under way.
    add column runs          integer  not null default 0,
    -- How often in a row the broker did not take it.
    add column refusals      smallint not null default 0;

-- Of release 0.2, and called by nothing any longer.
drop function if exists order_lock_message(text);

-- Ids that senders chose, too: a second message with the same id is not sent. Only messages from other
-- programs without an id are told apart by their body. An id is forgotten half a day after its message
-- was seen to be over.
alter table adopted_message
    alter column body_hash drop not null,
    add column seen_at timestamptz not null default now(),
    add column is_over boolean not null default false;
drop index adopted_message_by_time;
create index adopted_message_by_last_look on adopted_message (seen_at);

-- What the tracking service and the notification subscribers keep.

-- Every notification that was received, as it came.
create table tracking_event (
    event_id     uuid         primary key,
    order_number varchar(20)  not null,
    -- the order's version; null in a notification of an outside producer that counts none
    sequence     integer,
    old_status   varchar(20),
    new_status   varchar(20)  not null,
    changed_by   text         not null,
    occurred_at  timestamptz  not null,
    received_at  timestamptz  not null default clock_timestamp()
);
create index tracking_event_by_order on tracking_event (order_number, sequence);

-- Where each order stands as far as its notifications tell: since when it has its status, and
-- what was estimated when it got it (the estimate of an order that waits moves on with the
-- line). Only this table is searched for stuck orders: an index on the status of `orders` would
-- cost every cook.
create table tracking_order (
    order_number varchar(20)  primary key,
    sequence     integer      not null,
    status       varchar(20)  not null,
    since        timestamptz  not null,
    promised     timestamptz
);
create index tracking_order_open on tracking_order (order_number) where status in ('received', 'cooking');

-- Sequence numbers that were passed over. `missing` counts down as they come late.
create table tracking_gap (
    order_number varchar(20)  not null,
    first        integer      not null,
    last         integer      not null,
    missing      integer      not null,
    noticed_at   timestamptz  not null default clock_timestamp(),
    filled_at    timestamptz,
    primary key (order_number, first)
);

-- Orders that waited or cooked far longer than estimated, each once for each stay in a status.
create table tracking_stuck (
    id           bigint       primary key generated always as identity,
    order_number varchar(20)  not null,
    status       varchar(20)  not null,
    since        timestamptz  not null,
    noticed_at   timestamptz  not null default clock_timestamp(),
    resolved_at  timestamptz
);
create unique index tracking_stuck_open on tracking_stuck (order_number, status) where resolved_at is null;

-- Status requests by message that were carried out or refused, with the answer to give again.
create table tracking_request (
    message_id   text         primary key,
    order_number varchar(20)  not null,
    new_status   varchar(20)  not null,
    changed_by   varchar(50)  not null,
    answer       jsonb        not null,
    answered_at  timestamptz  not null default clock_timestamp()
);

-- Every notification that a subscriber delivered, or had to give up.
create table notification_delivery (
    subscriber   text         not null,
    event_id     uuid         not null,
    order_number varchar(20)  not null,
    status       varchar(20)  not null,
    delivered_at timestamptz  not null default clock_timestamp(),
    attempts     integer      not null,
    outcome      text         not null,
    reason       text,
    primary key (subscriber, event_id)
);
create index notification_delivery_by_order on notification_delivery (order_number);

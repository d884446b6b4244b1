-- The specification's tables, with the corrections of decisions.md: `uuid` references,
-- the check on "type", timestamptz. Columns beyond the specification stand last.

-- The checks stand in domains: a table's check constraints are parsed anew for every
-- statement that writes to it, those of a domain once for each session.
create domain order_type     as varchar(10)   check (value in ('dine-in', 'takeout', 'delivery'));
create domain customer_type  as varchar(10)   check (value in ('regular', 'vip'));
create domain order_status   as varchar(20)   check (value in ('received', 'cooking', 'ready',
                                                     'out-for-delivery', 'delivered', 'cancelled'));
create domain order_priority as integer       check (value between 1 and 10);
create domain worker_status  as varchar(10)   check (value in ('online', 'offline'));
create domain positive       as integer       check (value > 0);
-- An upper bound also keeps NaN out, which is above all numbers.
create domain item_price     as decimal(8,2)  check (value between 0 and 999999.99);
create domain order_total    as decimal(10,2) check (value between 0 and 99999999.99);

create table orders (
    id                uuid          primary key default gen_random_uuid(),
    created_at        timestamptz   not null default now(),
    updated_at        timestamptz   not null default now(),
    number            varchar(20)   not null unique,
    customer_name     varchar(100)  not null,
    customer_type     customer_type not null default 'regular',
    type              order_type    not null,
    table_number      positive,
    delivery_address  text,
    total_amount      order_total   not null,
    priority          order_priority not null default 1,
    status            order_status  not null default 'received',
    processed_by      varchar(50),
    completed_at      timestamptz,
    -- beyond the specification
    rush              boolean       not null default false,
    customer_key      text          not null,
    started_at        timestamptz,
    estimated_completion timestamptz,
    version           integer       not null default 1
    -- Status changes touch no indexed column, so with room in the page they cost no index.
) with (fillfactor = 70);

-- "Repeat customer" is asked for each new order.
create index orders_by_customer on orders (customer_key);

create table order_items (
    id          uuid          primary key default gen_random_uuid(),
    created_at  timestamptz   not null default now(),
    order_id    uuid          not null references orders (id) on delete cascade,
    name        varchar(100)  not null,
    quantity    positive      not null,
    price       item_price    not null,
    position    smallint      not null
);
create index order_items_by_order on order_items (order_id);

create table order_status_log (
    id          uuid          primary key default gen_random_uuid(),
    created_at  timestamptz   not null default now(),
    order_id    uuid          not null references orders (id) on delete cascade,
    status      order_status  not null,
    changed_by  varchar(50)   not null,
    changed_at  timestamptz   not null default now(),
    notes       text,
    -- the order's version after the change: 1, 2, 3 without a gap
    sequence    integer       not null
);
create unique index order_status_log_by_order on order_status_log (order_id, sequence);

create table workers (
    id                uuid         primary key default gen_random_uuid(),
    created_at        timestamptz  not null default now(),
    name              varchar(50)  not null unique,
    type              varchar(20)  not null,
    status            worker_status not null default 'online',
    last_seen         timestamptz  not null default now(),
    orders_processed  integer      not null default 0
) with (fillfactor = 50);

-- Numbers: one sequence for ever, less the value with which the day began. No row is
-- locked by a new order, but for the first of a day.
create sequence order_number;
create table order_day (
    day    date    primary key,
    first  bigint  not null
);

-- How many more orders the kitchen takes, spread over rows so that orders placed at the
-- same time need not wait for each other's commit. The sum of `free` is the limit less
-- the orders received or cooking (below zero after the limit was lowered), that of
-- `share` is the limit.
create table kitchen_capacity (
    stripe  smallint  primary key,
    share   integer   not null,
    free    integer   not null
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);
insert into kitchen_capacity
select stripe, (stripe < 50)::integer, (stripe < 50)::integer from generate_series(0, 63) as stripe;

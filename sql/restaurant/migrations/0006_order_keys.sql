-- Requests that carry a key: what was answered under it, so that the same request is answered
-- the same again. The row is written with the order, so neither is ever there without the other.

create table order_key (
    key                  text        primary key,
    digest               bytea       not null,
    order_number         text        not null references orders (number) on delete cascade,
    -- As they were told then; the order's own move on.
    priority             integer     not null,
    rule                 text        not null,
    ordered_at           timestamptz not null,
    estimated_completion timestamptz,
    kept_at              timestamptz not null default clock_timestamp()
);
create index order_key_kept_at on order_key (kept_at);
create index order_key_order_number on order_key (order_number);

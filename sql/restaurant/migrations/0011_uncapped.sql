-- A kitchen without a cap has no places to count: that costs each order two updates and a tenth of a
-- millisecond. `waiting` is how many orders its line has, counted every few seconds; what is ahead of
-- a new order is looked at one by one only while they are few.
alter table kitchen_state add column capped  boolean not null default true,
                          add column waiting integer not null default 0;

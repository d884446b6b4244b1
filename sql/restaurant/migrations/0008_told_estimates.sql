-- The estimate that the order's guest was told last, by whatever notification: when it has moved far
-- from that, another one says so.
alter table tracking_order add column told timestamptz;

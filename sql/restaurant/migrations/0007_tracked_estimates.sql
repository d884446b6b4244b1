-- What the tracking service knows of an order's end by now. `promised` stays what it was when the
-- order came into its status: by that an order is called stuck, however far its estimate has moved.
alter table tracking_order add column estimated timestamptz;

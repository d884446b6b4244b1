-- Delete old rows, oldest first, a batch at a time. A received or cooking order keeps its rows. Locked rows
-- are skipped until a later run. (By `= any(array(…))` rows are looked up one by one; by `in` the whole
-- table would be read.)

-- prune_events --
-- With the last event of an order, its other rows of tracking are deleted. An order with a locked row keeps
-- all its rows until a later run. The status is read event by event: a join, planned when the tables were
-- small, compares all with all.
with oldest as materialized (
    select e.ctid as place, e.order_number
    from tracking_event e
    where e.received_at < now() - %(keep)s::interval
      and (select t.status in ('received', 'cooking') from tracking_order t
           where t.order_number = e.order_number) is not true
    order by e.received_at
    limit %(limit)s
    for update skip locked
), free_orders as materialized (
    select order_number from tracking_order
    where order_number = any(array(select order_number from oldest))
    for update skip locked
), free_gaps as materialized (
    select order_number, first from tracking_gap
    where order_number = any(array(select order_number from oldest))
    for update skip locked
), locked as materialized (
    select order_number from tracking_order
    where order_number = any(array(select order_number from oldest))
      and order_number <> all(array(select order_number from free_orders))
    union all
    select order_number from tracking_gap
    where order_number = any(array(select order_number from oldest))
      and (order_number, first) not in (select order_number, first from free_gaps)
), old as (
    delete from tracking_event
    where ctid = any(array(
        select place from oldest where order_number <> all(array(select order_number from locked))
    ))
    returning order_number
), orders as (
    delete from tracking_order
    where order_number = any(array(select order_number from old))
      and status not in ('received', 'cooking') and since < now() - %(keep)s::interval
), gaps as (
    delete from tracking_gap
    where order_number = any(array(select order_number from old))
      and noticed_at < now() - %(keep)s::interval
)
select count(*) from old

-- prune_stuck_orders --
delete from tracking_stuck
where ctid = any(array(
    select ctid from tracking_stuck
    where resolved_at < now() - %(keep)s::interval
    order by id
    limit %(limit)s
    for update skip locked
))

-- prune_replies --
delete from tracking_request
where ctid = any(array(
    select ctid from tracking_request
    where answered_at < now() - %(keep)s::interval
    order by answered_at
    limit %(limit)s
    for update skip locked
))

-- prune_notifications --
delete from notification_delivery
where ctid = any(array(
    select ctid from notification_delivery
    where delivered_at < now() - %(keep)s::interval
    order by delivered_at
    limit %(limit)s
    for update skip locked
))

-- prune_webhook_deliveries --
-- Deliveries that wait for an attempt stay.
delete from webhook_delivery
where ctid = any(array(
    select ctid from webhook_delivery
    where created_at < now() - %(keep)s::interval and state <> 'waiting'
    order by created_at
    limit %(limit)s
    for update skip locked
))

-- record_event --
-- Store an event, and update its order, never backwards. Returns whether the event is new, and the highest
-- number of the order before: the join reads that before it is written. A change is counted in the metrics,
-- with the time in the previous status, if no change between them is missing.
with stored as (
    insert into tracking_event (event_id, order_number, sequence, old_status, new_status,
                                changed_by, occurred_at)
    values (%(event_id)s, %(number)s, %(sequence)s, %(old)s, %(new)s, %(by)s, %(at)s)
    on conflict (event_id) do nothing
    returning 1
), before as (
    select sequence, status, since from tracking_order where order_number = %(number)s for update
), counted as (
    select order_histogram_observe(%(new)s, %(type)s, %(priority)s, case
        when before.status = %(old)s and before.sequence + 1 = %(sequence)s::integer
        then extract(epoch from %(at)s::timestamptz - before.since)::float8
    end) as done
    from stored left join before on true
    where %(type)s::text is not null and %(old)s::text is distinct from %(new)s::text
), moved as (
    insert into tracking_order as t (order_number, sequence, status, since, promised, estimated, told)
    select %(number)s, %(sequence)s::integer, %(new)s, %(at)s, %(promised)s, %(promised)s, %(promised)s
    from stored left join before on true
    where %(sequence)s::integer is not null
    on conflict (order_number) do update
    set (sequence, status, estimated, told, since, promised) = (
        select excluded.sequence, excluded.status, coalesce(excluded.estimated, t.estimated),
               coalesce(excluded.told, t.told),
               case when t.status = excluded.status then t.since else excluded.since end,
               case when t.status = excluded.status then t.promised else excluded.promised end
    )
    where excluded.sequence > t.sequence
)
select exists (select from stored), coalesce((select sequence from before), 0),
       (select done from counted)

-- open_gap --
insert into tracking_gap (order_number, first, last, missing)
values (%(number)s, %(first)s, %(last)s, %(last)s - %(first)s + 1)
on conflict do nothing

-- fill_gap --
-- One number of a gap was received; returns how many are still missing. No row: it was in no gap, or
-- another event had the number before.
update tracking_gap
set missing = missing - 1,
    filled_at = case when missing = 1 then clock_timestamp() end
where order_number = %(number)s and %(sequence)s between first and last and missing > 0
  and not exists (
      select from tracking_event
      where order_number = %(number)s and sequence = %(sequence)s and event_id <> %(event_id)s
  )
returning missing

-- insert_untracked --
-- Orders without a notification yet: the broker was unavailable, or tracking did not run. Each order is
-- looked up by its number: a join, planned when next to nothing waits, compares all with all.
insert into tracking_order (order_number, sequence, status, since, promised)
select o.number, 0, o.status, o.created_at, o.estimated_completion
from orders o
where o.in_kitchen and o.status in ('received', 'cooking')
  and (select t.sequence from tracking_order t where t.order_number = o.number) is null
limit %(limit)s
on conflict do nothing

-- update_estimates --
-- Copy the estimates of waiting orders that have shifted by more than `least`, and by more than `share` of
-- the remaining wait. Returns them, the most urgent first. Skips locked rows. (Each row is looked up: see
-- retention.sql.)
with far as (
    select o.number, o.priority, o.created_at, o.estimated_completion
    from tracking_order t join orders o on o.number = t.order_number
    where o.status = 'received' and t.status = 'received'
      and estimate_shifted(coalesce(t.estimated, t.promised), o.estimated_completion,
                           %(least)s::interval, %(share)s::float8)
    order by o.priority desc, o.created_at
    limit %(limit)s
    for no key update of t skip locked
), moved as (
    update tracking_order t
    set estimated = f.estimated_completion
    from far f
    where t.order_number = f.number and t.order_number = any(array(select number from far))
    returning f.number, f.priority, f.created_at, t.estimated
)
select number, estimated from moved order by priority desc, created_at

-- notify_estimates --
-- Publish a notification for estimates that are far from the last one notified. The order is locked, so its
-- notification precedes that of its cook, or is not sent.
with waiting as (
    select o as an_order, o.number
    from tracking_order t join orders o on o.number = t.order_number
    where o.status = 'received' and t.status = 'received'
      and estimate_shifted(coalesce(t.told, t.promised), o.estimated_completion,
                           %(least)s::interval, %(share)s::float8)
    order by o.priority desc, o.created_at
    limit %(limit)s
    for no key update of o, t skip locked
), noted as (
    update tracking_order t
    set told = (w.an_order).estimated_completion
    from waiting w
    where w.number = t.order_number and t.order_number = any(array(select number from waiting))
    returning w.number, w.an_order
)
select number, (an_order).estimated_completion from noted where estimate_notify(an_order, %(by)s)

-- mark_stuck --
insert into tracking_stuck (order_number, status, since)
select o.number, o.status, stay.since
from tracking_order t
join orders o on o.number = t.order_number
cross join lateral (
    select o.started_at as since, o.estimated_completion as promised where o.status = 'cooking'
    union all
    select t.since, t.promised where o.status = 'received' and t.status = 'received'
) stay
where t.status in ('received', 'cooking')
  and clock_timestamp() > stay.since
      + greatest((stay.promised - stay.since) * %(factor)s::float8, %(grace)s::interval)
  and not exists (select from tracking_stuck s where s.order_number = o.number
                  and s.status = o.status and s.resolved_at is null)
limit %(limit)s
on conflict (order_number, status) where resolved_at is null do nothing
returning order_number as number, status,
          extract(epoch from clock_timestamp() - since)::float8 as seconds

-- resolve_stuck --
with free as (
    select s.id, o.status as now
    from tracking_stuck s join orders o on o.number = s.order_number
    where s.resolved_at is null and o.status <> s.status
    for no key update of s skip locked
)
update tracking_stuck s
set resolved_at = clock_timestamp()
from free f
where s.id = f.id
returning s.order_number as number, s.status,
          extract(epoch from clock_timestamp() - s.since)::float8 as seconds, f.now

-- find_reply --
select answer from tracking_request where message_id = %(message_id)s

-- insert_reply --
insert into tracking_request (message_id, order_number, new_status, changed_by, answer)
values (%(message_id)s, %(number)s, %(new)s, %(by)s, %(answer)s)

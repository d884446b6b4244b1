"""What the report asks the database."""

LOST = """
select a.number from unnest(%(accepted)s::text[]) as a(number)
where not exists (select from orders o where o.number = a.number)
union
select number from orders where status <> 'delivered'
"""
DOUBLED = """
select o.number || ' ' || l.status from orders o join order_status_log l on l.order_id = o.id
where l.status in ('received', 'ready', 'out-for-delivery', 'delivered')
group by o.number, l.status having count(*) > 1
union
select max(number) || ' placed' from orders group by customer_name having count(*) > 1
union
select o.number || ' at ' || s.stage from orders o join order_stage s on s.order_id = o.id
where s.finished_at is not null
group by o.number, s.stage having count(*) > 1
"""
# A second cook has to have taken over from the first, and only the last one may finish.
OVERLAPPING = """
with step as (
    select order_id, status, changed_by, notes,
           lag(status) over one as old, lag(changed_by) over one as old_by
    from order_status_log window one as (partition by order_id order by sequence)
)
select distinct o.number from step s join orders o on o.id = s.order_id
where s.old = 'cooking'
  and (s.status = 'cooking' and s.notes is distinct from 'taken over from ' || s.old_by
       or s.status = 'ready' and s.changed_by <> s.old_by)
"""
STEPS = """
select o.number, o.type::text, l.status::text,
       lag(l.status::text) over (partition by l.order_id order by l.sequence)
from order_status_log l join orders o on o.id = l.order_id
"""
# Every change has its number, without a gap; every order has its items, for its price.
MISSING = """
select o.number || ' in the log' from orders o left join order_status_log l on l.order_id = o.id
group by o.number, o.version
having count(l.sequence) <> o.version or min(l.sequence) <> 1 or max(l.sequence) <> o.version
union
select o.number || ' in the items' from orders o left join order_items i on i.order_id = o.id
group by o.number, o.total_amount having o.total_amount is distinct from sum(i.price * i.quantity)
"""
OUTBOX = "select id::text || ' in the outbox' from message"
# Changes that tracking did not receive, and those of tracking that the subscriber did not receive,
# with the id of the notification. (One about a new estimate is no change, and has no number.)
MISSED = """
select o.number || ' change ' || l.sequence || ' at tracking',
       derived_uuid(o.id, 'event ' || l.sequence)::text
from orders o join order_status_log l on l.order_id = o.id
where not exists (select from tracking_event t
                  where t.order_number = o.number and t.sequence = l.sequence)
union
select t.order_number || coalesce(' change ' || t.sequence, ' estimate') || ' at the subscriber',
       t.event_id::text
from tracking_event t
where not exists (select from notification_delivery d
                  where d.subscriber = %(subscriber)s and d.event_id = t.event_id)
"""
# Notifications that are no longer in the outbox, so the broker has confirmed them.
CONFIRMED = """
with sent as (
    select derived_uuid(o.id, 'event ' || l.sequence) as id
    from orders o join order_status_log l on l.order_id = o.id
    union
    select event_id from tracking_event
)
select id::text from sent where not exists (select from message m where m.id = sent.id)
"""
DISORDERED = """
select distinct order_number from (
    select order_number, sequence,
           lag(sequence) over (partition by order_number order by received_at) as before
    from tracking_event
) received where before > sequence
"""
SLOWEST = """
select coalesce(max(extract(epoch from l.changed_at - o.created_at)), 0)::float8
from orders o join order_status_log l on l.order_id = o.id where l.status = 'delivered'
"""
# The first moment from which as many are begun within `span` as fits the rate of the orders; where
# too few are left for that, the first one.
RECOVERY = """
with begun as (
    select changed_at, lead(changed_at, %(count)s - 1) over (order by changed_at) as last
    from order_status_log
    where status = 'cooking' and changed_at > %(moment)s
      and changed_at < coalesce(%(until)s::timestamptz, 'infinity')
)
select extract(epoch from
    coalesce(min(changed_at) filter (where last <= changed_at + %(span)s * interval '1 s'),
             min(changed_at)) - %(moment)s)::float8
from begun
"""
UNSENT = """
select count(*) from message
where state in ('pending', 'scheduled') and created_at < %(moment)s
"""
# Whether an order's message is still to be published.
PENDING = """
select exists (select from orders o join message m on m.id = o.id
               where o.number = %(number)s and m.state = 'pending')
"""
COOKING = """
select exists (select from orders where status = 'cooking' and processed_by = %(name)s)
"""
# Seconds from each order since a moment to its first cook; without one yet, until now.
BEGUN = """
select extract(epoch from coalesce(min(l.changed_at), clock_timestamp()) - o.created_at)::float8
from orders o left join order_status_log l on l.order_id = o.id and l.status = 'cooking'
where o.created_at >= %(since)s
group by o.id, o.created_at
"""

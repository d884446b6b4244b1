-- list_subscribed --
-- The enabled webhooks that receive events of a type.
select id from webhook where disabled_at is null and (types is null or %(type)s = any(types)) and not key_is_void(key_id)
order by id

-- insert_delivery --
insert into webhook_delivery (id, webhook_id, event_id, type, order_number, payload, message_id)
values (%(id)s, %(webhook)s, %(event_id)s, %(type)s, %(number)s, %(payload)s, %(id)s)
on conflict do nothing

-- insert_webhook --
insert into webhook (url, description, types, secret, key_id)
values (%(url)s, %(description)s, %(types)s, %(secret)s, %(key)s)
returning id

-- list_webhooks --
select id, url, description, types, created_at, disabled_at is null as enabled, disabled_at, disabled_reason,
       failing_since,
       case when rests_until > now() then rests_until end as rests_until,
       case when former_until > now() then former_until end as former_until
from webhook
where id = coalesce(%(id)s, id)
order by id

-- update_webhook --
-- Enabling resets the record of failures.
update webhook
set url = coalesce(%(url)s, url), types = case when %(set_types)s then %(types)s else types end,
    description = case when %(set_description)s then %(description)s else description end,
    disabled_at = case when %(enabled)s then null when not %(enabled)s then coalesce(disabled_at, now())
                       else disabled_at end,
    disabled_reason = case when %(enabled)s then null
                           when not %(enabled)s then coalesce(disabled_reason, %(reason)s)
                           else disabled_reason end,
    key_id = case when %(enabled)s then %(key)s else key_id end,
    failing_since = case when %(enabled)s then null else failing_since end,
    timeouts = case when %(enabled)s then 0 else timeouts end,
    rests_until = case when %(enabled)s then null else rests_until end
where id = %(id)s
returning id

-- lock_webhook --
select from webhook where id = %(id)s for update

-- delete_webhook --
-- Its remaining tasks find no delivery, and end.
delete from webhook where id = %(id)s returning id

-- rotate_secret --
update webhook
set former_secret = secret, former_until = now() + %(both)s::interval, secret = %(secret)s
where id = %(id)s
returning id

-- list_deliveries --
-- Newest first.
select d.id, d.position, d.webhook_id, d.event_id, d.type, d.order_number, d.created_at, d.state, d.attempts,
       d.tried_at, d.answer, d.problem, d.duration, case when d.state = 'waiting' then d.next_at end as next_at,
       d.payload
from webhook_delivery d
where d.webhook_id = %(webhook)s and d.position < coalesce(%(before)s, 9223372036854775807)
order by d.position desc
limit %(limit)s

-- find_delivery --
select d.id, d.position, d.webhook_id, d.event_id, d.type, d.order_number, d.created_at, d.state, d.attempts,
       d.tried_at, d.answer, d.problem, d.duration, case when d.state = 'waiting' then d.next_at end as next_at,
       d.payload
from webhook_delivery d
where d.webhook_id = %(webhook)s and d.id = %(id)s

-- requeue_delivery --
select webhook_retry(%(webhook)s, %(id)s, %(message_id)s)

-- lock_delivery --
-- What a task needs to deliver; no row if the delivery no longer belongs to the task. `lock_acquired`: no
-- other task delivers to this webhook; a lock of the session, released by unlock_webhook. `due_soon`:
-- number of deliveries that are due within a minute.
select d.event_id, d.type, d.payload, d.attempts, w.id, w.url, w.secret,
       case when w.former_until > now() then w.former_secret end as former_secret,
       w.disabled_at is not null or key_is_void(w.key_id) as disabled,
       greatest(0, coalesce(extract(epoch from w.rests_until - clock_timestamp()), 0))::float as backoff,
       w.pace as last_duration,
       (select count(*) from (
            select from webhook_delivery o
            where o.webhook_id = w.id and o.state = 'waiting'
              and coalesce(o.next_at, o.created_at) < now() + interval '1 minute'
            limit 1000) as soon) as due_soon,
       pg_try_advisory_lock(lock_key('webhook ' || w.id)) as lock_acquired
from webhook_delivery d join webhook w on w.id = d.webhook_id
where d.id = %(id)s and d.message_id = %(message_id)s and d.state = 'waiting'

-- unlock_webhook --
select pg_advisory_unlock(lock_key('webhook ' || %(webhook)s::integer))

-- record_success --
select webhook_delivered(%(webhook)s, %(id)s, %(message_id)s, %(answer)s::smallint, %(duration)s::real)

-- record_failure --
-- wait: until the next attempt; null: no further one. backoff: pause of the webhook; after a timeout it is
-- timeout_backoff, doubled for consecutive ones up to max_backoff. Returns for how long deliveries have
-- been failing.
with bad as (
    update webhook
    set failing_since = coalesce(failing_since, now()),
        pace = case when %(timed_out)s then pace else %(duration)s end,
        timeouts = case when %(timed_out)s then timeouts + 1 else 0 end,
        rests_until = greatest(
            rests_until, now() + %(backoff)s::interval,
            case when %(timed_out)s then now() + least(%(max_backoff)s::interval,
                                                  %(timeout_backoff)s::interval * 2 ^ least(timeouts, 20)) end)
    where id = %(webhook)s
    returning now() - failing_since as failing
), noted as (
    update webhook_delivery
    set state = case when %(wait)s::interval is null then 'failed' else 'waiting' end,
        attempts = attempts + 1, tried_at = now(), answer = %(answer)s, problem = %(problem)s,
        duration = %(duration)s, next_at = now() + %(wait)s::interval
    where id = %(id)s and message_id = %(message_id)s
)
select failing from bad

-- abandon_delivery --
-- The webhook was disabled before an attempt.
update webhook_delivery set state = 'failed', problem = %(problem)s, next_at = null
where id = %(id)s and message_id = %(message_id)s

-- disable_webhook --
update webhook set disabled_at = now(), disabled_reason = %(reason)s
where id = %(webhook)s and disabled_at is null

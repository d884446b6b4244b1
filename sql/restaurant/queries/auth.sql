-- auth_state --
-- One row: the signing secret, whether there has ever been a key, the valid keys, and the sessions
-- that have not ended. Times are seconds from now, so that no two clocks are compared.
select (select secret from signing_secret),
       exists (select from staff_key),
       (select coalesce(json_agg(json_build_array(
                   id, name, role, encode(coalesce(limited_hash, hash), 'hex'),
                   extract(epoch from expires_at - now())::float)), '[]')
        from staff_key where revoked_at is null and (expires_at is null or expires_at > now())),
       (select coalesce(json_agg(json_build_array(
                   id, key_id, extract(epoch from expires_at - now())::float)), '[]')
        from staff_session where expires_at > now())

-- order_id --
select id from orders where number = %(number)s

-- prune_client_orders --
-- Of the next rows by order number: delete those whose orders have left the kitchen; skip locked ones.
-- Returns the number after which the next slice begins; null: this was the last one. The status is read
-- order by order: a join could read all orders, by a plan from statistics that say that there are none.
with slice as (
    select order_number from client_order
    where order_number > %(after)s
    order by order_number
    limit %(limit)s
), gone as (
    delete from client_order
    where order_number = any(array(
        select c.order_number
        from client_order c
        where c.order_number = any(array(select order_number from slice))
          and (select o.status from orders o where o.number = c.order_number)
              not in ('received', 'cooking')
        for update of c skip locked
    ))
)
select case when count(*) = %(limit)s then max(order_number) end from slice

-- insert_key --
-- hash: what release 0.2 compares; limited_hash: what 0.3 compares instead, null for a key without limits.
insert into staff_key (id, name, hash, limited_hash, role, kind, expires_at)
values (%(id)s, %(name)s, %(hash)s, %(limited_hash)s, %(role)s, %(kind)s, now() + %(good_for)s::interval)
returning id, name, role, kind, created_at, expires_at, last_used_at, revoked_at

-- list_keys --
select id, name, role, kind, created_at, expires_at, last_used_at, revoked_at
from staff_key order by created_at, id

-- lock_key --
select id, name, role, kind, created_at, expires_at, last_used_at, revoked_at
from staff_key where id = %(id)s for update

-- revoke_key --
update staff_key set revoked_at = coalesce(revoked_at, now()) where id = %(id)s
returning id, name, role, kind, created_at, expires_at, last_used_at, revoked_at

-- disable_webhooks --
-- id: of a key; null for all.
select webhook_id, reason from webhooks_disable_void(%(id)s)

-- set_last_used --
-- Skips a row that another process has just written.
update staff_key set last_used_at = now()
where id = any(array(
    select id from staff_key
    where id = any(%(ids)s) and (last_used_at is null or last_used_at < now() - %(every)s::interval)
    order by id
    for update skip locked))

-- insert_session --
-- Deletes the oldest sessions of a key that has too many.
with gone as (
    delete from staff_session where id = any(array(
        select id from staff_session where key_id = %(key)s
        order by last_used_at desc offset %(most)s
        for update skip locked))
)
insert into staff_session (id, key_id, expires_at, client, user_agent)
values (%(id)s, %(key)s, now() + %(idle)s::interval, %(client)s, %(agent)s)

-- find_session --
select id, key_id, extract(epoch from expires_at - now())::float as left
from staff_session where id = %(id)s and expires_at > now()

-- end_session --
delete from staff_session where id = %(id)s returning id, key_id

-- end_sessions_of_key --
delete from staff_session where key_id = %(key)s

-- end_all_sessions --
delete from staff_session returning id, key_id

-- list_sessions --
select s.id, coalesce(k.name, %(environment)s) as key, s.key_id, s.created_at, s.last_used_at, s.expires_at,
       s.client, s.user_agent
from staff_session s left join staff_key k on k.id = s.key_id
where s.expires_at > now()
order by s.created_at, s.id

-- ids_with_prefix --
select id from staff_session where starts_with(id, %(start)s) limit 2

-- extend_sessions --
-- Extends sessions by the idle time, at most until they are %(longest)s old.
update staff_session set last_used_at = now(), expires_at = least(now() + %(idle)s::interval,
                                                                  created_at + %(longest)s::interval)
where id = any(array(
    select id from staff_session where id = any(%(ids)s) and expires_at > now()
    order by id
    for update skip locked))

-- prune_sessions --
delete from staff_session where id = any(array(
    select id from staff_session where expires_at < now() limit %(limit)s for update skip locked))

-- begin --
-- The oldest sessions of a key go when it has too many.
with gone as (
    delete from staff_session where id = any(array(
        select id from staff_session where key_id = %(key)s
        order by last_used_at desc offset %(most)s
        for update skip locked))
)
insert into staff_session (id, key_id, expires_at, client, user_agent)
values (%(id)s, %(key)s, now() + %(idle)s::interval, %(client)s, %(agent)s)

-- find --
select id, key_id, extract(epoch from expires_at - now())::float
from staff_session where id = %(id)s and expires_at > now()

-- end --
delete from staff_session where id = %(id)s returning id, key_id

-- end_of_key --
delete from staff_session where key_id = %(key)s

-- end_all --
delete from staff_session returning id, key_id

-- list --
select s.id, s.key_id, k.name, s.created_at, s.last_used_at, s.expires_at, s.client, s.user_agent
from staff_session s left join staff_key k on k.id = s.key_id
where s.expires_at > now()
order by s.created_at, s.id

-- begins_with --
select id from staff_session where starts_with(id, %(start)s) limit 2

-- used --
-- Sessions that were used go on for the idle time, at most until they are %(longest)s old.
update staff_session set last_used_at = now(), expires_at = least(now() + %(idle)s::interval,
                                                                  created_at + %(longest)s::interval)
where id = any(array(
    select id from staff_session where id = any(%(ids)s) and expires_at > now()
    order by id
    for update skip locked))

-- forget --
delete from staff_session where id = any(array(
    select id from staff_session where expires_at < now() limit %(limit)s for update skip locked))

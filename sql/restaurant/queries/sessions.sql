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
select s.id, s.key_id, k.name as key_name, s.created_at, s.last_used_at, s.expires_at, s.client, s.user_agent
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

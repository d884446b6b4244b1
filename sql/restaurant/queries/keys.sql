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
select webhook_id, reason from webhooks_disable_void(%(id)s)

-- disable_webhooks_of_void_keys --
select webhook_id, reason from webhooks_disable_void()

-- set_last_used --
-- Skips a row that another process has just written.
update staff_key set last_used_at = now()
where id = any(array(
    select id from staff_key
    where id = any(%(ids)s) and (last_used_at is null or last_used_at < now() - %(every)s::interval)
    order by id
    for update skip locked))

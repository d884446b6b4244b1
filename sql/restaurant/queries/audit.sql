-- insert_entry --
insert into audit_log (actor, key_id, role, action, object_kind, object_id, source, before, after)
values (%(actor)s, %(key_id)s, %(role)s, %(action)s, %(kind)s, %(id)s, %(source)s, %(before)s, %(after)s)

-- list_entries --
-- Newest first.
select id, at, actor, key_id, role, action, object_kind, object_id, source, before, after
from audit_log
where id < coalesce(%(before)s, 9223372036854775807)
  and (%(actor)s::text is null or actor = %(actor)s)
  and (%(action)s::text is null or action = %(action)s)
  and (%(kind)s::text is null or object_kind = %(kind)s)
  and (%(object)s::text is null or object_id = %(object)s)
  and (%(since)s::timestamptz is null or at >= %(since)s)
order by id desc
limit %(limit)s

-- hash_customer --
-- A customer in the log: a keyed hash of the folded name, which is not the name.
select encode(substring(sha256(secret || convert_to(%(key)s, 'UTF8')) for 8), 'hex') from signing_secret

-- prune_entries --
select audit_prune(%(keep)s, %(limit)s)

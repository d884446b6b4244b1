-- look --
-- One row: the house's secret, whether there has ever been a key, and the keys that count.
select (select secret from house_secret),
       exists (select from staff_key),
       coalesce((select array_agg(hash) from staff_key where revoked_at is null), '{}')

-- add --
insert into staff_key (id, name, hash) values (%(id)s, %(name)s, %(hash)s)
returning id, name, created_at, revoked_at

-- list --
select id, name, created_at, revoked_at from staff_key order by created_at, id

-- revoke --
update staff_key set revoked_at = coalesce(revoked_at, now()) where id = %(id)s
returning id, name, created_at, revoked_at

-- forget_clients --
-- The places that are free again.
delete from order_client c using orders o
where o.number = c.order_number and o.status not in ('received', 'cooking')

-- look --
-- One row: the house's secret, whether there has ever been a key, and the keys that count.
select (select secret from house_secret),
       exists (select from staff_key),
       coalesce((select array_agg(hash) from staff_key where revoked_at is null), '{}')

-- order_id --
select id from orders where number = %(number)s

-- add --
insert into staff_key (id, name, hash) values (%(id)s, %(name)s, %(hash)s)
returning id, name, created_at, revoked_at

-- list --
select id, name, created_at, revoked_at from staff_key order by created_at, id

-- revoke --
update staff_key set revoked_at = coalesce(revoked_at, now()) where id = %(id)s
returning id, name, created_at, revoked_at

-- forget_clients --
-- Of the next rows by order number: drop those whose orders have left the kitchen, but for locked ones.
-- Answers after which number the next slice begins; null: this was the last one.
with slice as (
    select order_number from order_client
    where order_number > %(after)s
    order by order_number
    limit %(limit)s
), gone as (
    delete from order_client
    where order_number = any(array(
        select c.order_number
        from order_client c join orders o on o.number = c.order_number
        where c.order_number = any(array(select order_number from slice))
          and o.status not in ('received', 'cooking')
        for update of c skip locked
    ))
)
select case when count(*) = %(limit)s then max(order_number) end from slice

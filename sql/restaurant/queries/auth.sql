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

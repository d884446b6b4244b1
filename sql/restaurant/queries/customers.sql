-- find_customer --
-- What staff has stored about a customer, and figures of the orders. No row if there is neither.
select coalesce(c.name, o.name) as name, coalesce(c.vip, false) as vip, c.set_by as vip_set_by,
       c.changed_at as vip_changed_at, coalesce(o.orders, 0) as orders,
       coalesce(o.cancelled, 0) as cancelled, coalesce(o.spent, 0) as spent,
       o.first_at as first_order_at, o.last_at as last_order_at
from (select count(*)::integer as orders,
             count(*) filter (where status = 'cancelled')::integer as cancelled,
             sum(total_amount) filter (where status <> 'cancelled') as spent,
             min(created_at) as first_at, max(created_at) as last_at,
             (array_agg(customer_name order by created_at desc))[1] as name
      from orders where customer_key = %(key)s) o
full join (select * from customers where key = %(key)s) c on true
where c.key is not null or o.orders > 0

-- lock_vip --
select vip from customers where key = %(key)s for update

-- set_vip --
insert into customers as c (key, name, vip, set_by)
values (%(key)s, %(name)s, %(vip)s, %(by)s)
on conflict (key) do update
set vip = excluded.vip, set_by = excluded.set_by, changed_at = clock_timestamp()

-- dishes_without_key --
select exists (select from menu where key is null)

-- lock_menu --
lock table menu in share row exclusive mode

-- dishes --
-- The one changed last first.
select name, key, sold_out from menu order by changed_at desc, name

-- merge_dishes --
with gone as (delete from menu m where name = any(%(names)s::text[]) returning to_jsonb(m) as row)
insert into merged_name (kind, kept, merged) select 'dish', %(kept)s, row from gone

-- set_dish_key --
update menu set key = %(key)s, sold_out = %(sold_out)s where name = %(name)s

-- customers_of_former_keys --
select exists (select from customers where key is not nfc normalized)

-- lock_customers --
lock table customers in share row exclusive mode

-- former_customers --
select key, name from customers where key is not nfc normalized

-- customers_of_keys --
-- The one changed last first.
select key from customers where key = any(%(keys)s::text[]) order by changed_at desc, key collate "C"

-- merge_customers --
with gone as (delete from customers c where key = any(%(keys)s::text[]) returning to_jsonb(c) as row)
insert into merged_name (kind, kept, merged)
select 'customer', (select name from customers where key = %(kept)s), row from gone

-- set_customer_key --
update customers set key = %(key)s where key = %(former)s

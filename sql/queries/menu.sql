-- all --
select name, tag, price, sold_out from menu order by tag, name

-- tags --
select distinct tag from menu

-- add --
insert into menu (name, tag, price) values (%(name)s, %(tag)s, %(price)s)
on conflict (lower(name)) do update
set tag = excluded.tag, price = excluded.price, changed_at = now()
returning name, tag, price, sold_out

-- set_sold_out --
update menu set sold_out = %(sold_out)s, changed_at = now()
where lower(name) = lower(%(name)s)
returning name, tag, price, sold_out

-- remove --
delete from menu where lower(name) = lower(%(name)s) returning name

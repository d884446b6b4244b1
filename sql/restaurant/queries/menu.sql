-- list_dishes --
select name, tag, price, sold_out from menu order by tag, name collate "default"

-- list_tags --
select distinct tag from menu

-- upsert_dish --
insert into menu (key, name, tag, price) values (%(key)s, %(name)s, %(tag)s, %(price)s)
on conflict (key) do update
set tag = excluded.tag, price = excluded.price, changed_at = now()
returning name, tag, price, sold_out

-- lock_dish --
select name, tag, price, sold_out from menu where key = %(key)s for update

-- set_sold_out --
update menu set sold_out = %(sold_out)s, changed_at = now()
where key = %(key)s
returning name, tag, price, sold_out

-- delete_dish --
delete from menu where key = %(key)s returning name

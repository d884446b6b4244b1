-- find --
select status, type, version from orders where number = %(number)s for no key update

-- move --
-- The order keeps its row lock from `find`, so it is as it was found.
with moved as (
    update orders o
    set status = %(to)s, updated_at = clock_timestamp(), version = o.version + 1
    where o.number = %(number)s
    returning o as after, o.version
)
select moved.version, order_changed(moved.after, %(old)s, %(by)s, %(reason)s),
       case when %(place)s then capacity_give() end
from moved

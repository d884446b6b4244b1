-- The ids of orders begin with the time (as UUID version 7 does), and those of their parts with it (see
-- part_id): new rows come at the right end of each index. Random ones fell anywhere, so that after
-- 200,000 orders each insert looked for pages that were no longer in memory.
create function id_by_time() returns uuid
language sql volatile as $$
    select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
            || '7' || substr(gen_random_uuid()::text, 16))::uuid
$$;

alter table orders alter column id set default id_by_time();

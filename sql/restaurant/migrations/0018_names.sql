-- Names are compared by one key, which pizza/domain/names.py computes; the locale of the database has no
-- influence (ADR 0028). Where a key is missing, pizza/operations/name_key_storage.py computes it: at set-up, and within
-- seconds for a row that a process of release 0.2 has inserted.

-- Keys of release 0.2 were case-folded and trimmed, but not normalized.
update orders set customer_key = normalize(customer_key, nfc) where customer_key is not nfc normalized;

-- Rows that had a name of their own until names were compared by key. Nothing is lost by a merge.
create table merged_name (
    id         bigint       generated always as identity primary key,
    kind       text         not null check (kind in ('dish', 'customer')),
    kept       varchar(100) not null,
    merged     jsonb        not null,
    merged_at  timestamptz  not null default clock_timestamp()
);

-- Under some locales (Turkish) one ASCII name could be on the menu twice. The one changed last stays.
drop index menu_by_name, menu_sold_out;
with ranked as (
    select name, first_value(name) over same as kept,
           bool_or(sold_out) over (partition by lower(name collate "C")) as sold_out
    from menu
    window same as (partition by lower(name collate "C") order by changed_at desc, name collate "C")
), sold_out as (
    update menu m set sold_out = true from ranked r
    where r.name = m.name and r.name = r.kept and r.sold_out and not m.sold_out
), gone as (
    delete from menu m using ranked r where r.name = m.name and r.name <> r.kept
    returning r.kept, to_jsonb(m) as row
)
insert into merged_name (kind, kept, merged) select 'dish', kept, row from gone;

-- Null in rows of release 0.2, whose statements `on conflict (lower(name))` need the index menu_by_name.
-- By the collation "C" lower() changes ASCII letters only, so the index refuses no name that has a key of its own.
alter table menu
    alter column name type varchar(100) collate "C",
    add column key text collate "C";
update menu set key = lower(name) where name ~ '^[!-~]+( [!-~]+)*$';
create unique index menu_by_name on menu (lower(name));
create unique index menu_by_key on menu (key);
create index menu_sold_out on menu (coalesce(key, lower(name))) where sold_out;

-- Keys of release 0.2 that have to be computed again; nearly always empty.
create index customers_by_former_key on customers (key) where key is not nfc normalized;

-- How many orders may be received or cooking at a time (0: no limit) is a setting of the restaurant.
-- max_concurrent_by: who set it by a command; null: an order service, when it started alone.
alter table kitchen_state
    add column max_concurrent    integer check (max_concurrent >= 0),
    add column max_concurrent_by varchar(50);
update kitchen_state
set max_concurrent = case when capped then (select sum(share) from kitchen_capacity) else 0 end;
alter table kitchen_state alter column max_concurrent set not null;

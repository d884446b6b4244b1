-- The whole line: stations behind the kitchen, a menu, customers, a kitchen that can pause.

-- What a worker must be good at to take a message; null: anybody may.
alter table message add column needs text[];

-- Messages from outside that became messages of ours, so that one delivered twice counts once.
create table adopted_message (
    id          uuid        primary key,
    body_hash   bytea       not null,
    adopted_at  timestamptz not null default now()
);
create index adopted_message_by_hash on adopted_message (body_hash);
create index adopted_message_by_time on adopted_message (adopted_at);

alter table orders
    -- Where in the line it is, beside the status; null when it has left it.
    add column stage        varchar(20) default 'kitchen',
    -- The message of the task that moves it on: the kitchen's, or a station's.
    add column task_id      uuid,
    -- The message from outside that it came from.
    add column source_id    uuid,
    -- What its cook has to be good at, should it be cooked again.
    add column needs        text[];
create unique index orders_by_source on orders (source_id) where source_id is not null;
-- Reports and measured times look at the newest orders. An order never changes this column.
create index orders_by_creation on orders (created_at);

alter table workers
    add column station      varchar(20) not null default 'kitchen',
    add column order_types  text[],
    add column tags         text[],
    add column cooking_time real;

-- Which stations the restaurant staffs, in the order of the line. The program writes this table
-- from its own (pizza/domain/stations.py) and from the setting STATIONS.
create table station (
    name         varchar(20) primary key,
    position     smallint    not null,
    queue        text        not null,
    task         text        not null,
    order_types  text[]      not null,
    open         boolean     not null
);

-- Who worked on an order at which station, and when.
create table order_stage (
    id           bigint      generated always as identity primary key,
    order_id     uuid        not null references orders (id) on delete cascade,
    stage        varchar(20) not null,
    worker       varchar(50) not null,
    started_at   timestamptz not null,
    finished_at  timestamptz,
    outcome      text
);
create index order_stage_by_order on order_stage (order_id);

create table menu (
    name        varchar(100)  primary key,
    tag         varchar(50)   not null check (tag = lower(tag) and tag ~ '^[a-z][a-z0-9-]*$'),
    price       item_price,
    sold_out    boolean       not null default false,
    changed_at  timestamptz   not null default now()
);
create unique index menu_by_name on menu (lower(name));
-- Asked for every order; nearly always empty.
create index menu_sold_out on menu (lower(name)) where sold_out;

insert into menu (name, tag, price) values
    ('Margherita Pizza', 'pizza', 15.99),
    ('Pepperoni Pizza', 'pizza', 17.49),
    ('Quattro Formaggi Pizza', 'pizza', 18.49),
    ('Vegetable Pizza', 'pizza', 16.49),
    ('Family Pizza', 'pizza', 15.99),
    ('Pizza', 'pizza', 18.99),
    ('Penne Pasta', 'pasta', 11.90),
    ('Spaghetti Carbonara', 'pasta', 13.50),
    ('Lasagne', 'pasta', 14.20),
    ('Caesar Salad', 'salad', 8.99),
    ('Greek Salad', 'salad', 9.49),
    ('Salad', 'salad', 8.99),
    ('Tomato Soup', 'soup', 6.50),
    ('Minestrone', 'soup', 6.90),
    ('Steak', 'grill', 25.99),
    ('Premium Steak', 'grill', 45.99),
    ('Grilled Salmon', 'grill', 22.50),
    ('Tiramisu', 'dessert', 6.90),
    ('Panna Cotta', 'dessert', 5.90),
    ('Lemonade', 'drink', 3.90),
    ('Espresso', 'drink', 2.40);

-- Customers the staff has something to say of; whoever ordered before is known by the orders.
create table customers (
    key         text         primary key,
    name        varchar(100) not null,
    vip         boolean      not null default false,
    set_by      varchar(50)  not null,
    changed_at  timestamptz  not null default now()
);

-- One row: whether the kitchen takes orders at all.
create table kitchen_state (
    only_one    boolean     primary key default true check (only_one),
    paused      boolean     not null default false,
    reason      text,
    changed_by  varchar(50) not null default 'setup',
    changed_at  timestamptz not null default now()
);
insert into kitchen_state default values;

-- How long cooking takes by the latest orders; kept by services/estimates.py.
create table kitchen_pace (
    order_type  order_type  primary key,
    seconds     real        not null,
    changed_at  timestamptz not null default now()
);

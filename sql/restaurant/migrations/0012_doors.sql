-- Who may do what staff may, and the secret by which customers prove that an order is theirs.

-- Keys are 160 random bits, so their SHA-256 cannot be turned round. A row stays when the key is
-- revoked: a restaurant that has ever had a key does not open its doors by revoking the last one.
create table staff_key (
    id           text         primary key,
    name         text         not null,
    hash         bytea        not null unique,
    created_at   timestamptz  not null default now(),
    revoked_at   timestamptz
);

-- One row. Each gen_random_uuid() has 122 bits of the server's strong randomness.
create table house_secret (
    only_one     boolean      primary key default true check (only_one),
    secret       bytea        not null,
    changed_at   timestamptz  not null default now()
);
insert into house_secret (secret) values (sha256(
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

-- Which client holds a place in the kitchen; only for clients from elsewhere without a key. The
-- client is a keyed hash of its address, and its rows go once their orders are through.
create table order_client (
    order_number text         primary key references orders (number) on delete cascade,
    client       bytea        not null
);
create index order_client_client on order_client (client);

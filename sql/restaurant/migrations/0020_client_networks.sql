-- The network of a client that holds a place in the kitchen, as a keyed hash like the client. Null for
-- rows that release 0.2 writes.
alter table order_client add column network bytea;
create index order_client_network on order_client (network);

-- Terms of the field for tables of the restaurant. Views with the old names serve the statements of release 0.2,
-- which reads and writes the tables directly; the release after the next drops them. Tables whose columns 0.2
-- writes keep their names: docs/upgrade-0.3.md lists them.

alter function id_by_time() rename to uuid_v7;

alter table kitchen_state rename column only_one to singleton;

alter table order_client rename to client_order;
alter table client_order rename column client to client_hash;
alter table client_order rename column network to network_hash;
alter index order_client_client rename to client_order_client_hash;
alter index order_client_network rename to client_order_network_hash;
create view order_client as select order_number, client_hash as client from client_order;

alter table house_secret rename to signing_secret;
alter table signing_secret rename column only_one to singleton;
create view house_secret as select secret from signing_secret;

alter table kitchen_pace rename to cooking_time_avg;
create view kitchen_pace as select order_type, seconds, changed_at from cooking_time_avg;

alter table order_tally rename to order_histogram;
create view order_tally as select * from order_histogram;

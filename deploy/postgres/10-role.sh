#!/bin/sh
# Runs once, in the postgres container, while its volume is empty. The program's role owns its database, so
# it can create the tables. It is no superuser: it reads no file of the server and no other database.
set -eu
psql --set=ON_ERROR_STOP=1 --set=password="$PIZZA_DB_PASSWORD" --username="$POSTGRES_USER" --dbname=postgres <<'SQL'
create role pizza login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'password';
create database restaurant owner pizza;
revoke all on database restaurant from public;
SQL

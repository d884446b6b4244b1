-- People and devices with roles, the sessions of their browsers, and who did what.

-- A key that is limited (another role than manager, or an expiry) has its hash in limited_hash, and in
-- `hash` a value that no key has: release 0.2, which knows no roles, takes no notice of such a key.
alter table staff_key
    add column role         text not null default 'manager',
    add column kind         text not null default 'person',
    add column expires_at   timestamptz,
    add column last_used_at timestamptz,
    add column limited_hash bytea unique,
    add constraint staff_key_role check (role in ('monitor', 'station', 'staff', 'manager')),
    add constraint staff_key_kind check (kind in ('person', 'device'));

-- id: SHA-256 of the cookie, in hexadecimal. key_id: a row of staff_key, or `env-…` for a key of the
-- environment; a session counts only while that key does. expires_at moves on while the session is used.
create table staff_session (
    id           text         primary key,
    key_id       text         not null,
    created_at   timestamptz  not null default now(),
    last_used_at timestamptz  not null default now(),
    expires_at   timestamptz  not null,
    client       text         not null,
    user_agent   text         not null
) with (fillfactor = 80);
create index staff_session_key on staff_session (key_id);

-- Null: of the environment, of a command, or of a release that did not know.
alter table webhook add column key_id text;
create index webhook_key on webhook (key_id) where key_id is not null;

-- Append-only: sql/restaurant/functions/audit.sql refuses every other change. No names of guests, no secrets.
create table audit_log (
    id           bigint       primary key generated always as identity,
    at           timestamptz  not null default clock_timestamp(),
    actor        text         not null,
    key_id       text,
    role         text,
    action       text         not null,
    object_kind  text         not null,
    object_id    text         not null default '',
    source       text         not null,
    before       jsonb,
    after        jsonb
);
create index audit_log_actor  on audit_log (actor, id);
create index audit_log_action on audit_log (action, id);
create index audit_log_object on audit_log (object_kind, object_id, id);
create index audit_log_at     on audit_log (at);

create function audit_log_refuse() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and tg_level = 'ROW'
       and old.at < now() - interval '30 days' and current_setting('pizza.audit_prune', true) = 'on' then
        return old;
    end if;
    raise exception 'audit_log is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger audit_log_rows before update or delete on audit_log
    for each row execute function audit_log_refuse();
create trigger audit_log_truncate before truncate on audit_log
    for each statement execute function audit_log_refuse();

create or replace function lock_key(p_name text) returns bigint language sql immutable as $$ select hashtextextended(p_name, 'message'::regclass::oid::bigint) $$;

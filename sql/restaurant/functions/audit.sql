-- The audit log. Rows are only added; migration 0021 has the triggers that refuse the rest.

-- Drop up to p_limit rows that are older than p_keep, at least 30 days; returns how many. The one way
-- in which a row of audit_log is deleted.
create or replace function audit_prune(p_keep interval, p_limit integer) returns integer
language plpgsql as $$
declare
    gone integer;
begin
    perform set_config('pizza.audit_prune', 'on', true);
    delete from audit_log
    where id = any(array(
        select id from audit_log where at < now() - greatest(p_keep, interval '30 days')
        order by id limit p_limit));
    get diagnostics gone = row_count;
    perform set_config('pizza.audit_prune', 'off', true);
    return gone;
end $$;

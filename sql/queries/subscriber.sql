-- hold_name --
-- True for one session at a time; it is free again the moment that session ends.
select pg_try_advisory_lock(hashtextextended('subscriber ' || %(name)s, 0))

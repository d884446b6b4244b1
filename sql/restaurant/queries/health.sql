-- broker_state --
-- The state of the broker as the leader last stored it; no row without a recent one.
select broker_state from leader
where role = 'publisher' and broker_state is not null
  and heartbeat_at > clock_timestamp() - interval '10 seconds'

-- readiness --
-- The readiness of the database. A standby and a read-only server answer, and store nothing.
select current_setting('transaction_read_only') = 'on',
       array(select name || ' ' || checksum from schema_migration),
       (select paused from kitchen_state),
       (select count(*) from workers
        where status = 'online' and type = 'cook' and worker_online(name, last_seen))

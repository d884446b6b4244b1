-- Keys and what belongs to them.

-- Whether a webhook's key counts no longer; false where it belongs to no key (null).
create or replace function key_is_void(p_key text) returns boolean language sql stable as $$
    select p_key is not null and not exists (
        select from staff_key
        where id = p_key and revoked_at is null and (expires_at is null or expires_at > now()))
$$;

-- Disable the webhooks whose keys count no longer (all, or those of one key), but for locked ones;
-- returns their ids with the reason.
create or replace function webhooks_disable_void(p_key text default null)
returns table (webhook_id integer, reason text)
language sql as $$
    update webhook w
    set disabled_at = now(),
        disabled_reason = (
            select coalesce('its key ' || max(k.name) || ' (' || w.key_id || ') '
                            || case when max(k.revoked_at) is not null then 'was revoked' else 'has expired' end,
                            'its key ' || w.key_id || ' is gone')
            from staff_key k where k.id = w.key_id)
    where w.id = any(array(
        select v.id from webhook v
        where v.key_id is not null and v.disabled_at is null and (p_key is null or v.key_id = p_key)
          and key_is_void(v.key_id)
        order by v.id
        for update skip locked))
    returning w.id, w.disabled_reason
$$;

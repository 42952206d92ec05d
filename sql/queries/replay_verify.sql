-- What the log is compared with, where the table is always the same. The others are formed in replay/.../comparing.py.

-- name: dead_letters_in_range
-- $1 topic, $2 partition, $3 first offset, $4 end.
SELECT log_offset, log_timestamp,
    COALESCE(
        resolution,
        CASE WHEN resolved_at IS NOT NULL THEN 'resolved' WHEN quarantined_at IS NOT NULL THEN 'quarantined' ELSE 'open' END
    ) AS state
FROM dead_letters
WHERE topic = $1 AND log_partition = $2 AND log_offset >= $3 AND log_offset < $4;

-- name: list_shadow_schemas
SELECT nspname AS name, pg_has_role(nspowner, 'USAGE') AS is_own
FROM pg_namespace
WHERE nspname ~ '^arc_eval_shadow_[0-9a-f]{8}$'
ORDER BY nspname;

-- name: lock_shadow_schema
-- For as long as the session lasts, or until it is unlocked. $1 the schema's name.
SELECT pg_advisory_lock(hashtextextended($1, 0));

-- name: unlock_shadow_schema
-- $1 the schema's name.
SELECT pg_advisory_unlock(hashtextextended($1, 0));

-- name: try_lock_shadow_schema
-- Until the transaction ends. $1 the schema's name.
SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0));

-- name: may_create_schemas
SELECT current_user AS role, has_database_privilege(current_database(), 'CREATE') AS creates;

-- name: recorded_policies
SELECT relation, compress_after, drop_after FROM storage_policies ORDER BY relation;

-- name: running_policies
-- The server's jobs, and whether each does what storage_policies says. A refresh begins at least two days before the rows
-- that it reads are dropped: for it `recorded_after` is a limit. $1, $2: the continuous aggregates and the hypertable that each is computed from (same length).
WITH recorded AS (
    SELECT relation, 'policy_compression' AS procedure, compress_after AS after FROM storage_policies
    UNION ALL
    SELECT relation, 'policy_retention', drop_after FROM storage_policies
    UNION ALL
    SELECT computed.aggregate, 'policy_refresh_continuous_aggregate', policy.drop_after - INTERVAL '2 days'
    FROM unnest($1::text[], $2::text[]) AS computed (aggregate, source)
    JOIN storage_policies AS policy ON policy.relation = computed.source
), running AS (
    SELECT
        hypertable_name::text AS relation,
        proc_name::text AS procedure,
        COALESCE(config ->> 'compress_after', config ->> 'drop_after', config ->> 'start_offset')::interval AS after,
        config ->> 'end_offset' AS until,
        schedule_interval::text AS every,
        scheduled
    FROM timescaledb_information.jobs
    WHERE hypertable_schema = current_schema()
)
SELECT
    relation,
    procedure,
    recorded.after AS recorded_after,
    running.after AS running_after,
    running.until,
    running.every,
    COALESCE(running.scheduled, false) AS is_scheduled,
    running.procedure IS NOT NULL AS is_there,
    recorded.after IS NOT NULL OR procedure = 'policy_refresh_continuous_aggregate' AS is_wanted
FROM recorded
FULL JOIN running USING (relation, procedure)
ORDER BY relation, procedure;

-- name: record_policy
-- $1 relation, $2 compress after, $3 drop after.
UPDATE storage_policies SET compress_after = $2, drop_after = $3 WHERE relation = $1;

-- name: remove_retention
-- $1 relation.
SELECT remove_retention_policy($1::text::regclass, if_exists => true);

-- name: add_retention
-- $1 relation, $2 interval.
SELECT add_retention_policy($1::text::regclass, drop_after => $2::interval);

-- name: remove_compression
-- $1 relation.
SELECT remove_compression_policy($1::text::regclass, if_exists => true);

-- name: add_compression
-- $1 relation, $2 interval. A function, where add_columnstore_policy is a procedure, which cannot be prepared.
SELECT add_compression_policy($1::text::regclass, compress_after => $2::interval);

-- name: limit_refresh
-- $1 continuous aggregate, $2 how far back it may reach. It is never made to reach further than it did: what was dropped
-- before would be computed again, as nothing.
SELECT alter_job(job_id, config => jsonb_set(config, '{start_offset}', to_jsonb($2::interval::text)))
FROM timescaledb_information.jobs
WHERE hypertable_schema = current_schema()
    AND hypertable_name = $1
    AND proc_name = 'policy_refresh_continuous_aggregate'
    AND COALESCE((config ->> 'start_offset')::interval > $2::interval, true);

-- name: unlimit_refresh
-- $1 continuous aggregate: for a table of which nothing was ever dropped.
SELECT alter_job(job_id, config => jsonb_set(config, '{start_offset}', 'null'))
FROM timescaledb_information.jobs
WHERE hypertable_schema = current_schema()
    AND hypertable_name = $1
    AND proc_name = 'policy_refresh_continuous_aggregate';

-- name: refresh_jobs
-- $1 continuous aggregates.
SELECT hypertable_name AS aggregate, job_id
FROM timescaledb_information.jobs
WHERE hypertable_schema = current_schema()
    AND hypertable_name = ANY($1::text[])
    AND proc_name = 'policy_refresh_continuous_aggregate';

-- name: chunks_older_than
-- $1 relation, $2 interval: what a retention of $2 drops.
SELECT count(*) FROM show_chunks($1::text::regclass, older_than => $2::interval);

-- What `arc-eval-db health` asks. Everything here may be read by arc_eval_reader; other people's sessions are seen with
-- pg_monitor only, and those that are not are counted as hidden. No text of a query is ever read: it may hold values.

-- name: server
SELECT
    current_setting('server_version') AS version,
    current_user::text AS user_name,
    pg_is_in_recovery() AS is_standby,
    NOT pg_is_in_recovery() AND COALESCE(has_table_privilege(to_regclass('outcomes'), 'INSERT'), false) AS may_write,
    to_regclass('schema_migrations') IS NOT NULL AS has_schema,
    to_regclass('pg_stat_statements') IS NOT NULL AS has_statements,
    EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') AS has_timescaledb;

-- name: throughput
-- Of the tables of events and their chunks, since the statistics began.
WITH RECURSIVE events AS (
    SELECT unnest(ARRAY['outcomes', 'tool_usage', 'failures', 'execution_events'])::regclass::oid AS relation
    UNION ALL
    SELECT child.inhrelid FROM pg_inherits AS child JOIN events ON events.relation = child.inhparent
)
SELECT
    EXTRACT(epoch FROM clock_timestamp())::float8 AS at_s,
    COALESCE(sum(pg_stat_get_tuples_inserted(relation)), 0)::bigint AS rows_inserted,
    (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits,
    (SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()) AS rollbacks
FROM events;

-- name: connections
SELECT
    (SELECT sum(numbackends)::bigint FROM pg_stat_database) AS used,
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - COALESCE(current_setting('reserved_connections', true)::int, 0) AS usable;

-- name: idle_transactions
SELECT
    count(*) FILTER (WHERE query = '<insufficient privilege>') AS hidden,
    count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS sessions,
    max(EXTRACT(epoch FROM clock_timestamp() - state_change))
        FILTER (WHERE state LIKE 'idle in transaction%')::float8 AS longest_s,
    (array_agg(pid ORDER BY state_change) FILTER (WHERE state LIKE 'idle in transaction%'))[1] AS pid
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();

-- name: long_transactions
SELECT
    count(*) FILTER (WHERE query = '<insufficient privilege>') AS hidden,
    count(xact_start) AS sessions,
    max(EXTRACT(epoch FROM clock_timestamp() - xact_start))::float8 AS longest_s,
    (array_agg(pid ORDER BY xact_start) FILTER (WHERE xact_start IS NOT NULL))[1] AS pid
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND (backend_type = 'client backend' OR query = '<insufficient privilege>');

-- name: long_queries
SELECT
    count(*) FILTER (WHERE query = '<insufficient privilege>') AS hidden,
    count(*) FILTER (WHERE state = 'active') AS sessions,
    max(EXTRACT(epoch FROM clock_timestamp() - query_start)) FILTER (WHERE state = 'active')::float8 AS longest_s,
    (array_agg(pid ORDER BY query_start) FILTER (WHERE state = 'active'))[1] AS pid
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND (backend_type = 'client backend' OR query = '<insufficient privilege>');

-- name: slow_statements
-- $1 how often a statement must have run. Hidden: those of others, whose numbers are seen and whose ids are not.
SELECT queryid::text AS query_id, calls, mean_exec_time AS mean_ms
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND calls >= $1
ORDER BY mean_exec_time DESC
LIMIT 1;

-- name: locks
SELECT
    count(*) AS waiting,
    COALESCE(max(EXTRACT(epoch FROM clock_timestamp() - waitstart)), 0)::float8 AS longest_s,
    (array_agg(pid ORDER BY waitstart))[1] AS pid,
    pg_blocking_pids((array_agg(pid ORDER BY waitstart))[1])::text AS blocked_by
FROM pg_locks
WHERE NOT granted
    AND (database IS NULL OR database = (SELECT oid FROM pg_database WHERE datname = current_database()));

-- name: dead_tuples
-- $1 how many a table must have. The table with the largest share.
SELECT
    format('%I.%I', schemaname, relname) AS relation,
    n_dead_tup AS dead,
    n_dead_tup::float8 / (n_dead_tup + n_live_tup) AS share
FROM pg_stat_user_tables
WHERE n_dead_tup >= $1 AND n_dead_tup > 0
ORDER BY share DESC, dead DESC
LIMIT 1;

-- name: autovacuum
-- $1 seconds: tables with twice the dead tuples that autovacuum begins at, and no vacuum for so long.
SELECT
    current_setting('autovacuum') = 'on' AS is_on,
    count(due.relid) AS due,
    min(due.relation) AS relation
FROM (VALUES (true)) AS always
LEFT JOIN LATERAL (
    SELECT stats.relid, format('%I.%I', stats.schemaname, stats.relname) AS relation
    FROM pg_stat_user_tables AS stats
    JOIN pg_class AS class ON class.oid = stats.relid
    WHERE stats.n_dead_tup > 2 * (
            current_setting('autovacuum_vacuum_threshold')::float8
            + current_setting('autovacuum_vacuum_scale_factor')::float8 * GREATEST(class.reltuples, 0)
        )
        AND COALESCE(GREATEST(stats.last_autovacuum, stats.last_vacuum) < now() - make_interval(secs => $1), true)
) AS due ON true;

-- name: wraparound
-- The database of the cluster that is nearest.
SELECT datname::text AS database, GREATEST(age(datfrozenxid), mxid_age(datminmxid))::bigint AS age
FROM pg_database
ORDER BY age DESC
LIMIT 1;

-- name: standbys
SELECT
    count(*) AS standbys,
    count(*) FILTER (WHERE state IS NULL) AS hidden,
    max(pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, replay_lsn
    ))::bigint AS behind_bytes,
    max(EXTRACT(epoch FROM replay_lag))::float8 AS behind_s
FROM pg_stat_replication;

-- name: slots
-- The one that holds most of the WAL.
SELECT
    slot_name::text AS slot,
    active AS is_active,
    wal_status,
    pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, restart_lsn
    )::bigint AS held_bytes
FROM pg_replication_slots
ORDER BY wal_status = 'lost' DESC NULLS LAST, held_bytes DESC NULLS LAST
LIMIT 1;

-- name: checkpoints
-- What a crash would have to be recovered from.
SELECT
    pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END, redo_lsn
    )::bigint AS wal_bytes,
    pg_size_bytes(current_setting('max_wal_size')) AS wal_bytes_max,
    EXTRACT(epoch FROM clock_timestamp() - checkpoint_time)::float8 AS age_s
FROM pg_control_checkpoint();

-- name: disk
SELECT EXTRACT(epoch FROM clock_timestamp())::float8 AS at_s, pg_database_size(current_database()) AS size_bytes;

-- name: tables
-- The largest, chunks with the table they are of. Compressed chunks are tables of their own.
SELECT
    CASE
        WHEN parent.relname IS NOT NULL THEN parent.relname::text
        WHEN space.nspname = '_timescaledb_internal' AND class.relname LIKE 'compress%' THEN 'compressed chunks'
        ELSE class.relname::text
    END AS relation,
    sum(pg_total_relation_size(class.oid))::bigint AS size_bytes
FROM pg_class AS class
JOIN pg_namespace AS space ON space.oid = class.relnamespace
LEFT JOIN pg_inherits AS child ON child.inhrelid = class.oid
LEFT JOIN pg_class AS parent ON parent.oid = child.inhparent
WHERE class.relkind = 'r' AND space.nspname IN (current_schema(), '_timescaledb_internal')
GROUP BY 1
ORDER BY size_bytes DESC NULLS LAST, relation
LIMIT 3;

-- name: chunks
-- $1 seconds: how far ahead of now a chunk may begin.
SELECT
    count(*) AS chunks,
    count(*) FILTER (WHERE range_start > now() + make_interval(secs => $1)) AS future,
    max(range_start) AS newest_at,
    (array_agg(hypertable_name::text ORDER BY range_start DESC))[1] AS relation
FROM timescaledb_information.chunks
WHERE hypertable_schema = current_schema();

-- name: compression
-- $1 seconds of grace after the age at which storage_policies has a chunk compressed.
SELECT
    count(*) FILTER (WHERE chunk.is_compressed) AS compressed,
    count(*) FILTER (
        WHERE NOT chunk.is_compressed AND chunk.range_end < now() - policy.compress_after - make_interval(secs => $1)
    ) AS overdue,
    EXTRACT(epoch FROM now() - min(chunk.range_end) FILTER (WHERE NOT chunk.is_compressed))::float8 AS oldest_s,
    (
        SELECT sum(size.before_compression_total_bytes)::bigint
        FROM storage_policies AS each
        JOIN timescaledb_information.hypertables AS of
            ON of.hypertable_name = each.relation AND of.hypertable_schema = current_schema()
        CROSS JOIN LATERAL hypertable_compression_stats(each.relation::regclass) AS size
    ) AS before_bytes,
    (
        SELECT sum(size.after_compression_total_bytes)::bigint
        FROM storage_policies AS each
        JOIN timescaledb_information.hypertables AS of
            ON of.hypertable_name = each.relation AND of.hypertable_schema = current_schema()
        CROSS JOIN LATERAL hypertable_compression_stats(each.relation::regclass) AS size
    ) AS after_bytes
FROM timescaledb_information.chunks AS chunk
JOIN storage_policies AS policy ON policy.relation = chunk.hypertable_name
WHERE chunk.hypertable_schema = current_schema();

-- name: jobs
-- Those on the schema's tables and aggregates, and people's own procedures in the schema.
SELECT
    count(*) AS jobs,
    count(*) FILTER (WHERE NOT job.scheduled) AS paused,
    count(*) FILTER (WHERE stats.last_run_status = 'Failed') AS failed,
    (array_agg(job.job_id ORDER BY stats.last_run_started_at DESC)
        FILTER (WHERE stats.last_run_status = 'Failed'))[1] AS job_id,
    (array_agg(job.proc_name::text ORDER BY stats.last_run_started_at DESC)
        FILTER (WHERE stats.last_run_status = 'Failed'))[1] AS procedure
FROM timescaledb_information.jobs AS job
LEFT JOIN timescaledb_information.job_stats AS stats USING (job_id)
WHERE COALESCE(job.hypertable_schema, job.proc_schema) = current_schema();

-- name: aggregates
-- Behind: the newest chunk of what an aggregate is computed from began before a day and the end of its refresh, and is
-- not materialized. From the catalogue alone, so to the length of a chunk. Where nothing of a chunk belongs into the
-- aggregate, as without errors, its watermark stays: then what counts is when it was last refreshed.
SELECT
    aggregate.view_name::text AS aggregate,
    refreshed.job_id,
    CASE
        WHEN _timescaledb_functions.to_timestamp(_timescaledb_functions.cagg_watermark(own.id)) <= newest.began_at
            THEN GREATEST(0, EXTRACT(epoch FROM LEAST(
                now() - newest.began_at - INTERVAL '1 day 1 hour', now() - refreshed.last_at
            )))
        ELSE 0
    END::float8 AS behind_s
FROM timescaledb_information.continuous_aggregates AS aggregate
JOIN _timescaledb_catalog.hypertable AS own
    ON own.schema_name = aggregate.materialization_hypertable_schema
    AND own.table_name = aggregate.materialization_hypertable_name
CROSS JOIN LATERAL (
    SELECT max(chunk.range_start) AS began_at
    FROM timescaledb_information.chunks AS chunk
    WHERE chunk.hypertable_schema = aggregate.hypertable_schema
        AND chunk.hypertable_name = aggregate.hypertable_name
        AND chunk.range_start <= now()
) AS newest
CROSS JOIN LATERAL (
    SELECT
        max(job.job_id) AS job_id,
        max(stats.last_successful_finish) FILTER (WHERE isfinite(stats.last_successful_finish)) AS last_at
    FROM timescaledb_information.jobs AS job
    LEFT JOIN timescaledb_information.job_stats AS stats USING (job_id)
    WHERE job.proc_name = 'policy_refresh_continuous_aggregate'
        AND job.hypertable_schema = aggregate.view_schema
        AND job.hypertable_name = aggregate.view_name
) AS refreshed
WHERE aggregate.view_schema = current_schema()
ORDER BY behind_s DESC NULLS LAST, aggregate.view_name
LIMIT 1;

-- name: dead_letters
-- $1 how many to count at the most, the newest first.
SELECT reason, count(*) AS letters, count(quarantined_at) AS quarantined, max(dead_lettered_at) AS newest_at
FROM (
    SELECT reason, quarantined_at, dead_lettered_at
    FROM dead_letters
    WHERE resolved_at IS NULL
    ORDER BY id DESC
    LIMIT $1
) AS open
GROUP BY reason
ORDER BY letters DESC, reason;

-- name: new_dead_letters
-- $1 seconds back, $2 how many to look at at the most, the newest first: ids are given in the order of time.
SELECT reason, count(*) AS letters
FROM (
    SELECT reason, dead_lettered_at
    FROM dead_letters
    ORDER BY id DESC
    LIMIT $2
) AS newest
WHERE dead_lettered_at > now() - make_interval(secs => $1)
GROUP BY reason
ORDER BY letters DESC, reason;

-- name: orphans
-- $1 the least id of the time looked at, $2 that time, $3 how many rows of each table. Ids are made in the order of time:
-- they are the index that a hypertable does not have on its time.
SELECT
    child.relation,
    count(*) AS looked_at,
    count(*) FILTER (WHERE NOT EXISTS (SELECT FROM executions WHERE executions.id = child.execution_id)) AS orphans
FROM (
    (
        SELECT 'outcomes' AS relation, execution_id FROM outcomes
        WHERE event_id >= $1 AND time >= $2 ORDER BY event_id DESC LIMIT $3
    )
    UNION ALL
    (
        SELECT 'tool_usage', execution_id FROM tool_usage
        WHERE event_id >= $1 AND time >= $2 ORDER BY event_id DESC LIMIT $3
    )
    UNION ALL
    (
        SELECT 'failures', execution_id FROM failures
        WHERE event_id >= $1 AND time >= $2 ORDER BY event_id DESC LIMIT $3
    )
    UNION ALL
    (
        SELECT 'execution_events', execution_id FROM execution_events
        WHERE event_id >= $1 AND time >= $2 ORDER BY event_id DESC LIMIT $3
    )
) AS child
GROUP BY child.relation
UNION ALL
SELECT
    'executions',
    count(*),
    count(*) FILTER (
        WHERE NOT EXISTS (SELECT FROM configuration_versions AS parent WHERE parent.id = child.configuration_version_id)
            OR NOT EXISTS (SELECT FROM scenarios AS parent WHERE parent.id = child.scenario_id)
            OR (
                child.simulation_id IS NOT NULL
                AND NOT EXISTS (SELECT FROM simulations AS parent WHERE parent.id = child.simulation_id)
            )
    )
FROM (
    SELECT configuration_version_id, scenario_id, simulation_id FROM executions
    WHERE id >= $1 ORDER BY id DESC LIMIT $3
) AS child
ORDER BY orphans DESC, relation;

-- name: executions
-- $1 the least id of the time looked at, $2 seconds since the end within which events may be on their way, $3 how many,
-- the latest.
SELECT
    count(*) AS looked_at,
    count(*) FILTER (WHERE outstanding > 0) AS incomplete,
    COALESCE(sum(outstanding) FILTER (WHERE outstanding > 0), 0)::bigint AS outstanding,
    (array_agg(execution_id::text) FILTER (WHERE outstanding > 0))[1] AS execution_id
FROM (
    SELECT execution_id, outstanding
    FROM execution_completeness
    WHERE execution_id >= $1 AND COALESCE(ended_at < now() - make_interval(secs => $2), true)
    ORDER BY execution_id DESC
    LIMIT $3
) AS recent;

-- name: log_gaps
-- $1 seconds back.
SELECT
    count(*) AS gaps,
    COALESCE(sum(end_offset - first_offset), 0)::bigint AS lost,
    count(*) FILTER (WHERE reason = 'recreated') AS recreated,
    max(noticed_at) AS newest_at
FROM log_gaps
WHERE noticed_at > now() - make_interval(secs => $1);

-- name: partitions
-- $1 seconds of samples to look through: since when a partition has had unread records and has not moved, and how old
-- the newest sample is.
SELECT
    stored.consumer_group,
    stored.topic,
    stored.partition,
    EXTRACT(epoch FROM now() - sampled.unread_since)::float8 AS halted_s,
    EXTRACT(epoch FROM now() - sampled.newest_at)::float8 AS sample_age_s
FROM consumer_offsets AS stored
CROSS JOIN LATERAL (
    SELECT
        min(sample.time) FILTER (
            WHERE sample.lag_messages > 0 AND sample.next_offset = stored.next_offset
        ) AS unread_since,
        max(sample.time) AS newest_at
    FROM consumer_lag_samples AS sample
    WHERE sample.consumer_group = stored.consumer_group
        AND sample.topic = stored.topic
        AND sample.partition = stored.partition
        AND sample.time > now() - make_interval(secs => $1)
) AS sampled
ORDER BY halted_s DESC NULLS LAST, sample_age_s, stored.consumer_group, stored.topic, stored.partition
LIMIT 1000;

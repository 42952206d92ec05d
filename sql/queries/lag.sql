-- name: read_standing
-- Where a group stands, and for how long it has stood there, by the database's clock.
-- $1 group, $2 topics, $3 partitions (same length).
SELECT
    o.topic, o.partition, o.next_offset, o.updated_at, o.anchor_offset, o.anchor_timestamp_ms, o.anchor_hash,
    EXTRACT(EPOCH FROM clock_timestamp() - o.updated_at)::float8 AS unmoved_s
FROM consumer_offsets AS o
JOIN unnest($2::text[], $3::int[]) AS wanted (topic, partition) USING (topic, partition)
WHERE o.consumer_group = $1;

-- name: lock_lag_samples
-- Until the transaction ends, so that two workers of a group do not both take the sample that is due. $1 group.
SELECT pg_advisory_xact_lock(hashtextextended('arc-eval-db lag ' || $1, 0));

-- name: insert_lag_samples
-- Leaves out partitions that have a sample of this interval. $1 group, $2 topics, $3 partitions, $4 next offsets, $5 starts and
-- $6 ends of the log, $7 messages, $8 seconds or nulls (same length), $9 interval.
INSERT INTO consumer_lag_samples (
    time, consumer_group, topic, partition, next_offset, log_start_offset, log_end_offset, lag_messages, lag_seconds
)
SELECT
    now(), $1, seen.topic, seen.partition, seen.next_offset, seen.log_start, seen.log_end, seen.messages, seen.seconds
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::float8[])
    AS seen (topic, partition, next_offset, log_start, log_end, messages, seconds)
WHERE NOT EXISTS (
    SELECT FROM consumer_lag_samples AS sample
    WHERE sample.consumer_group = $1 AND sample.topic = seen.topic AND sample.partition = seen.partition
        AND sample.time > now() - $9::interval
);

-- name: read_lag_samples
-- The latest, oldest first. $1 group, $2 topics, $3 for how long.
SELECT time, topic, partition, next_offset, log_start_offset, log_end_offset, now() AS now
FROM consumer_lag_samples
WHERE consumer_group = $1 AND topic = ANY ($2::text[]) AND time > now() - $3::interval
ORDER BY time;

-- name: running_replays
-- Those that a process works on: it holds a lock for as long as it lives, and the status alone outlives it. $1 topics.
SELECT job.id, job.plan ->> 'target' AS target, replayed.topic
FROM replay_jobs AS job
CROSS JOIN LATERAL (
    SELECT DISTINCT part ->> 'topic' AS topic FROM jsonb_array_elements(job.plan -> 'partitions') AS part
    UNION
    SELECT job.plan ->> 'topic' WHERE job.plan ->> 'topic' IS NOT NULL
) AS replayed
WHERE job.status = 'running' AND replayed.topic = ANY ($1::text[])
    AND EXISTS (
        SELECT FROM pg_locks AS held
        WHERE held.locktype = 'advisory' AND held.objsubid = 1
            AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (held.classid::bigint << 32) | held.objid::bigint
                = hashtextextended('arc-eval-db replay ' || job.id::text, 0)
    )
ORDER BY job.created_at, job.id, replayed.topic;

-- name: aggregates_are_real_time
-- TimescaleDB only. Whether every continuous aggregate adds what it has not computed yet while it is read.
SELECT COALESCE(bool_and(NOT materialized_only), true) AS is_real_time
FROM timescaledb_information.continuous_aggregates
WHERE view_schema = current_schema();

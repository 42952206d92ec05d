-- What goes wrong, and with which tools, as the dashboard shows it. Rollups where they know what is asked for, the rows of
-- a simulation where they do not. Buckets and times: $1 from, $2 up to (not including).
--
-- IS TRUE keeps the index of versions out of the plan: without TimescaleDB the rollups are views, and it would be read for all of
-- time, beside that of the range (1.6 s instead of 0.1).

-- name: errors_hourly
-- $3 versions (null: all), $4 versions to leave out, $5 how many kinds. Executions that did not succeed, by kind.
SELECT status, error_kind AS kind, sum(executions)::bigint AS occurrences, count(DISTINCT configuration_version_id) AS versions
FROM errors_hourly
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE AND configuration_version_id <> ALL($4::uuid[])
GROUP BY status, error_kind
ORDER BY occurrences DESC, status, error_kind
LIMIT $5;

-- name: failures_hourly
-- As above: failures that were recorded inside of executions, by kind.
SELECT NULL AS status, kind, sum(failures)::bigint AS occurrences, count(DISTINCT configuration_version_id) AS versions
FROM failures_hourly
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE AND configuration_version_id <> ALL($4::uuid[])
GROUP BY kind
ORDER BY occurrences DESC, kind
LIMIT $5;

-- name: tools_hourly
-- $3 versions (null: all), $4 versions to leave out. By tool, and by version.
SELECT
    CASE GROUPING(tool, configuration_version_id) WHEN 1 THEN 'tool' WHEN 2 THEN 'version' ELSE 'total' END AS level,
    tool,
    configuration_version_id,
    sum(calls)::bigint AS calls,
    sum(errors)::bigint AS errors,
    sum(duration_ms_sum) / NULLIF(sum(duration_ms_count), 0)::double precision AS duration_ms,
    max(duration_ms_max) AS duration_ms_max,
    sum(result_bytes)::bigint AS result_bytes
FROM tool_usage_hourly
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE AND configuration_version_id <> ALL($4::uuid[])
GROUP BY GROUPING SETS ((tool), (configuration_version_id), ())
ORDER BY calls DESC, tool;

-- name: errors_daily
-- $3 versions (null: all), $4 versions to leave out, $5 how many kinds. Executions that did not succeed, by kind.
SELECT status, error_kind AS kind, sum(executions)::bigint AS occurrences, count(DISTINCT configuration_version_id) AS versions
FROM errors_daily
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE AND configuration_version_id <> ALL($4::uuid[])
GROUP BY status, error_kind
ORDER BY occurrences DESC, status, error_kind
LIMIT $5;

-- name: failures_daily
-- As above: failures that were recorded inside of executions, by kind.
SELECT NULL AS status, kind, sum(failures)::bigint AS occurrences, count(DISTINCT configuration_version_id) AS versions
FROM failures_daily
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE AND configuration_version_id <> ALL($4::uuid[])
GROUP BY kind
ORDER BY occurrences DESC, kind
LIMIT $5;

-- name: tools_daily
-- $3 versions (null: all), $4 versions to leave out. By tool, and by version.
SELECT
    CASE GROUPING(tool, configuration_version_id) WHEN 1 THEN 'tool' WHEN 2 THEN 'version' ELSE 'total' END AS level,
    tool,
    configuration_version_id,
    sum(calls)::bigint AS calls,
    sum(errors)::bigint AS errors,
    sum(duration_ms_sum) / NULLIF(sum(duration_ms_count), 0)::double precision AS duration_ms,
    max(duration_ms_max) AS duration_ms_max,
    sum(result_bytes)::bigint AS result_bytes
FROM tool_usage_daily
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE AND configuration_version_id <> ALL($4::uuid[])
GROUP BY GROUPING SETS ((tool), (configuration_version_id), ())
ORDER BY calls DESC, tool;

-- name: errors_of_simulation
-- $3 versions (null: all), $4 versions to leave out, $5 how many kinds, $6 simulation.
SELECT status, error_kind AS kind, count(*) AS occurrences, count(DISTINCT configuration_version_id) AS versions
FROM outcomes
WHERE simulation_id = $6 AND NOT success AND time >= $1 AND time < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) AND configuration_version_id <> ALL($4::uuid[])
GROUP BY status, error_kind
ORDER BY occurrences DESC, status, error_kind
LIMIT $5;

-- name: failures_of_simulation
-- As above.
SELECT NULL AS status, kind, count(*) AS occurrences, count(DISTINCT configuration_version_id) AS versions
FROM failures
WHERE simulation_id = $6 AND time >= $1 AND time < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) AND configuration_version_id <> ALL($4::uuid[])
GROUP BY kind
ORDER BY occurrences DESC, kind
LIMIT $5;

-- name: tools_of_simulation
-- $3 versions (null: all), $4 versions to leave out, $5 simulation.
SELECT
    CASE GROUPING(tool, configuration_version_id) WHEN 1 THEN 'tool' WHEN 2 THEN 'version' ELSE 'total' END AS level,
    tool,
    configuration_version_id,
    count(*) AS calls,
    count(*) FILTER (WHERE NOT success) AS errors,
    avg(duration_ms) AS duration_ms,
    max(duration_ms) AS duration_ms_max,
    sum(result_bytes)::bigint AS result_bytes
FROM tool_usage
WHERE simulation_id = $5 AND time >= $1 AND time < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) AND configuration_version_id <> ALL($4::uuid[])
GROUP BY GROUPING SETS ((tool), (configuration_version_id), ())
ORDER BY calls DESC, tool;

-- name: tool_durations
-- $3 versions (null: all), $4 versions to leave out, $5 how many calls at the most, $6 simulation (null: all).
SELECT
    tool,
    count(duration_ms) AS calls,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) AS p50_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) AS p95_ms
FROM (
    SELECT tool, duration_ms
    FROM tool_usage
    WHERE time >= $1 AND time < $2
        AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) AND configuration_version_id <> ALL($4::uuid[])
        AND ($6::uuid IS NULL OR simulation_id = $6)
    LIMIT $5
) AS usage
GROUP BY tool;

-- name: tool_usage_latest
-- $1 and $2 the hours from and up to (not including), $3 how many: the beginning of the hour since when there are as many;
-- null where there are fewer.
SELECT max(bucket) FILTER (WHERE later >= $3) AS since
FROM (
    SELECT bucket, sum(sum(calls)) OVER (ORDER BY bucket DESC) AS later
    FROM tool_usage_hourly
    WHERE bucket >= $1 AND bucket < $2
    GROUP BY bucket
) AS counted;

-- name: failures_latest
-- As above.
SELECT max(bucket) FILTER (WHERE later >= $3) AS since
FROM (
    SELECT bucket, sum(sum(failures)) OVER (ORDER BY bucket DESC) AS later
    FROM failures_hourly
    WHERE bucket >= $1 AND bucket < $2
    GROUP BY bucket
) AS counted;

-- name: failure_patterns
-- $3 versions (null: all), $4 versions to leave out, $5 how many failures at the most, $6 simulation (null: all), $7 how many
-- patterns. The most frequent; the example is cut.
SELECT
    pattern.id,
    pattern.kind,
    left(pattern.signature, 500) AS signature,
    left(pattern.example, 500) AS example,
    pattern.first_seen_at,
    pattern.last_seen_at,
    frequent.failures,
    frequent.executions,
    frequent.versions
FROM (
    SELECT
        pattern_id, count(*) AS failures, count(DISTINCT execution_id) AS executions,
        count(DISTINCT configuration_version_id) AS versions
    FROM (
        SELECT pattern_id, execution_id, configuration_version_id
        FROM failures
        WHERE time >= $1 AND time < $2
            AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) AND configuration_version_id <> ALL($4::uuid[])
            AND ($6::uuid IS NULL OR simulation_id = $6)
        LIMIT $5
    ) AS failure
    GROUP BY pattern_id
    ORDER BY failures DESC, pattern_id
    LIMIT $7
) AS frequent
JOIN failure_patterns AS pattern ON pattern.id = frequent.pattern_id
ORDER BY frequent.failures DESC, pattern.id;

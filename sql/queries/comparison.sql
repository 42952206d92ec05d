-- name: version_of_id
-- $1 configuration version.
SELECT version.id, configuration.name
FROM configuration_versions AS version
LEFT JOIN configurations AS configuration ON configuration.id = version.configuration_id
WHERE version.id = $1;

-- name: versions_of_hash
-- $1 the beginning of a hash, $2 how many at the most.
SELECT version.id, configuration.name
FROM configuration_versions AS version
LEFT JOIN configurations AS configuration ON configuration.id = version.configuration_id
WHERE starts_with(version.content_hash, $1)
ORDER BY version.created_at DESC, version.id
LIMIT $2;

-- name: versions_of_name
-- $1 the name of a configuration: its versions with outcomes, $2 of them at the most.
SELECT version.id, configuration.name
FROM configurations AS configuration
JOIN configuration_versions AS version ON version.configuration_id = configuration.id
WHERE configuration.name = $1
    AND EXISTS (SELECT FROM outcomes AS outcome WHERE outcome.configuration_version_id = version.id)
ORDER BY version.created_at DESC, version.id
LIMIT $2;

-- name: scenario_samples
-- $1 configuration versions, $2 and $3 the time from and up to (not including), $4 how many outcomes of each, the latest:
-- by scenario, how they ended, and count, mean and variance of what was measured. An execution that was recorded as ended
-- twice counts once, by its last end; a cancelled one is counted and not measured. Tool uses are looked for from a day
-- before the execution began, so that few chunks are read; those that TimescaleDB has dropped by now are not known.
WITH kept AS (
    SELECT COALESCE(now() - min(policy.drop_after), '-infinity') AS tool_usage_since
    FROM storage_policies AS policy
    WHERE policy.relation = 'tool_usage'
        AND EXISTS (SELECT FROM schema_migrations AS migration WHERE migration.edition = 'timescaledb')
),
ended AS (
    SELECT DISTINCT ON (outcome.execution_id)
        version.id AS configuration_version_id,
        outcome.execution_id,
        outcome.time,
        outcome.scenario_id,
        outcome.status,
        outcome.score,
        outcome.cost_usd,
        outcome.duration_ms,
        count(*) OVER (PARTITION BY version.id) AS outcomes_read
    FROM unnest($1::uuid[]) AS version (id)
    CROSS JOIN LATERAL (
        SELECT time, event_id, execution_id, scenario_id, sequence, status, score, cost_usd, duration_ms
        FROM outcomes
        WHERE configuration_version_id = version.id AND time >= $2 AND time < $3
        ORDER BY time DESC, event_id DESC
        LIMIT $4
    ) AS outcome
    ORDER BY outcome.execution_id, outcome.time DESC, outcome.sequence DESC, outcome.event_id DESC
),
run AS (
    SELECT
        ended.*,
        CASE WHEN ended.time >= kept.tool_usage_since THEN used.errors END AS tool_errors
    FROM ended
    CROSS JOIN kept
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE NOT usage.success)::double precision AS errors
        FROM tool_usage AS usage
        WHERE usage.execution_id = ended.execution_id
            AND usage.time >= ended.time - INTERVAL '1 day'
                - INTERVAL '1 millisecond' * LEAST(COALESCE(ended.duration_ms, 86400000), 2592000000)
            AND usage.time <= ended.time + INTERVAL '1 day'
    ) AS used
)
SELECT
    run.configuration_version_id,
    run.scenario_id,
    scenario.name AS scenario,
    max(run.outcomes_read) AS outcomes_read,
    count(*) FILTER (WHERE run.status = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE run.status = 'failed') AS failed,
    count(*) FILTER (WHERE run.status = 'errored') AS errored,
    count(*) FILTER (WHERE run.status = 'timed_out') AS timed_out,
    count(*) FILTER (WHERE run.status = 'cancelled') AS cancelled,
    count(run.score) FILTER (WHERE run.status <> 'cancelled') AS score_count,
    avg(run.score) FILTER (WHERE run.status <> 'cancelled') AS score_mean,
    var_pop(run.score) FILTER (WHERE run.status <> 'cancelled') AS score_variance,
    count(run.cost_usd) FILTER (WHERE run.status <> 'cancelled') AS cost_usd_count,
    avg(run.cost_usd) FILTER (WHERE run.status <> 'cancelled') AS cost_usd_mean,
    var_pop(run.cost_usd) FILTER (WHERE run.status <> 'cancelled') AS cost_usd_variance,
    count(run.duration_ms) FILTER (WHERE run.status <> 'cancelled') AS duration_ms_count,
    avg(run.duration_ms) FILTER (WHERE run.status <> 'cancelled') AS duration_ms_mean,
    var_pop(run.duration_ms) FILTER (WHERE run.status <> 'cancelled') AS duration_ms_variance,
    count(run.tool_errors) FILTER (WHERE run.status <> 'cancelled') AS tool_errors_count,
    avg(run.tool_errors) FILTER (WHERE run.status <> 'cancelled') AS tool_errors_mean,
    var_pop(run.tool_errors) FILTER (WHERE run.status <> 'cancelled') AS tool_errors_variance
FROM run
LEFT JOIN scenarios AS scenario ON scenario.id = run.scenario_id
GROUP BY run.configuration_version_id, run.scenario_id, scenario.name
ORDER BY run.configuration_version_id, run.scenario_id;

-- name: unended_executions
-- $1 configuration versions, $2 and $3 as above, by the start: executions without an end, and whether they may go on.
SELECT
    configuration_version_id,
    count(*) FILTER (WHERE is_running) AS running,
    count(*) FILTER (WHERE NOT is_running) AS abandoned
FROM unended_executions
WHERE configuration_version_id = ANY($1::uuid[]) AND (started_at IS NULL OR (started_at >= $2 AND started_at < $3))
GROUP BY configuration_version_id;

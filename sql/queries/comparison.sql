-- name: scenario_samples
-- $1 configuration versions, $2 and $3 the time from and up to (not including), $4 how many outcomes of each, the latest:
-- by scenario, how they ended, and count, mean and variance of what was measured. An execution that was recorded as ended
-- twice counts once, by its last end; a cancelled one is counted and not measured. A value of 1e60 or more is a mistake, of
-- which there is no variance, and counts as not measured. Tool uses are looked for from a day before the first execution
-- began to a day after the last end, so that few chunks are read; those that TimescaleDB has dropped by now are not known.
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
        CASE WHEN abs(outcome.score) < 1e60 THEN outcome.score END AS score,
        CASE WHEN abs(outcome.cost_usd) < 1e60 THEN outcome.cost_usd END AS cost_usd,
        CASE WHEN abs(outcome.duration_ms) < 1e60 THEN outcome.duration_ms END AS duration_ms,
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
span AS (
    SELECT
        min(time - INTERVAL '1 millisecond' * LEAST(COALESCE(duration_ms, 86400000), 2592000000))
            - INTERVAL '1 day' AS since,
        max(time) + INTERVAL '1 day' AS until
    FROM ended
),
used AS (
    SELECT
        usage.execution_id,
        count(*)::double precision AS errors
    FROM tool_usage AS usage
    -- Every use has the version of its execution; compressed rows are found by it.
    WHERE usage.configuration_version_id = ANY($1::uuid[])
        AND usage.execution_id IN (SELECT execution_id FROM ended)
        AND usage.time >= (SELECT since FROM span)
        AND usage.time <= (SELECT until FROM span)
        AND NOT usage.success
    GROUP BY usage.execution_id
),
run AS (
    SELECT
        ended.*,
        CASE WHEN ended.time >= kept.tool_usage_since THEN COALESCE(used.errors, 0) END AS tool_errors
    FROM ended
    CROSS JOIN kept
    LEFT JOIN used ON used.execution_id = ended.execution_id
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

-- name: has_more_outcomes
-- $1, $2 and $3 as above, $4 a number: whether one of the versions has more outcomes.
SELECT EXISTS (
    SELECT FROM unnest($1::uuid[]) AS version (id)
    CROSS JOIN LATERAL (
        SELECT FROM outcomes
        WHERE configuration_version_id = version.id AND time >= $2 AND time < $3
        ORDER BY time DESC
        OFFSET $4
        LIMIT 1
    ) AS outcome
);

-- name: prefer_hash_joins
-- For the rest of the transaction. The planner takes the executions for few, and would look up the tool uses of each;
-- so does a plan that it has kept from when they were few.
SELECT set_config('enable_nestloop', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: unended_executions
-- $1 configuration versions, $2 and $3 as above, by the start: executions without an end, and whether they may go on.
SELECT
    configuration_version_id,
    count(*) FILTER (WHERE is_running) AS running,
    count(*) FILTER (WHERE NOT is_running) AS abandoned
FROM unended_executions
WHERE configuration_version_id = ANY($1::uuid[]) AND (started_at IS NULL OR (started_at >= $2 AND started_at < $3))
GROUP BY configuration_version_id;

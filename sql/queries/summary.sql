-- name: outcomes_by_configuration
-- What happened in one simulation. $1 its id.
SELECT
    COALESCE(configuration.name, 'version ' || left(outcome.configuration_version_id::text, 8)) AS configuration,
    count(*) AS executions,
    count(*) FILTER (WHERE outcome.status = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE outcome.status = 'failed') AS failed,
    count(*) FILTER (WHERE outcome.status = 'timed_out') AS timed_out,
    count(*) FILTER (WHERE outcome.status IN ('errored', 'cancelled')) AS errored,
    avg(outcome.score) AS score,
    avg(outcome.duration_ms) AS duration_ms,
    sum(outcome.cost_usd) AS cost_usd
FROM outcomes AS outcome
LEFT JOIN configuration_versions AS version ON version.id = outcome.configuration_version_id
LEFT JOIN configurations AS configuration ON configuration.id = version.configuration_id
WHERE outcome.simulation_id = $1
GROUP BY 1
ORDER BY 1;

-- name: tools_by_configuration
-- $1 simulation.
SELECT
    COALESCE(configuration.name, 'version ' || left(usage.configuration_version_id::text, 8)) AS configuration,
    usage.tool,
    count(*) AS calls,
    count(*) FILTER (WHERE NOT usage.success) AS errors,
    avg(usage.duration_ms) AS duration_ms
FROM tool_usage AS usage
LEFT JOIN configuration_versions AS version ON version.id = usage.configuration_version_id
LEFT JOIN configurations AS configuration ON configuration.id = version.configuration_id
WHERE usage.simulation_id = $1
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: failures_by_configuration
-- $1 simulation.
SELECT
    COALESCE(configuration.name, 'version ' || left(failure.configuration_version_id::text, 8)) AS configuration,
    failure.kind,
    count(*) AS failures
FROM failures AS failure
LEFT JOIN configuration_versions AS version ON version.id = failure.configuration_version_id
LEFT JOIN configurations AS configuration ON configuration.id = version.configuration_id
WHERE failure.simulation_id = $1
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: execution_counts
-- $1 simulation: executions, and those of them that have ended.
SELECT count(*) AS executions, count(*) FILTER (WHERE ended_at IS NOT NULL) AS ended
FROM executions
WHERE simulation_id = $1;

-- name: event_counts
-- $1 simulation: how many events its executions say they emitted, how many their launcher reported (which have no number),
-- its rows in the event tables, and the dead letters there are (which belong to no simulation).
SELECT
    (SELECT COALESCE(sum(last_sequence), 0)::bigint FROM outcomes WHERE simulation_id = $1) AS emitted,
    (SELECT count(*) FROM failures WHERE simulation_id = $1 AND sequence = 0) AS reported,
    (SELECT count(*) FROM outcomes WHERE simulation_id = $1)
    + (SELECT count(*) FROM tool_usage WHERE simulation_id = $1)
    + (SELECT count(*) FROM failures WHERE simulation_id = $1)
    + (SELECT count(*) FROM execution_events WHERE simulation_id = $1) AS events,
    (SELECT count(*) FROM dead_letters) AS dead_letters;

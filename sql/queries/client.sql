-- name: reference_to
-- $1 execution.
SELECT id AS execution_id, configuration_version_id, scenario_id, simulation_id FROM executions WHERE id = $1;

-- name: execution
-- $1 execution: itself, with the names of what it belongs to.
SELECT
    execution.id,
    execution.configuration_version_id,
    configuration.name AS configuration,
    execution.scenario_id,
    scenario.name AS scenario,
    execution.simulation_id,
    simulation.name AS simulation,
    execution.started_at,
    execution.ended_at,
    execution.attempt,
    execution.source,
    execution.metadata
FROM executions AS execution
LEFT JOIN configuration_versions AS version ON version.id = execution.configuration_version_id
LEFT JOIN configurations AS configuration ON configuration.id = version.configuration_id
LEFT JOIN scenarios AS scenario ON scenario.id = execution.scenario_id
LEFT JOIN simulations AS simulation ON simulation.id = execution.simulation_id
WHERE execution.id = $1;

-- The four below: $1 execution, $2 and $3 the time to look in (so that few chunks of a hypertable are read), $4 how many.

-- name: execution_outcome
-- The newest first: an execution that was recorded as ended twice has two.
SELECT
    time, event_id, execution_id, configuration_version_id, scenario_id, simulation_id, sequence, status, success, score,
    duration_ms, cost_usd, input_tokens, output_tokens, error_kind, error_message, metadata
FROM outcomes
WHERE execution_id = $1 AND time >= $2 AND time <= $3
ORDER BY time DESC, sequence DESC, event_id DESC
LIMIT $4;

-- name: execution_events
SELECT time, event_id, sequence, type, source, data
FROM execution_events
WHERE execution_id = $1 AND time >= $2 AND time <= $3
ORDER BY time, sequence, event_id
LIMIT $4;

-- name: execution_tool_usage
SELECT time, event_id, sequence, tool, success, duration_ms, error, arguments, result_bytes
FROM tool_usage
WHERE execution_id = $1 AND time >= $2 AND time <= $3
ORDER BY time, sequence, event_id
LIMIT $4;

-- name: execution_failures
SELECT time, event_id, sequence, kind, message, details, pattern_id
FROM failures
WHERE execution_id = $1 AND time >= $2 AND time <= $3
ORDER BY time, sequence, event_id
LIMIT $4;

-- name: active_configurations
-- Versions with executions that started in the last $1 (an interval), the latest first, at the most $2.
SELECT
    version.id,
    configuration.name,
    version.content,
    recent.executions,
    recent.last_execution_at
FROM configuration_versions AS version
LEFT JOIN configurations AS configuration ON configuration.id = version.configuration_id
CROSS JOIN LATERAL (
    SELECT count(*) AS executions, max(execution.started_at) AS last_execution_at
    FROM executions AS execution
    WHERE execution.configuration_version_id = version.id AND execution.started_at >= now() - $1::interval
) AS recent
WHERE recent.executions > 0
ORDER BY recent.last_execution_at DESC, version.id
LIMIT $2;

-- name: outcomes
-- $1 configuration version, $2 and $3 the time from and up to (not including), $4 the event id after which to go on at
-- the time $2, $5 how many. A page's last row is where the next page begins.
SELECT
    time, event_id, execution_id, configuration_version_id, scenario_id, simulation_id, sequence, status, success, score,
    duration_ms, cost_usd, input_tokens, output_tokens, error_kind, error_message, metadata
FROM outcomes
WHERE configuration_version_id = $1 AND time >= $2 AND time < $3 AND (time, event_id) > ($2, $4::uuid)
ORDER BY time, event_id
LIMIT $5;

-- name: active_simulations
-- $1 how many at the most.
SELECT
    simulation_id, simulation, started_at, last_activity_at, running, completed, abandoned, succeeded, cost_usd
FROM active_simulations
ORDER BY last_activity_at DESC NULLS LAST, simulation_id
LIMIT $1;

-- name: ping
SELECT 1;

-- name: server
-- What a health check asks first; it needs no table.
SELECT
    current_setting('server_version') AS version,
    current_setting('transaction_read_only') = 'off' AS writable,
    to_regclass('schema_migrations') IS NOT NULL AS has_schema;

-- name: schema_version
-- The newest migration that the database has.
SELECT version, edition FROM schema_migrations ORDER BY version DESC LIMIT 1;

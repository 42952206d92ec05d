-- The dashboard's search of executions, and one execution. A page is found in two steps: candidates by the one index that
-- fits, at most so many, newest first; then what is asked besides, among them. So that a page costs no more where nothing
-- is found, and says how far back it looked. $1 and $2 of the candidates: started from and up to (not including); $3 and $4
-- the start and id behind which to go on; $5 how many; $6 versions to leave out.

-- name: candidates
SELECT id, configuration_version_id, scenario_id, simulation_id, started_at, ended_at
FROM executions
WHERE started_at >= $1 AND started_at < $2 AND (started_at, id) < ($3::timestamptz, $4::uuid)
    AND configuration_version_id <> ALL($6::uuid[])
ORDER BY started_at DESC, id DESC
LIMIT $5;

-- name: candidates_of_versions
-- $7 versions.
SELECT candidate.*
FROM unnest($7::uuid[]) AS version (id)
CROSS JOIN LATERAL (
    SELECT id, configuration_version_id, scenario_id, simulation_id, started_at, ended_at
    FROM executions
    WHERE configuration_version_id = version.id
        AND started_at >= $1 AND started_at < $2 AND (started_at, id) < ($3::timestamptz, $4::uuid)
        AND configuration_version_id <> ALL($6::uuid[])
    ORDER BY started_at DESC, id DESC
    LIMIT $5
) AS candidate
ORDER BY candidate.started_at DESC, candidate.id DESC
LIMIT $5;

-- name: candidates_of_scenario
-- $7 scenario.
SELECT id, configuration_version_id, scenario_id, simulation_id, started_at, ended_at
FROM executions
WHERE scenario_id = $7
    AND started_at >= $1 AND started_at < $2 AND (started_at, id) < ($3::timestamptz, $4::uuid)
    AND configuration_version_id <> ALL($6::uuid[])
ORDER BY started_at DESC, id DESC
LIMIT $5;

-- name: candidates_of_simulation
-- $7 simulation.
SELECT id, configuration_version_id, scenario_id, simulation_id, started_at, ended_at
FROM executions
WHERE simulation_id = $7
    AND started_at >= $1 AND started_at < $2 AND (started_at, id) < ($3::timestamptz, $4::uuid)
    AND configuration_version_id <> ALL($6::uuid[])
ORDER BY started_at DESC, id DESC
LIMIT $5;

-- name: candidates_unended
-- $7 whether they are running (true), or abandoned.
SELECT id, configuration_version_id, scenario_id, simulation_id, started_at, NULL::timestamptz AS ended_at
FROM unended_executions
WHERE is_running = $7
    AND started_at >= $1 AND started_at < $2 AND (started_at, id) < ($3::timestamptz, $4::uuid)
    AND configuration_version_id <> ALL($6::uuid[])
ORDER BY started_at DESC, id DESC
LIMIT $5;

-- name: candidates_by_id
-- $1 and $2 the lowest and the highest id that begin as asked, $3 how many.
SELECT id, configuration_version_id, scenario_id, simulation_id, started_at, ended_at
FROM executions
WHERE id >= $1 AND id <= $2
ORDER BY id DESC
LIMIT $3;

-- name: outcomes_of
-- $1 executions, $2 and $3 their first and last end, $4 status (null: any), $5 what the error must contain, in whatever case
-- (null: anything), $6 and $7 the lowest and the highest of their ids, by which compressed rows are left out. Of an execution
-- that ended twice, its last end. With = ANY, five thousand ids take TimescaleDB 0.4 s to plan for.
SELECT DISTINCT ON (outcome.execution_id)
    outcome.execution_id, outcome.status, outcome.score, outcome.duration_ms, outcome.cost_usd, outcome.error_kind,
    left(outcome.error_message, 500) AS error_message
FROM unnest($1::uuid[]) AS wanted (id)
JOIN outcomes AS outcome ON outcome.execution_id = wanted.id
WHERE outcome.execution_id >= $6 AND outcome.execution_id <= $7
    AND outcome.time >= $2 AND outcome.time <= $3
    AND ($4::text IS NULL OR outcome.status = $4)
    AND (
        $5::text IS NULL
        OR position(lower($5) IN lower(outcome.error_message)) > 0
        OR position(lower($5) IN lower(outcome.error_kind)) > 0
    )
ORDER BY outcome.execution_id, outcome.time DESC, outcome.sequence DESC, outcome.event_id DESC;

-- name: running_of
-- $1 executions without an end: those of them that run.
SELECT id FROM unended_executions WHERE id = ANY($1::uuid[]) AND is_running;

-- name: execution
-- $1 execution: itself, with the names of what it belongs to.
SELECT
    execution.id,
    execution.configuration_version_id,
    configuration.name AS configuration,
    given.number,
    execution.scenario_id,
    scenario.name AS scenario,
    execution.simulation_id,
    simulation.name AS simulation,
    execution.started_at,
    execution.ended_at,
    execution.attempt,
    execution.source,
    left(execution.metadata::text, 4000) AS metadata,
    COALESCE(unended.is_running, false) AS is_running
FROM executions AS execution
LEFT JOIN configuration_versions AS version ON version.id = execution.configuration_version_id
LEFT JOIN configurations AS configuration ON configuration.id = version.configuration_id
LEFT JOIN configuration_version_numbers AS given
    ON given.configuration_id = version.configuration_id AND given.configuration_version_id = version.id
LEFT JOIN scenarios AS scenario ON scenario.id = execution.scenario_id
LEFT JOIN simulations AS simulation ON simulation.id = execution.simulation_id
LEFT JOIN unended_executions AS unended ON unended.id = execution.id
WHERE execution.id = $1;

-- name: accounting
-- $1 execution, of the last three days: what it emitted, and what became of it.
SELECT emitted, stored, dead_lettered, dropped, outstanding, is_complete
FROM execution_completeness
WHERE execution_id = $1;

-- name: timeline
-- $1 execution, $2 and $3 the time to look in (so that few chunks of a hypertable are read), $4 how many, $5 to $7 behind
-- which event to go on. Texts are cut: they may be 32 kB each.
SELECT *
FROM (
    SELECT
        time, sequence, event_id, 'arc_eval.execution.completed.v1' AS type, status AS name, success,
        duration_ms, error_kind, left(error_message, 4000) AS message,
        left(metadata::text, 4000) AS details, NULL::bigint AS result_bytes, score, cost_usd, input_tokens, output_tokens,
        last_sequence, dropped::text AS dropped, log_partition, log_offset
    FROM outcomes
    WHERE execution_id = $1 AND time >= $2 AND time <= $3
    UNION ALL
    SELECT
        time, sequence, event_id, 'arc_eval.tool.used.v1', tool, success, duration_ms, NULL, left(error, 4000),
        left(arguments::text, 4000), result_bytes, NULL, NULL, NULL, NULL, NULL, NULL, log_partition, log_offset
    FROM tool_usage
    WHERE execution_id = $1 AND time >= $2 AND time <= $3
    UNION ALL
    SELECT
        time, sequence, event_id, 'arc_eval.failure.recorded.v1', kind, NULL, NULL, NULL, left(message, 4000),
        left(details::text, 4000), NULL, NULL, NULL, NULL, NULL, NULL, NULL, log_partition, log_offset
    FROM failures
    WHERE execution_id = $1 AND time >= $2 AND time <= $3
    UNION ALL
    SELECT
        time, sequence, event_id, type, NULL, NULL, NULL, NULL, left(data ->> 'message', 4000),
        left(data::text, 4000), NULL, NULL, NULL, NULL, NULL, NULL, NULL, log_partition, log_offset
    FROM execution_events
    WHERE execution_id = $1 AND time >= $2 AND time <= $3
) AS event
WHERE (event.time, event.sequence, event.event_id) > ($5::timestamptz, $6::bigint, $7::uuid)
ORDER BY event.time, event.sequence, event.event_id
LIMIT $4;

-- name: end
-- $1 execution, $2 when it ended: as a row of `timeline`, the last where there are several.
SELECT
    time, sequence, event_id, 'arc_eval.execution.completed.v1' AS type, status AS name, success,
    duration_ms, error_kind, left(error_message, 4000) AS message,
    left(metadata::text, 4000) AS details, NULL::bigint AS result_bytes, score, cost_usd, input_tokens, output_tokens,
    last_sequence, dropped::text AS dropped, log_partition, log_offset
FROM outcomes
WHERE execution_id = $1 AND time = $2
ORDER BY sequence DESC, event_id DESC
LIMIT 1;

-- name: sequences
-- $1 execution, $2 and $3 the time to look in, $4 how many: the numbers of its events, each once, for what is missing
-- between them.
SELECT DISTINCT sequence
FROM (
    SELECT sequence FROM outcomes WHERE execution_id = $1 AND time >= $2 AND time <= $3
    UNION ALL
    SELECT sequence FROM tool_usage WHERE execution_id = $1 AND time >= $2 AND time <= $3
    UNION ALL
    SELECT sequence FROM failures WHERE execution_id = $1 AND time >= $2 AND time <= $3
    UNION ALL
    SELECT sequence FROM execution_events WHERE execution_id = $1 AND time >= $2 AND time <= $3
) AS event
WHERE sequence > 0
ORDER BY sequence
LIMIT $4;

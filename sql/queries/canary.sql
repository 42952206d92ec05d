-- name: rows_of_execution
-- $1 execution, $2 the time from which on to look (so that few chunks are read): what is there of it, a row a row, and of
-- each what it says; an execution itself has no event.
SELECT
    'execution_events' AS relation, event_id, configuration_version_id, scenario_id, simulation_id, sequence,
    (jsonb_build_object('type', type) || data)::text AS said
FROM execution_events
WHERE execution_id = $1 AND time >= $2
UNION ALL
SELECT
    'tool_usage', event_id, configuration_version_id, scenario_id, simulation_id, sequence,
    jsonb_build_object('tool', tool, 'success', success, 'arguments', arguments, 'result_bytes', result_bytes)::text
FROM tool_usage
WHERE execution_id = $1 AND time >= $2
UNION ALL
SELECT
    'failures', event_id, configuration_version_id, scenario_id, simulation_id, sequence,
    jsonb_build_object('kind', kind)::text
FROM failures
WHERE execution_id = $1 AND time >= $2
UNION ALL
SELECT
    'outcomes', event_id, configuration_version_id, scenario_id, simulation_id, sequence,
    jsonb_build_object(
        'status', status, 'success', success, 'metadata', metadata, 'last_sequence', last_sequence, 'dropped', dropped
    )::text
FROM outcomes
WHERE execution_id = $1 AND time >= $2
UNION ALL
SELECT
    'executions', NULL::uuid, configuration_version_id, scenario_id, simulation_id, 0,
    jsonb_build_object(
        'started', started_at IS NOT NULL, 'ended', ended_at IS NOT NULL, 'attempt', attempt, 'metadata', metadata
    )::text
FROM executions
WHERE id = $1;

-- name: dead_letters_of_events
-- $1 event ids: the records of theirs that were set aside, the first one first.
SELECT id, event_id, topic, log_partition, log_offset, reason, detail
FROM dead_letters
WHERE event_id = ANY($1::uuid[])
ORDER BY id;

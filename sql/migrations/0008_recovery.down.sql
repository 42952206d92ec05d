-- The offsets last, which every batch locks after its dead letters: the other way round, this and a worker could wait for each
-- other. log_gaps is the only record of what was lost for good: keep a copy of it, if it is still needed.

CREATE OR REPLACE VIEW execution_completeness AS
SELECT
    counted.execution_id,
    counted.configuration_version_id,
    counted.scenario_id,
    counted.simulation_id,
    counted.ended_at,
    counted.emitted,
    counted.stored,
    counted.dead_lettered,
    counted.dropped,
    counted.emitted - counted.stored - counted.dead_lettered - counted.dropped AS outstanding,
    counted.emitted = counted.stored + counted.dead_lettered + counted.dropped AS is_complete
FROM (
    SELECT
        outcome.execution_id,
        outcome.configuration_version_id,
        outcome.scenario_id,
        outcome.simulation_id,
        outcome.time AS ended_at,
        outcome.last_sequence AS emitted,
        ended.events + began.events + used.events + failed.events AS stored,
        refused.events AS dead_lettered,
        COALESCE((SELECT sum(value::bigint)::bigint FROM jsonb_each_text(outcome.dropped)), 0) AS dropped
    FROM outcomes AS outcome
    JOIN executions AS execution ON execution.id = outcome.execution_id AND execution.ended_at = outcome.time
    CROSS JOIN LATERAL (
        SELECT count(*) AS events
        FROM outcomes AS event
        WHERE event.execution_id = outcome.execution_id AND event.time > now() - INTERVAL '3 days'
    ) AS ended
    CROSS JOIN LATERAL (
        SELECT count(*) AS events
        FROM execution_events AS event
        WHERE event.execution_id = outcome.execution_id AND event.time > now() - INTERVAL '3 days'
    ) AS began
    CROSS JOIN LATERAL (
        SELECT count(*) AS events
        FROM tool_usage AS event
        WHERE event.execution_id = outcome.execution_id AND event.time > now() - INTERVAL '3 days'
    ) AS used
    CROSS JOIN LATERAL (
        SELECT count(*) AS events
        FROM failures AS event
        WHERE event.execution_id = outcome.execution_id AND event.time > now() - INTERVAL '3 days'
    ) AS failed
    CROSS JOIN LATERAL (
        -- An event that was sent twice may have been refused twice.
        SELECT count(DISTINCT COALESCE(letter.event_id::text, concat_ws('/', letter.topic, letter.log_partition, letter.log_offset)))
            AS events
        FROM dead_letters AS letter
        WHERE letter.key = convert_to(outcome.execution_id::text, 'UTF8') AND letter.resolved_at IS NULL
    ) AS refused
    WHERE outcome.last_sequence IS NOT NULL
        AND outcome.time > now() - INTERVAL '3 days'
        AND COALESCE(execution.started_at, outcome.time) > now() - INTERVAL '3 days'
) AS counted;

DROP TABLE log_gaps;

REVOKE SELECT (log_timestamp) ON dead_letters FROM arc_eval_writer;
DROP INDEX dead_letters_record_key;

ALTER TABLE consumer_offsets DROP COLUMN anchor_hash, DROP COLUMN anchor_timestamp_ms, DROP COLUMN anchor_offset;

-- not-required
-- What becomes of dead letters that are tried again or discarded. Workers do without it; `arc-eval-db dead-letters` does not.

-- The view's lock first, by a change that is none: whoever reads the view takes the table's lock after it.
ALTER VIEW execution_completeness RESET (security_barrier);

ALTER TABLE dead_letters
    ADD COLUMN last_attempt_at timestamptz,
    -- What the last attempt was refused for; never a value from the event.
    ADD COLUMN last_detail text,
    -- Tried too often: left alone until a person asks for it.
    ADD COLUMN quarantined_at timestamptz,
    ADD COLUMN resolution text CONSTRAINT dead_letters_resolution_check CHECK (
        resolution IN ('stored', 'duplicate', 'discarded')
    ),
    ADD COLUMN resolved_by text;

-- Not valid for rows of before: somebody may have set resolved_at by hand, and only that person knows what for.
ALTER TABLE dead_letters
    ADD CONSTRAINT dead_letters_resolved_check CHECK ((resolution IS NULL) = (resolved_at IS NULL)) NOT VALID;

-- In the end most letters are resolved; those that are not are looked for in the order of their ids.
CREATE INDEX dead_letters_unresolved_idx ON dead_letters (id) WHERE resolved_at IS NULL;

GRANT SELECT (last_attempt_at, last_detail, quarantined_at, resolution, resolved_by) ON dead_letters TO arc_eval_reader;

-- As before, but for one condition: what a person discarded is accounted for, like any other dead letter, and not lost.
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
        execution.execution_id,
        execution.configuration_version_id,
        execution.scenario_id,
        execution.simulation_id,
        execution.ended_at,
        COALESCE(
            execution.last_sequence,
            GREATEST(
                GREATEST(ended.highest, began.highest, used.highest, failed.highest),
                ended.events + began.events + used.events + failed.events + refused.events
            ) + 1
        ) AS emitted,
        ended.events + began.events + used.events + failed.events AS stored,
        refused.events AS dead_lettered,
        COALESCE((SELECT sum(value::bigint)::bigint FROM jsonb_each_text(execution.dropped)), 0) AS dropped
    FROM (
        SELECT
            outcome.execution_id, outcome.configuration_version_id, outcome.scenario_id, outcome.simulation_id,
            outcome.time AS ended_at, outcome.last_sequence, outcome.dropped
        FROM outcomes AS outcome
        JOIN executions AS started ON started.id = outcome.execution_id
        WHERE outcome.last_sequence IS NOT NULL
            AND outcome.time > now() - INTERVAL '3 days'
            AND COALESCE(started.started_at, outcome.time) > now() - INTERVAL '3 days'
        UNION ALL
        SELECT
            silent.id, silent.configuration_version_id, silent.scenario_id, silent.simulation_id,
            NULL::timestamptz, NULL::bigint, NULL::jsonb
        FROM unended_executions AS silent
        WHERE NOT silent.is_running
            AND (silent.started_at > now() - INTERVAL '3 days' OR silent.started_at IS NULL)
    ) AS execution
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS events, max(event.sequence) AS highest,
            max(event.time) FILTER (WHERE event.last_sequence IS NOT NULL) AS counted_at
        FROM outcomes AS event
        WHERE event.execution_id = execution.execution_id
            AND event.sequence > 0 AND event.time > now() - INTERVAL '3 days'
    ) AS ended
    CROSS JOIN LATERAL (
        SELECT count(*) AS events, max(event.sequence) AS highest
        FROM execution_events AS event
        WHERE event.execution_id = execution.execution_id
            AND event.sequence > 0 AND event.time > now() - INTERVAL '3 days'
    ) AS began
    CROSS JOIN LATERAL (
        SELECT count(*) AS events, max(event.sequence) AS highest
        FROM tool_usage AS event
        WHERE event.execution_id = execution.execution_id
            AND event.sequence > 0 AND event.time > now() - INTERVAL '3 days'
    ) AS used
    CROSS JOIN LATERAL (
        SELECT count(*) AS events, max(event.sequence) AS highest
        FROM failures AS event
        WHERE event.execution_id = execution.execution_id
            AND event.sequence > 0 AND event.time > now() - INTERVAL '3 days'
    ) AS failed
    CROSS JOIN LATERAL (
        -- An event that was sent twice may have been refused twice, or have become a row the other time.
        SELECT count(DISTINCT COALESCE(letter.event_id::text, concat_ws('/', letter.topic, letter.log_partition, letter.log_offset)))
            AS events
        FROM dead_letters AS letter
        WHERE letter.key = convert_to(execution.execution_id::text, 'UTF8')
            AND (letter.resolved_at IS NULL OR letter.resolution = 'discarded')
            -- From outside of the execution. In the bytes as our producers write them: what was refused may not even be text.
            AND COALESCE(position('"sequence":"0000000000"'::bytea IN letter.value), 0) = 0
            AND NOT EXISTS (
                SELECT FROM outcomes AS event
                WHERE event.event_id = letter.event_id AND event.time > now() - INTERVAL '3 days'
            )
            AND NOT EXISTS (
                SELECT FROM execution_events AS event
                WHERE event.event_id = letter.event_id AND event.time > now() - INTERVAL '3 days'
            )
            AND NOT EXISTS (
                SELECT FROM tool_usage AS event
                WHERE event.event_id = letter.event_id AND event.time > now() - INTERVAL '3 days'
            )
            AND NOT EXISTS (
                SELECT FROM failures AS event
                WHERE event.event_id = letter.event_id AND event.time > now() - INTERVAL '3 days'
            )
    ) AS refused
    WHERE execution.ended_at = ended.counted_at
        OR (execution.ended_at IS NULL AND GREATEST(ended.highest, began.highest, used.highest, failed.highest) > 0)
) AS counted;

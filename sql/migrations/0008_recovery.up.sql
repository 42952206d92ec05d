-- The view first and the offsets last, which every batch locks: those are held for the shortest time.

-- For each execution of the last three days that ended and counted its events, or that is abandoned: emitted = stored +
-- dead_lettered + dropped + outstanding. What is outstanding is on its way, in a spool, or lost. An abandoned one emitted
-- one more than what is known of it at the least: its end. Events that were written from outside the execution have the
-- sequence 0, and are not counted. The three days stand in each part, so that the planner looks into four chunks of each
-- hypertable and not into all.
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
        WHERE letter.key = convert_to(execution.execution_id::text, 'UTF8') AND letter.resolved_at IS NULL
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

-- What a group has not read and never will: the log no longer holds it.
CREATE TABLE log_gaps (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    end_offset bigint,
    reason text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    consumer_version text NOT NULL,
    -- A topic that was made anew can lose the same offsets again.
    CONSTRAINT log_gaps_pkey PRIMARY KEY (consumer_group, topic, partition, first_offset, noticed_at),
    CONSTRAINT log_gaps_reason_check CHECK (reason IN ('retention', 'recreated')),
    CONSTRAINT log_gaps_end_offset_check CHECK (end_offset > first_offset),
    -- How much was left in a topic that was deleted, nobody knows.
    CONSTRAINT log_gaps_end_offset_known_check CHECK ((end_offset IS NULL) = (reason = 'recreated'))
);
GRANT INSERT ON log_gaps TO arc_eval_writer;
GRANT SELECT ON log_gaps TO arc_eval_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON log_gaps TO arc_eval_admin;

-- A topic that was made anew gives its offsets a second time: the record's time tells them apart.
CREATE UNIQUE INDEX dead_letters_record_key ON dead_letters (topic, log_partition, log_offset, log_timestamp);
-- ON CONFLICT reads it.
GRANT SELECT (log_timestamp) ON dead_letters TO arc_eval_writer;

-- The last record that the group read, to recognise the log by.
ALTER TABLE consumer_offsets
    ADD COLUMN anchor_offset bigint,
    ADD COLUMN anchor_timestamp_ms bigint,
    ADD COLUMN anchor_hash bytea;
GRANT UPDATE (anchor_offset, anchor_timestamp_ms, anchor_hash) ON consumer_offsets TO arc_eval_writer;

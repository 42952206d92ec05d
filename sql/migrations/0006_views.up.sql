-- What analysts ask, under the same names in both editions. docs/views.md has a question and an answer for each.

-- What happened in a simulation is asked while it runs, and afterwards.
CREATE INDEX outcomes_simulation_id_idx ON outcomes (simulation_id, time DESC);
-- Unended executions are few and are looked for all the time.
CREATE INDEX executions_unended_idx ON executions (started_at) WHERE ended_at IS NULL;
-- A record's key is the execution's id; it may be any bytes, of any length, which a B-tree does not take.
CREATE INDEX dead_letters_key_idx ON dead_letters USING hash (key);

-- How long an execution may be silent before it counts as abandoned; a day at the most. Another value for one session:
-- SET arc_eval.abandoned_after = '6 hours'; for all: ALTER DATABASE ... SET arc_eval.abandoned_after = '6 hours'.
CREATE FUNCTION abandoned_after() RETURNS interval LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT COALESCE(NULLIF(current_setting('arc_eval.abandoned_after', true), ''), '1 hour')::interval $$;

-- Unended executions and whether they have been heard of lately; after three days nothing runs any more. The planner
-- finds the few that may be running by the constant three days, and leaves out chunks by the constant day; what the
-- function says it does not know.
CREATE VIEW unended_executions AS
SELECT
    execution.id,
    execution.configuration_version_id,
    execution.scenario_id,
    execution.simulation_id,
    execution.started_at,
    execution.attempt,
    execution.source,
    (execution.started_at > now() - INTERVAL '3 days' OR execution.started_at IS NULL)
    AND (
        COALESCE(execution.started_at > now() - abandoned_after(), false)
        OR EXISTS (
            SELECT FROM execution_events AS event
            WHERE event.execution_id = execution.id
                AND event.time > now() - INTERVAL '1 day' AND event.time > now() - abandoned_after()
        )
        OR EXISTS (
            SELECT FROM tool_usage AS usage
            WHERE usage.execution_id = execution.id
                AND usage.time > now() - INTERVAL '1 day' AND usage.time > now() - abandoned_after()
        )
        OR EXISTS (
            SELECT FROM failures AS failure
            WHERE failure.execution_id = execution.id
                AND failure.time > now() - INTERVAL '1 day' AND failure.time > now() - abandoned_after()
        )
    ) AS is_running
FROM executions AS execution
WHERE execution.ended_at IS NULL;

-- Derived and never stored, so that a late event corrects it. The parts are apart, each with its state as a constant, so
-- that a query for one state reads no other.
CREATE VIEW execution_state AS
SELECT
    id AS execution_id, 'completed' AS state, configuration_version_id, scenario_id, simulation_id, started_at, ended_at,
    attempt, source
FROM executions
WHERE ended_at IS NOT NULL
UNION ALL
SELECT
    id, 'running', configuration_version_id, scenario_id, simulation_id, started_at, NULL::timestamptz, attempt, source
FROM unended_executions
WHERE is_running
UNION ALL
SELECT
    id, 'abandoned', configuration_version_id, scenario_id, simulation_id, started_at, NULL::timestamptz, attempt, source
FROM unended_executions
WHERE NOT is_running;

CREATE VIEW active_simulations AS
SELECT
    simulation.id AS simulation_id,
    simulation.name AS simulation,
    total.started_at,
    GREATEST(total.last_started_at, outcome.last_ended_at) AS last_activity_at,
    active.running,
    total.completed,
    total.executions - total.completed - active.running AS abandoned,
    outcome.succeeded,
    outcome.cost_usd
FROM (
    SELECT simulation_id, count(*) AS running
    FROM execution_state
    WHERE state = 'running' AND simulation_id IS NOT NULL
    GROUP BY simulation_id
) AS active
JOIN simulations AS simulation ON simulation.id = active.simulation_id
CROSS JOIN LATERAL (
    SELECT
        count(*) AS executions,
        count(execution.ended_at) AS completed,
        min(COALESCE(execution.started_at, execution.ended_at)) AS started_at,
        max(execution.started_at) AS last_started_at
    FROM executions AS execution
    WHERE execution.simulation_id = simulation.id
) AS total
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE success) AS succeeded, sum(cost_usd) AS cost_usd, max(time) AS last_ended_at
    FROM outcomes
    WHERE outcomes.simulation_id = simulation.id AND outcomes.time >= total.started_at
) AS outcome;

-- For each execution of the last three days that ended and counted its events: emitted = stored + dead_lettered + dropped
-- + outstanding. What is outstanding is on its way, in a spool, or lost. The three days stand in each part, so that the
-- planner looks into four chunks of each hypertable and not into all.
CREATE VIEW execution_completeness AS
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

-- A version by the name of its configuration, or by the beginning of its id.
CREATE VIEW configuration_names AS
SELECT
    version.id AS configuration_version_id,
    COALESCE(configuration.name, 'version ' || left(version.id::text, 8)) AS configuration
FROM configuration_versions AS version
LEFT JOIN configurations AS configuration ON configuration.id = version.configuration_id;

CREATE VIEW performance_hourly AS
SELECT
    rollup.bucket AS hour,
    COALESCE(name.configuration, 'version ' || left(rollup.configuration_version_id::text, 8)) AS configuration,
    rollup.configuration_version_id,
    rollup.executions,
    rollup.succeeded,
    rollup.failed,
    rollup.errored,
    rollup.timed_out,
    rollup.cancelled,
    rollup.succeeded::double precision / rollup.executions::double precision AS success_rate,
    rollup.score_sum / NULLIF(rollup.score_count, 0)::double precision AS score,
    rollup.duration_ms_sum / NULLIF(rollup.duration_ms_count, 0)::double precision AS duration_ms,
    rollup.duration_ms_max,
    rollup.cost_usd_sum AS cost_usd,
    rollup.cost_usd_sum / NULLIF(rollup.succeeded, 0)::double precision AS cost_usd_per_success,
    rollup.input_tokens,
    rollup.output_tokens
FROM outcomes_hourly AS rollup
LEFT JOIN configuration_names AS name USING (configuration_version_id);

CREATE VIEW performance_daily AS
SELECT
    rollup.bucket AS day,
    COALESCE(name.configuration, 'version ' || left(rollup.configuration_version_id::text, 8)) AS configuration,
    rollup.configuration_version_id,
    rollup.executions,
    rollup.succeeded,
    rollup.failed,
    rollup.errored,
    rollup.timed_out,
    rollup.cancelled,
    rollup.succeeded::double precision / rollup.executions::double precision AS success_rate,
    rollup.score_sum / NULLIF(rollup.score_count, 0)::double precision AS score,
    rollup.duration_ms_sum / NULLIF(rollup.duration_ms_count, 0)::double precision AS duration_ms,
    rollup.duration_ms_max,
    rollup.cost_usd_sum AS cost_usd,
    rollup.cost_usd_sum / NULLIF(rollup.succeeded, 0)::double precision AS cost_usd_per_success,
    rollup.input_tokens,
    rollup.output_tokens
FROM outcomes_daily AS rollup
LEFT JOIN configuration_names AS name USING (configuration_version_id);

-- Each day's last seven days beside the seven before them; null where there is nothing to compare with.
CREATE VIEW performance_trends AS
SELECT
    week.day,
    COALESCE(name.configuration, 'version ' || left(week.configuration_version_id::text, 8)) AS configuration,
    week.configuration_version_id,
    week.executions,
    week.succeeded / week.executions AS success_rate,
    week.succeeded / week.executions - week.previous_succeeded / NULLIF(week.previous_executions, 0) AS success_rate_change,
    week.score_sum / NULLIF(week.score_count, 0) AS score,
    week.score_sum / NULLIF(week.score_count, 0)
    - week.previous_score_sum / NULLIF(week.previous_score_count, 0) AS score_change,
    week.cost_usd_sum / NULLIF(week.cost_usd_count, 0) AS cost_usd_per_execution,
    week.cost_usd_sum / NULLIF(week.cost_usd_count, 0)
    - week.previous_cost_usd_sum / NULLIF(week.previous_cost_usd_count, 0) AS cost_usd_per_execution_change
FROM (
    SELECT
        bucket AS day,
        configuration_version_id,
        sum(executions::double precision) OVER last AS executions,
        sum(executions::double precision) OVER previous AS previous_executions,
        sum(succeeded::double precision) OVER last AS succeeded,
        sum(succeeded::double precision) OVER previous AS previous_succeeded,
        sum(score_sum) OVER last AS score_sum,
        sum(score_sum) OVER previous AS previous_score_sum,
        sum(score_count::double precision) OVER last AS score_count,
        sum(score_count::double precision) OVER previous AS previous_score_count,
        sum(cost_usd_sum) OVER last AS cost_usd_sum,
        sum(cost_usd_sum) OVER previous AS previous_cost_usd_sum,
        sum(cost_usd_count::double precision) OVER last AS cost_usd_count,
        sum(cost_usd_count::double precision) OVER previous AS previous_cost_usd_count
    FROM outcomes_daily
    WINDOW
        last AS (
            PARTITION BY configuration_version_id ORDER BY bucket RANGE BETWEEN INTERVAL '6 days' PRECEDING AND CURRENT ROW
        ),
        previous AS (
            PARTITION BY configuration_version_id ORDER BY bucket
            RANGE BETWEEN INTERVAL '13 days' PRECEDING AND INTERVAL '7 days' PRECEDING
        )
) AS week
LEFT JOIN configuration_names AS name USING (configuration_version_id);

CREATE VIEW cost_breakdown AS
SELECT
    rollup.bucket AS day,
    COALESCE(name.configuration, 'version ' || left(rollup.configuration_version_id::text, 8)) AS configuration,
    rollup.configuration_version_id,
    COALESCE(scenario.name, 'scenario ' || left(rollup.scenario_id::text, 8)) AS scenario,
    rollup.scenario_id,
    rollup.executions,
    rollup.succeeded,
    rollup.cost_usd_sum AS cost_usd,
    rollup.cost_usd_sum / NULLIF(rollup.cost_usd_count, 0)::double precision AS cost_usd_per_execution,
    rollup.cost_usd_sum / NULLIF(rollup.succeeded, 0)::double precision AS cost_usd_per_success,
    rollup.input_tokens,
    rollup.output_tokens
FROM scenario_outcomes_daily AS rollup
LEFT JOIN configuration_names AS name USING (configuration_version_id)
LEFT JOIN scenarios AS scenario ON scenario.id = rollup.scenario_id;

-- How executions end when they do not succeed, and what goes wrong inside of them, each as a share of the day's
-- executions of the configuration. One execution may record several failures, so that a rate of those can exceed 1.
CREATE VIEW error_rates AS
SELECT
    error.day,
    COALESCE(name.configuration, 'version ' || left(error.configuration_version_id::text, 8)) AS configuration,
    error.configuration_version_id,
    error.source,
    error.status,
    error.kind,
    error.occurrences,
    rollup.executions,
    error.occurrences::double precision / rollup.executions::double precision AS rate
FROM (
    SELECT
        bucket AS day, configuration_version_id, 'outcome' AS source, status, COALESCE(error_kind, status) AS kind,
        executions AS occurrences
    FROM errors_daily
    UNION ALL
    SELECT bucket, configuration_version_id, 'failure', NULL, kind, failures
    FROM failures_daily
) AS error
LEFT JOIN configuration_names AS name USING (configuration_version_id)
LEFT JOIN outcomes_daily AS rollup
    ON rollup.bucket = error.day AND rollup.configuration_version_id = error.configuration_version_id;

CREATE VIEW tool_reliability AS
SELECT
    rollup.bucket AS day,
    COALESCE(name.configuration, 'version ' || left(rollup.configuration_version_id::text, 8)) AS configuration,
    rollup.configuration_version_id,
    rollup.tool,
    rollup.calls,
    rollup.errors,
    rollup.errors::double precision / rollup.calls::double precision AS error_rate,
    rollup.duration_ms_sum / NULLIF(rollup.duration_ms_count, 0)::double precision AS duration_ms,
    rollup.duration_ms_max,
    rollup.result_bytes
FROM tool_usage_daily AS rollup
LEFT JOIN configuration_names AS name USING (configuration_version_id);

GRANT SELECT ON
    configuration_names, unended_executions, execution_state, active_simulations, execution_completeness,
    performance_hourly, performance_daily, performance_trends, cost_breakdown, error_rates, tool_reliability
TO arc_eval_reader, arc_eval_admin;

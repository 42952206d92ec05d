-- How long each table's rows stay, and when they are compressed: what `arc-eval-db migrate policies` changes, and what
-- `migrate verify` compares the server's jobs with. Null: for ever, never.
CREATE TABLE storage_policies (
    relation text NOT NULL,
    compress_after interval,
    drop_after interval,
    CONSTRAINT storage_policies_pkey PRIMARY KEY (relation)
);
INSERT INTO storage_policies (relation, compress_after, drop_after) VALUES
    ('outcomes', INTERVAL '7 days', INTERVAL '365 days'),
    ('tool_usage', INTERVAL '7 days', INTERVAL '90 days'),
    ('failures', INTERVAL '7 days', INTERVAL '180 days'),
    ('execution_events', INTERVAL '7 days', INTERVAL '30 days'),
    ('consumer_lag_samples', INTERVAL '7 days', INTERVAL '14 days'),
    ('outcomes_hourly', NULL, NULL),
    ('outcomes_daily', NULL, NULL),
    ('scenario_outcomes_hourly', INTERVAL '30 days', NULL),
    ('scenario_outcomes_daily', NULL, NULL),
    ('errors_hourly', NULL, NULL),
    ('errors_daily', NULL, NULL),
    ('tool_usage_hourly', NULL, NULL),
    ('tool_usage_daily', NULL, NULL),
    ('failures_hourly', NULL, NULL),
    ('failures_daily', NULL, NULL);

-- Chosen by measurement (docs/storage.md): rows of one execution side by side compress best and are found fastest, and
-- the ids of an execution and of an event are made in the order of time.
ALTER TABLE outcomes SET (
    timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'execution_id, event_id, time'
);
ALTER TABLE tool_usage SET (
    timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'execution_id, event_id, time'
);
ALTER TABLE failures SET (
    timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'execution_id, event_id, time'
);
ALTER TABLE execution_events SET (
    timescaledb.segmentby = 'configuration_version_id', timescaledb.orderby = 'execution_id, event_id, time'
);

-- Continuous aggregates; what is not materialized yet is added when they are read. WITH NO DATA: a migration must not
-- wait for years of rows; the policies below fill them in.
CREATE MATERIALIZED VIEW outcomes_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 hour', time) AS bucket,
    configuration_version_id,
    count(*) AS executions,
    count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'errored') AS errored,
    count(*) FILTER (WHERE status = 'timed_out') AS timed_out,
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
    sum(score) AS score_sum,
    count(score) AS score_count,
    sum(duration_ms) AS duration_ms_sum,
    count(duration_ms) AS duration_ms_count,
    max(duration_ms) AS duration_ms_max,
    sum(cost_usd) AS cost_usd_sum,
    count(cost_usd) AS cost_usd_count,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens
FROM outcomes
GROUP BY 1, configuration_version_id
WITH NO DATA;

CREATE MATERIALIZED VIEW outcomes_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 day', bucket) AS bucket,
    configuration_version_id,
    sum(executions)::bigint AS executions,
    sum(succeeded)::bigint AS succeeded,
    sum(failed)::bigint AS failed,
    sum(errored)::bigint AS errored,
    sum(timed_out)::bigint AS timed_out,
    sum(cancelled)::bigint AS cancelled,
    sum(score_sum) AS score_sum,
    sum(score_count)::bigint AS score_count,
    sum(duration_ms_sum) AS duration_ms_sum,
    sum(duration_ms_count)::bigint AS duration_ms_count,
    max(duration_ms_max) AS duration_ms_max,
    sum(cost_usd_sum) AS cost_usd_sum,
    sum(cost_usd_count)::bigint AS cost_usd_count,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens
FROM outcomes_hourly
GROUP BY 1, configuration_version_id
WITH NO DATA;

CREATE MATERIALIZED VIEW scenario_outcomes_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 hour', time) AS bucket,
    configuration_version_id,
    scenario_id,
    count(*) AS executions,
    count(*) FILTER (WHERE success) AS succeeded,
    sum(score) AS score_sum,
    count(score) AS score_count,
    sum(duration_ms) AS duration_ms_sum,
    count(duration_ms) AS duration_ms_count,
    sum(cost_usd) AS cost_usd_sum,
    count(cost_usd) AS cost_usd_count,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens
FROM outcomes
GROUP BY 1, configuration_version_id, scenario_id
WITH NO DATA;

-- An hour holds few executions of each scenario and configuration, so that this one is a third as long as its table.
ALTER MATERIALIZED VIEW scenario_outcomes_hourly SET (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'configuration_version_id',
    timescaledb.orderby = 'scenario_id, bucket'
);
CALL add_columnstore_policy('scenario_outcomes_hourly', after => INTERVAL '30 days');

CREATE MATERIALIZED VIEW scenario_outcomes_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 day', bucket) AS bucket,
    configuration_version_id,
    scenario_id,
    sum(executions)::bigint AS executions,
    sum(succeeded)::bigint AS succeeded,
    sum(score_sum) AS score_sum,
    sum(score_count)::bigint AS score_count,
    sum(duration_ms_sum) AS duration_ms_sum,
    sum(duration_ms_count)::bigint AS duration_ms_count,
    sum(cost_usd_sum) AS cost_usd_sum,
    sum(cost_usd_count)::bigint AS cost_usd_count,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens
FROM scenario_outcomes_hourly
GROUP BY 1, configuration_version_id, scenario_id
WITH NO DATA;

CREATE MATERIALIZED VIEW errors_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 hour', time) AS bucket,
    configuration_version_id,
    status,
    error_kind,
    count(*) AS executions
FROM outcomes
WHERE NOT success
GROUP BY 1, configuration_version_id, status, error_kind
WITH NO DATA;

CREATE MATERIALIZED VIEW errors_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 day', bucket) AS bucket,
    configuration_version_id,
    status,
    error_kind,
    sum(executions)::bigint AS executions
FROM errors_hourly
GROUP BY 1, configuration_version_id, status, error_kind
WITH NO DATA;

CREATE MATERIALIZED VIEW tool_usage_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 hour', time) AS bucket,
    configuration_version_id,
    tool,
    count(*) AS calls,
    count(*) FILTER (WHERE NOT success) AS errors,
    sum(duration_ms) AS duration_ms_sum,
    count(duration_ms) AS duration_ms_count,
    max(duration_ms) AS duration_ms_max,
    sum(result_bytes)::bigint AS result_bytes
FROM tool_usage
GROUP BY 1, configuration_version_id, tool
WITH NO DATA;

CREATE MATERIALIZED VIEW tool_usage_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 day', bucket) AS bucket,
    configuration_version_id,
    tool,
    sum(calls)::bigint AS calls,
    sum(errors)::bigint AS errors,
    sum(duration_ms_sum) AS duration_ms_sum,
    sum(duration_ms_count)::bigint AS duration_ms_count,
    max(duration_ms_max) AS duration_ms_max,
    sum(result_bytes)::bigint AS result_bytes
FROM tool_usage_hourly
GROUP BY 1, configuration_version_id, tool
WITH NO DATA;

CREATE MATERIALIZED VIEW failures_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 hour', time) AS bucket,
    configuration_version_id,
    kind,
    count(*) AS failures
FROM failures
GROUP BY 1, configuration_version_id, kind
WITH NO DATA;

CREATE MATERIALIZED VIEW failures_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    time_bucket(INTERVAL '1 day', bucket) AS bucket,
    configuration_version_id,
    kind,
    sum(failures)::bigint AS failures
FROM failures_hourly
GROUP BY 1, configuration_version_id, kind
WITH NO DATA;

-- Refreshed as far back as rows are kept, less two days: where a chunk was dropped, a refresh would empty the aggregate
-- too. Only what has changed is computed again. The first run comes an interval later, so that it does not meet the rest
-- of a migration.
SELECT add_continuous_aggregate_policy(
    aggregate, start_offset => kept - INTERVAL '2 days', end_offset => INTERVAL '1 hour', schedule_interval => every,
    initial_start => now() + every
)
FROM (
    VALUES
        ('outcomes_hourly', INTERVAL '365 days', INTERVAL '15 minutes'),
        ('scenario_outcomes_hourly', INTERVAL '365 days', INTERVAL '15 minutes'),
        ('errors_hourly', INTERVAL '365 days', INTERVAL '15 minutes'),
        ('tool_usage_hourly', INTERVAL '90 days', INTERVAL '15 minutes'),
        ('failures_hourly', INTERVAL '180 days', INTERVAL '15 minutes'),
        ('outcomes_daily', INTERVAL '365 days', INTERVAL '1 hour'),
        ('scenario_outcomes_daily', INTERVAL '365 days', INTERVAL '1 hour'),
        ('errors_daily', INTERVAL '365 days', INTERVAL '1 hour'),
        ('tool_usage_daily', INTERVAL '90 days', INTERVAL '1 hour'),
        ('failures_daily', INTERVAL '180 days', INTERVAL '1 hour')
) AS policies (aggregate, kept, every);

GRANT SELECT ON
    storage_policies, outcomes_hourly, outcomes_daily, scenario_outcomes_hourly, scenario_outcomes_daily, errors_hourly,
    errors_daily, tool_usage_hourly, tool_usage_daily, failures_hourly, failures_daily
TO arc_eval_reader, arc_eval_admin;

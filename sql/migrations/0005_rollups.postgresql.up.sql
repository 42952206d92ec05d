-- What is kept on TimescaleDB. Here nothing is dropped or compressed; `arc-eval-db migrate policies` says so.
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

-- The rollups are ordinary views, computed whenever they are read. With the indexes a window of time is found without
-- reading all rows.
CREATE INDEX outcomes_hour_idx ON outcomes USING brin (date_bin('1 hour', time, '2000-01-01 00:00:00+00'));
CREATE INDEX outcomes_day_idx ON outcomes USING brin (date_bin('1 day', time, '2000-01-01 00:00:00+00'));
CREATE INDEX tool_usage_hour_idx ON tool_usage USING brin (date_bin('1 hour', time, '2000-01-01 00:00:00+00'));
CREATE INDEX tool_usage_day_idx ON tool_usage USING brin (date_bin('1 day', time, '2000-01-01 00:00:00+00'));
CREATE INDEX failures_hour_idx ON failures USING brin (date_bin('1 hour', time, '2000-01-01 00:00:00+00'));
CREATE INDEX failures_day_idx ON failures USING brin (date_bin('1 day', time, '2000-01-01 00:00:00+00'));

CREATE VIEW outcomes_hourly AS
SELECT
    date_bin('1 hour', time, '2000-01-01 00:00:00+00') AS bucket,
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
GROUP BY 1, configuration_version_id;

CREATE VIEW outcomes_daily AS
SELECT
    date_bin('1 day', time, '2000-01-01 00:00:00+00') AS bucket,
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
GROUP BY 1, configuration_version_id;

CREATE VIEW scenario_outcomes_hourly AS
SELECT
    date_bin('1 hour', time, '2000-01-01 00:00:00+00') AS bucket,
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
GROUP BY 1, configuration_version_id, scenario_id;

CREATE VIEW scenario_outcomes_daily AS
SELECT
    date_bin('1 day', time, '2000-01-01 00:00:00+00') AS bucket,
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
GROUP BY 1, configuration_version_id, scenario_id;

CREATE VIEW errors_hourly AS
SELECT
    date_bin('1 hour', time, '2000-01-01 00:00:00+00') AS bucket,
    configuration_version_id,
    status,
    error_kind,
    count(*) AS executions
FROM outcomes
WHERE NOT success
GROUP BY 1, configuration_version_id, status, error_kind;

CREATE VIEW errors_daily AS
SELECT
    date_bin('1 day', time, '2000-01-01 00:00:00+00') AS bucket,
    configuration_version_id,
    status,
    error_kind,
    count(*) AS executions
FROM outcomes
WHERE NOT success
GROUP BY 1, configuration_version_id, status, error_kind;

CREATE VIEW tool_usage_hourly AS
SELECT
    date_bin('1 hour', time, '2000-01-01 00:00:00+00') AS bucket,
    configuration_version_id,
    tool,
    count(*) AS calls,
    count(*) FILTER (WHERE NOT success) AS errors,
    sum(duration_ms) AS duration_ms_sum,
    count(duration_ms) AS duration_ms_count,
    max(duration_ms) AS duration_ms_max,
    sum(result_bytes)::bigint AS result_bytes
FROM tool_usage
GROUP BY 1, configuration_version_id, tool;

CREATE VIEW tool_usage_daily AS
SELECT
    date_bin('1 day', time, '2000-01-01 00:00:00+00') AS bucket,
    configuration_version_id,
    tool,
    count(*) AS calls,
    count(*) FILTER (WHERE NOT success) AS errors,
    sum(duration_ms) AS duration_ms_sum,
    count(duration_ms) AS duration_ms_count,
    max(duration_ms) AS duration_ms_max,
    sum(result_bytes)::bigint AS result_bytes
FROM tool_usage
GROUP BY 1, configuration_version_id, tool;

CREATE VIEW failures_hourly AS
SELECT
    date_bin('1 hour', time, '2000-01-01 00:00:00+00') AS bucket,
    configuration_version_id,
    kind,
    count(*) AS failures
FROM failures
GROUP BY 1, configuration_version_id, kind;

CREATE VIEW failures_daily AS
SELECT
    date_bin('1 day', time, '2000-01-01 00:00:00+00') AS bucket,
    configuration_version_id,
    kind,
    count(*) AS failures
FROM failures
GROUP BY 1, configuration_version_id, kind;

GRANT SELECT ON
    storage_policies, outcomes_hourly, outcomes_daily, scenario_outcomes_hourly, scenario_outcomes_daily, errors_hourly,
    errors_daily, tool_usage_hourly, tool_usage_daily, failures_hourly, failures_daily
TO arc_eval_reader, arc_eval_admin;

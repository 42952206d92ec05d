-- What the dashboard's page of performance asks: sums by bucket of time, by configuration version and by scenario, in one
-- pass (GROUPING SETS), so that the figures of one look fit together. `level` says what a row is a sum of: 'total',
-- 'bucket', 'version', 'scenario', or 'series' for a bucket of one version.
--
-- The rollups know no scenario and simulation together; a simulation is read from its outcomes.
--
-- IS TRUE keeps the index of versions out of the plan: without TimescaleDB the rollups are views, and it would be read for all of
-- time, beside that of the range (1.6 s instead of 0.1).

-- name: configurations_hourly
-- $1 and $2 the buckets from and up to (not including), $3 versions (null: all), $4 versions to leave out, $5 versions of
-- which there is a row for each bucket.
SELECT
    CASE GROUPING(bucket, configuration_version_id)
        WHEN 0 THEN 'series' WHEN 1 THEN 'bucket' WHEN 2 THEN 'version' ELSE 'total'
    END AS level,
    bucket,
    configuration_version_id,
    NULL::uuid AS scenario_id,
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
    sum(cost_usd_sum) AS cost_usd_sum,
    sum(cost_usd_count)::bigint AS cost_usd_count,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens
FROM outcomes_hourly
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE
    AND configuration_version_id <> ALL($4::uuid[])
GROUP BY GROUPING SETS ((bucket, configuration_version_id), (bucket), (configuration_version_id), ())
HAVING GROUPING(bucket, configuration_version_id) <> 0 OR configuration_version_id = ANY($5::uuid[]);

-- name: configurations_daily
-- $1 and $2 the buckets from and up to (not including), $3 versions (null: all), $4 versions to leave out, $5 versions of
-- which there is a row for each bucket.
SELECT
    CASE GROUPING(bucket, configuration_version_id)
        WHEN 0 THEN 'series' WHEN 1 THEN 'bucket' WHEN 2 THEN 'version' ELSE 'total'
    END AS level,
    bucket,
    configuration_version_id,
    NULL::uuid AS scenario_id,
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
    sum(cost_usd_sum) AS cost_usd_sum,
    sum(cost_usd_count)::bigint AS cost_usd_count,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens
FROM outcomes_daily
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE
    AND configuration_version_id <> ALL($4::uuid[])
GROUP BY GROUPING SETS ((bucket, configuration_version_id), (bucket), (configuration_version_id), ())
HAVING GROUPING(bucket, configuration_version_id) <> 0 OR configuration_version_id = ANY($5::uuid[]);

-- name: scenario_hourly
-- As above, $6 scenario. How executions ended is not known by scenario, but for success.
SELECT
    CASE GROUPING(bucket, configuration_version_id)
        WHEN 0 THEN 'series' WHEN 1 THEN 'bucket' WHEN 2 THEN 'version' ELSE 'total'
    END AS level,
    bucket,
    configuration_version_id,
    NULL::uuid AS scenario_id,
    sum(executions)::bigint AS executions,
    sum(succeeded)::bigint AS succeeded,
    NULL::bigint AS failed,
    NULL::bigint AS errored,
    NULL::bigint AS timed_out,
    NULL::bigint AS cancelled,
    sum(score_sum) AS score_sum,
    sum(score_count)::bigint AS score_count,
    sum(duration_ms_sum) AS duration_ms_sum,
    sum(duration_ms_count)::bigint AS duration_ms_count,
    sum(cost_usd_sum) AS cost_usd_sum,
    sum(cost_usd_count)::bigint AS cost_usd_count,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens
FROM scenario_outcomes_hourly
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE
    AND configuration_version_id <> ALL($4::uuid[])
    AND scenario_id = $6
GROUP BY GROUPING SETS ((bucket, configuration_version_id), (bucket), (configuration_version_id), ())
HAVING GROUPING(bucket, configuration_version_id) <> 0 OR configuration_version_id = ANY($5::uuid[]);

-- name: scenarios_hourly
-- $1 to $4 as above, $5 scenario (null: all).
SELECT
    'scenario' AS level,
    NULL::timestamptz AS bucket,
    NULL::uuid AS configuration_version_id,
    scenario_id,
    sum(executions)::bigint AS executions,
    sum(succeeded)::bigint AS succeeded,
    NULL::bigint AS failed,
    NULL::bigint AS errored,
    NULL::bigint AS timed_out,
    NULL::bigint AS cancelled,
    sum(score_sum) AS score_sum,
    sum(score_count)::bigint AS score_count,
    sum(duration_ms_sum) AS duration_ms_sum,
    sum(duration_ms_count)::bigint AS duration_ms_count,
    sum(cost_usd_sum) AS cost_usd_sum,
    sum(cost_usd_count)::bigint AS cost_usd_count,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens
FROM scenario_outcomes_hourly
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE
    AND configuration_version_id <> ALL($4::uuid[])
    AND ($5::uuid IS NULL OR scenario_id = $5)
GROUP BY scenario_id;

-- name: scenario_daily
-- As above, $6 scenario. How executions ended is not known by scenario, but for success.
SELECT
    CASE GROUPING(bucket, configuration_version_id)
        WHEN 0 THEN 'series' WHEN 1 THEN 'bucket' WHEN 2 THEN 'version' ELSE 'total'
    END AS level,
    bucket,
    configuration_version_id,
    NULL::uuid AS scenario_id,
    sum(executions)::bigint AS executions,
    sum(succeeded)::bigint AS succeeded,
    NULL::bigint AS failed,
    NULL::bigint AS errored,
    NULL::bigint AS timed_out,
    NULL::bigint AS cancelled,
    sum(score_sum) AS score_sum,
    sum(score_count)::bigint AS score_count,
    sum(duration_ms_sum) AS duration_ms_sum,
    sum(duration_ms_count)::bigint AS duration_ms_count,
    sum(cost_usd_sum) AS cost_usd_sum,
    sum(cost_usd_count)::bigint AS cost_usd_count,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens
FROM scenario_outcomes_daily
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE
    AND configuration_version_id <> ALL($4::uuid[])
    AND scenario_id = $6
GROUP BY GROUPING SETS ((bucket, configuration_version_id), (bucket), (configuration_version_id), ())
HAVING GROUPING(bucket, configuration_version_id) <> 0 OR configuration_version_id = ANY($5::uuid[]);

-- name: scenarios_daily
-- $1 to $4 as above, $5 scenario (null: all).
SELECT
    'scenario' AS level,
    NULL::timestamptz AS bucket,
    NULL::uuid AS configuration_version_id,
    scenario_id,
    sum(executions)::bigint AS executions,
    sum(succeeded)::bigint AS succeeded,
    NULL::bigint AS failed,
    NULL::bigint AS errored,
    NULL::bigint AS timed_out,
    NULL::bigint AS cancelled,
    sum(score_sum) AS score_sum,
    sum(score_count)::bigint AS score_count,
    sum(duration_ms_sum) AS duration_ms_sum,
    sum(duration_ms_count)::bigint AS duration_ms_count,
    sum(cost_usd_sum) AS cost_usd_sum,
    sum(cost_usd_count)::bigint AS cost_usd_count,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens
FROM scenario_outcomes_daily
WHERE bucket >= $1 AND bucket < $2
    AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3)) IS TRUE
    AND configuration_version_id <> ALL($4::uuid[])
    AND ($5::uuid IS NULL OR scenario_id = $5)
GROUP BY scenario_id;

-- name: simulation_outcomes
-- $1 and $2 the time from and up to (not including), $3 versions (null: all), $4 versions to leave out, $5 versions of which
-- there is a row for each bucket, $6 scenario (null: all), $7 simulation, $8 how long a bucket is.
SELECT
    CASE GROUPING(outcome.bucket, outcome.configuration_version_id, outcome.scenario_id)
        WHEN 1 THEN 'series' WHEN 3 THEN 'bucket' WHEN 5 THEN 'version' WHEN 6 THEN 'scenario' ELSE 'total'
    END AS level,
    outcome.bucket,
    outcome.configuration_version_id,
    outcome.scenario_id,
    count(*) AS executions,
    count(*) FILTER (WHERE outcome.status = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE outcome.status = 'failed') AS failed,
    count(*) FILTER (WHERE outcome.status = 'errored') AS errored,
    count(*) FILTER (WHERE outcome.status = 'timed_out') AS timed_out,
    count(*) FILTER (WHERE outcome.status = 'cancelled') AS cancelled,
    sum(outcome.score) AS score_sum,
    count(outcome.score) AS score_count,
    sum(outcome.duration_ms) AS duration_ms_sum,
    count(outcome.duration_ms) AS duration_ms_count,
    sum(outcome.cost_usd) AS cost_usd_sum,
    count(outcome.cost_usd) AS cost_usd_count,
    sum(outcome.input_tokens)::bigint AS input_tokens,
    sum(outcome.output_tokens)::bigint AS output_tokens,
    count(outcome.duration_ms) AS timed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY outcome.duration_ms) AS p50_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY outcome.duration_ms) AS p95_ms
FROM (
    SELECT
        date_bin($8::interval, time, '2000-01-01 00:00:00+00') AS bucket, configuration_version_id, scenario_id, status, score,
        duration_ms, cost_usd, input_tokens, output_tokens
    FROM outcomes
    WHERE simulation_id = $7 AND time >= $1 AND time < $2
        AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3))
        AND configuration_version_id <> ALL($4::uuid[])
        AND ($6::uuid IS NULL OR scenario_id = $6)
) AS outcome
GROUP BY GROUPING SETS (
    (outcome.bucket, outcome.configuration_version_id), (outcome.bucket), (outcome.configuration_version_id),
    (outcome.scenario_id), ()
)
HAVING GROUPING(outcome.bucket, outcome.configuration_version_id, outcome.scenario_id) <> 1
    OR outcome.configuration_version_id = ANY($5::uuid[]);

-- name: simulation_span
-- $1 simulation: from its first start to its last end, by what has arrived. It narrows down where its rows are looked for.
SELECT
    min(COALESCE(started_at, ended_at)) AS since,
    max(GREATEST(started_at, ended_at)) AS until
FROM executions
WHERE simulation_id = $1;

-- name: version_durations
-- $1 and $2 the time from and up to (not including), $3 versions, $4 how many outcomes of each, the latest; of those,
-- $5 scenario, $6 simulation (null: all).
SELECT
    version.id AS configuration_version_id,
    count(outcome.duration_ms) AS timed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY outcome.duration_ms) AS p50_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY outcome.duration_ms) AS p95_ms
FROM unnest($3::uuid[]) AS version (id)
CROSS JOIN LATERAL (
    SELECT duration_ms, scenario_id, simulation_id
    FROM outcomes
    WHERE configuration_version_id = version.id AND time >= $1 AND time < $2
    ORDER BY time DESC
    LIMIT $4
) AS outcome
WHERE ($5::uuid IS NULL OR outcome.scenario_id = $5) AND ($6::uuid IS NULL OR outcome.simulation_id = $6)
GROUP BY version.id;

-- name: scenario_durations
-- $1 and $2 the time from and up to (not including), $3 versions (null: all), $4 versions to leave out, $5 how many
-- outcomes at the most.
SELECT
    scenario_id,
    count(duration_ms) AS timed,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) AS p50_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) AS p95_ms
FROM (
    SELECT scenario_id, duration_ms
    FROM outcomes
    WHERE time >= $1 AND time < $2
        AND ($3::uuid[] IS NULL OR configuration_version_id = ANY($3))
        AND configuration_version_id <> ALL($4::uuid[])
    LIMIT $5
) AS outcome
GROUP BY scenario_id;

-- name: outcomes_latest
-- $1 and $2 the hours from and up to (not including), $3 how many: the beginning of the hour since when there are as many;
-- null where there are fewer.
SELECT max(bucket) FILTER (WHERE later >= $3) AS since
FROM (
    SELECT bucket, sum(sum(executions)) OVER (ORDER BY bucket DESC) AS later
    FROM outcomes_hourly
    WHERE bucket >= $1 AND bucket < $2
    GROUP BY bucket
) AS counted;

-- name: versions
-- $1 ids: under which name and number people know them.
SELECT version.id, configuration.name, given.number
FROM configuration_versions AS version
LEFT JOIN configurations AS configuration ON configuration.id = version.configuration_id
LEFT JOIN configuration_version_numbers AS given
    ON given.configuration_id = version.configuration_id AND given.configuration_version_id = version.id
WHERE version.id = ANY($1::uuid[]);

-- name: scenarios
-- $1 ids.
SELECT id, name FROM scenarios WHERE id = ANY($1::uuid[]);

-- name: simulations
-- $1 ids.
SELECT id, name FROM simulations WHERE id = ANY($1::uuid[]);

-- name: versions_named
-- $1 configuration's name, $2 number (null: all of its versions).
SELECT given.configuration_version_id AS id
FROM configurations AS configuration
JOIN configuration_version_numbers AS given ON given.configuration_id = configuration.id
WHERE configuration.name = $1 AND ($2::integer IS NULL OR given.number = $2);

-- name: configuration_choices
-- $1 how many: the versions that came last, by name and number.
SELECT configuration.name, given.number
FROM configuration_version_numbers AS given
JOIN configurations AS configuration ON configuration.id = given.configuration_id
ORDER BY given.created_at DESC, configuration.name, given.number DESC
LIMIT $1;

-- name: scenario_choices
-- $1 how many: those that came last.
SELECT name FROM scenarios WHERE name IS NOT NULL ORDER BY created_at DESC, name LIMIT $1;

-- name: simulation_choices
-- $1 how many: those that came last.
SELECT name FROM simulations WHERE name IS NOT NULL ORDER BY created_at DESC, name LIMIT $1;

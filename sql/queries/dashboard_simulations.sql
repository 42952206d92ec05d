-- What runs now, as the dashboard shows it.

-- name: running_simulations
-- $1 how many at the most, $2 over how long the rate is taken (an interval): the last that stirred first.
SELECT
    active.simulation_id,
    active.simulation,
    active.started_at,
    active.last_activity_at,
    active.running,
    active.completed,
    active.abandoned,
    active.succeeded,
    active.cost_usd,
    recent.ended AS ended_recently,
    LEAST(EXTRACT(epoch FROM $2::interval), EXTRACT(epoch FROM now() - active.started_at))::double precision AS recent_s
FROM (
    SELECT *
    FROM active_simulations
    ORDER BY last_activity_at DESC NULLS LAST, simulation_id
    LIMIT $1
) AS active
CROSS JOIN LATERAL (
    SELECT count(*) AS ended
    FROM outcomes
    WHERE outcomes.simulation_id = active.simulation_id
        AND outcomes.time > now() - INTERVAL '1 day' AND outcomes.time > now() - $2::interval
) AS recent
ORDER BY active.last_activity_at DESC NULLS LAST, active.simulation_id;

-- name: running_alone
-- $1 how many at the most, $2 versions to leave out: executions that run outside of any simulation, the latest first.
SELECT id, configuration_version_id, scenario_id, started_at, source
FROM unended_executions
WHERE is_running AND simulation_id IS NULL AND started_at > now() - INTERVAL '3 days'
    AND configuration_version_id <> ALL($2::uuid[])
ORDER BY started_at DESC
LIMIT $1;

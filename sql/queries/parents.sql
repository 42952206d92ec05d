-- Each statement takes its rows in the order of their ids, so that two writers that meet the same ids cannot deadlock.
-- What would stay the same is sorted out before the insert: ON CONFLICT DO UPDATE locks a row even where its WHERE then
-- leaves the row alone, and all consumers would wait for each other on the rows of the configuration they all write for.

-- name: upsert_configurations
-- $1 ids, $2 names.
INSERT INTO configurations (id, name)
SELECT id, name FROM unnest($1::uuid[], $2::text[]) AS given (id, name)
ORDER BY id
ON CONFLICT DO NOTHING;

-- name: upsert_configuration_versions
-- The configuration is found by its name: a person may have made it under another id.
-- $1 ids, $2 configuration names, $3 content hashes, $4 contents (jsonb as text); unknown: null.
INSERT INTO configuration_versions AS version (id, configuration_id, content_hash, content)
SELECT given.id, configuration.id, given.content_hash, given.content::jsonb
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS given (id, configuration_name, content_hash, content)
LEFT JOIN configurations AS configuration ON configuration.name = given.configuration_name
WHERE NOT EXISTS (
    SELECT FROM configuration_versions AS known
    WHERE known.id = given.id
        AND (known.configuration_id IS NOT NULL OR given.configuration_name IS NULL)
        AND (known.content IS NOT NULL OR given.content IS NULL)
)
ORDER BY given.id
ON CONFLICT (id) DO UPDATE SET
    configuration_id = COALESCE(version.configuration_id, EXCLUDED.configuration_id),
    content_hash = COALESCE(version.content_hash, EXCLUDED.content_hash),
    content = COALESCE(version.content, EXCLUDED.content)
WHERE (version.configuration_id IS NULL AND EXCLUDED.configuration_id IS NOT NULL)
    OR (version.content IS NULL AND EXCLUDED.content IS NOT NULL);

-- name: upsert_scenarios
-- $1 ids, $2 names; unknown: null.
INSERT INTO scenarios AS scenario (id, name)
SELECT id, name FROM unnest($1::uuid[], $2::text[]) AS given (id, name)
WHERE NOT EXISTS (
    SELECT FROM scenarios AS known WHERE known.id = given.id AND (known.name IS NOT NULL OR given.name IS NULL)
)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name
WHERE scenario.name IS NULL AND EXCLUDED.name IS NOT NULL;

-- name: upsert_simulations
-- $1 ids, $2 names; unknown: null.
INSERT INTO simulations AS simulation (id, name)
SELECT id, name FROM unnest($1::uuid[], $2::text[]) AS given (id, name)
WHERE NOT EXISTS (
    SELECT FROM simulations AS known WHERE known.id = given.id AND (known.name IS NOT NULL OR given.name IS NULL)
)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name
WHERE simulation.name IS NULL AND EXCLUDED.name IS NOT NULL;

-- name: upsert_executions
-- The result does not depend on the order in which an execution's events arrive, or on how often.
-- $1 a JSON array of objects; unknown: missing. `metadata` is JSON as text.
INSERT INTO executions AS execution
    (id, configuration_version_id, scenario_id, simulation_id, started_at, ended_at, attempt, source, metadata)
SELECT id, version_id, scenario_id, simulation_id, started_at, ended_at, COALESCE(attempt, 1), source, metadata::jsonb
FROM json_to_recordset($1::json) AS given (
    id uuid, version_id uuid, scenario_id uuid, simulation_id uuid, started_at timestamptz, ended_at timestamptz, attempt int,
    source text, metadata text
)
WHERE NOT EXISTS (
    SELECT FROM executions AS known
    WHERE known.id = given.id
        AND (given.started_at IS NULL OR known.started_at <= given.started_at)
        AND (given.ended_at IS NULL OR known.ended_at >= given.ended_at)
        AND known.attempt >= COALESCE(given.attempt, 1)
        AND (known.source IS NOT NULL OR given.source IS NULL)
        AND (known.metadata IS NOT NULL OR given.metadata IS NULL)
)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET
    started_at = LEAST(execution.started_at, EXCLUDED.started_at),
    ended_at = GREATEST(execution.ended_at, EXCLUDED.ended_at),
    attempt = GREATEST(execution.attempt, EXCLUDED.attempt),
    source = COALESCE(execution.source, EXCLUDED.source),
    metadata = COALESCE(execution.metadata, EXCLUDED.metadata)
WHERE execution.started_at IS DISTINCT FROM LEAST(execution.started_at, EXCLUDED.started_at)
    OR execution.ended_at IS DISTINCT FROM GREATEST(execution.ended_at, EXCLUDED.ended_at)
    OR execution.attempt < EXCLUDED.attempt
    OR (execution.source IS NULL AND EXCLUDED.source IS NOT NULL)
    OR (execution.metadata IS NULL AND EXCLUDED.metadata IS NOT NULL);

-- name: upsert_failure_patterns
-- Seen to the hour: a pattern that is met in every batch would otherwise be rewritten, and waited for, in every batch.
-- $1 ids, $2 kinds, $3 signatures, $4 examples, $5 first seen, $6 last seen.
INSERT INTO failure_patterns AS pattern (id, kind, signature, example, first_seen_at, last_seen_at)
SELECT id, kind, signature, example, first_seen_at, last_seen_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[])
    AS given (id, kind, signature, example, first_seen_at, last_seen_at)
WHERE NOT EXISTS (
    SELECT FROM failure_patterns AS known
    WHERE known.id = given.id
        AND known.first_seen_at <= given.first_seen_at
        AND known.last_seen_at >= given.last_seen_at
)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET
    first_seen_at = LEAST(pattern.first_seen_at, EXCLUDED.first_seen_at),
    last_seen_at = GREATEST(pattern.last_seen_at, EXCLUDED.last_seen_at)
WHERE pattern.first_seen_at > EXCLUDED.first_seen_at OR pattern.last_seen_at < EXCLUDED.last_seen_at;

-- Locks are taken in the order of the writer: configurations' new rows, versions, then the configurations that get numbers.

-- name: has_schema
SELECT to_regclass('configuration_version_numbers') IS NOT NULL;

-- name: insert_configuration
-- $1 id, $2 name, $3 description. No row: there is one.
INSERT INTO configurations (id, name, description) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: upsert_version
-- Locks the version's row. Its configuration is set under that one's lock, with the number.
-- $1 id, $2 content hash, $3 content (jsonb as text).
INSERT INTO configuration_versions AS version (id, content_hash, content) VALUES ($1, $2, $3::text::jsonb)
ON CONFLICT (id) DO UPDATE SET
    content_hash = COALESCE(version.content_hash, EXCLUDED.content_hash),
    content = COALESCE(version.content, EXCLUDED.content);

-- name: lock_configuration
-- $1 name.
SELECT id, name, description, revision, archived_at, content_schema::text AS content_schema
FROM configurations WHERE name = $1
FOR NO KEY UPDATE;

-- name: number_of_version
-- $1 configuration, $2 version.
SELECT number FROM configuration_version_numbers WHERE configuration_id = $1 AND configuration_version_id = $2;

-- name: number_version
-- $1 configuration, $2 version, $3 who.
SELECT number_configuration_version($1, $2, $3);

-- name: set_home
-- The configuration under which a version is counted in views: the first that it had.
-- $1 version, $2 configuration.
UPDATE configuration_versions SET configuration_id = $2 WHERE id = $1 AND configuration_id IS NULL;

-- name: touch
-- $1 configuration.
UPDATE configurations SET revision = revision + 1, updated_at = clock_timestamp() WHERE id = $1;

-- name: set_description
-- $1 configuration, $2 description.
UPDATE configurations SET description = $2 WHERE id = $1;

-- name: set_content_schema
-- $1 configuration, $2 schema (jsonb as text); null: none.
UPDATE configurations SET content_schema = $2::text::jsonb WHERE id = $1;

-- name: set_archived
-- $1 configuration, $2 whether.
UPDATE configurations SET archived_at = CASE WHEN $2::boolean THEN clock_timestamp() END WHERE id = $1;

-- name: label_number
-- $1 configuration, $2 label.
SELECT number FROM configuration_labels WHERE configuration_id = $1 AND label = $2;

-- name: move_label
-- $1 configuration, $2 label, $3 number, $4 who.
INSERT INTO configuration_labels AS label (configuration_id, label, number, moved_by) VALUES ($1, $2, $3, $4)
ON CONFLICT (configuration_id, label) DO UPDATE SET
    number = EXCLUDED.number, moved_by = EXCLUDED.moved_by, moved_at = clock_timestamp();

-- name: remove_label
-- $1 configuration, $2 label.
DELETE FROM configuration_labels WHERE configuration_id = $1 AND label = $2;

-- name: insert_audit
-- $1 configuration, $2 who, $3 action, $4 number, $5 label, $6 details (jsonb as text).
INSERT INTO configuration_audit (configuration_id, actor, action, number, label, details)
VALUES ($1, $2, $3, $4, $5, $6::text::jsonb);

-- name: moment
-- Under the configuration's lock: of what replaces something in a deployment, the end of one is the beginning of the other.
SELECT clock_timestamp();

-- name: evidence
-- What is there if the transaction at work, which holds the lock of the configuration, was committed: its last entry in the
-- audit trail. $1 configuration.
SELECT pg_current_xact_id()::xid::text AS transaction, audit.id, audit.time
FROM configuration_audit AS audit
WHERE audit.configuration_id = $1
ORDER BY audit.id DESC
LIMIT 1;

-- name: is_at_work
-- Every transaction that has written holds the lock of its own id. $1 the id, as text.
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'transactionid' AND transactionid = $1::text::xid AND mode = 'ExclusiveLock' AND granted
);

-- name: is_entered
-- By its moment too: after the loss of a server the ids of what it had not passed on are given again. $1 id, $2 time.
SELECT EXISTS (SELECT FROM configuration_audit WHERE id = $1 AND time = $2);

-- name: deploy
-- $1 configuration, $2 number, $3 deployment, $4 environment, $5 who, $6 when. No row: it is there.
INSERT INTO configuration_deployments (configuration_id, number, deployment, environment, deployed_by, deployed_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (deployment, environment, configuration_id, number) WHERE undeployed_at IS NULL DO NOTHING
RETURNING id;

-- name: undeploy
-- $1 configuration, $2 number or null: all, $3 deployment, $4 environment, $5 who, $6 a number to leave, or null, $7 when.
-- A clock that was set back ends nothing before it began.
UPDATE configuration_deployments SET undeployed_at = GREATEST(deployed_at, $7), undeployed_by = $5
WHERE configuration_id = $1 AND ($2::integer IS NULL OR number = $2) AND deployment = $3 AND environment = $4
    AND undeployed_at IS NULL AND number IS DISTINCT FROM $6::integer
RETURNING number;

-- name: configurations
-- $1 name or null, $2 text in name or description or null, $3 label or null, $4 JSON that a version contains or null,
-- $5 archived ones too, $6 names after this one or null, $7 limit.
SELECT
    configuration.id,
    configuration.name,
    configuration.description,
    configuration.revision,
    configuration.content_schema IS NOT NULL AS has_content_schema,
    configuration.archived_at,
    configuration.created_at,
    configuration.updated_at,
    (
        SELECT max(number) FROM configuration_version_numbers AS version
        WHERE version.configuration_id = configuration.id
    ) AS latest_number,
    (
        SELECT jsonb_object_agg(label, number) FROM configuration_labels AS label
        WHERE label.configuration_id = configuration.id
    )::text AS labels
FROM configurations AS configuration
WHERE ($1::text IS NULL OR configuration.name = $1)
    AND (
        $2::text IS NULL
        OR position(lower($2) IN lower(configuration.name)) > 0
        OR position(lower($2) IN lower(configuration.description)) > 0
    )
    AND (
        $3::text IS NULL
        OR EXISTS (
            SELECT FROM configuration_labels AS label
            WHERE label.configuration_id = configuration.id AND label.label = $3
        )
    )
    AND (
        $4::text IS NULL
        OR EXISTS (
            SELECT FROM configuration_version_numbers AS number
            JOIN configuration_versions AS version ON version.id = number.configuration_version_id
            WHERE number.configuration_id = configuration.id AND version.content @> $4::jsonb
        )
    )
    AND ($5::boolean OR configuration.archived_at IS NULL)
    AND ($6::text IS NULL OR configuration.name > $6)
ORDER BY configuration.name
LIMIT $7;

-- name: content_schema
-- $1 name.
SELECT content_schema::text AS content_schema FROM configurations WHERE name = $1;

-- name: versions
-- The versions of a configuration, the newest first. $1 name, $2 number or null, $3 label or null, $4 numbers below this one
-- or null, $5 with contents, $6 limit.
SELECT
    number.configuration_version_id AS id,
    configuration.name AS configuration,
    number.number,
    version.content_hash,
    CASE WHEN $5::boolean THEN version.content::text END AS content,
    number.created_at,
    number.created_by,
    ARRAY(
        SELECT label.label FROM configuration_labels AS label
        WHERE label.configuration_id = number.configuration_id AND label.number = number.number
        ORDER BY label.label
    ) AS labels
FROM configurations AS configuration
JOIN configuration_version_numbers AS number ON number.configuration_id = configuration.id
JOIN configuration_versions AS version ON version.id = number.configuration_version_id
WHERE configuration.name = $1
    AND ($2::integer IS NULL OR number.number = $2)
    AND (
        $3::text IS NULL
        OR number.number = (
            SELECT label.number FROM configuration_labels AS label
            WHERE label.configuration_id = configuration.id AND label.label = $3
        )
    )
    AND ($4::integer IS NULL OR number.number < $4)
ORDER BY number.number DESC
LIMIT $6;

-- name: versions_by_id
-- By id, or by the beginning of the hash; with the configuration that had it first, which a version may lack.
-- $1 id or null, $2 pattern of the hash or null, $3 limit.
SELECT
    version.id,
    configuration.name AS configuration,
    number.number,
    version.content_hash,
    version.content::text AS content,
    COALESCE(number.created_at, version.created_at) AS created_at,
    number.created_by,
    ARRAY(
        SELECT label.label FROM configuration_labels AS label
        WHERE label.configuration_id = number.configuration_id AND label.number = number.number
        ORDER BY label.label
    ) AS labels
FROM configuration_versions AS version
LEFT JOIN configurations AS configuration ON configuration.id = version.configuration_id
LEFT JOIN configuration_version_numbers AS number
    ON number.configuration_id = version.configuration_id AND number.configuration_version_id = version.id
WHERE ($1::uuid IS NULL OR version.id = $1)
    AND ($2::text IS NULL OR version.content_hash LIKE $2)
ORDER BY version.content_hash
LIMIT $3;

-- name: deployments
-- What was in a deployment at any moment from $4 on and before $5, the latest first. Null: no such condition.
-- $1 deployment, $2 environment, $3 configuration's name, $6 current ones only, $7 ids below this one, $8 limit.
SELECT
    deployed.id,
    configuration.name AS configuration,
    deployed.number,
    number.configuration_version_id,
    deployed.deployment,
    deployed.environment,
    deployed.deployed_at,
    deployed.deployed_by,
    deployed.undeployed_at,
    deployed.undeployed_by
FROM configuration_deployments AS deployed
JOIN configurations AS configuration ON configuration.id = deployed.configuration_id
JOIN configuration_version_numbers AS number
    ON number.configuration_id = deployed.configuration_id AND number.number = deployed.number
WHERE ($1::text IS NULL OR deployed.deployment = $1)
    AND ($2::text IS NULL OR deployed.environment = $2)
    AND ($3::text IS NULL OR configuration.name = $3)
    AND ($4::timestamptz IS NULL OR deployed.undeployed_at IS NULL OR deployed.undeployed_at > $4)
    AND ($5::timestamptz IS NULL OR deployed.deployed_at < $5)
    AND (NOT $6::boolean OR deployed.undeployed_at IS NULL)
    AND ($7::bigint IS NULL OR deployed.id < $7)
ORDER BY deployed.id DESC
LIMIT $8;

-- name: audit
-- The latest first. $1 configuration's name or null: all, $2 ids below this one or null, $3 limit.
SELECT
    audit.id, configuration.name AS configuration, audit.time, audit.actor, audit.action, audit.number, audit.label,
    audit.details::text AS details
FROM configuration_audit AS audit
JOIN configurations AS configuration ON configuration.id = audit.configuration_id
WHERE ($1::text IS NULL OR configuration.name = $1)
    AND ($2::bigint IS NULL OR audit.id < $2)
ORDER BY audit.id DESC
LIMIT $3;

-- Tokens of the admin API.

-- name: has_tokens_table
SELECT to_regclass('api_tokens') IS NOT NULL;

-- name: authenticate
-- One row in any case: whether there is any token at all, and the one with this id, or nulls. $1 id or null.
SELECT
    EXISTS (SELECT FROM api_tokens) AS any_token,
    token.id,
    token.name,
    token.scope,
    token.secret_hash,
    token.revoked_at IS NOT NULL AS is_revoked,
    token.expires_at IS NOT NULL AND token.expires_at <= clock_timestamp() AS is_expired,
    token.last_used_at IS NULL OR token.last_used_at < date_trunc('hour', clock_timestamp()) AS is_use_to_be_noted
FROM (SELECT $1::text AS id) AS given
LEFT JOIN api_tokens AS token ON token.id = given.id;

-- name: note_use
-- $1 id.
UPDATE api_tokens SET last_used_at = date_trunc('hour', clock_timestamp())
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < date_trunc('hour', clock_timestamp()));

-- name: insert_token
-- $1 id, $2 name, $3 scope, $4 hash of the secret, $5 who makes it, $6 how long it is to live (interval) or null.
INSERT INTO api_tokens (id, name, scope, secret_hash, created_by, expires_at)
VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6::interval)
RETURNING id, name, scope, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by;

-- name: tokens
-- The latest first, without their hashes.
SELECT id, name, scope, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by
FROM api_tokens
ORDER BY created_at DESC, id;

-- name: has_usable_token
SELECT EXISTS (
    SELECT FROM api_tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
);

-- name: revoke
-- $1 id, $2 who. Whoever revoked it first stays written.
UPDATE api_tokens SET
    revoked_at = COALESCE(revoked_at, clock_timestamp()),
    revoked_by = COALESCE(revoked_by, $2)
WHERE id = $1
RETURNING id, name, scope, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by;

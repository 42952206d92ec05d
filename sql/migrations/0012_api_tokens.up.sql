-- not-required
-- independent
-- Who may use the admin API. Of a token only a hash of its secret is kept: 256 random bits cannot be guessed from it, so
-- that it needs no salt and no slow hash (NIST SP 800-63B, 5.1.2.2, asks for those below 112 bits only). Rows stay when
-- tokens are revoked: the audit trail names them, and an API that had a token never opens again to whoever has none.
CREATE TABLE api_tokens (
    -- Public: it stands in the token, before the secret.
    id text NOT NULL,
    name text NOT NULL,
    scope text NOT NULL,
    secret_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    -- Null: never.
    expires_at timestamptz,
    -- To the hour, so that a token in use is written once an hour and not with every request.
    last_used_at timestamptz,
    revoked_at timestamptz,
    revoked_by text,
    CONSTRAINT api_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT api_tokens_scope_check CHECK (scope IN ('read', 'admin')),
    CONSTRAINT api_tokens_secret_hash_check CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT api_tokens_revoked_check CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);

GRANT SELECT (id, name, scope, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by)
    ON api_tokens TO arc_eval_reader;
-- Nobody's login changes a scope or a hash, brings a token back to life for longer, or deletes one.
GRANT SELECT, INSERT, UPDATE (last_used_at, revoked_at, revoked_by) ON api_tokens TO arc_eval_admin;

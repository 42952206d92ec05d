-- What `arc-eval-db doctor --database` looks at. Everything here may be read by any role.

-- name: server
SELECT
    current_setting('server_version') AS version,
    current_setting('server_version_num')::int AS version_number,
    pg_is_in_recovery() AS is_standby,
    current_setting('transaction_read_only') = 'on' AS is_read_only,
    current_setting('TimeZone') AS time_zone,
    current_setting('log_timezone') AS log_time_zone,
    session_user::text AS user_name,
    (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) AS is_superuser,
    current_database()::text AS database,
    pg_database_size(current_database()) AS size_bytes,
    (SELECT count(*) FROM pg_database WHERE datallowconn AND NOT datistemplate) AS databases,
    (SELECT sum(numbackends)::bigint FROM pg_stat_database) AS connections;

-- name: extensions
-- $1 names.
SELECT name, default_version, installed_version
FROM pg_available_extensions
WHERE name = ANY($1::text[]);

-- name: settings
-- $1 names. A unit of 8kB or kB is applied, so that memory comes in bytes.
SELECT
    name,
    CASE unit
        WHEN '8kB' THEN (setting::bigint * 8192)::text
        WHEN 'kB' THEN (setting::bigint * 1024)::text
        ELSE setting
    END AS setting
FROM pg_settings
WHERE name = ANY($1::text[]);

-- name: roles
-- $1 names.
SELECT
    rolname::text AS name,
    rolcanlogin AS can_log_in,
    rolsuper AS is_superuser,
    EXISTS (SELECT FROM unnest(rolconfig) AS line WHERE line LIKE 'statement_timeout=%') AS has_time_outs
FROM pg_roles
WHERE rolname = ANY($1::text[]);

-- name: encryption
SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl;

-- name: jobs
SELECT count(*) FROM timescaledb_information.jobs WHERE scheduled;

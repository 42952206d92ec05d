-- Three roles that may do what a writer, a reader and an operator need, and no more. They belong to the whole cluster, so
-- other databases may have made them already, or be making them at this moment.
--
-- They can log in but have no password: an administrator sets one. Their time-outs are set once, when a role is made, and
-- for the whole cluster: like the role itself they are then the administrator's to change, and a second database neither
-- needs rights over a role that it did not make, nor resets it, nor updates the same catalogue row at the same time. They
-- take effect at login only; a member of the role does not inherit them.
DO $$
DECLARE
    role_name text;
    settings jsonb := '{
        "arc_eval_writer": {
            "statement_timeout": "60s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "10s"
        },
        "arc_eval_reader": {
            "statement_timeout": "30s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "60s",
            "default_transaction_read_only": "on"
        },
        "arc_eval_admin": {
            "statement_timeout": "600s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "60s"
        }
    }';
    setting record;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['arc_eval_writer', 'arc_eval_reader', 'arc_eval_admin'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role_name);
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', role_name);
            FOR setting IN SELECT key, value FROM jsonb_each_text(settings -> role_name) LOOP
                EXECUTE format('ALTER ROLE %I SET %s = %L', role_name, setting.key, setting.value);
            END LOOP;
            -- Temporary tables last: none may stand in for a table of the schema.
            EXECUTE format('ALTER ROLE %I SET search_path = %I, pg_temp', role_name, current_schema());
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database was quicker
            WHEN insufficient_privilege THEN
                RAISE insufficient_privilege USING
                    MESSAGE = format(
                        'the role %I is missing and %I may not create roles: have an administrator run CREATE ROLE '
                        'arc_eval_writer LOGIN; CREATE ROLE arc_eval_reader LOGIN; CREATE ROLE arc_eval_admin LOGIN; '
                        'then migrate again', role_name, current_user),
                    HINT = 'The roles are arc_eval_writer, arc_eval_reader and arc_eval_admin.';
        END;
    END LOOP;

    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    EXECUTE format(
        'GRANT USAGE ON SCHEMA %I TO arc_eval_writer, arc_eval_reader, arc_eval_admin', current_schema());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO arc_eval_writer, arc_eval_reader, arc_eval_admin', current_database());
    -- Batches with duplicates go through temporary tables, also when they are replayed.
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO arc_eval_writer, arc_eval_admin', current_database());
END
$$;

-- The writer adds events and cannot read them back, and of what it merges it may change only what merging changes.
GRANT INSERT ON outcomes, tool_usage, failures, execution_events, consumer_lag_samples TO arc_eval_writer;
GRANT SELECT, INSERT
    ON configurations, configuration_versions, scenarios, simulations, executions, failure_patterns, consumer_offsets
    TO arc_eval_writer;
GRANT UPDATE (configuration_id, content_hash, content) ON configuration_versions TO arc_eval_writer;
GRANT UPDATE (name) ON scenarios, simulations TO arc_eval_writer;
GRANT UPDATE (started_at, ended_at, attempt, source, metadata) ON executions TO arc_eval_writer;
GRANT UPDATE (first_seen_at, last_seen_at) ON failure_patterns TO arc_eval_writer;
GRANT UPDATE (next_offset, updated_at) ON consumer_offsets TO arc_eval_writer;
-- ON CONFLICT (topic, log_partition, log_offset) reads those columns.
GRANT INSERT, SELECT (topic, log_partition, log_offset) ON dead_letters TO arc_eval_writer;
GRANT SELECT ON schema_migrations TO arc_eval_writer;

-- The reader sees everything but what dead letters hold: raw records, which nobody has checked for secrets.
GRANT SELECT ON
    configurations, configuration_versions, scenarios, simulations, executions, outcomes, tool_usage, failures,
    execution_events, failure_patterns, llm_recommendation_sessions, recommendations, consumer_offsets,
    consumer_lag_samples, replay_jobs, schema_migrations
    TO arc_eval_reader;
GRANT SELECT (
    id, dead_lettered_at, topic, log_partition, log_offset, log_timestamp, reason, error_class, sqlstate, detail, event_id,
    event_type, consumer_group, consumer_version, attempts, resolved_at
) ON dead_letters TO arc_eval_reader;

-- The admin replays, retries, corrects and configures; the schema itself stays its owner's.
GRANT SELECT, INSERT, UPDATE, DELETE ON
    configurations, configuration_versions, scenarios, simulations, executions, outcomes, tool_usage, failures,
    execution_events, failure_patterns, llm_recommendation_sessions, recommendations, consumer_offsets, dead_letters,
    consumer_lag_samples, replay_jobs
    TO arc_eval_admin;
GRANT SELECT ON schema_migrations TO arc_eval_admin;

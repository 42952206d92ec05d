-- Takes back the privileges in this database. The roles stay: other databases of the cluster may use them.
-- CREATE on the schema is not given back to PUBLIC, which PostgreSQL 15 and newer do not give it either.
REVOKE ALL ON
    configurations, configuration_versions, scenarios, simulations, executions, outcomes, tool_usage, failures,
    execution_events, failure_patterns, llm_recommendation_sessions, recommendations, consumer_offsets, dead_letters,
    consumer_lag_samples, replay_jobs, schema_migrations
    FROM arc_eval_writer, arc_eval_reader, arc_eval_admin;

DO $$
BEGIN
    EXECUTE format(
        'REVOKE ALL ON SCHEMA %I FROM arc_eval_writer, arc_eval_reader, arc_eval_admin', current_schema());
    EXECUTE format(
        'REVOKE ALL ON DATABASE %I FROM arc_eval_writer, arc_eval_reader, arc_eval_admin', current_database());
END
$$;

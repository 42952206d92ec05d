-- Made from the migrations by `make schema`; a test compares the two. Not to be edited.

CREATE TABLE api_tokens (
    id text NOT NULL,
    name text NOT NULL,
    scope text NOT NULL,
    secret_hash bytea NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    created_by text NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    revoked_by text,
    CONSTRAINT api_tokens_revoked_check CHECK (((revoked_at IS NULL) = (revoked_by IS NULL))),
    CONSTRAINT api_tokens_scope_check CHECK ((scope = ANY (ARRAY['read'::text, 'admin'::text]))),
    CONSTRAINT api_tokens_secret_hash_check CHECK ((octet_length(secret_hash) = 32)),
    CONSTRAINT api_tokens_pkey PRIMARY KEY (id)
);
CREATE TABLE configuration_audit (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    configuration_id uuid NOT NULL,
    time timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor text,
    action text NOT NULL,
    number integer,
    label text,
    details jsonb,
    CONSTRAINT configuration_audit_configuration_id_fkey FOREIGN KEY (configuration_id) REFERENCES configurations(id),
    CONSTRAINT configuration_audit_pkey PRIMARY KEY (id)
);
CREATE TABLE configuration_deployments (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    configuration_id uuid NOT NULL,
    number integer NOT NULL,
    deployment text NOT NULL,
    environment text NOT NULL,
    deployed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    deployed_by text NOT NULL,
    undeployed_at timestamp with time zone,
    undeployed_by text,
    CONSTRAINT configuration_deployments_times_check CHECK ((deployed_at <= undeployed_at)),
    CONSTRAINT configuration_deployments_number_fkey FOREIGN KEY (configuration_id, number) REFERENCES configuration_version_numbers(configuration_id, number),
    CONSTRAINT configuration_deployments_pkey PRIMARY KEY (id)
);
CREATE TABLE configuration_labels (
    configuration_id uuid NOT NULL,
    label text NOT NULL,
    number integer NOT NULL,
    moved_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    moved_by text NOT NULL,
    CONSTRAINT configuration_labels_number_fkey FOREIGN KEY (configuration_id, number) REFERENCES configuration_version_numbers(configuration_id, number),
    CONSTRAINT configuration_labels_pkey PRIMARY KEY (configuration_id, label)
);
CREATE TABLE configuration_version_numbers (
    configuration_id uuid NOT NULL,
    number integer NOT NULL,
    configuration_version_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    created_by text,
    CONSTRAINT configuration_version_numbers_number_check CHECK ((number > 0)),
    CONSTRAINT configuration_version_numbers_configuration_id_fkey FOREIGN KEY (configuration_id) REFERENCES configurations(id),
    CONSTRAINT configuration_version_numbers_version_id_fkey FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions(id),
    CONSTRAINT configuration_version_numbers_pkey PRIMARY KEY (configuration_id, number),
    CONSTRAINT configuration_version_numbers_version_key UNIQUE (configuration_id, configuration_version_id)
);
CREATE TABLE configuration_versions (
    id uuid NOT NULL,
    configuration_id uuid,
    content_hash text,
    content jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT configuration_versions_configuration_id_fkey FOREIGN KEY (configuration_id) REFERENCES configurations(id),
    CONSTRAINT configuration_versions_pkey PRIMARY KEY (id)
);
CREATE TABLE configurations (
    id uuid NOT NULL,
    name text NOT NULL,
    description text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    revision bigint DEFAULT 1 NOT NULL,
    content_schema jsonb,
    archived_at timestamp with time zone,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT configurations_pkey PRIMARY KEY (id),
    CONSTRAINT configurations_name_key UNIQUE (name)
);
CREATE TABLE consumer_lag_samples (
    time timestamp with time zone NOT NULL,
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    log_start_offset bigint NOT NULL,
    log_end_offset bigint NOT NULL,
    lag_messages bigint NOT NULL,
    lag_seconds double precision
);
CREATE TABLE consumer_offsets (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    anchor_offset bigint,
    anchor_timestamp_ms bigint,
    anchor_hash bytea,
    CONSTRAINT consumer_offsets_next_offset_check CHECK ((next_offset >= 0)),
    CONSTRAINT consumer_offsets_pkey PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor=50);
CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    dead_lettered_at timestamp with time zone DEFAULT now() NOT NULL,
    topic text NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    log_timestamp timestamp with time zone NOT NULL,
    reason text NOT NULL,
    error_class text NOT NULL,
    sqlstate text,
    detail text NOT NULL,
    event_id uuid,
    event_type text,
    key bytea,
    value bytea,
    headers jsonb NOT NULL,
    consumer_group text NOT NULL,
    consumer_version text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    resolved_at timestamp with time zone,
    last_attempt_at timestamp with time zone,
    last_detail text,
    quarantined_at timestamp with time zone,
    resolution text,
    resolved_by text,
    CONSTRAINT dead_letters_resolution_check CHECK ((resolution = ANY (ARRAY['stored'::text, 'duplicate'::text, 'discarded'::text]))),
    CONSTRAINT dead_letters_resolved_check CHECK (((resolution IS NULL) = (resolved_at IS NULL))) NOT VALID,
    CONSTRAINT dead_letters_pkey PRIMARY KEY (id)
);
CREATE TABLE execution_events (
    time timestamp with time zone NOT NULL,
    event_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    scenario_id uuid NOT NULL,
    simulation_id uuid,
    sequence bigint NOT NULL,
    type text NOT NULL,
    source text NOT NULL,
    traceparent text,
    data jsonb NOT NULL,
    log_partition integer,
    log_offset bigint
);
CREATE TABLE executions (
    id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    scenario_id uuid NOT NULL,
    simulation_id uuid,
    started_at timestamp with time zone,
    ended_at timestamp with time zone,
    attempt integer DEFAULT 1 NOT NULL,
    source text,
    metadata jsonb,
    CONSTRAINT executions_pkey PRIMARY KEY (id)
);
CREATE TABLE failure_patterns (
    id uuid NOT NULL,
    kind text NOT NULL,
    signature text NOT NULL,
    example text NOT NULL,
    first_seen_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    embedding vector(384),
    CONSTRAINT failure_patterns_pkey PRIMARY KEY (id)
);
CREATE TABLE failures (
    time timestamp with time zone NOT NULL,
    event_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    scenario_id uuid NOT NULL,
    simulation_id uuid,
    sequence bigint NOT NULL,
    kind text NOT NULL,
    message text NOT NULL,
    details jsonb,
    pattern_id uuid NOT NULL,
    log_partition integer,
    log_offset bigint
);
CREATE TABLE llm_recommendation_sessions (
    id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    status text NOT NULL,
    model text,
    prompt_hash text,
    window_from timestamp with time zone NOT NULL,
    window_to timestamp with time zone NOT NULL,
    input_tokens bigint,
    output_tokens bigint,
    cost_usd double precision,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT llm_recommendation_sessions_status_check CHECK ((status = ANY (ARRAY['running'::text, 'completed'::text, 'degraded'::text, 'failed'::text]))),
    CONSTRAINT llm_recommendation_sessions_window_check CHECK ((window_from < window_to)),
    CONSTRAINT llm_recommendation_sessions_configuration_version_id_fkey FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions(id),
    CONSTRAINT llm_recommendation_sessions_pkey PRIMARY KEY (id)
);
CREATE TABLE log_gaps (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    end_offset bigint,
    reason text NOT NULL,
    noticed_at timestamp with time zone DEFAULT now() NOT NULL,
    consumer_version text NOT NULL,
    CONSTRAINT log_gaps_end_offset_check CHECK ((end_offset > first_offset)),
    CONSTRAINT log_gaps_end_offset_known_check CHECK (((end_offset IS NULL) = (reason = 'recreated'::text))),
    CONSTRAINT log_gaps_reason_check CHECK ((reason = ANY (ARRAY['retention'::text, 'recreated'::text]))),
    CONSTRAINT log_gaps_pkey PRIMARY KEY (consumer_group, topic, partition, first_offset, noticed_at)
);
CREATE TABLE outcomes (
    time timestamp with time zone NOT NULL,
    event_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    scenario_id uuid NOT NULL,
    simulation_id uuid,
    sequence bigint NOT NULL,
    status text NOT NULL,
    success boolean NOT NULL,
    score double precision,
    duration_ms double precision,
    cost_usd double precision,
    input_tokens bigint,
    output_tokens bigint,
    error_kind text,
    error_message text,
    metadata jsonb,
    last_sequence bigint,
    dropped jsonb,
    log_partition integer,
    log_offset bigint,
    CONSTRAINT outcomes_status_check CHECK ((status = ANY (ARRAY['succeeded'::text, 'failed'::text, 'errored'::text, 'timed_out'::text, 'cancelled'::text]))),
    CONSTRAINT outcomes_success_check CHECK ((success = (status = 'succeeded'::text)))
);
CREATE TABLE recommendations (
    id uuid NOT NULL,
    session_id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    applied_version_id uuid,
    title text NOT NULL,
    rationale text NOT NULL,
    patch jsonb NOT NULL,
    evidence jsonb NOT NULL,
    predicted_effect jsonb,
    measured_effect jsonb,
    status text DEFAULT 'proposed'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    decided_at timestamp with time zone,
    CONSTRAINT recommendations_status_check CHECK ((status = ANY (ARRAY['proposed'::text, 'accepted'::text, 'rejected'::text, 'applied'::text, 'measured'::text, 'kept'::text, 'reverted'::text]))),
    CONSTRAINT recommendations_applied_version_id_fkey FOREIGN KEY (applied_version_id) REFERENCES configuration_versions(id),
    CONSTRAINT recommendations_configuration_version_id_fkey FOREIGN KEY (configuration_version_id) REFERENCES configuration_versions(id),
    CONSTRAINT recommendations_session_id_fkey FOREIGN KEY (session_id) REFERENCES llm_recommendation_sessions(id),
    CONSTRAINT recommendations_pkey PRIMARY KEY (id)
);
CREATE TABLE replay_jobs (
    id uuid NOT NULL,
    requested_by text NOT NULL,
    plan jsonb NOT NULL,
    status text NOT NULL,
    progress jsonb,
    report jsonb,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT replay_jobs_status_check CHECK ((status = ANY (ARRAY['running'::text, 'paused'::text, 'completed'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT replay_jobs_pkey PRIMARY KEY (id)
);
CREATE TABLE scenarios (
    id uuid NOT NULL,
    name text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT scenarios_pkey PRIMARY KEY (id)
);
CREATE TABLE simulations (
    id uuid NOT NULL,
    name text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT simulations_pkey PRIMARY KEY (id)
);
CREATE TABLE storage_policies (
    relation text NOT NULL,
    compress_after interval,
    drop_after interval,
    CONSTRAINT storage_policies_pkey PRIMARY KEY (relation)
);
CREATE TABLE tool_usage (
    time timestamp with time zone NOT NULL,
    event_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    configuration_version_id uuid NOT NULL,
    scenario_id uuid NOT NULL,
    simulation_id uuid,
    sequence bigint NOT NULL,
    tool text NOT NULL,
    success boolean NOT NULL,
    duration_ms double precision,
    error text,
    arguments jsonb,
    result_bytes bigint,
    log_partition integer,
    log_offset bigint
);
CREATE INDEX configuration_audit_configuration_id_idx ON configuration_audit USING btree (configuration_id, id DESC);
CREATE INDEX configuration_deployments_configuration_id_idx ON configuration_deployments USING btree (configuration_id, deployed_at DESC);
CREATE UNIQUE INDEX configuration_deployments_current_key ON configuration_deployments USING btree (deployment, environment, configuration_id, number) WHERE (undeployed_at IS NULL);
CREATE INDEX configuration_deployments_deployment_idx ON configuration_deployments USING btree (deployment, deployed_at DESC);
CREATE INDEX configuration_version_numbers_version_id_idx ON configuration_version_numbers USING btree (configuration_version_id);
CREATE INDEX configuration_versions_configuration_id_idx ON configuration_versions USING btree (configuration_id);
CREATE INDEX configuration_versions_content_hash_idx ON configuration_versions USING btree (content_hash text_pattern_ops);
CREATE INDEX consumer_lag_samples_consumer_group_idx ON consumer_lag_samples USING btree (consumer_group, topic, partition, "time" DESC);
CREATE INDEX consumer_lag_samples_time_idx ON consumer_lag_samples USING brin ("time");
CREATE INDEX dead_letters_event_id_idx ON dead_letters USING btree (event_id);
CREATE INDEX dead_letters_key_idx ON dead_letters USING hash (key);
CREATE INDEX dead_letters_reason_idx ON dead_letters USING btree (reason, dead_lettered_at DESC);
CREATE UNIQUE INDEX dead_letters_record_key ON dead_letters USING btree (topic, log_partition, log_offset, log_timestamp);
CREATE INDEX dead_letters_unresolved_idx ON dead_letters USING btree (id) WHERE (resolved_at IS NULL);
CREATE UNIQUE INDEX execution_events_event_id_time_key ON execution_events USING btree (event_id, "time");
CREATE INDEX execution_events_execution_id_idx ON execution_events USING btree (execution_id);
CREATE INDEX execution_events_time_idx ON execution_events USING brin ("time");
CREATE INDEX executions_configuration_version_id_idx ON executions USING btree (configuration_version_id, started_at DESC);
CREATE INDEX executions_scenario_id_idx ON executions USING btree (scenario_id, started_at DESC);
CREATE INDEX executions_simulation_id_idx ON executions USING btree (simulation_id, started_at DESC);
CREATE INDEX executions_started_at_idx ON executions USING btree (started_at DESC);
CREATE INDEX executions_unended_idx ON executions USING btree (started_at) WHERE (ended_at IS NULL);
CREATE INDEX failure_patterns_embedding_idx ON failure_patterns USING hnsw (embedding vector_cosine_ops);
CREATE INDEX failure_patterns_kind_idx ON failure_patterns USING btree (kind, last_seen_at DESC);
CREATE INDEX failures_day_idx ON failures USING brin (date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone));
CREATE UNIQUE INDEX failures_event_id_time_key ON failures USING btree (event_id, "time");
CREATE INDEX failures_execution_id_idx ON failures USING btree (execution_id);
CREATE INDEX failures_hour_idx ON failures USING brin (date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone));
CREATE INDEX failures_pattern_id_idx ON failures USING btree (pattern_id, "time" DESC);
CREATE INDEX failures_time_idx ON failures USING brin ("time");
CREATE INDEX llm_recommendation_sessions_configuration_version_id_idx ON llm_recommendation_sessions USING btree (configuration_version_id, created_at DESC);
CREATE INDEX outcomes_configuration_version_id_idx ON outcomes USING btree (configuration_version_id, "time" DESC);
CREATE INDEX outcomes_day_idx ON outcomes USING brin (date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone));
CREATE UNIQUE INDEX outcomes_event_id_time_key ON outcomes USING btree (event_id, "time");
CREATE INDEX outcomes_execution_id_idx ON outcomes USING btree (execution_id);
CREATE INDEX outcomes_hour_idx ON outcomes USING brin (date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone));
CREATE INDEX outcomes_simulation_id_idx ON outcomes USING btree (simulation_id, "time" DESC);
CREATE INDEX outcomes_time_idx ON outcomes USING brin ("time");
CREATE INDEX recommendations_applied_version_id_idx ON recommendations USING btree (applied_version_id);
CREATE INDEX recommendations_configuration_version_id_idx ON recommendations USING btree (configuration_version_id, created_at DESC);
CREATE INDEX recommendations_session_id_idx ON recommendations USING btree (session_id);
CREATE INDEX replay_jobs_created_at_idx ON replay_jobs USING btree (created_at DESC);
CREATE INDEX scenarios_name_idx ON scenarios USING btree (name);
CREATE INDEX simulations_name_idx ON simulations USING btree (name);
CREATE INDEX tool_usage_day_idx ON tool_usage USING brin (date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone));
CREATE UNIQUE INDEX tool_usage_event_id_time_key ON tool_usage USING btree (event_id, "time");
CREATE INDEX tool_usage_execution_id_idx ON tool_usage USING btree (execution_id);
CREATE INDEX tool_usage_hour_idx ON tool_usage USING brin (date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone));
CREATE INDEX tool_usage_time_idx ON tool_usage USING brin ("time");
CREATE VIEW active_simulations AS
 SELECT simulation.id AS simulation_id,
    simulation.name AS simulation,
    total.started_at,
    GREATEST(total.last_started_at, outcome.last_ended_at) AS last_activity_at,
    active.running,
    total.completed,
    total.executions - total.completed - active.running AS abandoned,
    outcome.succeeded,
    outcome.cost_usd
   FROM ( SELECT execution_state.simulation_id,
            count(*) AS running
           FROM execution_state
          WHERE execution_state.state = 'running'::text AND execution_state.simulation_id IS NOT NULL
          GROUP BY execution_state.simulation_id) active
     JOIN simulations simulation ON simulation.id = active.simulation_id
     CROSS JOIN LATERAL ( SELECT count(*) AS executions,
            count(execution.ended_at) AS completed,
            min(COALESCE(execution.started_at, execution.ended_at)) AS started_at,
            max(execution.started_at) AS last_started_at
           FROM executions execution
          WHERE execution.simulation_id = simulation.id) total
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE outcomes.success) AS succeeded,
            sum(outcomes.cost_usd) AS cost_usd,
            max(outcomes."time") AS last_ended_at
           FROM outcomes
          WHERE outcomes.simulation_id = simulation.id AND outcomes."time" >= total.started_at) outcome;
CREATE VIEW configuration_names AS
 SELECT version.id AS configuration_version_id,
    COALESCE(configuration.name, 'version '::text || "left"(version.id::text, 8)) AS configuration
   FROM configuration_versions version
     LEFT JOIN configurations configuration ON configuration.id = version.configuration_id;
CREATE VIEW cost_breakdown AS
 SELECT rollup.bucket AS day,
    COALESCE(name.configuration, 'version '::text || "left"(rollup.configuration_version_id::text, 8)) AS configuration,
    rollup.configuration_version_id,
    COALESCE(scenario.name, 'scenario '::text || "left"(rollup.scenario_id::text, 8)) AS scenario,
    rollup.scenario_id,
    rollup.executions,
    rollup.succeeded,
    rollup.cost_usd_sum AS cost_usd,
    rollup.cost_usd_sum / NULLIF(rollup.cost_usd_count, 0)::double precision AS cost_usd_per_execution,
    rollup.cost_usd_sum / NULLIF(rollup.succeeded, 0)::double precision AS cost_usd_per_success,
    rollup.input_tokens,
    rollup.output_tokens
   FROM scenario_outcomes_daily rollup
     LEFT JOIN configuration_names name USING (configuration_version_id)
     LEFT JOIN scenarios scenario ON scenario.id = rollup.scenario_id;
CREATE VIEW error_rates AS
 SELECT error.day,
    COALESCE(name.configuration, 'version '::text || "left"(error.configuration_version_id::text, 8)) AS configuration,
    error.configuration_version_id,
    error.source,
    error.status,
    error.kind,
    error.occurrences,
    rollup.executions,
    error.occurrences::double precision / rollup.executions::double precision AS rate
   FROM ( SELECT errors_daily.bucket AS day,
            errors_daily.configuration_version_id,
            'outcome'::text AS source,
            errors_daily.status,
            COALESCE(errors_daily.error_kind, errors_daily.status) AS kind,
            errors_daily.executions AS occurrences
           FROM errors_daily
        UNION ALL
         SELECT failures_daily.bucket,
            failures_daily.configuration_version_id,
            'failure'::text,
            NULL::text,
            failures_daily.kind,
            failures_daily.failures
           FROM failures_daily) error
     LEFT JOIN configuration_names name USING (configuration_version_id)
     LEFT JOIN outcomes_daily rollup ON rollup.bucket = error.day AND rollup.configuration_version_id = error.configuration_version_id;
CREATE VIEW errors_daily AS
 SELECT date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
    configuration_version_id,
    status,
    error_kind,
    count(*) AS executions
   FROM outcomes
  WHERE NOT success
  GROUP BY (date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone)), configuration_version_id, status, error_kind;
CREATE VIEW errors_hourly AS
 SELECT date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
    configuration_version_id,
    status,
    error_kind,
    count(*) AS executions
   FROM outcomes
  WHERE NOT success
  GROUP BY (date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone)), configuration_version_id, status, error_kind;
CREATE VIEW execution_completeness AS
 SELECT execution_id,
    configuration_version_id,
    scenario_id,
    simulation_id,
    ended_at,
    emitted,
    stored,
    dead_lettered,
    dropped,
    emitted - stored - dead_lettered - dropped AS outstanding,
    emitted = (stored + dead_lettered + dropped) AS is_complete
   FROM ( SELECT execution.execution_id,
            execution.configuration_version_id,
            execution.scenario_id,
            execution.simulation_id,
            execution.ended_at,
            COALESCE(execution.last_sequence, GREATEST(GREATEST(ended.highest, began.highest, used.highest, failed.highest), ended.events + began.events + used.events + failed.events + refused.events) + 1) AS emitted,
            ended.events + began.events + used.events + failed.events AS stored,
            refused.events AS dead_lettered,
            COALESCE(( SELECT sum(jsonb_each_text.value::bigint)::bigint AS sum
                   FROM jsonb_each_text(execution.dropped) jsonb_each_text(key, value)), 0::bigint) AS dropped
           FROM ( SELECT outcome.execution_id,
                    outcome.configuration_version_id,
                    outcome.scenario_id,
                    outcome.simulation_id,
                    outcome."time" AS ended_at,
                    outcome.last_sequence,
                    outcome.dropped
                   FROM outcomes outcome
                     JOIN executions started ON started.id = outcome.execution_id
                  WHERE outcome.last_sequence IS NOT NULL AND outcome."time" > (now() - '3 days'::interval) AND COALESCE(started.started_at, outcome."time") > (now() - '3 days'::interval)
                UNION ALL
                 SELECT silent.id,
                    silent.configuration_version_id,
                    silent.scenario_id,
                    silent.simulation_id,
                    NULL::timestamp with time zone AS timestamptz,
                    NULL::bigint AS int8,
                    NULL::jsonb AS jsonb
                   FROM unended_executions silent
                  WHERE NOT silent.is_running AND (silent.started_at > (now() - '3 days'::interval) OR silent.started_at IS NULL)) execution
             CROSS JOIN LATERAL ( SELECT count(*) AS events,
                    max(event.sequence) AS highest,
                    max(event."time") FILTER (WHERE event.last_sequence IS NOT NULL) AS counted_at
                   FROM outcomes event
                  WHERE event.execution_id = execution.execution_id AND event.sequence > 0 AND event."time" > (now() - '3 days'::interval)) ended
             CROSS JOIN LATERAL ( SELECT count(*) AS events,
                    max(event.sequence) AS highest
                   FROM execution_events event
                  WHERE event.execution_id = execution.execution_id AND event.sequence > 0 AND event."time" > (now() - '3 days'::interval)) began
             CROSS JOIN LATERAL ( SELECT count(*) AS events,
                    max(event.sequence) AS highest
                   FROM tool_usage event
                  WHERE event.execution_id = execution.execution_id AND event.sequence > 0 AND event."time" > (now() - '3 days'::interval)) used
             CROSS JOIN LATERAL ( SELECT count(*) AS events,
                    max(event.sequence) AS highest
                   FROM failures event
                  WHERE event.execution_id = execution.execution_id AND event.sequence > 0 AND event."time" > (now() - '3 days'::interval)) failed
             CROSS JOIN LATERAL ( SELECT count(DISTINCT COALESCE(letter.event_id::text, concat_ws('/'::text, letter.topic, letter.log_partition, letter.log_offset))) AS events
                   FROM dead_letters letter
                  WHERE letter.key = convert_to(execution.execution_id::text, 'UTF8'::name) AND (letter.resolved_at IS NULL OR letter.resolution = 'discarded'::text) AND COALESCE(POSITION(('\x2273657175656e6365223a223030303030303030303022'::bytea) IN (letter.value)), 0) = 0 AND NOT (EXISTS ( SELECT
                           FROM outcomes event
                          WHERE event.event_id = letter.event_id AND event."time" > (now() - '3 days'::interval))) AND NOT (EXISTS ( SELECT
                           FROM execution_events event
                          WHERE event.event_id = letter.event_id AND event."time" > (now() - '3 days'::interval))) AND NOT (EXISTS ( SELECT
                           FROM tool_usage event
                          WHERE event.event_id = letter.event_id AND event."time" > (now() - '3 days'::interval))) AND NOT (EXISTS ( SELECT
                           FROM failures event
                          WHERE event.event_id = letter.event_id AND event."time" > (now() - '3 days'::interval)))) refused
          WHERE execution.ended_at = ended.counted_at OR execution.ended_at IS NULL AND GREATEST(ended.highest, began.highest, used.highest, failed.highest) > 0) counted;
CREATE VIEW execution_state AS
 SELECT executions.id AS execution_id,
    'completed'::text AS state,
    executions.configuration_version_id,
    executions.scenario_id,
    executions.simulation_id,
    executions.started_at,
    executions.ended_at,
    executions.attempt,
    executions.source
   FROM executions
  WHERE executions.ended_at IS NOT NULL
UNION ALL
 SELECT unended_executions.id AS execution_id,
    'running'::text AS state,
    unended_executions.configuration_version_id,
    unended_executions.scenario_id,
    unended_executions.simulation_id,
    unended_executions.started_at,
    NULL::timestamp with time zone AS ended_at,
    unended_executions.attempt,
    unended_executions.source
   FROM unended_executions
  WHERE unended_executions.is_running
UNION ALL
 SELECT unended_executions.id AS execution_id,
    'abandoned'::text AS state,
    unended_executions.configuration_version_id,
    unended_executions.scenario_id,
    unended_executions.simulation_id,
    unended_executions.started_at,
    NULL::timestamp with time zone AS ended_at,
    unended_executions.attempt,
    unended_executions.source
   FROM unended_executions
  WHERE NOT unended_executions.is_running;
CREATE VIEW failures_daily AS
 SELECT date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
    configuration_version_id,
    kind,
    count(*) AS failures
   FROM failures
  GROUP BY (date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone)), configuration_version_id, kind;
CREATE VIEW failures_hourly AS
 SELECT date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
    configuration_version_id,
    kind,
    count(*) AS failures
   FROM failures
  GROUP BY (date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone)), configuration_version_id, kind;
CREATE VIEW outcomes_daily AS
 SELECT date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
    configuration_version_id,
    count(*) AS executions,
    count(*) FILTER (WHERE status = 'succeeded'::text) AS succeeded,
    count(*) FILTER (WHERE status = 'failed'::text) AS failed,
    count(*) FILTER (WHERE status = 'errored'::text) AS errored,
    count(*) FILTER (WHERE status = 'timed_out'::text) AS timed_out,
    count(*) FILTER (WHERE status = 'cancelled'::text) AS cancelled,
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
  GROUP BY (date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone)), configuration_version_id;
CREATE VIEW outcomes_hourly AS
 SELECT date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
    configuration_version_id,
    count(*) AS executions,
    count(*) FILTER (WHERE status = 'succeeded'::text) AS succeeded,
    count(*) FILTER (WHERE status = 'failed'::text) AS failed,
    count(*) FILTER (WHERE status = 'errored'::text) AS errored,
    count(*) FILTER (WHERE status = 'timed_out'::text) AS timed_out,
    count(*) FILTER (WHERE status = 'cancelled'::text) AS cancelled,
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
  GROUP BY (date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone)), configuration_version_id;
CREATE VIEW performance_daily AS
 SELECT rollup.bucket AS day,
    COALESCE(name.configuration, 'version '::text || "left"(rollup.configuration_version_id::text, 8)) AS configuration,
    rollup.configuration_version_id,
    rollup.executions,
    rollup.succeeded,
    rollup.failed,
    rollup.errored,
    rollup.timed_out,
    rollup.cancelled,
    rollup.succeeded::double precision / rollup.executions::double precision AS success_rate,
    rollup.score_sum / NULLIF(rollup.score_count, 0)::double precision AS score,
    rollup.duration_ms_sum / NULLIF(rollup.duration_ms_count, 0)::double precision AS duration_ms,
    rollup.duration_ms_max,
    rollup.cost_usd_sum AS cost_usd,
    rollup.cost_usd_sum / NULLIF(rollup.succeeded, 0)::double precision AS cost_usd_per_success,
    rollup.input_tokens,
    rollup.output_tokens
   FROM outcomes_daily rollup
     LEFT JOIN configuration_names name USING (configuration_version_id);
CREATE VIEW performance_hourly AS
 SELECT rollup.bucket AS hour,
    COALESCE(name.configuration, 'version '::text || "left"(rollup.configuration_version_id::text, 8)) AS configuration,
    rollup.configuration_version_id,
    rollup.executions,
    rollup.succeeded,
    rollup.failed,
    rollup.errored,
    rollup.timed_out,
    rollup.cancelled,
    rollup.succeeded::double precision / rollup.executions::double precision AS success_rate,
    rollup.score_sum / NULLIF(rollup.score_count, 0)::double precision AS score,
    rollup.duration_ms_sum / NULLIF(rollup.duration_ms_count, 0)::double precision AS duration_ms,
    rollup.duration_ms_max,
    rollup.cost_usd_sum AS cost_usd,
    rollup.cost_usd_sum / NULLIF(rollup.succeeded, 0)::double precision AS cost_usd_per_success,
    rollup.input_tokens,
    rollup.output_tokens
   FROM outcomes_hourly rollup
     LEFT JOIN configuration_names name USING (configuration_version_id);
CREATE VIEW performance_trends AS
 SELECT week.day,
    COALESCE(name.configuration, 'version '::text || "left"(week.configuration_version_id::text, 8)) AS configuration,
    week.configuration_version_id,
    week.executions,
    week.succeeded / week.executions AS success_rate,
    week.succeeded / week.executions - week.previous_succeeded / NULLIF(week.previous_executions, 0::double precision) AS success_rate_change,
    week.score_sum / NULLIF(week.score_count, 0::double precision) AS score,
    week.score_sum / NULLIF(week.score_count, 0::double precision) - week.previous_score_sum / NULLIF(week.previous_score_count, 0::double precision) AS score_change,
    week.cost_usd_sum / NULLIF(week.cost_usd_count, 0::double precision) AS cost_usd_per_execution,
    week.cost_usd_sum / NULLIF(week.cost_usd_count, 0::double precision) - week.previous_cost_usd_sum / NULLIF(week.previous_cost_usd_count, 0::double precision) AS cost_usd_per_execution_change
   FROM ( SELECT outcomes_daily.bucket AS day,
            outcomes_daily.configuration_version_id,
            sum(outcomes_daily.executions::double precision) OVER last AS executions,
            sum(outcomes_daily.executions::double precision) OVER previous AS previous_executions,
            sum(outcomes_daily.succeeded::double precision) OVER last AS succeeded,
            sum(outcomes_daily.succeeded::double precision) OVER previous AS previous_succeeded,
            sum(outcomes_daily.score_sum) OVER last AS score_sum,
            sum(outcomes_daily.score_sum) OVER previous AS previous_score_sum,
            sum(outcomes_daily.score_count::double precision) OVER last AS score_count,
            sum(outcomes_daily.score_count::double precision) OVER previous AS previous_score_count,
            sum(outcomes_daily.cost_usd_sum) OVER last AS cost_usd_sum,
            sum(outcomes_daily.cost_usd_sum) OVER previous AS previous_cost_usd_sum,
            sum(outcomes_daily.cost_usd_count::double precision) OVER last AS cost_usd_count,
            sum(outcomes_daily.cost_usd_count::double precision) OVER previous AS previous_cost_usd_count
           FROM outcomes_daily
          WINDOW last AS (PARTITION BY outcomes_daily.configuration_version_id ORDER BY outcomes_daily.bucket RANGE BETWEEN '6 days'::interval PRECEDING AND CURRENT ROW), previous AS (PARTITION BY outcomes_daily.configuration_version_id ORDER BY outcomes_daily.bucket RANGE BETWEEN '13 days'::interval PRECEDING AND '7 days'::interval PRECEDING)) week
     LEFT JOIN configuration_names name USING (configuration_version_id);
CREATE VIEW scenario_outcomes_daily AS
 SELECT date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
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
  GROUP BY (date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone)), configuration_version_id, scenario_id;
CREATE VIEW scenario_outcomes_hourly AS
 SELECT date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
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
  GROUP BY (date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone)), configuration_version_id, scenario_id;
CREATE VIEW tool_reliability AS
 SELECT rollup.bucket AS day,
    COALESCE(name.configuration, 'version '::text || "left"(rollup.configuration_version_id::text, 8)) AS configuration,
    rollup.configuration_version_id,
    rollup.tool,
    rollup.calls,
    rollup.errors,
    rollup.errors::double precision / rollup.calls::double precision AS error_rate,
    rollup.duration_ms_sum / NULLIF(rollup.duration_ms_count, 0)::double precision AS duration_ms,
    rollup.duration_ms_max,
    rollup.result_bytes
   FROM tool_usage_daily rollup
     LEFT JOIN configuration_names name USING (configuration_version_id);
CREATE VIEW tool_usage_daily AS
 SELECT date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
    configuration_version_id,
    tool,
    count(*) AS calls,
    count(*) FILTER (WHERE NOT success) AS errors,
    sum(duration_ms) AS duration_ms_sum,
    count(duration_ms) AS duration_ms_count,
    max(duration_ms) AS duration_ms_max,
    sum(result_bytes)::bigint AS result_bytes
   FROM tool_usage
  GROUP BY (date_bin('1 day'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone)), configuration_version_id, tool;
CREATE VIEW tool_usage_hourly AS
 SELECT date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone) AS bucket,
    configuration_version_id,
    tool,
    count(*) AS calls,
    count(*) FILTER (WHERE NOT success) AS errors,
    sum(duration_ms) AS duration_ms_sum,
    count(duration_ms) AS duration_ms_count,
    max(duration_ms) AS duration_ms_max,
    sum(result_bytes)::bigint AS result_bytes
   FROM tool_usage
  GROUP BY (date_bin('01:00:00'::interval, "time", '2000-01-01 00:00:00+00'::timestamp with time zone)), configuration_version_id, tool;
CREATE VIEW unended_executions AS
 SELECT id,
    configuration_version_id,
    scenario_id,
    simulation_id,
    started_at,
    attempt,
    source,
    (started_at > (now() - '3 days'::interval) OR started_at IS NULL) AND (COALESCE(started_at > (now() - abandoned_after()), false) OR (EXISTS ( SELECT
           FROM execution_events event
          WHERE event.execution_id = execution.id AND event."time" > (now() - '1 day'::interval) AND event."time" > (now() - abandoned_after()))) OR (EXISTS ( SELECT
           FROM tool_usage usage
          WHERE usage.execution_id = execution.id AND usage."time" > (now() - '1 day'::interval) AND usage."time" > (now() - abandoned_after()))) OR (EXISTS ( SELECT
           FROM failures failure
          WHERE failure.execution_id = execution.id AND failure."time" > (now() - '1 day'::interval) AND failure."time" > (now() - abandoned_after())))) AS is_running
   FROM executions execution
  WHERE ended_at IS NULL;
CREATE OR REPLACE FUNCTION public.abandoned_after()
 RETURNS interval
 LANGUAGE sql
 STABLE PARALLEL SAFE
AS $function$ SELECT COALESCE(NULLIF(current_setting('arc_eval.abandoned_after', true), ''), '1 hour')::interval $function$;
CREATE OR REPLACE FUNCTION public.number_configuration_version(configuration uuid, version uuid, actor text)
 RETURNS integer
 LANGUAGE plpgsql
AS $function$
DECLARE
    known integer;
BEGIN
    SELECT number INTO known FROM configuration_version_numbers AS given
    WHERE given.configuration_id = configuration AND given.configuration_version_id = version;
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    PERFORM FROM configurations WHERE id = configuration FOR NO KEY UPDATE;
    -- A statement of its own sees what was committed while the lock was waited for.
    SELECT number INTO known FROM configuration_version_numbers AS given
    WHERE given.configuration_id = configuration AND given.configuration_version_id = version;
    IF known IS NOT NULL THEN
        RETURN known;
    END IF;
    UPDATE configurations SET revision = revision + 1, updated_at = clock_timestamp() WHERE id = configuration;
    INSERT INTO configuration_version_numbers (configuration_id, number, configuration_version_id, created_by)
    SELECT configuration, COALESCE(max(given.number), 0) + 1, version, actor
    FROM configuration_version_numbers AS given
    WHERE given.configuration_id = configuration
    RETURNING number INTO known;
    INSERT INTO configuration_audit (configuration_id, actor, action, number)
    VALUES (configuration, actor, 'version_added', known);
    RETURN known;
END
$function$;
CREATE OR REPLACE FUNCTION public.number_configuration_versions()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
DECLARE
    version record;
BEGIN
    FOR version IN
        SELECT id, configuration_id FROM changed WHERE configuration_id IS NOT NULL ORDER BY configuration_id, id
    LOOP
        PERFORM number_configuration_version(version.configuration_id, version.id, NULL);
    END LOOP;
    RETURN NULL;
END
$function$;
CREATE TRIGGER configuration_versions_number_inserted AFTER INSERT ON configuration_versions REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION number_configuration_versions();
CREATE TRIGGER configuration_versions_number_updated AFTER UPDATE ON configuration_versions REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION number_configuration_versions();
-- arc_eval_admin may SELECT on active_simulations
-- arc_eval_reader may SELECT on active_simulations
-- arc_eval_admin may INSERT, SELECT on api_tokens
-- arc_eval_reader may SELECT on api_tokens.created_at
-- arc_eval_reader may SELECT on api_tokens.created_by
-- arc_eval_reader may SELECT on api_tokens.expires_at
-- arc_eval_reader may SELECT on api_tokens.id
-- arc_eval_admin may UPDATE on api_tokens.last_used_at
-- arc_eval_reader may SELECT on api_tokens.last_used_at
-- arc_eval_reader may SELECT on api_tokens.name
-- arc_eval_admin may UPDATE on api_tokens.revoked_at
-- arc_eval_reader may SELECT on api_tokens.revoked_at
-- arc_eval_admin may UPDATE on api_tokens.revoked_by
-- arc_eval_reader may SELECT on api_tokens.revoked_by
-- arc_eval_reader may SELECT on api_tokens.scope
-- arc_eval_admin may INSERT, SELECT on configuration_audit
-- arc_eval_reader may SELECT on configuration_audit
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on configuration_deployments
-- arc_eval_reader may SELECT on configuration_deployments
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on configuration_labels
-- arc_eval_reader may SELECT on configuration_labels
-- arc_eval_admin may SELECT on configuration_names
-- arc_eval_reader may SELECT on configuration_names
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on configuration_version_numbers
-- arc_eval_reader may SELECT on configuration_version_numbers
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on configuration_versions
-- arc_eval_reader may SELECT on configuration_versions
-- arc_eval_writer may INSERT, SELECT on configuration_versions
-- arc_eval_writer may UPDATE on configuration_versions.configuration_id
-- arc_eval_writer may UPDATE on configuration_versions.content
-- arc_eval_writer may UPDATE on configuration_versions.content_hash
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on configurations
-- arc_eval_reader may SELECT on configurations
-- arc_eval_writer may INSERT, SELECT on configurations
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on consumer_lag_samples
-- arc_eval_reader may SELECT on consumer_lag_samples
-- arc_eval_writer may INSERT on consumer_lag_samples
-- arc_eval_writer may SELECT on consumer_lag_samples.consumer_group
-- arc_eval_writer may SELECT on consumer_lag_samples.partition
-- arc_eval_writer may SELECT on consumer_lag_samples.time
-- arc_eval_writer may SELECT on consumer_lag_samples.topic
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on consumer_offsets
-- arc_eval_reader may SELECT on consumer_offsets
-- arc_eval_writer may INSERT, SELECT on consumer_offsets
-- arc_eval_writer may UPDATE on consumer_offsets.anchor_hash
-- arc_eval_writer may UPDATE on consumer_offsets.anchor_offset
-- arc_eval_writer may UPDATE on consumer_offsets.anchor_timestamp_ms
-- arc_eval_writer may UPDATE on consumer_offsets.next_offset
-- arc_eval_writer may UPDATE on consumer_offsets.updated_at
-- arc_eval_admin may SELECT on cost_breakdown
-- arc_eval_reader may SELECT on cost_breakdown
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on dead_letters
-- arc_eval_writer may INSERT on dead_letters
-- arc_eval_reader may SELECT on dead_letters.attempts
-- arc_eval_reader may SELECT on dead_letters.consumer_group
-- arc_eval_reader may SELECT on dead_letters.consumer_version
-- arc_eval_reader may SELECT on dead_letters.dead_lettered_at
-- arc_eval_reader may SELECT on dead_letters.detail
-- arc_eval_reader may SELECT on dead_letters.error_class
-- arc_eval_reader may SELECT on dead_letters.event_id
-- arc_eval_reader may SELECT on dead_letters.event_type
-- arc_eval_reader may SELECT on dead_letters.id
-- arc_eval_reader may SELECT on dead_letters.last_attempt_at
-- arc_eval_reader may SELECT on dead_letters.last_detail
-- arc_eval_reader may SELECT on dead_letters.log_offset
-- arc_eval_writer may SELECT on dead_letters.log_offset
-- arc_eval_reader may SELECT on dead_letters.log_partition
-- arc_eval_writer may SELECT on dead_letters.log_partition
-- arc_eval_reader may SELECT on dead_letters.log_timestamp
-- arc_eval_writer may SELECT on dead_letters.log_timestamp
-- arc_eval_reader may SELECT on dead_letters.quarantined_at
-- arc_eval_reader may SELECT on dead_letters.reason
-- arc_eval_reader may SELECT on dead_letters.resolution
-- arc_eval_reader may SELECT on dead_letters.resolved_at
-- arc_eval_reader may SELECT on dead_letters.resolved_by
-- arc_eval_reader may SELECT on dead_letters.sqlstate
-- arc_eval_reader may SELECT on dead_letters.topic
-- arc_eval_writer may SELECT on dead_letters.topic
-- arc_eval_admin may SELECT on error_rates
-- arc_eval_reader may SELECT on error_rates
-- arc_eval_admin may SELECT on errors_daily
-- arc_eval_reader may SELECT on errors_daily
-- arc_eval_admin may SELECT on errors_hourly
-- arc_eval_reader may SELECT on errors_hourly
-- arc_eval_admin may SELECT on execution_completeness
-- arc_eval_reader may SELECT on execution_completeness
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on execution_events
-- arc_eval_reader may SELECT on execution_events
-- arc_eval_writer may INSERT on execution_events
-- arc_eval_admin may SELECT on execution_state
-- arc_eval_reader may SELECT on execution_state
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on executions
-- arc_eval_reader may SELECT on executions
-- arc_eval_writer may INSERT, SELECT on executions
-- arc_eval_writer may UPDATE on executions.attempt
-- arc_eval_writer may UPDATE on executions.ended_at
-- arc_eval_writer may UPDATE on executions.metadata
-- arc_eval_writer may UPDATE on executions.source
-- arc_eval_writer may UPDATE on executions.started_at
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on failure_patterns
-- arc_eval_reader may SELECT on failure_patterns
-- arc_eval_writer may INSERT, SELECT on failure_patterns
-- arc_eval_writer may UPDATE on failure_patterns.first_seen_at
-- arc_eval_writer may UPDATE on failure_patterns.last_seen_at
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on failures
-- arc_eval_reader may SELECT on failures
-- arc_eval_writer may INSERT on failures
-- arc_eval_admin may SELECT on failures_daily
-- arc_eval_reader may SELECT on failures_daily
-- arc_eval_admin may SELECT on failures_hourly
-- arc_eval_reader may SELECT on failures_hourly
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on llm_recommendation_sessions
-- arc_eval_reader may SELECT on llm_recommendation_sessions
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on log_gaps
-- arc_eval_reader may SELECT on log_gaps
-- arc_eval_writer may INSERT on log_gaps
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on outcomes
-- arc_eval_reader may SELECT on outcomes
-- arc_eval_writer may INSERT on outcomes
-- arc_eval_admin may SELECT on outcomes_daily
-- arc_eval_reader may SELECT on outcomes_daily
-- arc_eval_admin may SELECT on outcomes_hourly
-- arc_eval_reader may SELECT on outcomes_hourly
-- arc_eval_admin may SELECT on performance_daily
-- arc_eval_reader may SELECT on performance_daily
-- arc_eval_admin may SELECT on performance_hourly
-- arc_eval_reader may SELECT on performance_hourly
-- arc_eval_admin may SELECT on performance_trends
-- arc_eval_reader may SELECT on performance_trends
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on recommendations
-- arc_eval_reader may SELECT on recommendations
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on replay_jobs
-- arc_eval_reader may SELECT on replay_jobs
-- arc_eval_admin may SELECT on scenario_outcomes_daily
-- arc_eval_reader may SELECT on scenario_outcomes_daily
-- arc_eval_admin may SELECT on scenario_outcomes_hourly
-- arc_eval_reader may SELECT on scenario_outcomes_hourly
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on scenarios
-- arc_eval_reader may SELECT on scenarios
-- arc_eval_writer may INSERT, SELECT on scenarios
-- arc_eval_writer may UPDATE on scenarios.name
-- arc_eval_admin may SELECT on schema_migrations
-- arc_eval_reader may SELECT on schema_migrations
-- arc_eval_writer may SELECT on schema_migrations
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on simulations
-- arc_eval_reader may SELECT on simulations
-- arc_eval_writer may INSERT, SELECT on simulations
-- arc_eval_writer may UPDATE on simulations.name
-- arc_eval_admin may SELECT on storage_policies
-- arc_eval_reader may SELECT on storage_policies
-- arc_eval_admin may SELECT on tool_reliability
-- arc_eval_reader may SELECT on tool_reliability
-- arc_eval_admin may DELETE, INSERT, SELECT, UPDATE on tool_usage
-- arc_eval_reader may SELECT on tool_usage
-- arc_eval_writer may INSERT on tool_usage
-- arc_eval_admin may SELECT on tool_usage_daily
-- arc_eval_reader may SELECT on tool_usage_daily
-- arc_eval_admin may SELECT on tool_usage_hourly
-- arc_eval_reader may SELECT on tool_usage_hourly
-- arc_eval_admin may SELECT on unended_executions
-- arc_eval_reader may SELECT on unended_executions
